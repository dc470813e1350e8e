//! The tracker as a node of a cluster: what is asked before it serves, what others are told of it, and what they want of it.

use super::rekey::Rekey;
use crate::{
    clock::{Clock, monotonic_ns},
    cluster::{Beginning, Cluster, ClusterMaterial, Host, NotBegun, Outcome, ask_key, node::Identity},
    config,
    decisions::{Keeper, Verdict, wire},
    farewell::Farewell,
    http::Remarks,
    orders::{Order, Orders},
    state::{self, ConnectionIdState},
    ws::{Elsewhere, Hub},
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::sync::mpsc::UnboundedSender;
use tracker_common::{connection_id::fingerprint, siphash::Key};
use tracker_core::{
    engine::Engine,
    nodes::{NodeNumber, SharedNodes},
    ws::Far,
};

/// What the cluster knows of the key of connection IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeySince(u64);

impl KeySince {
    /// Since now.
    pub(super) fn now(ids: &ConnectionIdState) -> Self {
        Self(Clock::new(ids.clock_base_ns).now_ns())
    }
}

/// Asks the nodes that run for their key and their time, and takes both over. Since when the key has been the cluster's: if nobody
/// answers, since now.
pub(super) fn take_over_key(
    config: &config::Cluster,
    material: &ClusterMaterial,
    ids: &mut ConnectionIdState,
    directory: &Path,
) -> KeySince {
    let now = KeySince::now(ids);
    let outcome = ask_key(config, material);
    if let Some(warning) = outcome.as_ref().and_then(Outcome::warning) {
        tracing::warn!("cluster: {warning}");
    }
    let Some(Outcome { told: Some(told), agreeing, others, .. }) = outcome else {
        tracing::info!(
            "cluster: no other node told a key of connection IDs, so this one begins with its own"
        );
        return now;
    };
    tracing::info!(
        "cluster: the key of connection IDs and the time are those of node {}; nodes that say the same: {agreeing}, something \
         else: {others}",
        told.from
    );
    let key = Key::from_bytes(told.key.0);
    if let Err(error) = ids.adopt(key, told.now_ns(), monotonic_ns()) {
        tracing::warn!("cluster: connection IDs of other nodes do not hold here: {error}");
        return now;
    }
    if let Err(warning) = ids.save(directory, monotonic_ns(), &state::boot_id()) {
        tracing::warn!("{warning}");
    }
    KeySince(told.since)
}

/// What a node is made of.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) engine: &'a Arc<Engine>,
    pub(super) nodes: &'a SharedNodes,
    pub(super) clock: Clock,
    pub(super) master: Key,
    pub(super) key_since: KeySince,
    pub(super) decisions: u64,
    /// Another process of this node hands over what it has.
    pub(super) succeeds: bool,
}

/// Begins to be a node.
///
/// # Errors
/// If it cannot.
pub(super) fn begin(
    config: &config::Cluster,
    material: &ClusterMaterial,
    parts: Parts<'_>,
    farewell: &UnboundedSender<String>,
) -> Result<Arc<Cluster>, NotBegun> {
    let Parts { engine, nodes, clock, master, key_since, decisions, succeeds } = parts;
    let beginning = Beginning {
        engine: engine.clone(),
        clock,
        names: nodes.clone(),
        identity: identity(master, key_since, decisions),
        succeeds,
    };
    let ends = Farewell::new("the thread of the cluster", farewell.clone());
    Cluster::start(config, material, beginning, ends)
}

/// How long a process that takes over waits until it hears of others. The one before serves meanwhile, and waits no longer than a minute.
const CONNECTION: Duration = Duration::from_secs(10);

/// Waits until the node of a process that takes over hears what others tell, since the process before soon hears no more.
pub(super) fn wait_for_connection(config: &config::Cluster, cluster: &Cluster) {
    if !cluster.wait_until_joined(config.join_timeout.min(CONNECTION)) {
        tracing::warn!("cluster: there is no connection to NATS yet: this process takes over without one");
    }
}

/// Waits until the node has what others have, or for as long as the operator says.
pub(super) fn wait_for_others(config: &config::Cluster, cluster: &Cluster) {
    if !cluster.wait_until_joined(config.join_timeout) {
        tracing::warn!(
            "cluster: after {:?} (cluster.join_timeout) this node does not have the swarms of others yet: it begins with what it \
             has, and gets the rest as soon as it can",
            config.join_timeout
        );
    }
}

fn identity(master: Key, KeySince(key_since): KeySince, decisions: u64) -> Identity {
    let mut key = [0; 16];
    let words = [master.k0, master.k1].map(u64::to_le_bytes);
    key.as_chunks_mut().0.copy_from_slice(&words);
    Identity { key, fingerprint: fingerprint(master), key_since, decisions }
}

/// The tracker, for its node.
pub(super) struct Tracker {
    pub(super) rekey: Rekey,
    pub(super) key_since: KeySince,
    pub(super) decisions: Keeper,
    pub(super) orders: Orders,
    pub(super) hub: Option<Arc<Hub>>,
}

impl Host for Tracker {
    fn identity(&self) -> Identity {
        identity(self.rekey.state().master, self.key_since, self.decisions.digest())
    }

    fn take_key(&mut self, from: &str, key: [u8; 16], since: u64) {
        self.key_since = KeySince(since);
        tracing::warn!(
            "cluster: this node takes over the key of connection IDs of node {from}; its clients connect anew"
        );
        self.rekey.swap(Key::from_bytes(key));
    }

    fn decisions(&self) -> Vec<Vec<u8>> {
        wire::write(self.decisions.verdicts())
    }

    fn decided(&mut self, by: &str, pieces: &[Vec<u8>]) {
        let mut verdicts = Vec::new();
        for piece in pieces {
            match wire::read(piece) {
                Ok(read) => verdicts.extend(read),
                Err(fault) => tracing::debug!("cluster: decisions of node {by}: {fault}"),
            }
        }
        if !verdicts.is_empty() {
            // If the tracker is too busy for it, it is asked for again.
            let _ = self.orders.offer(Order::Merge(by.into(), verdicts));
        }
    }

    fn relay(&mut self, from: NodeNumber, message: &[u8]) {
        if let Some(hub) = &self.hub
            && let Ok(far) = Far::decode(message)
        {
            hub.deliver(from, &far);
        }
    }
}

/// Other nodes: their clients, for the hub, and what is wrong with them, for whoever asks how this one is.
#[derive(Debug)]
pub(super) struct Others(pub(super) Arc<Cluster>);

impl Elsewhere for Others {
    fn relay(&self, node: NodeNumber, message: Far) -> bool {
        self.0.relay(node, message.encode())
    }
}

impl Remarks for Others {
    fn remark(&self) -> Option<&'static str> {
        let status = self.0.status();
        if !status.is_connected {
            Some("cluster: no connection to NATS, this node serves alone")
        } else if !status.is_joined {
            Some("cluster: this node does not have the swarms of other nodes yet")
        } else {
            None
        }
    }
}

/// Tells all nodes what was decided here.
pub(super) fn tell(cluster: &Cluster, verdict: Verdict) {
    for lines in wire::write([verdict]) {
        cluster.tell(lines);
    }
}
