//! The memory of a node stays within its limits, however much others send.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use tests::{
    cluster::{Cluster, Plan, SEEDER, Swarms, torrent},
    nats::Client,
    process::peak,
    random::Random,
    udp::id20,
};

/// Small limits, so that what is kept beyond them shows.
const SMALL: &str =
    "drain_delay = \"0s\"\nmax_pending = \"8MiB\"\nmax_replay = \"1MiB\"\nmax_records_per_second = 1000";
/// Bytes of each flood.
const FLOOD: usize = 160 << 20;
/// Bytes of a message of one.
const MESSAGE: usize = 200 << 10;
/// What a node may grow by meanwhile: its allocator keeps some of what it had for a moment.
const BOUND: u64 = 40 << 20;

/// Gives the message with a number.
type Flood = fn(u64) -> Vec<u8>;

/// Messages of a kind, as a node that is called so sends them. No one listens there, so that nothing is sent back.
fn floods(cluster: &Cluster, name: &str, message: Flood) {
    let mut client = Client::connect(cluster.server.address());
    for number in 1..=(FLOOD / MESSAGE) as u64 {
        client.publish(&format!("riptide.changes.{name}"), &message(number));
    }
    assert!(client.flush().is_empty());
}

/// Changes with as many records as go into a message.
fn changes(number: u64) -> Vec<u8> {
    let peer = (([10, 0, 0, 1], 1).into(), SEEDER, 0);
    let one = torrent(id20("flood", number as u32), 0, &[peer]);
    let records = one.repeat(MESSAGE / one.len());
    let numbers = [77, number, 1].map(u64::to_le_bytes).concat();
    [&[1, 1][..], &numbers, &(records.len() as u32).to_le_bytes(), &records].concat()
}

/// Decisions, which are longer than any.
fn decisions(_: u64) -> Vec<u8> {
    [&[1, 13][..], &vec![b'x'; MESSAGE]].concat()
}

/// Something of no kind.
fn nothing(_: u64) -> Vec<u8> {
    [&[1, 200][..], &vec![b'x'; MESSAGE]].concat()
}

fn peaks(cluster: &Cluster) -> Vec<u64> {
    cluster.nodes().iter().map(|node| peak(node.riptide())).collect()
}

fn are_bounded(cluster: &Cluster, before: &[u64], what: &str) {
    for (node, (now, before)) in cluster.nodes().iter().zip(peaks(cluster).iter().zip(before)) {
        let grown = now - before;
        assert!(grown <= BOUND, "{}: {} MiB more after {what}", node.name(), grown >> 20);
    }
}

#[test]
fn floods_of_others_are_not_kept() {
    let mut cluster = Plan { cluster: SMALL, ..Plan::default() }.start(2);
    let (mut swarms, mut random) = (Swarms::default(), Random::fresh());
    swarms.crowd(&cluster, &[0, 1], 2);
    swarms.agree(&cluster);
    let before = peaks(&cluster);
    let kinds: [(&str, Flood); 3] = [("changes", changes), ("decisions", decisions), ("nothing", nothing)];
    for (what, message) in kinds {
        floods(&cluster, what, message);
        // What comes after it is heard, so it has come to its end.
        swarms.stir(&cluster, &[0, 1], 10, &mut random);
        swarms.agree(&cluster);
        are_bounded(&cluster, &before, what);
    }
    // The same to a node that stands still meanwhile: the server gives it up, and it hears what it missed afterwards.
    cluster.node_mut(0).freeze();
    floods(&cluster, "decisions", decisions);
    swarms.stir(&cluster, &[1], 10, &mut random);
    cluster.node_mut(0).thaw();
    swarms.agree(&cluster);
    are_bounded(&cluster, &before, "it stood still");
}
