//! Downloads counted by many nodes: whatever is told, and how often, and in which order, against a plain map of counts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is what this is for")]

use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;
use tracker_common::address::Address;
use tracker_core::{
    access::{AccessList, Mode},
    engine::{Announce, CountedBy, Cursor, Engine, Listener, Lists, Want},
    model::{Event, InfoHash, Role, Seconds},
    nodes::NodeNumber,
    policy::Policy,
    records::{PeerRecord, Reader, Record, State, TorrentRecord, WalkWriter},
    rng::Rng,
};

const START: Seconds = 1_700_000_000;
const TIMEOUT: Seconds = 100;
const RETENTION: Seconds = 1000;
const TORRENTS: u8 = 5;

/// What each node counted, this one without a number, and when the torrent lost its last peer.
#[derive(Clone, Debug, Default, PartialEq)]
struct Torrent {
    counts: BTreeMap<Option<u16>, u32>,
    /// Peers, and when each was heard of last.
    peers: BTreeMap<u16, Seconds>,
    kept_since: Seconds,
}

/// The naive model.
type Model = BTreeMap<u8, Torrent>;

#[derive(Clone, Debug)]
enum Op {
    /// A node's count is told, with a peer or without.
    Import { torrent: u8, node: Option<u16>, downloaded: u32, peer: Option<u16> },
    /// A client completes here.
    Complete { torrent: u8, peer: u16 },
    /// A client stops.
    Stop { torrent: u8, peer: u16 },
    /// Time goes by, and what has expired is forgotten.
    Wait(Seconds),
    /// The access list forbids a torrent for a moment.
    Purge(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let torrent = 0..TORRENTS;
    let node = prop_oneof![Just(None), (0..4_u16).prop_map(Some)];
    prop_oneof![
        8 => (torrent.clone(), node, 0..30_u32, prop::option::of(0..5_u16))
            .prop_map(|(torrent, node, downloaded, peer)| Op::Import { torrent, node, downloaded, peer }),
        3 => (torrent.clone(), 0..5_u16).prop_map(|(torrent, peer)| Op::Complete { torrent, peer }),
        3 => (torrent.clone(), 0..5_u16).prop_map(|(torrent, peer)| Op::Stop { torrent, peer }),
        1 => (1..2 * TIMEOUT).prop_map(Op::Wait),
        1 => Just(Op::Wait(RETENTION)),
        1 => torrent.prop_map(Op::Purge),
    ]
}

fn by(node: Option<u16>) -> CountedBy {
    node.map_or(CountedBy::Own, |node| CountedBy::Node(NodeNumber::new(node).unwrap()))
}

fn hash(torrent: u8) -> InfoHash {
    InfoHash([torrent; 20])
}

fn address() -> Address {
    Address::from_ipv4([192, 0, 2, 1])
}

fn engine(seed: u64) -> Engine {
    let policy = Policy { peer_timeout: TIMEOUT, downloaded_retention: RETENTION, ..Policy::default() };
    Engine::new(policy, [seed, 2])
}

fn announce(engine: &Engine, torrent: u8, peer: u16, event: Event, now: Seconds) {
    let (info_hash, address, port) = (hash(torrent), address(), 1 + peer);
    let announce = Announce { info_hash, address, port, event, left: 0, want: Want::Own(0) };
    engine.announce(&announce, now, &mut Rng::new([1, 1]), &mut Lists::default()).unwrap();
}

fn import(engine: &Engine, torrent: u8, node: Option<u16>, downloaded: u32, peer: Option<u16>, now: Seconds) {
    let record = TorrentRecord { info_hash: hash(torrent), downloaded, age: 0 };
    let state = State::Here { role: Role::Seeder, counted: true };
    let peers = peer.map(|peer| PeerRecord { address: address(), port: 1 + peer, state, age: 0 });
    engine.import(&record, peers.as_slice(), now, by(node)).unwrap();
}

fn run(engine: &Engine, model: &mut Model, op: &Op, now: &mut Seconds) {
    match *op {
        Op::Import { torrent, node, downloaded, peer } => {
            import(engine, torrent, node, downloaded, peer, *now);
            let it = model.entry(torrent).or_default();
            if it.peers.is_empty() && it.counts.is_empty() {
                it.kept_since = *now;
            }
            let count = it.counts.get(&node).copied().unwrap_or_default();
            if downloaded > count {
                it.counts.insert(node, downloaded);
                // A count that is told anew is kept anew.
                it.kept_since = *now;
            }
            if let Some(peer) = peer {
                it.peers.insert(peer, *now);
            }
        }
        Op::Complete { torrent, peer } => {
            // Heard of before as a leecher, whatever it was.
            announce(engine, torrent, peer, Event::Stopped, *now);
            announce(engine, torrent, peer, Event::Completed, *now);
            let it = model.entry(torrent).or_default();
            *it.counts.entry(None).or_default() += 1;
            it.peers.insert(peer, *now);
        }
        Op::Stop { torrent, peer } => {
            announce(engine, torrent, peer, Event::Stopped, *now);
            let it = model.entry(torrent).or_default();
            if it.peers.remove(&peer).is_some() && it.peers.is_empty() {
                it.kept_since = *now;
            }
        }
        Op::Wait(time) => {
            *now += time;
            // Peers may be gone in one cycle, and counts that this leaves without any in the next.
            for _ in 0..2 {
                while !engine.sweep(*now, 7).cycle_ended {}
            }
            for it in model.values_mut() {
                let had = !it.peers.is_empty();
                it.peers.retain(|_, heard| *now - *heard < TIMEOUT);
                if it.peers.is_empty() && had {
                    it.kept_since = *now;
                } else if it.peers.is_empty() && *now - it.kept_since >= RETENTION {
                    it.counts.clear();
                }
            }
        }
        Op::Purge(torrent) => {
            engine.set_access(AccessList::new(Mode::Deny, vec![hash(torrent)]).unwrap(), *now);
            engine.set_access(AccessList::off(), *now);
            model.remove(&torrent);
        }
    }
    model.retain(|_, it| !it.peers.is_empty() || !it.counts.is_empty());
}

/// What an engine writes down of counts, by torrent and node.
fn written(engine: &Engine, now: Seconds) -> BTreeMap<(u8, Option<u16>), u32> {
    let (mut cursor, mut writer) = (Cursor::default(), WalkWriter::default());
    let mut all = BTreeMap::new();
    let mut read = |node: Option<u16>, records: &[u8]| {
        for record in Reader::new(records) {
            match record.unwrap() {
                Record::Torrent(TorrentRecord { info_hash, downloaded, .. }) if downloaded > 0 => {
                    all.insert((info_hash.0[0], node), downloaded);
                }
                Record::Peer(_) if node.is_some() => panic!("a peer among the counts of another node"),
                _ => {}
            }
        }
    };
    loop {
        let walked = engine.walk(&mut cursor, now, 3, &mut writer);
        read(None, &writer.take());
        for (node, records) in writer.take_shares() {
            read(Some(node.get()), &records);
        }
        if walked.ended {
            return all;
        }
    }
}

fn expected(model: &Model) -> BTreeMap<(u8, Option<u16>), u32> {
    let counts =
        model.iter().flat_map(|(torrent, it)| it.counts.iter().map(|(node, n)| ((*torrent, *node), *n)));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn totals(engine: &Engine) -> Vec<u32> {
    (0..TORRENTS).map(|torrent| engine.scrape(&hash(torrent)).downloaded).collect()
}

fn expected_totals(model: &Model) -> Vec<u32> {
    (0..TORRENTS).map(|torrent| model.get(&torrent).map_or(0, |it| it.counts.values().sum())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_node_counts_for_itself(ops in vec(op(), 1..80), seed in 0..50_u64) {
        let (engine, mut model, mut now) = (engine(seed), Model::new(), START);
        for op in &ops {
            run(&engine, &mut model, op, &mut now);
            prop_assert_eq!(totals(&engine), expected_totals(&model), "{:?} of {:?}", op, ops);
        }
        prop_assert_eq!(written(&engine, now), expected(&model));

        // Nothing is left of what is forgotten: counts begin anew.
        for torrent in 0..TORRENTS {
            engine.set_access(AccessList::new(Mode::Deny, vec![hash(torrent)]).unwrap(), now);
            engine.set_access(AccessList::off(), now);
            (0..4).for_each(|node| import(&engine, torrent, Some(node), 1, None, now));
        }
        prop_assert_eq!(totals(&engine), vec![4; TORRENTS.into()]);
    }

    #[test]
    fn no_order_and_no_repetition_makes_another_total(
        told in vec((0..TORRENTS, prop::option::of(0..4_u16), 0..1000_u32, prop::option::of(0..3_u16)), 1..60),
        seed: u64,
    ) {
        let (mut rng, mut model) = (Rng::new([seed, 1]), Model::new());
        for (torrent, node, downloaded, _) in &told {
            let counts = &mut model.entry(*torrent).or_default().counts;
            let count = counts.entry(*node).or_default();
            *count = (*count).max(*downloaded);
        }
        let mut shuffled: Vec<_> = told.iter().chain(&told).collect();
        for i in (1..shuffled.len()).rev() {
            shuffled.swap(i, rng.below(i + 1));
        }
        let engine = engine(seed);
        for (torrent, node, downloaded, peer) in shuffled {
            import(&engine, *torrent, *node, *downloaded, *peer, START);
        }
        prop_assert_eq!(totals(&engine), expected_totals(&model));
        prop_assert_eq!(written(&engine, START), expected(&model));
    }
}

/// The oldest counts are forgotten first, and with them what others counted of them.
#[test]
fn a_limit_forgets_shares_too() {
    let policy = Policy { downloaded_entries: 2, ..Policy::default() };
    let engine = Engine::new(policy.clone(), [1, 2]);
    let tell = |torrent, downloaded| import(&engine, torrent, Some(1), downloaded, None, START);
    (0..5).for_each(|torrent| tell(torrent, 9));
    assert_eq!(totals(&engine), [0, 0, 0, 9, 9]);
    (0..5).for_each(|torrent| tell(torrent, 9));
    assert_eq!(totals(&engine).iter().filter(|total| **total == 9).count(), 2);
    engine.set_policy(Policy { downloaded_entries: 0, ..policy });
    while !engine.sweep(START, 100).cycle_ended {}
    assert_eq!(written(&engine, START).len(), 0);
    tell(0, 9);
    assert_eq!(totals(&engine), [0; 5]);
    // Nor is it kept of a torrent whose peers go.
    import(&engine, 1, Some(1), 5, Some(3), START);
    assert_eq!(engine.scrape(&hash(1)).downloaded, 5);
    announce(&engine, 1, 3, Event::Stopped, START);
    import(&engine, 1, Some(1), 1, Some(3), START);
    assert_eq!(engine.scrape(&hash(1)).downloaded, 1);
}

#[test]
fn a_change_tells_what_this_node_counted() {
    let engine = engine(1);
    engine.listen(Listener::Cluster, 100);
    import(&engine, 1, Some(2), 40, Some(1), START);
    import(&engine, 1, None, 2, None, START);
    announce(&engine, 1, 7, Event::Completed, START);
    let mut changes = Vec::new();
    (0..Engine::SHARDS).for_each(|shard| _ = engine.take_changes(Listener::Cluster, shard, &mut changes));
    assert_eq!(changes.iter().map(|change| change.downloaded).collect::<Vec<_>>(), [3]);
    assert_eq!(engine.scrape(&hash(1)).downloaded, 43);
}

/// A node that comes to a walk has few torrents at a time, however many nodes there are.
#[test]
fn shares_count_for_a_walk() {
    let engine = engine(1);
    for node in 0..1000 {
        import(&engine, 1, Some(node), 1, None, START);
        import(&engine, 2, Some(node), 1, Some(1), START);
    }
    let (mut cursor, mut writer, mut most) = (Cursor::default(), WalkWriter::default(), 0);
    loop {
        let walked = engine.walk(&mut cursor, START, 100, &mut writer);
        most = most.max(walked.visited);
        let shares = writer.take_shares().count();
        assert!(shares == 0 || walked.visited >= 1000);
        if walked.ended {
            break;
        }
    }
    assert!((1000..1200).contains(&most), "{most}");
}

/// Whatever other nodes tell, what is kept of it is bounded in all.
#[test]
fn counts_of_other_nodes_are_bounded() {
    let policy = Policy { max_peers: 4, downloaded_entries: 3, ..Policy::default() };
    assert_eq!(policy.max_shares(), 5);
    let engine = Engine::new(policy, [1, 2]);
    for node in 0..20 {
        import(&engine, 1, Some(node), 1, Some(1), START);
        import(&engine, 2, Some(node), 1, None, START);
    }
    assert_eq!([1, 2].map(|torrent| engine.scrape(&hash(torrent)).downloaded), [3, 2]);
    // What this node counts is no other's, and what is known rises.
    import(&engine, 1, None, 7, None, START);
    import(&engine, 1, Some(0), 2, None, START);
    assert_eq!(engine.scrape(&hash(1)).downloaded, 11);
    // What is forgotten makes room.
    let access = AccessList::new(Mode::Deny, vec![hash(1)]).unwrap();
    engine.set_access(access, START);
    for node in 0..20 {
        import(&engine, 3, Some(node), 1, None, START);
    }
    assert_eq!(engine.scrape(&hash(3)).downloaded, 3);
}
