//! What nodes do where little goes wrong, and where some does.

use super::house::{House, SECOND, settings};
use crate::cluster::{
    Channel,
    node::{Effect, Identity, Settings, To},
    wire::Message,
};
use tracker_core::model::Event;

#[test]
fn what_clients_do_at_one_node_is_known_at_all() {
    let mut house = House::new(&["a", "b", "c"]);
    house.run(30);
    assert!(house.nodes.iter().all(|(_, node)| node.is_joined()));
    house.announce(0, 1, 1, Event::Started, 5);
    house.announce(1, 1, 2, Event::Started, 0);
    house.announce(2, 2, 3, Event::Started, 7);
    house.run(1);
    assert_eq!((house.counts(1), house.counts(2)), (vec![(1, 1, 0); 3], vec![(0, 1, 0); 3]));
    house.run(20);
    house.announce(0, 1, 1, Event::Completed, 0);
    house.announce(2, 1, 2, Event::Stopped, 0);
    house.run(1);
    assert_eq!(house.counts(1), [(1, 0, 1); 3], "a stop at another node than the start's");
    // Both at once, each counted where it happened.
    house.announce(1, 2, 4, Event::Started, 9);
    house.run(20);
    house.announce(0, 2, 3, Event::Completed, 0);
    house.announce(1, 2, 4, Event::Completed, 0);
    house.run(1);
    assert_eq!(house.counts(2), [(2, 0, 2); 3]);
    assert!(house.warnings().is_empty(), "{:?}", house.warnings());
}

#[test]
fn who_merely_stays_is_told_of_once_in_a_third_of_the_timeout() {
    let mut house = House::new(&["a", "b"]);
    house.run(30);
    house.announce(0, 1, 1, Event::Started, 5);
    house.run(1);
    let timeout = house.engine(0).peer_timeout();
    let before = house.nodes[0].1.tally().changes_out;
    for _ in 0..2 * timeout {
        house.run(10);
        house.announce(0, 1, 1, Event::None, 5);
        house.engine(1).sweep((house.now_ns / SECOND) as u32, 1 << 20);
    }
    assert_eq!(house.counts(1), [(0, 1, 0); 2], "it is not forgotten at the other node");
    assert_eq!(house.nodes[0].1.tally().changes_out - before, 6);
}

#[test]
fn a_node_that_comes_later_gets_all_there_is() {
    let mut house = House::new(&["a", "b"]);
    house.run(30);
    for peer in 0..200 {
        house.announce(usize::from(peer % 2), peer % 7, peer, Event::Started, u64::from(peer % 3));
    }
    house.announce(0, 1, 1, Event::Completed, 0);
    house.run(5);
    let late = house.add(settings("c", 77));
    house.run(10);
    assert!(house.nodes[late].1.is_joined());
    for torrent in 0..7 {
        let counts = house.counts(torrent);
        assert!(counts.iter().all(|of| *of == counts[0]), "{counts:?}");
    }
    assert_eq!(house.nodes[late].1.tally().walks_in, 1);
    // It has come by what others counted, too, and keeps that apart from its own.
    house.announce(late, 1, 8, Event::Completed, 0);
    house.announce(1, 1, 22, Event::Completed, 0);
    house.run(2);
    assert_eq!(house.counts(1).iter().map(|counts| counts.2).collect::<Vec<_>>(), [3, 3, 3]);
}

#[test]
fn what_did_not_come_is_asked_for_again() {
    let mut house = House::new(&["a", "b", "c"]);
    house.run(30);
    house.cut = vec![2];
    for peer in 0..50 {
        house.announce(0, 1, peer, Event::Started, 5);
        house.run(1);
    }
    house.announce(0, 1, 7, Event::Stopped, 5);
    house.announce(2, 1, 60, Event::Started, 0);
    house.run(20);
    assert_eq!(house.counts(1), [(0, 49, 0), (0, 49, 0), (1, 0, 0)], "each side serves what it knows");
    house.cut.clear();
    house.run(20);
    assert_eq!(house.counts(1), [(1, 49, 0); 3]);
    let tally = house.nodes[2].1.tally();
    assert!(tally.lost_batches >= 50 && tally.repaired_batches == tally.lost_batches, "{tally:?}");
    assert_eq!(tally.walks_in, 1, "the one at its start");
}

#[test]
fn what_is_kept_no_more_comes_by_a_walk() {
    let mut house = House::new(&["a", "b"]);
    house.nodes.clear();
    for (name, boot) in [("a", 1), ("b", 2)] {
        house.add(Settings { max_replay: 2000, ..settings(name, boot) });
    }
    house.run(30);
    house.cut = vec![1];
    for peer in 0..100 {
        house.announce(0, peer % 5, peer, Event::Started, 5);
        house.run(1);
    }
    house.cut.clear();
    house.run(100);
    for torrent in 0..5 {
        assert_eq!(house.counts(torrent), [(0, 20, 0); 2]);
    }
    assert!(house.nodes[1].1.tally().walks_in >= 1, "{:?}", house.nodes[1].1.tally());
}

#[test]
fn what_is_counted_is_what_was_told() {
    let mut house = House::new(&["a", "b"]);
    house.run(30);
    for peer in 0..20 {
        house.announce(0, 1, peer, Event::Started, 5);
        house.announce_webrtc(0, 1, peer + 100);
    }
    house.run(1);
    let tally = |house: &House, at: usize| *house.nodes[at].1.tally();
    assert_eq!((tally(&house, 0).changes_out, tally(&house, 1).changes_in), (40, 40));
    // Who comes later is told of all of them, and of no change.
    let late = house.add(settings("c", 9));
    house.run(80);
    assert_eq!(house.counts(1), [(0, 40, 0); 3]);
    assert_eq!((tally(&house, late).changes_in, tally(&house, late).walks_in), (0, 1));
    // Where more changed at once than is kept for others, those of that part are told again.
    for peer in 0..20_000_u32 {
        house.announce(0, 1, (peer % 200) as u8, Event::Started, u64::from(peer / 200 % 2));
    }
    house.run(30);
    assert!(tally(&house, 0).overflowed > 0);
    assert_eq!(tally(&house, 1).changes_in, tally(&house, 0).changes_out);
}

#[test]
fn the_bytes_of_all_that_is_sent_are_counted() {
    let mut house = House::new(&["a", "b"]);
    house.run(30);
    let node = &mut house.nodes[0].1;
    let (before, b) = (node.tally().bytes_out, node.names.lock().find("b").unwrap());
    node.tell_decisions(To::Changes, b"12345");
    node.tell_decisions(To::Node("b".into()), b"1234567");
    node.relay(b, b"123456789");
    assert_eq!(node.out.iter().map(|(_, message)| message.len()).collect::<Vec<_>>(), [7, 9, 11]);
    assert_eq!(node.tally().bytes_out, before + 27);
    let before = house.nodes[1].1.tally().bytes_in;
    house.deliver();
    assert_eq!(house.nodes[1].1.tally().bytes_in, before + 27);
}

#[test]
fn whose_decisions_differ_is_asked_for_them() {
    let mut house = House::new(&["a", "b"]);
    let now_ns = house.now_ns;
    house.run(30);
    house.nodes[0].1.identify(Identity { decisions: 1, ..Identity::default() }, now_ns);
    house.run(30);
    let asked = |at: usize| {
        house.effects.iter().any(|(of, effect)| *of == at && matches!(effect, Effect::TellDecisions(_)))
    };
    assert!(asked(0) && asked(1), "{:?}", house.effects);
}

#[test]
fn a_hostile_node_is_cut_off_and_named() {
    let mut house = House::new(&["a", "b"]);
    house.run(30);
    let now_ns = house.now_ns;
    let node = &mut house.nodes[0].1;
    for _ in 0..100 {
        node.receive("evil", Channel::Changes, &[1, 1, 2, 3], now_ns);
    }
    let peers = vec![0xff; 60_000];
    let records = crate::cluster::wire::Records { plain: &peers, webrtc: &[] };
    for sequence in 0..1000 {
        let flood = Message::Changes { boot: 1, sequence, written_ns: now_ns, records }.write();
        node.receive("flood", Channel::Changes, &flood, now_ns);
    }
    // Numbers from nowhere.
    for sequence in [u64::MAX, 1 << 63, 0, u64::MAX - 1] {
        let forged =
            Message::Changes { boot: sequence, sequence, written_ns: u64::MAX, records: Default::default() };
        node.receive("forger", Channel::Changes, &forged.write(), now_ns);
    }
    house.announce(1, 1, 1, Event::Started, 5);
    house.run(50);
    assert_eq!(house.counts(1), [(0, 1, 0); 2]);
    let warnings = house.warnings();
    for name in ["evil", "flood"] {
        assert!(
            warnings.iter().any(|line| line.starts_with(&format!("node {name} is cut off"))),
            "{warnings:?}"
        );
    }
}
