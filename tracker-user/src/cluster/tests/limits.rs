//! How much of what others send is looked at and kept, and how much of what this node sends.

use super::house::{House, SECOND, settings};
use crate::cluster::{
    Channel,
    counts::CountsWriter,
    node::{Effect, Settings},
    publisher::Publisher,
    wire::{Alive, Content, Extent, Message, Stage},
};
use bytes::Bytes;
use std::net::IpAddr;
use tracker_core::{
    engine::{Announce, Engine, Listener, Lists, Want},
    model::{Event, InfoHash},
    nodes::{MAX_NODES, Nodes},
    policy::Policy,
    rng::Rng,
};

/// Some client comes to an engine.
fn comes(engine: &Engine, torrent: u32, peer: u32, now: u32) {
    let address: IpAddr = (0x0a00_0000 + peer).to_be_bytes().into();
    let mut hash = [3; 20];
    hash[..4].copy_from_slice(&torrent.wrapping_mul(0x9e37_79b9).to_be_bytes());
    let announce = Announce {
        info_hash: InfoHash(hash),
        address: address.into(),
        port: 6881,
        event: Event::Started,
        left: 5,
        want: Want::Own(0),
    };
    engine.announce(&announce, now, &mut Rng::new([1, 2]), &mut Lists::default()).unwrap();
}

fn effects(house: &House, is_it: impl Fn(&Effect) -> bool) -> usize {
    house.nodes[0].1.effects.iter().filter(|effect| is_it(effect)).count()
}

#[test]
fn what_is_kept_to_be_sent_again_is_bounded() {
    const MOST: usize = 20_000;
    let mut house = House::new(&[]);
    house.add(Settings { max_replay: MOST, ..settings("a", 1) });
    house.run(40);
    let mut sent = 0;
    for round in 0..100_u32 {
        for peer in 0..100 {
            comes(house.engine(0), round, peer, (house.now_ns / SECOND) as u32);
        }
        house.run(1);
        let kept = house.nodes[0].1.publisher.sent();
        let messages = (kept.first()..kept.next()).filter_map(|number| kept.get(number));
        let bytes: usize = messages.map(|message| message.len() + size_of::<Bytes>()).sum();
        assert!(bytes <= MOST, "{bytes} bytes after {round} rounds");
        sent = kept.first() - 1;
    }
    assert!(sent >= 50, "{sent} messages are kept no more");
    // A node that was away for all of it asks for what is there, and is told what is not.
    let late = house.now_ns;
    house.nodes[0].1.receive(
        "b",
        Channel::Direct,
        &Message::Resend { boot: 1, from: 1, to: 33 }.write(),
        late,
    );
    let out = &house.nodes[0].1.out;
    assert!(matches!(Message::read(&out[0].1), Ok(Message::Lost { boot: 1, from: 1, to: 33 })), "{out:?}");
}

#[test]
fn what_an_engine_keeps_for_a_node_that_takes_nothing_is_bounded() {
    let house = House::new(&["a"]);
    let engine = house.engine(0);
    let now = (house.now_ns / SECOND) as u32;
    // More than its shard keeps, of one torrent.
    (0..10_000).for_each(|peer| comes(engine, 1, peer, now));
    let mut changes = Vec::new();
    let shard = engine.changed(Listener::Cluster).next().unwrap();
    assert!(engine.take_changes(Listener::Cluster, shard, &mut changes).overflowed);
    assert_eq!(changes.len(), crate::cluster::publisher::JOURNAL);
}

#[test]
fn what_is_kept_of_others_is_bounded_whatever_they_say() {
    let mut house = House::new(&["a"]);
    house.run(40);
    let mut rng = Rng::new([5, 6]);
    for round in 0..20_000_u64 {
        let now_ns = house.now_ns + round * SECOND / 100;
        let name = format!("n{}", rng.below(40));
        let (boot, number) = (rng.below(30) as u64, rng.next_u64() >> rng.below(64));
        let alive = Alive { boot, next: number, now_ns, stage: Stage::Joined, ..Alive::default() };
        let records = Default::default();
        let messages = [
            (Channel::Alive, Message::Alive(alive)),
            (Channel::Changes, Message::Changes { boot, sequence: number, written_ns: now_ns, records }),
            (Channel::Direct, Message::Walk { session: number, extent: Extent::Everything, digests: None }),
        ];
        let node = &mut house.nodes[0].1;
        for (channel, message) in &messages {
            node.receive(&name, *channel, &message.write(), now_ns);
        }
        node.tick(now_ns);
        node.out.clear();
        assert!(node.others.len() <= 16 && node.giving.len() <= 4 && node.wanted.len() <= 16);
        assert!(node.others.values().all(|other| other.processes.len() <= 4));
        assert!(
            node.to_forget.len() <= MAX_NODES && node.refused.len() <= 16 && node.mending.failed.len() <= 16
        );
        let warnings = node.effects.iter().filter(|effect| matches!(effect, Effect::Warn(_))).count();
        assert!(warnings <= 1 + 2 * 40, "{:?}", node.effects);
    }
}

#[test]
fn decisions_are_told_to_a_node_once_a_second() {
    let mut house = House::new(&["a"]);
    house.run(40);
    let asks = |house: &mut House, name: &str| {
        let now_ns = house.now_ns;
        (0..50).for_each(|_| {
            house.nodes[0].1.receive(name, Channel::Direct, &Message::AskDecisions.write(), now_ns);
        });
        effects(house, |effect| matches!(effect, Effect::TellDecisions(_)))
    };
    assert_eq!(asks(&mut house, "b"), 1);
    assert_eq!(asks(&mut house, "c"), 2, "who asks much takes nothing from others");
    house.now_ns += SECOND - 1;
    assert_eq!(asks(&mut house, "b"), 2);
    house.now_ns += 1;
    assert_eq!(asks(&mut house, "b"), 3);
}

#[test]
fn decisions_that_are_longer_than_any_are_not_kept() {
    let mut house = House::new(&["a"]);
    house.run(40);
    let now_ns = house.now_ns;
    let most = vec![b'x'; crate::decisions::wire::MAX_PIECE];
    let longer = vec![b'x'; most.len() + 1];
    for piece in [&longer, &most] {
        house.nodes[0].1.receive("b", Channel::Changes, &Message::Decisions(piece).write(), now_ns);
    }
    let kept = effects(&house, |effect| *effect == Effect::Decisions("b".into(), most.clone()));
    assert_eq!((kept, effects(&house, |effect| matches!(effect, Effect::Decisions(..)))), (1, 1));
    // As many as a long list takes, and no more at once.
    for _ in 0..2000 {
        house.nodes[0].1.receive("c", Channel::Direct, &Message::Decisions(b"x").write(), now_ns);
    }
    assert_eq!(effects(&house, |effect| matches!(effect, Effect::Decisions(..))), 1 + 1200);
}

#[test]
fn so_many_signs_of_life_are_looked_at_and_no_more() {
    let mut house = House::new(&["a"]);
    house.run(40);
    let shows = |house: &mut House, times: u64| {
        let now_ns = house.now_ns;
        for peers in 1..=times {
            let alive = Alive { boot: 9, next: 1, now_ns, peers, ..Alive::default() };
            house.nodes[0].1.receive("b", Channel::Alive, &Message::Alive(alive).write(), now_ns);
        }
        let told = house.nodes[0].1.others["b"].current().unwrap().told;
        (told.unwrap().peers, house.nodes[0].1.tally().refused)
    };
    assert_eq!(shows(&mut house, 1000), (80, 920), "four seconds at once");
    house.now_ns += SECOND;
    assert_eq!(shows(&mut house, 1000), (20, 920 + 980), "and twenty in each");
    // Who gives as many as it should is heard each time.
    for _ in 0..100 {
        house.now_ns += SECOND;
        assert_eq!(shows(&mut house, 3), (3, 920 + 980));
    }
}

#[test]
fn names_that_others_tell_of_leave_room_for_those_that_speak() {
    let mut house = House::new(&["a"]);
    shows_joined(&mut house);
    let now_ns = house.now_ns;
    let node = &mut house.nodes[0].1;
    node.tick(now_ns);
    let session = node.out.iter().find_map(|(_, message)| match Message::read(message) {
        Ok(Message::Walk { session, .. }) => Some(session),
        _ => None,
    });
    let session = session.expect("to be asked for a walk");
    // Of it comes a piece with counts of more nodes than there may be.
    let mut names = Nodes::default();
    let mut writer = CountsWriter::default();
    let counts: Vec<_> = (0..MAX_NODES).map(|at| (names.number(&format!("told-{at}")).unwrap(), 1)).collect();
    writer.add(&InfoHash([1; 20]), &counts);
    let bytes = writer.take(&names);
    let piece = Message::Piece { session, number: 0, written_ns: now_ns, content: Content::Counts(&bytes) };
    node.receive("b", Channel::Direct, &piece.write(), now_ns);
    assert_eq!(node.names.lock().all().count(), MAX_NODES / 2);
    // Those that have a number are counted, one that comes and speaks is heard.
    assert_eq!(house.counts(1), [(0, 0, MAX_NODES as u32 / 2 - 1)]);
    let alive = Alive { boot: 9, next: 1, now_ns, ..Alive::default() };
    let node = &mut house.nodes[0].1;
    node.receive("speaks", Channel::Alive, &Message::Alive(alive).write(), now_ns);
    assert!(node.others.contains_key("speaks") && node.effects.iter().all(|e| !matches!(e, Effect::Warn(_))));
}

fn shows_joined(house: &mut House) {
    let now_ns = house.now_ns;
    let alive = Alive { boot: 9, next: 1, now_ns, stage: Stage::Joined, ..Alive::default() };
    house.nodes[0].1.receive("b", Channel::Alive, &Message::Alive(alive).write(), now_ns);
}

#[test]
fn shards_with_too_many_changes_are_told_whole_a_few_at_a_time() {
    let engine = Engine::new(Policy::default(), [1, 2]);
    // Each keeps one change.
    engine.listen(Listener::Cluster, 1);
    let mut publisher = Publisher::new(1, 1 << 20);
    let (now_ns, now) = (1_000_000 * SECOND, 1_000_000);
    let stirs = |first: u32| {
        for torrent in 0..40 {
            (first..first + 3).for_each(|peer| comes(&engine, torrent, peer, now));
        }
    };
    let rounds = |publisher: &mut Publisher, from_ns: u64| {
        let told = |at: u64| {
            let published = publisher.publish(&engine, now, from_ns + at * SECOND / 10);
            // One message is of changes as they came, which is when journals overflow.
            (published.messages.len() - usize::from(published.overflowed > 0), published.overflowed)
        };
        (0..20).map(told).collect::<Vec<_>>()
    };
    stirs(0);
    let first = rounds(&mut publisher, now_ns);
    let shards = first[0].1 as usize;
    assert!(shards >= 35, "{first:?}");
    let whole: Vec<usize> = first.iter().map(|(messages, _)| *messages).collect();
    let expected: Vec<usize> = (0..20).map(|at| shards.saturating_sub(4 * at).min(4)).collect();
    assert_eq!(whole, expected, "four in each round");
    // What overflows again is not told again at once, but in the end.
    stirs(10);
    let again = rounds(&mut publisher, now_ns + 2 * SECOND);
    assert_eq!(again.iter().map(|(messages, _)| *messages).sum::<usize>(), 0, "{again:?}");
    let later = rounds(&mut publisher, now_ns + 12 * SECOND);
    assert_eq!(later.iter().map(|(messages, _)| *messages).sum::<usize>(), shards, "{later:?}");
}

#[test]
fn a_message_of_another_version_is_named_once_and_one_of_another_kind_is_passed_over() {
    let mut house = House::new(&["a"]);
    house.run(40);
    let now_ns = house.now_ns;
    let node = &mut house.nodes[0].1;
    let says = |node: &mut crate::cluster::node::Node, name: &str, bytes: &[u8]| {
        for channel in [Channel::Changes, Channel::Alive, Channel::Direct] {
            (0..20).for_each(|_| node.receive(name, channel, bytes, now_ns));
        }
    };
    says(node, "newer", &[2, 1, 9, 9]);
    says(node, "richer", &[1, 200, 9, 9]);
    assert_eq!(node.tally().unreadable, 120);
    let warnings: Vec<_> = node.effects.iter().filter(|effect| matches!(effect, Effect::Warn(_))).collect();
    let [Effect::Warn(line)] = *warnings else { panic!("{warnings:?}") };
    assert!(line.starts_with("node newer is not understood: messages of version 2"), "{line}");
    // Neither is cut off: what can be read is.
    for name in ["newer", "richer"] {
        let alive = Alive { boot: 9, next: 1, now_ns, peers: 5, ..Alive::default() };
        node.receive(name, Channel::Alive, &Message::Alive(alive).write(), now_ns);
        let told = node.others[name].current().unwrap().told.unwrap();
        assert_eq!((told.peers, node.others[name].is_cut_off(now_ns)), (5, false));
    }
}
