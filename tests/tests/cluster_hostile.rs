//! Nodes that are written by hand: one that speaks as it should, and such that do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, net::SocketAddr};
use tests::{
    cluster::{Cluster, GONE, Hand, Heard, LEECHER, Plan, SEEDER, Swarms, joined, torrent},
    eventually,
    random::Random,
    rig::Family,
    udp::{Announce, Client, Id20, Row, id20},
};

/// Two nodes that know a crowd.
fn two(plan: Plan) -> (Cluster, Swarms) {
    let cluster = plan.start(2);
    let mut swarms = Swarms::default();
    swarms.crowd(&cluster, &[0, 1], 2);
    swarms.agree(&cluster);
    (cluster, swarms)
}

/// All goes on as if nobody were hostile.
fn goes_on(cluster: &Cluster, swarms: &mut Swarms) {
    swarms.stir(cluster, &[0, 1], 20, &mut Random::fresh());
    swarms.agree(cluster);
    for node in cluster.nodes() {
        let log = node.riptide().log_text();
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// Every node names it, and says why.
fn is_named(cluster: &Cluster, name: &str, why: &str) {
    for node in cluster.nodes() {
        node.riptide().wait_for_line("who is hostile", |line| {
            line.contains("WARN") && line.contains(&format!("node {name} is ")) && line.contains(why)
        });
    }
}

/// Sends bytes of chance, also such that begin as messages of every kind do.
fn sends_random_bytes(hand: &mut Hand) {
    let mut random = Random::fresh();
    for round in 0..400_u32 {
        let length = random.below(200) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        if let [version, kind, ..] = bytes.as_mut_slice()
            && !round.is_multiple_of(4)
        {
            (*version, *kind) = (1, (round % 16) as u8);
        }
        for to in ["changes", "alive", "to.node-0", "to.node-1"] {
            hand.say_raw(to, &bytes);
        }
    }
    // And names that nobody may have, and what is beside all subjects.
    for subject in ["changes.a.b", "to.node-0", "to.node-0.a.b", "alive", "nothing.hostile"] {
        hand.say_beside(subject, b"\x01\x02");
    }
    hand.flush();
}

/// Tells of two hundred thousand peers that are none.
fn floods(hand: &mut Hand, now: u64) {
    let address = |port| (SocketAddr::new([10, 0, 0, 1].into(), port), SEEDER, 0);
    let peers: Vec<_> = (1..=100).map(address).collect();
    for sequence in 1..=200_u32 {
        let records: Vec<u8> =
            (0..10).flat_map(|n| torrent(id20("flood", sequence * 10 + n), 0, &peers)).collect();
        hand.say_changes("changes", sequence.into(), now, &records);
    }
    hand.flush();
}

#[test]
fn who_is_hostile_is_named_and_disturbs_nobody() {
    let cluster = "drain_delay = \"0s\"\nmax_records_per_second = 1000";
    let (cluster, mut swarms) = two(Plan { cluster, ..Plan::default() });
    let hand = |name| Hand::at(cluster.server.address(), name);
    let client = Client::new("127.0.0.1".parse().unwrap(), cluster.node(0).udp(Family::V4));

    sends_random_bytes(&mut hand("random"));
    is_named(&cluster, "random", "it sends");
    goes_on(&cluster, &mut swarms);

    let mut flooding = hand("flooding");
    let alive = flooding.alive("node-0");
    floods(&mut flooding, alive.number(16));
    is_named(&cluster, "flooding", "cluster.max_records_per_second");
    goes_on(&cluster, &mut swarms);
    // No more were taken in than it may tell in its first seconds.
    let peers = cluster.node(0).riptide().metrics().sum("riptide_peers", &[]);
    assert!(peers < 10_000.0, "{peers}");
    assert_eq!(client.row(id20("flood", 2005)), Row::default());

    // Another version is nothing hostile, but nobody can read it.
    let (mut newer, hash) = (hand("newer").speaking(2), id20("newer", 0));
    for sequence in 1..=20 {
        newer.say_alive(sequence, &alive);
        let peer = (SocketAddr::new([10, 0, 0, 1].into(), 1), SEEDER, 0);
        newer.say_changes("changes", sequence, alive.number(16), &torrent(hash, 1, &[peer]));
    }
    newer.flush();
    is_named(&cluster, "newer", "messages of version 2, where this program speaks version 1");
    goes_on(&cluster, &mut swarms);
    assert_eq!(client.row(hash), Row::default());
}

#[test]
fn forged_sequences_disturb_nobody() {
    let (cluster, mut swarms) = two(Plan::default());
    let mut hand = Hand::at(cluster.server.address(), "hostile");
    let alive = hand.alive("node-0");
    let now = alive.number(16);
    // All that there can be is missing of two processes at once, and asked for.
    for boot in [8, 9] {
        hand.boot = boot;
        hand.say_alive(u64::MAX, &alive);
    }
    let mut asked = BTreeSet::new();
    while asked.len() < 2 {
        let asks = |heard: &Heard| heard.kind == 3 && heard.number(0) == 9;
        asked.insert(hand.wait_for("what is missing to be asked for", asks).from);
    }
    let mut random = Random::fresh();
    for round in 0..300 {
        // Processes that come and go, and numbers from the first to the last that there is.
        hand.boot = round % 5;
        let next = match random.below(4) {
            0 => u64::MAX,
            1 => 0,
            2 => u64::MAX - random.below(1000),
            _ => random.below(1 << 40),
        };
        hand.say_alive(next, &alive);
        hand.say_changes("changes", next, now, &[]);
        hand.say_changes("to.node-1", next.wrapping_add(1), u64::MAX, &[]);
        let boot = hand.boot;
        for kind in [3, 4] {
            // Asks for what was never sent, and says that what nobody asked for is lost.
            hand.say("to.node-0", kind, &[&[boot, 0, next].map(u64::to_le_bytes).concat()]);
            hand.say("to.node-1", kind, &[&[boot, next, u64::MAX].map(u64::to_le_bytes).concat()]);
        }
        // Pieces and ends of walks that nobody wants.
        hand.say("to.node-0", 7, &[&next.to_le_bytes(), &[0; 13]]);
        hand.say("to.node-0", 8, &[&next.to_le_bytes(), &[0; 4]]);
    }
    hand.flush();
    goes_on(&cluster, &mut swarms);
    // Who restarts has to do with it from the start.
    let mut cluster = cluster;
    cluster.node_mut(1).stop();
    cluster.node_mut(1).start();
    goes_on(&cluster, &mut swarms);
}

/// What a node tells that hears of a change of this torrent: its whole records, where they hold nothing else.
fn records(heard: &Heard, hash: Id20) -> Option<&[u8]> {
    let length = u32::from_le_bytes(heard.rest.get(24..28)?.try_into().ok()?) as usize;
    let records = heard.rest.get(28..28 + length)?;
    (heard.kind == 1 && records.starts_with(&hash)).then_some(records)
}

#[test]
fn a_node_by_hand_is_understood_and_understands() {
    let cluster = Cluster::of(1);
    let mut hand = Hand::at(cluster.server.address(), "by-hand");
    let alive = hand.alive("node-0");
    let now = alive.number(16);
    let hash = id20("by hand", 0);
    let client = Client::new("127.0.0.1".parse().unwrap(), cluster.node(0).udp(Family::V4));
    let is = |seeders, completed, leechers| {
        eventually("what the node by hand has told", || {
            (client.row(hash) == Row { seeders, completed, leechers }).then_some(())
        });
    };
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let [one, two, three] = ["127.5.0.1:1001", "[2001:db8::1]:1002", "127.5.0.1:1003"].map(address);
    hand.say_alive(1, &alive);
    hand.say_changes("changes", 1, now, &torrent(hash, 3, &[(one, LEECHER, 0), (two, SEEDER, 0)]));
    is(1, 3, 1);
    // What is missing is asked for again.
    hand.say_changes("changes", 3, now, &torrent(hash, 4, &[(one, GONE, 0)]));
    let asked = hand.wait_for("what is missing to be asked for", |heard| heard.kind == 3);
    assert_eq!((&*asked.to, &*asked.from, asked.version), ("to.by-hand", "node-0", 1));
    assert_eq!([0, 8, 16].map(|at| asked.number(at)), [hand.boot, 2, 3]);
    is(1, 4, 0);
    hand.say_changes("to.node-0", 2, now, &torrent(hash, 3, &[(one, LEECHER, 0), (three, LEECHER, 0)]));
    // The first has gone since.
    is(1, 4, 1);
    let list = client.announce(&Announce::leecher(hash, 9));
    assert_eq!(list.peers, [three]);
    // That is told to others, with the node's own downloads, of which there are none.
    let told = hand.wait_for("the change", |heard| records(heard, hash).is_some());
    assert_eq!((&*told.to, &*told.from, told.version), ("changes", "node-0", 1));
    let expected = [0, 1].map(|age| torrent(hash, 0, &[(address("127.0.0.1:9"), LEECHER, age)]));
    assert!(expected.iter().any(|records_| records(&told, hash) == Some(records_)), "{told:?}");
    // Who asks for a walk gets all.
    let session = 99_u64.to_le_bytes();
    hand.say("to.node-0", 5, &[&session, &[0]]);
    let mut pieces = Vec::new();
    let end = loop {
        let heard = hand.wait_for("the walk", |heard| [7, 8, 9].contains(&heard.kind));
        assert_eq!((&*heard.to, heard.number(0)), ("to.by-hand", 99));
        let number = u32::from_le_bytes(heard.rest[8..12].try_into().unwrap()) as usize;
        assert_eq!(number, pieces.len());
        if heard.kind != 7 {
            break heard;
        }
        assert!(heard.rest[12..20] != [0; 8], "when it was written");
        pieces.push(heard.rest[20..].to_vec());
    };
    let whole: Vec<u8> =
        pieces.iter().filter(|piece| piece[0] == 0).flat_map(|piece| piece[1..].to_vec()).collect();
    let has = |address: SocketAddr| whole.windows(2).any(|port| port == address.port().to_be_bytes());
    assert!(end.kind == 8 && has(two) && has(three) && !has(one), "{pieces:?}");
    // And what this node counted comes with its name.
    let named = |bytes: &[u8]| bytes.windows(8).any(|name| name == b"\x07by-hand");
    assert!(pieces.iter().any(|piece| piece[0] == 1 && named(piece)), "{pieces:?}");
    assert!(named(&end.rest[12..]), "{end:?}");
    assert!(joined(&alive));
}

#[test]
fn kinds_of_messages_that_nobody_knows_yet_are_passed_over() {
    let (cluster, mut swarms) = two(Plan::default());
    let mut hand = Hand::at(cluster.server.address(), "richer");
    let alive = hand.alive("node-0");
    let hash = id20("richer", 0);
    let peer = (SocketAddr::new([127, 5, 0, 1].into(), 1), SEEDER, 0);
    // Kinds 0 and 16 are next to those that there are.
    for kind in [0, 16, 200, 255] {
        for to in ["changes", "alive", "to.node-0", "to.node-1"] {
            (0..10).for_each(|_| hand.say(to, kind, &[b"something new"]));
        }
    }
    hand.say_alive(1, &alive);
    hand.say_changes("changes", 1, alive.number(16), &torrent(hash, 3, &[peer]));
    hand.flush();
    for node in cluster.nodes() {
        let client = Client::new("127.0.0.1".parse().unwrap(), node.udp(Family::V4));
        let expected = Row { seeders: 1, completed: 3, leechers: 0 };
        eventually("what was told besides", || (client.row(hash) == expected).then_some(()));
        // It is counted soon.
        let unreadable = [("reason", "unreadable")];
        node.riptide().metrics_until("all of them", |metrics| {
            metrics.sum("riptide_cluster_dropped_messages_total", &unreadable) == 120.0
        });
        let log = node.riptide().log_text();
        assert!(!log.lines().any(|line| line.contains("WARN") && line.contains("richer")), "{log}");
    }
    goes_on(&cluster, &mut swarms);
}
