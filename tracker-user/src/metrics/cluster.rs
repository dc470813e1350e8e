//! What nodes hear of each other, where a cluster is on.

use super::{Labels, count, labels, level};
use crate::cluster::Cluster;
use metrics::{describe_counter, describe_gauge, gauge};

pub(super) fn collect(cluster: &Cluster) {
    let status = cluster.status();
    for (name, value) in [
        ("riptide_cluster_connected", u64::from(status.is_connected)),
        ("riptide_cluster_joined", u64::from(status.is_joined)),
        ("riptide_cluster_nodes", status.nodes_here() as u64),
        ("riptide_cluster_incomplete_nodes", status.nodes_incomplete() as u64),
        ("riptide_cluster_cut_off_nodes", status.nodes_cut_off() as u64),
    ] {
        level(name, Labels::new(), value);
    }
    gauge!("riptide_cluster_lag_seconds", Labels::new()).set(status.lag());
    let tally = status.tally;
    for (direction, changes, bytes, walks) in [
        ("in", tally.changes_in, tally.bytes_in, tally.walks_in),
        ("out", tally.changes_out, tally.bytes_out, tally.walks_out),
    ] {
        let direction = || labels([("direction", direction)]);
        count("riptide_cluster_changes_total", direction(), changes);
        count("riptide_cluster_bytes_total", direction(), bytes);
        count("riptide_cluster_walks_total", direction(), walks);
    }
    count("riptide_cluster_failed_walks_total", Labels::new(), tally.walks_failed);
    count("riptide_cluster_lost_batches_total", Labels::new(), tally.lost_batches);
    count("riptide_cluster_repaired_batches_total", Labels::new(), tally.repaired_batches);
    count("riptide_cluster_gaps_total", Labels::new(), tally.gaps);
    count("riptide_cluster_overflows_total", Labels::new(), tally.overflowed);
    let [no_room, unsent] = status.dropped;
    for (reason, messages) in [
        ("unreadable", tally.unreadable),
        ("refused", tally.refused),
        ("no_room", no_room),
        ("unsent", unsent),
    ] {
        count("riptide_cluster_dropped_messages_total", labels([("reason", reason)]), messages);
    }
}

/// Tells the recorder in place.
pub(super) fn describe() {
    for (name, help) in [
        ("riptide_cluster_connected", "1 while there is a connection to a NATS server"),
        ("riptide_cluster_joined", "1 once this node has the swarms of others, or has found none"),
        ("riptide_cluster_nodes", "Nodes that are heard of, this one included"),
        ("riptide_cluster_incomplete_nodes", "Nodes that are heard of and of whose changes some are missing"),
        ("riptide_cluster_cut_off_nodes", "Nodes that are not listened to for a while, for what they sent"),
        (
            "riptide_cluster_lag_seconds",
            "How long the last changes of a node were on their way, or how long it has been silent: the longest of all nodes",
        ),
    ] {
        describe_gauge!(name, help);
    }
    for (name, help) in [
        (
            "riptide_cluster_changes_total",
            "Changes of peers; in: that other nodes told of, out: told to them",
        ),
        ("riptide_cluster_bytes_total", "Messages between nodes, without what NATS adds"),
        ("riptide_cluster_walks_total", "Walks over the swarms that were got (in) and given (out)"),
        ("riptide_cluster_failed_walks_total", "Walks over the swarms that did not come to their end"),
        ("riptide_cluster_lost_batches_total", "Batches of changes that did not come the first time"),
        ("riptide_cluster_repaired_batches_total", "Of these, such that came when they were asked for again"),
        (
            "riptide_cluster_gaps_total",
            "Times that nobody could send again what was missing, so that a walk was wanted",
        ),
        ("riptide_cluster_overflows_total", "Times in which more changed than could be kept for other nodes"),
        (
            "riptide_cluster_dropped_messages_total",
            "Messages that came to nothing; unreadable: to this node, refused: of a node that is cut off or sent too many, \
             no_room: cluster.max_pending is reached, unsent: no connection",
        ),
    ] {
        describe_counter!(name, help);
    }
}
