//! How nodes come to know what they did not hear.

use super::house::{House, SECOND, settings};
use crate::cluster::{
    Channel,
    digest::Digesting,
    node::{Effect, Settings},
    wire::{Message, Seen, SeenList},
};
use tracker_core::{
    engine::{CountedBy, Engine},
    model::{Event, InfoHash, Role},
    nodes::Nodes,
    policy::Policy,
    records::{PeerRecord, State, TorrentRecord},
};

fn began_alone(house: &House) -> Vec<usize> {
    let alone = house.effects.iter().filter(
        |(_, effect)| matches!(effect, Effect::Inform(line) if line.contains("begins with what it has")),
    );
    alone.map(|(at, _)| *at).collect()
}

#[test]
fn of_several_that_begin_together_one_is_the_first() {
    let mut house = House::new(&["c", "a", "b"]);
    house.run(40);
    assert_eq!(began_alone(&house), [1]);
    assert!(house.nodes.iter().all(|(_, node)| node.is_joined()));
    assert_eq!([0, 1, 2].map(|at| house.nodes[at].1.tally().walks_in), [1, 0, 1]);
}

#[test]
fn of_several_that_begin_together_the_one_that_knows_most_is_the_first() {
    let mut house = House::new(&["a", "b"]);
    // As a file tells it, which nobody else hears of.
    let torrent = TorrentRecord { info_hash: InfoHash([1; 20]), downloaded: 0, age: 0 };
    let address = std::net::IpAddr::from([10, 0, 0, 1]).into();
    let state = State::Here { role: Role::Leecher, counted: false };
    let peer = PeerRecord { address, port: 6881, state, age: 0 };
    let now = (house.now_ns / SECOND) as u32;
    house.engine(1).import(&torrent, &[peer], now, CountedBy::Own).unwrap();
    house.run(40);
    assert_eq!(began_alone(&house), [1]);
    assert_eq!(house.counts(1), [(0, 1, 0); 2]);
}

#[test]
fn who_waits_for_one_that_never_joins_goes_on_alone() {
    let mut house = House::new(&["b"]);
    let stays =
        Message::Alive(crate::cluster::wire::Alive { boot: 9, next: 1, ..Default::default() }).write();
    for _ in 0..99 {
        let now_ns = house.now_ns;
        house.nodes[0].1.receive("a", Channel::Alive, &stays, now_ns);
        house.run(1);
        assert!(!house.nodes[0].1.is_joined());
    }
    house.run(5);
    assert!(house.nodes[0].1.is_joined());
}

#[test]
fn the_last_words_of_a_process_come_from_whoever_heard_them() {
    let mut house = House::new(&["a", "b", "c", "d"]);
    house.run(40);
    // Neither c nor d hear it, and nobody says any more how much there was.
    house.cut = vec![2, 3];
    house.announce(0, 1, 1, Event::Started, 5);
    house.run(2);
    house.cut = vec![0];
    house.run(150);
    assert_eq!(house.counts(1)[1..], [(0, 1, 0), (0, 0, 0), (0, 0, 0)], "it may come back");
    house.run(700);
    assert_eq!(house.counts(1), [(0, 1, 0); 4]);
    // It was looked for once.
    let walks: u64 = house.nodes.iter().map(|(_, node)| node.tally().walks_in).sum();
    house.run(3000);
    assert_eq!(walks, house.nodes.iter().map(|(_, node)| node.tally().walks_in).sum::<u64>());
}

#[test]
fn a_node_that_starts_anew_learns_what_only_some_heard_of_it() {
    let mut house = House::new(&["a", "b", "c"]);
    house.run(40);
    house.cut = vec![2];
    house.announce(0, 1, 1, Event::Started, 5);
    house.run(2);
    house.cut.clear();
    // The process is gone, and the next one asks the node that heard nothing.
    house.nodes.remove(0);
    house.cut = vec![0];
    house.add(settings("a", 77));
    house.run(30);
    house.cut.clear();
    house.run(250);
    assert_eq!(house.counts(1), [(0, 1, 0); 3]);
}

#[test]
fn clocks_that_are_apart_do_not_change_who_was_heard_of_last() {
    for ahead in [0, 1] {
        let mut house = House::new(&["a", "b"]);
        house.ahead_ns = vec![0, 0];
        house.ahead_ns[ahead] = 9 * SECOND;
        house.run(40);
        for (first, second) in [(0, 1), (1, 0)] {
            house.announce(first, 1, 1, Event::Started, 5);
            house.run(20);
            assert_eq!(house.counts(1), [(0, 1, 0); 2]);
            house.announce(second, 1, 1, Event::Stopped, 5);
            house.run(20);
            assert_eq!(house.counts(1), [(0, 0, 0); 2], "{ahead} is ahead");
        }
    }
}

#[test]
fn nobody_speaks_for_a_process_that_is_here() {
    let mut house = House::new(&["a", "b"]);
    house.run(40);
    let seen = SeenList::write([Seen { name: "a", boot: 1, next: 1 << 40 }].into_iter());
    let forged = Message::Silent(SeenList::of(&seen)).write();
    let now_ns = house.now_ns;
    house.nodes[1].1.receive("evil", Channel::Alive, &forged, now_ns);
    house.announce(0, 1, 1, Event::Started, 5);
    house.run(2);
    assert_eq!(house.counts(1), [(0, 1, 0); 2]);
    assert_eq!(house.nodes[1].1.tally().lost_batches, 0);
    // Of one that is silent it may be so; what comes of it all the same is taken in.
    house.cut = vec![0];
    house.run(150);
    let now_ns = house.now_ns;
    house.nodes[1].1.receive("evil", Channel::Alive, &forged, now_ns);
    house.cut.clear();
    house.announce(0, 1, 2, Event::Started, 5);
    house.run(50);
    house.announce(0, 1, 3, Event::Started, 5);
    house.run(50);
    assert_eq!(house.counts(1), [(0, 3, 0); 2]);
}

#[test]
fn who_gives_no_walk_keeps_nobody_from_others() {
    let mut house = House::new(&["b", "c"]);
    house.nodes.clear();
    for (name, boot) in [("b", 1), ("c", 2)] {
        house.add(Settings { max_replay: 0, ..settings(name, boot) });
    }
    house.run(40);
    let says = |next, stage| crate::cluster::wire::Alive { boot: 9, next, stage, ..Default::default() };
    house.cut = vec![1];
    for peer in 0..20 {
        house.announce(0, 1, peer, Event::Started, 5);
        house.run(1);
    }
    house.cut.clear();
    for second in 0..30 {
        let alive = Message::Alive(says(1 + 100 * second, crate::cluster::wire::Stage::Joined)).write();
        let now_ns = house.now_ns;
        house.nodes[1].1.receive("a", Channel::Alive, &alive, now_ns);
        house.run(10);
    }
    assert_eq!(house.counts(1), [(0, 20, 0); 2]);
}

#[test]
fn equal_sums_of_downloads_by_different_nodes_are_a_difference() {
    let info_hash = InfoHash([7; 20]);
    let digests = |own: &str, other: &str, counts: [u32; 2]| {
        let engine = Engine::new(Policy::default(), [1, 2]);
        let mut names = Nodes::default();
        names.number("x").unwrap();
        let by = [CountedBy::Own, CountedBy::Node(names.number(other).unwrap())];
        for (downloaded, by) in counts.into_iter().zip(by) {
            engine.import(&TorrentRecord { info_hash, downloaded, age: 0 }, &[], 1000, by).unwrap();
        }
        let mut digesting = Digesting::begin(5, own, &names);
        while !digesting.step(&engine, 1000, 8192) {}
        digesting.end()
    };
    let a = digests("a", "b", [2, 1]);
    assert_eq!(a, digests("b", "a", [1, 2]), "whoever looks at it");
    for (own, other, counts) in [("b", "a", [2, 1]), ("a", "b", [3, 0]), ("a", "c", [2, 1])] {
        assert_eq!(
            digests(own, other, counts).differing(&a.to_bytes()).count(),
            1,
            "{own} {other} {counts:?}"
        );
    }
}
