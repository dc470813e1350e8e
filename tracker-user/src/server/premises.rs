//! What a running tracker hands over, and how it lets go of it: the giver's side of a hand-over knows it by [`House`].

use super::rekey::Rekey;
use crate::{
    clock::Clock,
    cluster::Cluster,
    config::Config,
    control,
    decisions::Keeper,
    handover::{descriptors::Open, giver::House, messages::Item},
    http,
    metrics::{self, Sources, before::Counted},
    tls::acme,
    udp::{
        polling,
        pool::{OpenSocket, Readers},
    },
    unix::Ours,
    xdp::{deferral::Deferral, interface::Inherited, manager::Lending},
};
use parking_lot::Mutex;
use std::{io, os::fd::OwnedFd, sync::Arc, time::Duration};
use tracker_core::{engine::Engine, nodes::SharedNodes};

/// Interrupts that are put off for the ordinary sockets.
pub(super) type Deferrals = Arc<Mutex<Vec<Deferral>>>;

/// What is handed over.
#[derive(Clone, Debug)]
pub(super) struct Premises {
    pub(super) config: Arc<Config>,
    pub(super) engine: Arc<Engine>,
    pub(super) nodes: SharedNodes,
    pub(super) clock: Clock,
    pub(super) rekey: Rekey,
    pub(super) sources: Arc<Sources>,
    /// Listeners, by descriptors of their own.
    pub(super) listeners: Arc<Vec<(Item, OwnedFd)>>,
    pub(super) sockets: Vec<Arc<OpenSocket>>,
    pub(super) readers: Readers,
    pub(super) http: http::Lending,
    pub(super) acme: Option<acme::Lending>,
    pub(super) metrics: Option<metrics::listener::Serving>,
    pub(super) control: Option<control::Lending>,
    pub(super) xdp: Option<Lending>,
    pub(super) deferrals: Deferrals,
    pub(super) decisions: Keeper,
    pub(super) cluster: Option<Arc<Cluster>>,
    /// Names of Unix sockets, which go to the other process with them.
    pub(super) ours: Vec<Ours>,
}

impl House for Premises {
    fn open(&self) -> io::Result<Open> {
        let mut items = Vec::new();
        for open in &self.sockets {
            let (configured, address) = (open.configured.to_string(), open.address.to_string());
            items.push((Item::Udp { configured, address }, open.socket.try_clone()?.into()));
        }
        for (item, listener) in self.listeners.iter() {
            items.push((item.clone(), listener.try_clone()?));
        }
        for Inherited { interface, index, mode, link } in
            self.xdp.as_ref().map_or_else(|| Ok(Vec::new()), Lending::share)?
        {
            items.push((Item::Link { interface, index, mode: mode.label().to_owned() }, link));
        }
        Ok(Open { items, ids: self.rekey.state() })
    }

    fn swarms(&self) -> (Arc<Engine>, SharedNodes, Clock) {
        (self.engine.clone(), self.nodes.clone(), self.clock)
    }

    fn counted(&self) -> Counted {
        self.sources.counted()
    }

    fn catch_up(&self, patience: Duration) {
        if let Some(cluster) = &self.cluster
            && !cluster.catch_up(patience)
        {
            tracing::debug!("hand-over: not all that other nodes told is taken in after {patience:?}");
        }
    }

    fn let_go(&mut self) -> Result<(), &'static str> {
        // The other process reads what is kept by now, and decides from here on.
        self.decisions.lend();
        self.rekey.lend();
        if let Some(cluster) = &self.cluster {
            cluster.lend(true);
        }
        if let Some(acme) = &self.acme {
            acme.lend();
        }
        // First what may take a moment: the sockets are read all the while.
        if let Some(xdp) = &self.xdp {
            xdp.lend();
        }
        self.deferrals.lock().clear();
        self.http.lend();
        if let Some(metrics) = &self.metrics {
            metrics.lend();
        }
        if let Some(control) = &self.control {
            control.lend();
        }
        if self.readers.pause() { Ok(()) } else { Err("a UDP worker") }
    }

    fn take_back(&mut self) {
        self.decisions.reclaim();
        self.readers.resume();
        if let Some(metrics) = &self.metrics {
            metrics.reclaim();
        }
        if let Some(control) = &self.control {
            control.reclaim();
        }
        self.http.reclaim();
        if let Some(acme) = &self.acme {
            acme.reclaim();
        }
        if let Some(xdp) = &self.xdp {
            xdp.reclaim();
        }
        self.rekey.reclaim();
        if let Some(cluster) = &self.cluster {
            cluster.lend(false);
        }
        *self.deferrals.lock() = polling::begin(&self.config, &self.sockets.iter().map(|open| &open.socket));
    }

    fn left(&mut self) {
        self.ours.iter().for_each(|ours| ours.set(false));
        // What the other one closes is to be closed.
        (self.listeners, self.sockets) = (Arc::default(), Vec::new());
    }
}
