//! All WebSocket connections: their places, finding them, closing them.

use super::{
    budget::{Budget, Holding},
    counters::{Closed, Counters, Crossed, Lost},
    elsewhere::Elsewhere,
    handshake::{Origins, Refusal},
    queue::Queue,
    rules::Rules,
};
use crate::{
    clock::{Clock, seconds},
    config,
    memory::Memory,
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fmt,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tracker_common::address::Address;
use tracker_core::{
    engine::{ConnectionKey, Engine},
    keys::Pass,
    nodes::NodeNumber,
    rng::Rng,
    ws::{Connection, Far, Relay, Tickets},
};

/// So many that threads seldom meet at one.
const SHARDS: usize = 64;

/// What all connections together may use of the memory that the process may use, if nobody says otherwise. Peers have
/// three quarters of that (`limits.peers`), and HTTP has to have some.
const SHARE: u64 = 8;
/// The same where the system does not tell of its memory.
const UNTOLD: usize = 256 << 20;

/// What all connections together may use, bytes: `websocket.memory`, or a share of what the process may.
pub(crate) fn memory_of(config: &config::Websocket) -> usize {
    let share = |memory: Memory| usize::try_from(memory.bytes / SHARE).unwrap_or(usize::MAX);
    config.memory.unwrap_or_else(|| Memory::detect().map_or(UNTOLD, share))
}

/// Where a share of the connections are found.
type Shard = Mutex<HashMap<ConnectionKey, Entry>>;

/// A connection, as others see it.
struct Entry {
    queue: Arc<Queue>,
    client: Address,
    /// What its client showed as a key.
    pass: Pass,
}

/// All WebSocket connections of the tracker.
pub struct Hub {
    engine: Arc<Engine>,
    clock: Clock,
    rules: Rules,
    origins: Origins,
    max_connections: usize,
    budget: Arc<Budget>,
    /// Keys the hashes of offers, and nothing else.
    ticket_key: [u64; 2],
    /// The way to clients of other nodes, if there are any.
    elsewhere: OnceLock<Arc<dyn Elsewhere>>,
    /// Of the generators, which decide who is given to whom: clients see what comes of them.
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
    /// A hub without connections, of which there may be `most`, as far as memory permits. `ticket_key` is a secret: who knows it can answer offers that it was not given. `seed`
    /// is another random value.
    #[must_use]
    pub fn new(
        config: &config::Websocket,
        most: usize,
        engine: Arc<Engine>,
        clock: Clock,
        ticket_key: [u64; 2],
        seed: [u64; 2],
    ) -> Arc<Self> {
        Arc::new(Self {
            engine,
            clock,
            rules: Rules::from(config),
            budget: Budget::new(memory_of(config)),
            origins: Origins {
                allowed: config.allowed_origins.clone(),
                denied: config.denied_origins.clone(),
            },
            max_connections: most,
            ticket_key,
            elsewhere: OnceLock::new(),
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

    /// Gives messages for clients of other nodes to whoever carries them, from now on. The first one given does, and no
    /// later one.
    pub fn connect(&self, elsewhere: Arc<dyn Elsewhere>) {
        // Whoever comes later is not needed.
        let _ = self.elsewhere.set(elsewhere);
    }

    /// What has been counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many connections there may be: as many as it was made for, or as memory permits.
    pub fn most_connections(&self) -> usize {
        self.max_connections.min(self.budget.most_connections())
    }

    /// Memory of all connections, as it is counted: now, and the most it may be. Bytes.
    pub fn memory(&self) -> (usize, usize) {
        (self.budget.used(), self.budget.most())
    }

    /// Closes every connection with the status 1001, "going away", refuses new ones, and waits until all are gone: for
    /// as long as it takes them to take what is written to them, which has limits of its own.
    pub async fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        for shard in &self.queues {
            close(shard, Closed::Drained, |_| true);
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

    /// Refuses new connections and tells those that there are to close, one by one, in no order, over so long.
    pub async fn part(&self, within: Duration) {
        self.draining.store(true, Ordering::SeqCst);
        let mut queues = Vec::new();
        for shard in &self.queues {
            queues.extend(shard.lock().values().map(|entry| entry.queue.clone()));
        }
        let (mut rng, begun, all) = (self.generator(), Instant::now(), queues.len());
        for closed in 0..all {
            sleep_until(begun + within.mul_f64(closed as f64 / all as f64)).await;
            queues.swap_remove(rng.below(queues.len())).close(Closed::Drained);
        }
    }

    /// Closes the connections of clients whose networks the engine's policy bans.
    pub fn close_banned(&self) {
        let policy = Arc::clone(&self.engine.policy());
        let banned = &policy.admission.banned;
        if banned.is_empty() {
            return;
        }
        for shard in &self.queues {
            close(shard, Closed::Banned, |entry| banned.covers(entry.client));
        }
    }

    /// Closes every connection whose client has not shown a key that holds now, where one is needed: its peers leave their
    /// swarms. Later ones are asked when they announce.
    pub fn recheck_keys(&self) {
        let policy = self.engine.policy();
        if policy.admission.is_private() {
            for shard in &self.queues {
                close(shard, Closed::Key, |entry| policy.admission.check_key(entry.pass.key()).is_err());
            }
        }
    }

    /// Takes a place among the connections. `pass` is what the client shows as a key.
    pub(super) fn enter(self: &Arc<Self>, client: Address, pass: Pass) -> Result<Seat, Refusal> {
        if self.draining.load(Ordering::SeqCst) {
            return Err(Refusal::Draining);
        }
        if !self.budget.admit() {
            return Err(Refusal::Memory);
        }
        let enter = |open: usize| (open < self.max_connections).then_some(open + 1);
        if self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, enter).is_err() {
            self.budget.dismiss();
            return Err(Refusal::Full);
        }
        let key = ConnectionKey(self.last_key.fetch_add(1, Ordering::Relaxed) + 1);
        let queue = Arc::new(Queue::new(Arc::clone(&self.budget)));
        let entry = Entry { queue: Arc::clone(&queue), client, pass: pass.clone() };
        self.shard(key).lock().insert(key, entry);
        // Either this sees that a drain has begun, or the drain sees this queue.
        if self.draining.load(Ordering::SeqCst) {
            queue.close(Closed::Drained);
        }
        let peer = Connection::new(key, client, self.ticket_key).with_pass(pass);
        let holding = Holding::new(Arc::clone(&self.budget));
        let node_relays = AtomicU64::new(0);
        let seat = Seat { hub: Arc::clone(self), key, queue, peer, holding, node_relays };
        // The same with a ban.
        if self.engine.policy().admission.banned.covers(client) {
            return Err(Refusal::Banned);
        }
        Ok(seat)
    }

    fn shard(&self, key: ConnectionKey) -> &Shard {
        &self.queues[key.0 as usize % SHARDS]
    }

    /// Puts a message into the queue of its receiver, if that is there and has room.
    pub(super) fn relay(&self, to: ConnectionKey, relay: Relay) {
        let queue = self.shard(to).lock().get(&to).map(|entry| entry.queue.clone());
        let pushed = queue.map_or(Err(Lost::Gone), |queue| queue.push(relay, self.rules.queue));
        if let Err(reason) = pushed {
            self.counters.lost.add(reason);
        }
    }

    /// Sends a message to a client of another node. `sent` is the sender's bucket of its rate of these.
    pub(super) fn relay_far(&self, sent: &AtomicU64, now_ns: u64, node: NodeNumber, message: Far) {
        let rate = self.rules.node_relays;
        if !rate.is_none() && !rate.admit([sent, sent], now_ns) {
            return self.counters.lost.add(Lost::NodeRate);
        }
        let fits = message.json.len() <= Far::MAX_JSON;
        if fits && self.elsewhere.get().is_some_and(|elsewhere| elsewhere.relay(node, message)) {
            self.counters.crossed.add(Crossed::Out);
        } else {
            self.counters.lost.add(Lost::Node);
        }
    }

    /// Takes a message that another node has sent for a client of this one. It waits in that client's queue as others do, or
    /// is lost; it is never sent on. What is longer than a message of a client's may be is lost, too.
    pub fn deliver(&self, node: NodeNumber, message: &Far) {
        self.counters.crossed.add(Crossed::In);
        let fits = message.json.len() <= self.rules.bounds.message_size;
        let tickets = Tickets::new(self.ticket_key);
        match fits.then(|| message.arrive(node, &self.engine, &tickets)).flatten() {
            Some((to, relay)) => self.relay(to, relay),
            None => self.counters.lost.add(Lost::Unroutable),
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn origins(&self) -> &Origins {
        &self.origins
    }

    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
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

/// Closes the connections of a share whose clients have shown such a pass.
fn close(shard: &Shard, why: Closed, mut is_one: impl FnMut(&Entry) -> bool) {
    let found: Vec<Arc<Queue>> = {
        let entries = shard.lock();
        entries.values().filter(|entry| is_one(entry)).map(|entry| entry.queue.clone()).collect()
    };
    found.iter().for_each(|queue| queue.close(why));
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
    /// For what `peer` keeps.
    pub(super) holding: Holding,
    /// How much it sends to other nodes: a bucket of [`Rules::node_relays`].
    pub(super) node_relays: AtomicU64,
    key: ConnectionKey,
}

impl Seat {
    /// Leaves the swarms and the hub: nothing more is relayed to this connection, and what waits is lost. Only its place
    /// among the connections is kept.
    pub(super) fn leave(&mut self) {
        self.peer.close(&self.hub.engine, seconds(self.hub.now_ns()));
        // Nothing, for which there is room.
        let _ = self.holding.set(self.peer.memory());
        self.hub.shard(self.key).lock().remove(&self.key);
        self.hub.counters.lost.add_all(Lost::Gone, self.queue.end() as u64);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
        self.hub.budget.dismiss();
        if self.hub.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.hub.all_closed.notify_waiters();
        }
    }
}
