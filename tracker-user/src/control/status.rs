//! `status`: what the tracker is, where it listens, what it holds and what it has answered.

use super::Shared;
use crate::{
    clock::monotonic_ns,
    cluster::{self, NodeStatus},
    http::Stage,
    memory::{Memory, resident},
    stats::Present,
    swarms::Tally,
    tls::Tls,
    utc,
};
use serde::Serialize;

/// Where the tracker listens, as its log tells.
#[derive(Clone, Debug, Serialize)]
pub struct Listeners {
    /// UDP.
    pub udp: Vec<String>,
    /// HTTP and WebSocket.
    pub http: Vec<String>,
    /// The same with TLS.
    pub https: Vec<String>,
    /// Metrics.
    pub metrics: Option<String>,
    /// The control socket.
    pub control: String,
}

/// The reply.
#[derive(Serialize)]
pub(super) struct Status<'a> {
    version: &'static str,
    commit: &'static str,
    pid: u32,
    stage: &'static str,
    uptime_seconds: u64,
    listeners: &'a Listeners,
    /// What `/stats.json` says of now, by the same names.
    #[serde(flatten)]
    present: Present,
    room_peers: usize,
    memory: Usage,
    saving: Saving,
    /// Where TLS is served.
    tls: Option<Certificate>,
    /// Where one is on.
    cluster: Option<Cluster>,
}

/// The certificate that is served.
#[derive(Serialize)]
struct Certificate {
    /// Where it is from.
    source: &'static str,
    /// What it is for; empty while there is none.
    names: Vec<String>,
    /// How long it is valid yet, 0 once it has expired; `None` while there is none.
    expires_in_seconds: Option<u64>,
}

impl Certificate {
    fn take(tls: &Tls) -> Self {
        let (names, end) = tls.leaf().map(|leaf| (leaf.names, leaf.not_after)).unzip();
        Self {
            source: tls.source().label(),
            names: names.unwrap_or_default(),
            expires_in_seconds: end.map(|end: u64| end.saturating_sub(utc::wall())),
        }
    }
}

/// The cluster, as this node sees it.
#[derive(Serialize)]
struct Cluster {
    /// This node's name.
    node: String,
    /// The version of the NATS server that there is a connection to; `None` without one.
    nats_version: Option<String>,
    /// Whether this node has the swarms of others.
    joined: bool,
    /// Nodes that are heard of, this one included.
    nodes_here: usize,
    others: Vec<Other>,
}

/// Another node.
#[derive(Serialize)]
struct Other {
    node: String,
    /// Of its program; `None` where it has not said so.
    version: Option<String>,
    state: &'static str,
    /// How long its last changes were on their way, or how long it has been silent.
    lag_seconds: f64,
    /// Batches of its changes that are missing now.
    missing_batches: u64,
    /// Torrents it knows.
    torrents: u64,
    /// Peers it knows.
    peers: u64,
}

impl From<cluster::Status> for Cluster {
    fn from(status: cluster::Status) -> Self {
        Self {
            nodes_here: status.nodes_here(),
            nats_version: status.is_connected.then_some(status.server),
            node: status.node,
            joined: status.is_joined,
            others: status.nodes.into_iter().map(Other::from).collect(),
        }
    }
}

impl From<NodeStatus> for Other {
    fn from(node: NodeStatus) -> Self {
        Self {
            state: match node {
                NodeStatus { is_cut_off: true, .. } => "cut off",
                NodeStatus { is_here: false, .. } => "lost",
                NodeStatus { is_joined: false, .. } => "joining",
                NodeStatus { is_complete: false, .. } => "incomplete",
                _ => "here",
            },
            node: node.name,
            version: Some(node.release).filter(|release| !release.is_empty()),
            lag_seconds: node.lag,
            missing_batches: node.missing,
            torrents: node.torrents,
            peers: node.peers,
        }
    }
}

/// Memory, bytes.
#[derive(Serialize)]
struct Usage {
    /// What the process has in memory.
    resident_bytes: Option<u64>,
    /// What it may use, as its control groups or the machine say.
    limit_bytes: Option<u64>,
}

/// Swarms on disk.
#[derive(Serialize)]
struct Saving {
    /// How long ago what is there was saved, by the clock on the wall; `None` if there is nothing.
    last_save_age_seconds: Option<u64>,
    /// How large it is.
    size_bytes: u64,
    /// Saves of this process that failed.
    failed: u64,
}

impl Saving {
    fn take(tally: &Tally) -> Self {
        let now = utc::wall();
        let at = Some(tally.last_save.get()).filter(|at| *at > 0);
        Self {
            last_save_age_seconds: at.map(|at| now.saturating_sub(at)),
            size_bytes: tally.size.get(),
            failed: tally.failed.get(),
        }
    }
}

impl<'a> Status<'a> {
    /// Of now, for a process that started then.
    pub(super) fn take(shared: &'a Shared, started_ns: u64) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("RIPTIDE_COMMIT"),
            pid: std::process::id(),
            stage: match *shared.stage.borrow() {
                Stage::Starting => "starting",
                Stage::Serving | Stage::Lent => "ready",
                Stage::Closing | Stage::Draining | Stage::Left => "draining",
            },
            uptime_seconds: monotonic_ns().saturating_sub(started_ns) / 1_000_000_000,
            listeners: &shared.listeners,
            present: Present::take(&shared.sources),
            room_peers: shared.engine.policy().max_peers,
            memory: Usage {
                resident_bytes: resident(),
                limit_bytes: Memory::detect().map(|memory| memory.bytes),
            },
            saving: Saving::take(&shared.sources.swarms),
            tls: shared.sources.tls.as_deref().map(Certificate::take),
            cluster: shared.sources.cluster.as_ref().map(|cluster| cluster.status().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_wrong_with_a_node_the_worst_is_told() {
        let mut node =
            NodeStatus { is_here: true, is_joined: true, is_complete: true, ..NodeStatus::default() };
        let mut states = vec![Other::from(node.clone()).state];
        node.is_complete = false;
        states.push(Other::from(node.clone()).state);
        node.is_joined = false;
        states.push(Other::from(node.clone()).state);
        node.is_here = false;
        states.push(Other::from(node.clone()).state);
        node.is_cut_off = true;
        states.push(Other::from(node.clone()).state);
        assert_eq!(states, ["here", "incomplete", "joining", "lost", "cut off"]);
        assert_eq!(Other::from(node).version, None);
    }

    #[test]
    fn without_a_connection_there_is_no_server() {
        let mut status = cluster::Status { server: "2.14.0".to_owned(), ..cluster::Status::default() };
        status.is_connected = true;
        assert_eq!(Cluster::from(status.clone()).nats_version.as_deref(), Some("2.14.0"));
        status.is_connected = false;
        assert_eq!(Cluster::from(status).nats_version, None);
    }
}
