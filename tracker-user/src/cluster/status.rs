//! What metrics, `riptide control status` and people are told of a cluster.

use super::{nats::Link, node::Node, other::Other, tally::Tally, wire::Stage};
use parking_lot::Mutex;

/// Another node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// The version of its program; empty where it has not said so.
    pub release: String,
    /// Whether it was heard of lately.
    pub is_here: bool,
    /// Whether it has what others have.
    pub is_joined: bool,
    /// Whether it is not listened to for a while, for what it sent.
    pub is_cut_off: bool,
    /// How long its last changes were on their way, or how long it has not been heard of, seconds.
    pub lag: f64,
    /// Batches of its changes that are missing now and asked for.
    pub missing: u64,
    /// Whether all its changes are here: some may be missing, or lost until a walk has told what was in them.
    pub is_complete: bool,
    /// Torrents it knows.
    pub torrents: u64,
    /// Peers it knows.
    pub peers: u64,
}

/// A cluster, as this node sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// This node's name.
    pub node: String,
    /// Whether there is a connection to NATS.
    pub is_connected: bool,
    /// The version of the server; empty before there was one.
    pub server: String,
    /// Whether this node has what others have.
    pub is_joined: bool,
    /// What was counted.
    pub tally: Tally,
    /// Messages that came and found no room, and such that could not be sent.
    pub dropped: [u64; 2],
    /// The other nodes, by name.
    pub nodes: Vec<NodeStatus>,
}

impl Status {
    /// Nodes that are here, this one included.
    #[must_use]
    pub fn nodes_here(&self) -> usize {
        1 + self.nodes.iter().filter(|node| node.is_here).count()
    }

    /// Other nodes that are here and of whose changes some are not.
    #[must_use]
    pub fn nodes_incomplete(&self) -> usize {
        self.nodes.iter().filter(|node| node.is_here && !node.is_complete).count()
    }

    /// Other nodes that are not listened to for a while.
    #[must_use]
    pub fn nodes_cut_off(&self) -> usize {
        self.nodes.iter().filter(|node| node.is_cut_off).count()
    }

    /// The longest that changes of a node that is here were on their way, seconds.
    #[must_use]
    pub fn lag(&self) -> f64 {
        self.nodes.iter().filter(|node| node.is_here).map(|node| node.lag).fold(0.0, f64::max)
    }
}

/// A status that threads share.
#[derive(Debug, Default)]
pub struct Watched(Mutex<Status>);

impl Watched {
    /// As it was when last looked at, a tenth of a second ago.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.lock().clone()
    }

    /// Looks at it.
    pub(super) fn look(&self, node: &Node, link: &Link, lost: u64, now_ns: u64) {
        let status = Status {
            node: node.settings.name.to_string(),
            is_connected: link.is_connected(),
            server: link.server().0,
            is_joined: node.is_joined(),
            tally: *node.tally(),
            dropped: [lost, link.unsent()],
            nodes: node.others().map(|(name, other)| of(name, other, now_ns)).collect(),
        };
        *self.0.lock() = status;
    }
}

fn of(name: &str, other: &Other, now_ns: u64) -> NodeStatus {
    let current = other.current();
    let told = current.and_then(|process| process.told).unwrap_or_default();
    let is_here = other.was_heard(now_ns);
    let lag_ns = current.map_or(0, |process| {
        // A node says something once a second.
        let silent = now_ns.saturating_sub(process.heard_ns);
        if silent > 2_000_000_000 { silent } else { process.lag_ns }
    });
    NodeStatus {
        name: name.to_owned(),
        release: other.release.clone(),
        is_here,
        is_joined: is_here && told.stage == Stage::Joined,
        is_cut_off: other.is_cut_off(now_ns),
        lag: lag_ns as f64 / 1e9,
        // A node may say that it has sent any number of them.
        missing: other.processes.iter().map(|process| process.missing.count()).fold(0, u64::saturating_add),
        is_complete: other.processes.iter().all(|process| !process.is_incomplete()),
        torrents: told.torrents,
        peers: told.peers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_are_here_are_counted_with_this_one() {
        let here = NodeStatus { is_here: true, is_complete: true, lag: 0.2, ..NodeStatus::default() };
        let lost = NodeStatus { is_here: false, is_complete: false, lag: 99.0, ..here.clone() };
        let late = NodeStatus { is_complete: false, is_cut_off: true, lag: 3.0, ..here.clone() };
        let status = Status { nodes: vec![here, lost, late], ..Status::default() };
        assert_eq!((status.nodes_here(), status.nodes_incomplete(), status.nodes_cut_off()), (3, 1, 1));
        assert!((status.lag() - 3.0).abs() < f64::EPSILON, "{}", status.lag());
        let alone = Status::default();
        assert_eq!((alone.nodes_here(), alone.nodes_incomplete(), alone.lag()), (1, 0, 0.0));
    }
}
