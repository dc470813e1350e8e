//! All WebSocket connections: opening them, finding them, closing them.

use super::{
    connection,
    counters::{Counters, Lost},
    handshake::{self, Origins, Refusal},
    queue::{Limits, Queue},
};
use crate::{clock::Clock, config};
use axum::{
    body::Body,
    http::{Request, Response},
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fmt,
    future::{Future as _, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tracker_common::address::Address;
use tracker_core::{
    engine::{ConnectionKey, Engine},
    model::Seconds,
    rng::Rng,
    ws::{Connection, Relay, Settings},
};

/// So many that threads seldom meet at one.
const SHARDS: usize = 64;

/// Allocated for each connection as it opens, so that an idle one stays small. Larger messages get what they need.
const READ_BUFFER: usize = 2 << 10;
/// What gathers before it is written, unless nothing more is at hand: a TLS record.
const WRITE_BUFFER: usize = 16 << 10;

/// Where the queues of a share of the connections are found.
type Shard = Mutex<HashMap<ConnectionKey, Arc<Queue>>>;

/// How connections are run.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) signal: Settings,
    pub(super) socket: WebSocketConfig,
    pub(super) queue: Limits,
    pub(super) send_timeout: Duration,
    pub(super) ping_interval: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) max_messages_per_second: Option<u32>,
}

/// All WebSocket connections of the tracker.
pub struct Hub {
    engine: Arc<Engine>,
    clock: Clock,
    rules: Rules,
    origins: Origins,
    max_connections: usize,
    seed: [u64; 2],
    last_key: AtomicU64,
    generators: AtomicU64,
    /// By key, [`SHARDS`] of them.
    queues: Box<[Shard]>,
    /// Includes those that wait for their handshake's reply to be written.
    open: AtomicUsize,
    draining: AtomicBool,
    all_closed: Notify,
    counters: Counters,
}

impl Hub {
    /// A hub without connections. `seed` is random and secret: it decides who is given to whom, and keys the hashes of
    /// offers.
    #[must_use]
    pub fn new(config: &config::Websocket, engine: Arc<Engine>, clock: Clock, seed: [u64; 2]) -> Arc<Self> {
        Arc::new(Self {
            engine,
            clock,
            rules: rules(config),
            origins: Origins {
                allowed: config.allowed_origins.clone(),
                denied: config.denied_origins.clone(),
            },
            max_connections: config.max_connections,
            seed,
            last_key: AtomicU64::new(0),
            generators: AtomicU64::new(0),
            queues: (0..SHARDS).map(|_| Mutex::default()).collect(),
            open: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            all_closed: Notify::new(),
            counters: Counters::default(),
        })
    }

    /// Answers a handshake (RFC 6455, section 4.2) of a client at `client`: with 101, and then its connection runs in a
    /// task of its own, or with the status of an error and a line of text. Call it in a Tokio runtime.
    pub fn accept<B>(self: &Arc<Self>, mut request: Request<B>, client: Address) -> Response<Body> {
        let opened = handshake::check(&request, &self.origins)
            .and_then(|response| Ok((response, self.enter(client)?)));
        match opened {
            Err(refusal) => refusal.response(),
            Ok((response, seat)) => {
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let mut upgrade = pin!(upgrade);
                    let upgraded = poll_fn(|cx| match seat.queue.poll_close(cx) {
                        Poll::Ready(()) => Poll::Ready(None),
                        Poll::Pending => upgrade.as_mut().poll(cx).map(Result::ok),
                    });
                    // A client that goes before it is answered has had no connection.
                    if let Some(upgraded) = upgraded.await {
                        connection::run(seat, TokioIo::new(upgraded)).await;
                    }
                });
                response
            }
        }
    }

    /// What has been counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Closes every connection with the status 1001, "going away", refuses new ones, and waits until all are gone: for
    /// as long as it takes them to take what is written to them, which has limits of its own.
    pub async fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        for shard in &self.queues {
            let queues: Vec<Arc<Queue>> = shard.lock().values().cloned().collect();
            queues.iter().for_each(|queue| queue.close());
        }
        loop {
            let mut closed = pin!(self.all_closed.notified());
            closed.as_mut().enable();
            if self.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            closed.await;
        }
    }

    /// Takes a place among the connections.
    pub(super) fn enter(self: &Arc<Self>, client: Address) -> Result<Seat, Refusal> {
        if self.draining.load(Ordering::SeqCst) {
            return Err(Refusal::Draining);
        }
        let enter = |open: usize| (open < self.max_connections).then_some(open + 1);
        if self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, enter).is_err() {
            return Err(Refusal::Full);
        }
        let key = ConnectionKey(self.last_key.fetch_add(1, Ordering::Relaxed) + 1);
        let queue = Arc::new(Queue::default());
        self.shard(key).lock().insert(key, Arc::clone(&queue));
        // Either this sees that a drain has begun, or the drain sees this queue.
        if self.draining.load(Ordering::SeqCst) {
            queue.close();
        }
        let peer = Connection::new(key, client, self.seed);
        Ok(Seat { hub: Arc::clone(self), key, queue, peer })
    }

    fn shard(&self, key: ConnectionKey) -> &Shard {
        &self.queues[key.0 as usize % SHARDS]
    }

    /// Puts a message into the queue of its receiver, if that is there and has room.
    pub(super) fn relay(&self, to: ConnectionKey, relay: Relay) {
        let queue = self.shard(to).lock().get(&to).cloned();
        let pushed = queue.map_or(Err(Lost::Gone), |queue| queue.push(relay, self.rules.queue));
        if let Err(reason) = pushed {
            self.counters.lost.add(reason);
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// Protocol time, nanoseconds.
    pub(super) fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// A generator unlike all before.
    pub(super) fn generator(&self) -> Rng {
        Rng::new([self.seed[0], self.seed[1] ^ self.generators.fetch_add(1, Ordering::Relaxed)])
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

/// A connection's place in the hub and in the swarms. Whatever becomes of its task, both are given back.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) hub: Arc<Hub>,
    pub(super) queue: Arc<Queue>,
    pub(super) peer: Connection,
    key: ConnectionKey,
}

impl Seat {
    /// Leaves the swarms and the hub: nothing more is relayed to this connection, and what waits is lost. Only its place
    /// among `max_connections` is kept.
    pub(super) fn leave(&mut self) {
        self.peer.close(&self.hub.engine, seconds(self.hub.now_ns()));
        self.hub.shard(self.key).lock().remove(&self.key);
        self.hub.counters.lost.add_all(Lost::Gone, self.queue.end() as u64);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
        if self.hub.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.hub.all_closed.notify_waiters();
        }
    }
}

/// Protocol time as the engine takes it.
pub(super) const fn seconds(now_ns: u64) -> Seconds {
    (now_ns / 1_000_000_000) as Seconds
}

fn rules(config: &config::Websocket) -> Rules {
    let seconds = |duration: Duration| Seconds::try_from(duration.as_secs()).unwrap_or(Seconds::MAX);
    Rules {
        signal: Settings {
            max_torrents_per_connection: config.max_torrents_per_connection,
            max_scrape_hashes: config.max_scrape_hashes,
            max_pending_offers: config.max_pending_offers,
            offer_lifetime: seconds(config.offer_lifetime),
        },
        socket: WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(config.max_message_size))
            .max_frame_size(Some(config.max_message_size)),
        queue: Limits { messages: config.queue_messages, bytes: config.queue_size },
        send_timeout: config.send_timeout,
        ping_interval: config.ping_interval,
        idle_timeout: config.idle_timeout,
        max_messages_per_second: config.max_messages_per_second,
    }
}
