//! Walks that get stuck: how long either side has patience.

use super::house::{House, SECOND};
use crate::cluster::{
    Channel,
    node::{Node, To},
    wire::{Alive, Content, Extent, Message, SeenList, Stage},
};
use tracker_core::{
    engine::CountedBy,
    model::{InfoHash, Role},
    records::{PeerRecord, State, TorrentRecord},
};

/// Messages to a node since the last time.
fn told(node: &mut Node, name: &str) -> Vec<Vec<u8>> {
    let out = std::mem::take(&mut node.out).into_iter();
    out.filter(|(to, _)| *to == To::Node(name.into())).map(|(_, message)| message.to_vec()).collect()
}

/// The session of the last walk that a node was asked for, if it was, and what is wanted of it.
fn asked(messages: &[Vec<u8>]) -> Option<(u64, Extent)> {
    messages.iter().rev().find_map(|message| match Message::read(message) {
        Ok(Message::Walk { session, extent, .. }) => Some((session, extent)),
        _ => None,
    })
}

/// Lets a node hear the sign of life of one that has what others have.
fn shows(house: &mut House, name: &str) {
    shows_at(house, name, Stage::Joined);
}

/// The same of one that is so far.
fn shows_at(house: &mut House, name: &str, stage: Stage) {
    let now_ns = house.now_ns;
    let alive = Alive { boot: 9, next: 1, now_ns, stage, ..Alive::default() };
    house.nodes[0].1.receive(name, Channel::Alive, &Message::Alive(alive).write(), now_ns);
}

/// How many of these are pieces of a walk.
fn pieces(messages: &[Vec<u8>]) -> usize {
    messages.iter().filter(|message| matches!(Message::read(message), Ok(Message::Piece { .. }))).count()
}

/// Lets a second pass; what the node tells the others by name.
fn second(house: &mut House, name: &str) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for _ in 0..10 {
        house.now_ns += SECOND / 10;
        let now_ns = house.now_ns;
        let node = &mut house.nodes[0].1;
        node.tick(now_ns);
        while node.work(now_ns) {}
        all.extend(told(node, name));
    }
    all
}

fn says(house: &mut House, name: &str, message: &Message<'_>) {
    let now_ns = house.now_ns;
    house.nodes[0].1.receive(name, Channel::Direct, &message.write(), now_ns);
}

/// A node that knows more than goes into a window of pieces.
fn full() -> House {
    let mut house = House::new(&["a"]);
    house.run(40);
    let now = (house.now_ns / SECOND) as u32;
    let address = std::net::IpAddr::from([10, 0, 0, 1]).into();
    let state = State::Here { role: Role::Leecher, counted: false };
    let peer = PeerRecord { address, port: 6881, state, age: 0 };
    for number in 0..40_000_u32 {
        let mut hash = [7; 20];
        hash[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
        let torrent = TorrentRecord { info_hash: InfoHash(hash), downloaded: 0, age: 0 };
        house.engine(0).import(&torrent, &[peer], now, CountedBy::Own).unwrap();
    }
    house
}

#[test]
fn a_walk_whose_asker_is_silent_is_given_up() {
    let mut house = full();
    shows_at(&mut house, "b", Stage::Joining);
    says(&mut house, "b", &Message::Walk { session: 5, extent: Extent::Everything, digests: None });
    let mut sent = 0;
    for at in 1..=10 {
        sent += pieces(&second(&mut house, "b"));
        assert_eq!((house.nodes[0].1.giving.len(), sent), (1, 16), "after {at} s, with its window sent");
    }
    second(&mut house, "b");
    let node = &house.nodes[0].1;
    assert_eq!((node.giving.len(), node.tally().walks_failed, node.tally().walks_out), (0, 1, 0));
    // What comes for it now is nobody's.
    says(&mut house, "b", &Message::More { session: 5, pieces: 100 });
    assert_eq!(pieces(&second(&mut house, "b")), 0);
}

#[test]
fn a_walk_whose_asker_takes_nothing_ends_in_the_end() {
    let mut house = full();
    shows_at(&mut house, "b", Stage::Joining);
    says(&mut house, "b", &Message::Walk { session: 5, extent: Extent::Everything, digests: None });
    for _ in 0..120 {
        assert_eq!(house.nodes[0].1.giving.len(), 1);
        for _ in 0..5 {
            second(&mut house, "b");
        }
        // It says that it is there, and takes no more than before.
        says(&mut house, "b", &Message::More { session: 5, pieces: 0 });
    }
    second(&mut house, "b");
    assert_eq!((house.nodes[0].1.giving.len(), house.nodes[0].1.tally().walks_failed), (0, 1));
}

#[test]
fn who_was_asked_for_a_walk_and_is_silent_is_given_up() {
    let mut house = House::new(&["a"]);
    shows(&mut house, "b");
    let mut messages = second(&mut house, "b");
    let (session, _) = asked(&messages).expect("to be asked");
    for _ in 0..4 {
        messages = second(&mut house, "b");
        assert!(house.nodes[0].1.taking.is_some() && asked(&messages).is_none());
    }
    second(&mut house, "b");
    second(&mut house, "b");
    assert_eq!(house.nodes[0].1.tally().walks_failed, 1);
    // What comes of it later is passed over: it cannot tell that the walk is at its end.
    let seen = SeenList::write([].into_iter());
    says(&mut house, "b", &Message::End { session, number: 0, seen: SeenList::of(&seen) });
    assert_eq!(house.nodes[0].1.tally().walks_in, 0);
}

/// Has a walk come in pieces of nothing, one in four seconds, and says after how many seconds it is given up.
fn trickles(house: &mut House, name: &str, session: u64) -> u32 {
    let failed = house.nodes[0].1.tally().walks_failed;
    for at in 0..1000 {
        if at % 4 == 0 {
            let content = Content::Records(&[]);
            let written_ns = house.now_ns;
            says(house, name, &Message::Piece { session, number: at / 4, written_ns, content });
            shows(house, name);
        }
        second(house, name);
        if house.nodes[0].1.tally().walks_failed > failed {
            return at;
        }
    }
    panic!("it is never given up");
}

#[test]
fn a_walk_that_trickles_in_ends_in_the_end() {
    let mut house = House::new(&["a"]);
    shows(&mut house, "b");
    let (session, extent) = asked(&second(&mut house, "b")).expect("to be asked");
    assert_eq!(extent, Extent::Everything);
    let after = trickles(&mut house, "b", session);
    assert!((595..=605).contains(&after), "{after} s");
}

/// A node that has joined alone, beside one that shows itself then: the session in which its WebRTC peers are asked for.
fn asked_for_webrtc() -> (House, u64) {
    let mut house = House::new(&["a"]);
    house.run(40);
    assert!(house.nodes[0].1.is_joined());
    // It comes from elsewhere, and may know more.
    let mut session = None;
    for _ in 0..20 {
        shows(&mut house, "b");
        match asked(&second(&mut house, "b")) {
            Some((found, Extent::Webrtc)) => {
                session = Some(found);
                break;
            }
            Some((other, Extent::Everything)) => says(&mut house, "b", &Message::NoWalk { session: other }),
            None => {}
        }
    }
    (house, session.expect("to be asked for WebRTC peers"))
}

#[test]
fn a_walk_of_webrtc_peers_that_trickles_in_ends_soon() {
    let (mut house, session) = asked_for_webrtc();
    let after = trickles(&mut house, "b", session);
    assert!((25..=35).contains(&after), "{after} s");
}

#[test]
fn who_gave_no_webrtc_peers_is_asked_again_later() {
    let (mut house, session) = asked_for_webrtc();
    says(&mut house, "b", &Message::NoWalk { session });
    let mut times = Vec::new();
    for at in 1..=70_u32 {
        shows(&mut house, "b");
        match asked(&second(&mut house, "b")) {
            Some((session, Extent::Webrtc)) => {
                times.push(at);
                says(&mut house, "b", &Message::NoWalk { session });
            }
            Some((session, Extent::Everything)) => {
                says(&mut house, "b", &Message::NoWalk { session });
            }
            None => {}
        }
    }
    assert!(matches!(*times, [30..=32, 60..=64]), "{times:?}");
    // Once it gives them it is asked no more.
    let mut given = None;
    for _ in 0..40 {
        shows(&mut house, "b");
        if let Some((session, extent)) = asked(&second(&mut house, "b")) {
            let seen = SeenList::write([].into_iter());
            says(&mut house, "b", &Message::End { session, number: 0, seen: SeenList::of(&seen) });
            given.get_or_insert(extent);
        }
    }
    assert!(given.is_some() && house.nodes[0].1.others["b"].has_webrtc);
    for _ in 0..100 {
        shows(&mut house, "b");
        assert_eq!(asked(&second(&mut house, "b")), None);
    }
}
