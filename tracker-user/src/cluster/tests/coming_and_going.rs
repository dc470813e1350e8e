//! Nodes that go, and two that have one name.

use super::house::{House, SECOND, TICK};
use crate::cluster::{
    Channel,
    wire::{Alive, Message},
};
use tracker_core::{
    model::{InfoHash, PeerId, Role},
    records::{State, WebrtcRecord},
};

#[test]
fn the_webrtc_peers_of_a_node_that_is_gone_are_forgotten_little_by_little() {
    const TORRENTS: u32 = 300;
    const EACH: u32 = 100;
    let mut house = House::new(&["a", "b"]);
    house.run(40);
    let now = (house.now_ns / SECOND) as u32;
    let number = house.nodes[0].1.others["b"].number;
    let state = State::Here { role: Role::Leecher, counted: false };
    for torrent in 0..TORRENTS {
        let mut hash = [5; 20];
        hash[..4].copy_from_slice(&torrent.wrapping_mul(0x9e37_79b9).to_be_bytes());
        let peer = |peer: u32| {
            let mut id = [0; 20];
            id[..4].copy_from_slice(&peer.to_be_bytes());
            WebrtcRecord { peer_id: PeerId(id), state, age: 0 }
        };
        let peers: Vec<_> = (0..EACH).map(peer).collect();
        house.engine(0).import_webrtc(&InfoHash(hash), &peers, number, now).unwrap();
    }
    assert_eq!(house.engine(0).peers(), (TORRENTS * EACH) as usize);
    // It is not heard of any more.
    let node = &mut house.nodes[0].1;
    while node.to_forget.is_empty() {
        house.now_ns += TICK;
        node.tick(house.now_ns);
        assert!(node.to_forget.is_empty() == node.others["b"].was_heard(house.now_ns));
    }
    let (mut left, mut steps) = (node.engine.peers(), 0);
    while node.work(house.now_ns) {
        let now_left = node.engine.peers();
        assert!(left - now_left <= 10_000, "{} in one go", left - now_left);
        (left, steps) = (now_left, steps + 1);
    }
    assert_eq!(left, 0);
    assert!(steps >= 3, "{steps} steps");
    assert!(node.forgetting.is_none() && node.to_forget.is_empty());
}

/// For so many seconds another process of this name gives signs of life; what the operator was told by the end.
fn with_a_namesake(house: &mut House, seconds: u64) -> usize {
    for _ in 0..seconds {
        let now_ns = house.now_ns;
        let alive = Alive { boot: 99, next: 1, now_ns, ..Alive::default() };
        house.nodes[0].1.receive("a", Channel::Alive, &Message::Alive(alive).write(), now_ns);
        house.run(10);
    }
    house.warnings().iter().filter(|line| line.contains("calls itself a, too")).count()
}

#[test]
fn two_of_one_name_are_told_of_unless_one_takes_over() {
    let mut house = House::new(&["a"]);
    house.run(40);
    // Upgrades, one after the other.
    for _ in 0..5 {
        assert_eq!(with_a_namesake(&mut house, 100), 0);
        house.run(110);
    }
    assert_eq!(with_a_namesake(&mut house, 180), 0);
    assert_eq!(with_a_namesake(&mut house, 1), 1);
    assert_eq!(with_a_namesake(&mut house, 600), 1, "it is told once");
    // It ended, and comes again.
    house.run(200);
    assert_eq!(with_a_namesake(&mut house, 180), 1);
    assert_eq!(with_a_namesake(&mut house, 1), 2);
}
