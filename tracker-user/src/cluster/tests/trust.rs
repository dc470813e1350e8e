//! What a node believes of others, and what it does not.

use super::house::{House, SECOND, settings};
use crate::cluster::{
    Channel,
    node::{Effect, Identity},
    wire::{Alive, Message, Seen, SeenList, Stage},
};
use std::net::IpAddr;
use tracker_common::{connection_id::fingerprint, siphash::Key};
use tracker_core::{
    engine::{Announce, Lists, Want},
    model::{Event, InfoHash},
    rng::Rng,
};

fn identity(byte: u8, since: u64) -> Identity {
    let key = [byte; 16];
    Identity { key, fingerprint: fingerprint(Key::from_bytes(key)), key_since: since, decisions: 0 }
}

fn keys(house: &House) -> Vec<(usize, Effect)> {
    house.effects.iter().filter(|(_, effect)| matches!(effect, Effect::Key { .. })).cloned().collect()
}

#[test]
fn the_older_key_becomes_everybodys() {
    let mut house = House::new(&["a", "b"]);
    let now_ns = house.now_ns;
    house.nodes[0].1.identify(identity(9, 5), now_ns);
    house.nodes[1].1.identify(identity(3, 6), now_ns);
    house.run(50);
    let taken = Effect::Key { from: "a".into(), key: [9; 16], since: 5 };
    assert_eq!(keys(&house), [(1, taken)], "once, and by the other one alone");
}

#[test]
fn a_key_that_is_not_what_was_told_is_not_taken() {
    let mut house = House::new(&["a", "b"]);
    house.run(30);
    let now_ns = house.now_ns;
    let node = &mut house.nodes[0].1;
    node.identify(identity(9, 5), now_ns);
    let told = fingerprint(Key::from_bytes([1; 16]));
    let alive =
        Alive { boot: 1, next: 1, now_ns, key: told, key_since: 0, stage: Stage::Joined, ..Alive::default() };
    node.receive("evil", Channel::Alive, &Message::Alive(alive).write(), now_ns);
    for (key, since) in [([2; 16], 0), ([1; 16], 1), ([2; 16], u64::MAX)] {
        node.receive("evil", Channel::Direct, &Message::Key { key, now_ns, since }.write(), now_ns);
        node.receive("b", Channel::Direct, &Message::Key { key: [1; 16], now_ns, since: 0 }.write(), now_ns);
    }
    assert!(!node.effects.iter().any(|effect| matches!(effect, Effect::Key { .. })), "{:?}", node.effects);
    let right = Message::Key { key: [1; 16], now_ns, since: 0 }.write();
    node.receive("evil", Channel::Direct, &right, now_ns);
    assert!(node.effects.contains(&Effect::Key { from: "evil".into(), key: [1; 16], since: 0 }));
    // The next one has to wait, whatever is claimed.
    node.effects.clear();
    let alive = Alive { key: 7, ..alive };
    node.receive("evil", Channel::Alive, &Message::Alive(alive).write(), now_ns + SECOND);
    assert!(node.asked_key.is_none());
}

#[test]
fn what_others_tell_of_a_node_does_not_make_it_unheard() {
    let mut house = House::new(&["a", "b"]);
    house.run(30);
    // While `b` is silent somebody says that it has sent more than there ever was.
    house.cut = vec![1];
    house.run(150);
    let boot = house.nodes[1].1.settings.boot;
    let seen = SeenList::write([Seen { name: "b", boot, next: u64::MAX }].into_iter());
    let silent = Message::Silent(SeenList::of(&seen)).write();
    let now_ns = house.now_ns;
    house.nodes[0].1.receive("evil", Channel::Alive, &silent, now_ns);
    house.run(700);
    house.cut.clear();
    house.run(30);
    house.announce(1, 1, 1, Event::Started, 5);
    house.run(3);
    assert_eq!(house.counts(1), [(0, 1, 0); 2]);
}

#[test]
fn a_large_swarm_is_walked_in_pieces_that_are_messages() {
    let mut house = House::new(&["a"]);
    house.run(30);
    let now = (house.clock_ns(0) / SECOND) as u32;
    for peer in 0..60_000_u32 {
        let address: IpAddr = (0x0a00_0000 + peer).to_be_bytes().into();
        let announce = Announce {
            info_hash: InfoHash([1; 20]),
            address: address.into(),
            port: 6881,
            event: Event::Started,
            left: u64::from(peer % 2),
            want: Want::Own(0),
        };
        house.engine(0).announce(&announce, now, &mut Rng::new([1, 2]), &mut Lists::default()).unwrap();
    }
    house.run(2);
    let late = house.add(settings("b", 77));
    house.run(30);
    assert_eq!((house.counts(1), house.nodes[late].1.tally().walks_in), (vec![(30_000, 30_000, 0); 2], 1));
}
