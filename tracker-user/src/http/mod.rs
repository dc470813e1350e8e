//! HTTP: the tracker (BEP 3), the pages, and the handshakes of WebTorrent, with TLS and without, on the same swarms.

mod accept;
mod activity;
mod client;
mod connection;
pub mod counters;
pub mod endpoint;
mod limits;
mod pages;
mod proxy_protocol;
mod router;
mod shown;
mod stage;
mod stream;
mod tracker;

use crate::{clock::Clock, config, farewell::Farewell, tls::Tls, ws::Hub};
use accept::{Acceptor, Listener};
use client::Clients;
use connection::Connections;
use counters::Counters;
use endpoint::Bound;
pub(crate) use limits::MostConnections;
use limits::PerAddress;
use router::Router;
pub use shown::{Front, Remarks, Statistics};
pub use stage::Stage;
use std::{io, sync::Arc, time::Duration};
use tokio::sync::{Semaphore, mpsc, watch};
use tracker::Tracker;
use tracker_core::engine::Engine;

/// What HTTP works on.
#[derive(Debug)]
pub struct Shared {
    /// The swarms.
    pub engine: Arc<Engine>,
    /// Protocol time.
    pub clock: Clock,
    /// How many threads the runtime has.
    pub threads: usize,
    /// How many connections may be open, WebSockets apart.
    pub connections: usize,
    /// Where everything is counted.
    pub counters: Arc<Counters>,
    /// WebSockets, if they are served.
    pub hub: Option<Arc<Hub>>,
    /// The page at `/`, if it is served.
    pub front: Option<Arc<dyn Front>>,
    /// The pages of numbers, if they are served.
    pub stats: Option<Arc<dyn Statistics>>,
    /// What `/health` says beside `ok`, if there may be something.
    pub remarks: Option<Arc<dyn Remarks>>,
}

/// The running HTTP side.
#[derive(Debug)]
pub struct Http {
    stage: Arc<watch::Sender<Stage>>,
    hub: Option<Arc<Hub>>,
    permits: Arc<Semaphore>,
    most: u32,
    /// Closed when all accept loops have ended.
    accepting: watch::Sender<()>,
}

/// The way to have connections accepted or not.
#[derive(Clone, Debug)]
pub struct Lending(Arc<watch::Sender<Stage>>);

impl Lending {
    /// Accepts no connection from now on; those that come wait for whoever listens at the same places.
    pub fn lend(&self) {
        self.0.send_if_modified(|stage| {
            let lends = *stage == Stage::Serving;
            if lends {
                *stage = Stage::Lent;
            }
            lends
        });
    }

    /// Accepts them again.
    pub fn reclaim(&self) {
        self.0.send_if_modified(|stage| {
            let lent = *stage == Stage::Lent;
            if lent {
                *stage = Stage::Serving;
            }
            lent
        });
    }
}

impl Http {
    /// Serves connections of these listeners on the runtime in whose context this is called; those of HTTPS by `tls`.
    /// A WebSocket may take nothing of what is sent for `send_timeout` (`websocket.send_timeout`). `ended` hears of an accept loop that ends.
    ///
    /// # Errors
    /// When the system gives no randomness, or a listener cannot be watched.
    pub fn start(
        config: &config::Http,
        send_timeout: Duration,
        listeners: Vec<Bound>,
        tls: Option<&Arc<Tls>>,
        shared: Shared,
        ended: &mpsc::UnboundedSender<String>,
    ) -> io::Result<Self> {
        let Shared { engine, clock, threads, connections, counters, hub, front, stats, remarks } = shared;
        // What applies to a port applies to all that its connections may become.
        let user_timeout = config.idle_timeout.max(send_timeout);
        let (stage, staged) = watch::channel(Stage::Starting);
        let (accepting, accepts) = watch::channel(());
        let most = u32::try_from(connections).unwrap_or(u32::MAX);
        let permits = Arc::new(Semaphore::new(connections));
        let router = Router {
            tracker: Tracker::new(engine, clock, counters.clone(), threads, config.max_scrape_hashes)?,
            clients: Clients::new(config),
            counters: counters.clone(),
            max_body_size: config.max_body_size,
            per_address: config.max_connections_per_address.map(PerAddress::new),
            hub: hub.clone(),
            pages: pages::serve(staged.clone(), remarks, front, stats),
        };
        let connections = Arc::new(Connections::new(config, Arc::new(router), counters, staged));
        for bound in listeners {
            let name = bound.to_string();
            let farewell = Farewell::new(format!("accepting on {name}"), ended.clone());
            let acceptor = Acceptor {
                name,
                tls: tls.filter(|_| bound.tls).cloned(),
                listener: Listener::new(bound.listener, user_timeout)?,
                connections: connections.clone(),
                permits: permits.clone(),
                _accepts: accepts.clone(),
            };
            tokio::spawn(acceptor.run(farewell));
        }
        Ok(Self { stage: Arc::new(stage), hub, permits, most, accepting })
    }

    /// Closes the WebSockets that came without a key that holds now, where one is needed.
    pub fn recheck_keys(&self) {
        if let Some(hub) = &self.hub {
            hub.recheck_keys();
        }
    }

    /// Where the tracker is in its life, from now on.
    #[must_use]
    pub fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// From now on `/health` says that all is well.
    pub fn serving(&self) {
        self.stage.send_replace(Stage::Serving);
    }

    /// From now on `/health` says that the tracker is about to end, while all clients are served.
    pub fn closing(&self) {
        self.stage.send_replace(Stage::Closing);
    }

    /// The way to leave connections that come to another process.
    #[must_use]
    pub fn lending(&self) -> Lending {
        Lending(self.stage.clone())
    }

    /// Leaves all that comes to another process, which listens at the same places, lets requests in hand end, and closes
    /// WebSockets one by one over so long, so that their clients do not come to it all at once.
    pub async fn leave(&self, websockets_within: Duration) {
        self.stage.send_replace(Stage::Left);
        if let Some(hub) = &self.hub {
            hub.part(websockets_within).await;
        }
        self.end().await;
    }

    /// Accepts no more than has come already, closes WebSockets, and waits until all requests in hand are answered and
    /// all connections closed.
    pub async fn drain(&self) {
        self.stage.send_replace(Stage::Draining);
        self.end().await;
    }

    async fn end(&self) {
        // The last connections need permits, too.
        self.accepting.closed().await;
        // Each connection holds a permit until it has ended or become a WebSocket. An error would be a closed
        // semaphore, which this is not.
        let connections = async { drop(self.permits.acquire_many(self.most).await) };
        let websockets = async {
            if let Some(hub) = &self.hub {
                hub.drain().await;
            }
        };
        tokio::join!(connections, websockets);
    }
}

#[cfg(test)]
mod tests;
