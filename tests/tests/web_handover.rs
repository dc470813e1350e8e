//! Hand-overs of HTTP, HTTPS, Unix sockets and WebSockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use nix::sys::signal::Signal;
use serde_json::Value;
use std::sync::{
    atomic::{AtomicU64, Ordering},
    mpsc,
};
use tests::{
    PATIENCE, eventually,
    handover::{Visitors, goes_on},
    rig::Family,
    riptide::Riptide,
    udp::id20,
    web::{
        house::{Client, Door, House},
        http::{Announce, Announced},
        http2,
        stream::tcp,
        tls::handshake,
        websocket::{Message, Socket, announce, counts, opcode},
    },
};

/// It ends by itself, having served its last clients.
fn ends_well(mut left: Riptide) {
    assert_eq!(left.wait().code(), Some(0), "{}", left.log_text());
}

/// Whoever comes now is served by a process that is not about to end.
fn is_welcome(client: &Client) {
    let answer = client.connect().get("/health");
    assert_eq!((answer.status, answer.header("connection")), (200, None), "{answer:?}");
}

#[test]
fn announces_at_every_door_are_answered_in_three_hand_overs() {
    let mut house = House::every("", "");
    let visitors = Visitors::of(&house);
    visitors.go_round();
    for _ in 0..3 {
        let before = house.metrics();
        ends_well(house.hand_over());
        visitors.go_round();
        let after = house.metrics();
        goes_on(&before, &after);
        assert_eq!(after.stored(), Visitors::SIZE);
    }
    visitors.end();
    house.is_well();
}

#[test]
fn connections_end_after_their_reply() {
    for door in [Door::Plain, Door::Tls, Door::Unix] {
        let mut house = House::new(door);
        let client = house.client(Family::V4, 1);
        let mut idle = client.connect();
        assert_eq!(idle.get("/health").status, 200);
        let hash = id20("last words", 0);
        let target = Announce::leecher(hash, 1).target();
        // All but the end of a request.
        let mut busy = client.connect();
        let request = busy.request("GET", &target, "");
        let (most, rest) = request.split_at(request.len() - 2);
        busy.send(most);
        // The same on a connection that has been of use before.
        let mut kept = client.connect();
        assert_eq!(Announced::read(&kept.get(&target)).incomplete, 1);
        kept.send(most);
        // What was sent has arrived: it is read before anything that comes later.
        for _ in 0..20 {
            assert_eq!(idle.get("/health").status, 200);
        }
        let left = house.hand_over();
        is_welcome(&client);
        assert_eq!(client.row(hash).leechers, 1, "{door:?}");
        assert_eq!(idle.wait_closed(), 0);
        for connection in [&mut kept, &mut busy] {
            connection.send(rest);
            assert_eq!(Announced::read(&connection.receive()).incomplete, 1, "{door:?}");
            assert_eq!(connection.wait_closed(), 0);
        }
        ends_well(left);
        is_welcome(&client);
        house.is_well();
    }
}

/// What the old process answers last is known to the new one.
#[test]
fn the_last_announces_of_the_old_process_are_not_lost() {
    let mut house = House::new(Door::Tls);
    let client = house.client(Family::V4, 1);
    let hash = id20("last words", 1);
    let mut busy = client.connect();
    let request = busy.request("GET", &Announce::seeder(hash, 7).target(), "");
    let (most, rest) = request.split_at(request.len() - 2);
    busy.send(most);
    for _ in 0..20 {
        assert_eq!(client.get("/health").status, 200);
    }
    let left = house.hand_over();
    let client = house.client(Family::V4, 2);
    assert_eq!(client.row(hash).seeders, 0);
    busy.send(rest);
    assert_eq!(Announced::read(&busy.receive()).complete, 1);
    eventually("the new process to know it", || (client.row(hash).seeders == 1).then_some(()));
    ends_well(left);
    assert_eq!(client.row(hash).seeders, 1);
}

#[test]
fn the_new_process_shows_the_certificate_that_is_there_now() {
    let mut house = House::new(Door::Tls);
    let (address, tracker) = (house.client_address(Family::V4, 1), house.address(Family::V4));
    let alpn: [&[&str]; 2] = [&["http/1.1"], &["h2"]];
    let [http1, http2] = alpn.map(|alpn| house.certificate().unwrap().client(rustls::ALL_VERSIONS, alpn));
    let is_trusted = |config| handshake(config, tcp(address, tracker)).is_ok();
    assert!(is_trusted(http1.clone()));
    let mut multiplexed = http2::Connection::new(handshake(http2, tcp(address, tracker)).unwrap());
    assert!(multiplexed.get(&["/health".to_owned()]).iter().all(|answer| answer.ok));
    let left = house.hand_over();
    multiplexed.wait_closed();
    ends_well(left);
    // A session of the old process is no hindrance.
    assert!(is_trusted(http1));
    is_welcome(&house.client(Family::V4, 1));
    house.renew_certificate();
    ends_well(house.hand_over());
    is_welcome(&house.client(Family::V4, 1));
    house.is_well();
}

#[test]
fn the_name_of_a_unix_socket_goes_to_the_new_process() {
    let mut house = House::new(Door::Unix);
    let path = house.riptide().unix()[0].clone();
    for _ in 0..2 {
        ends_well(house.hand_over());
        is_welcome(&house.client(Family::V4, 1));
    }
    house.riptide().signal(Signal::SIGTERM);
    assert_eq!(house.riptide_mut().wait().code(), Some(0));
    assert!(!path.exists(), "its name goes with the last");
}

/// A WebSocket that announces all the while, until it is closed. Tells the code of the closing handshake, if there was one.
fn announces_on(mut socket: Socket, message: &Value, replies: &AtomicU64) -> Option<u16> {
    let text = Socket::frame(true, opcode::TEXT, message.to_string().as_bytes());
    let mut code = None;
    loop {
        // It may be closed already, and then that is what comes next.
        let _ = socket.try_send(&text);
        match socket.receive() {
            Message::Text(_) => replies.fetch_add(1, Ordering::Relaxed),
            Message::Close(with) => {
                code = with;
                0
            }
            Message::Gone => return code,
            other => panic!("a message expected, not {other:?}"),
        };
    }
}

#[test]
fn websockets_are_closed_little_by_little_and_come_back() {
    for door in [Door::Plain, Door::Tls, Door::Unix] {
        let mut house = House::new(door);
        let client = house.client(Family::V4, 1);
        let hash = id20("moves", 0);
        let messages = [0, 1].map(|n| announce(hash, id20("webrtc", n)));
        let replies = [(); 2].map(|()| AtomicU64::new(0));
        let (closed, closes) = mpsc::channel();
        std::thread::scope(|scope| {
            for n in [0, 1] {
                let (socket, closed, message, replies) =
                    (client.websocket(), closed.clone(), &messages[n], &replies[n]);
                scope.spawn(move || {
                    let code = announces_on(socket, message, replies);
                    closed.send((n, code)).expect("the test");
                });
            }
            house.riptide().metrics_until("both", |m| m.count("riptide_peers", &[("family", "webrtc")]) == 2);
            let left = house.hand_over();
            // A new one is served at once, and knows nobody yet: a WebSocket's peer is there as long as it is.
            let mut new = client.websocket();
            assert_eq!(counts(&new.ask(&announce(hash, id20("webrtc", 9))), hash), (0, 1), "{door:?}");
            let (first, code) = closes.recv_timeout(PATIENCE).expect("one to be closed");
            assert_eq!(code, Some(1001), "{door:?}");
            let mut again = client.websocket();
            assert_eq!(counts(&again.ask(&messages[first]), hash), (0, 2), "{door:?}");
            // The other one's turn comes later, and it is served until then.
            let other = &replies[1 - first];
            let had = other.load(Ordering::Relaxed);
            eventually("more replies", || (other.load(Ordering::Relaxed) > had + 1).then_some(()));
            // A signal ends at once what would take most of a minute.
            left.signal(Signal::SIGTERM);
            ends_well(left);
            assert_eq!(closes.recv_timeout(PATIENCE).expect("the other one to be closed"), (1 - first, None));
            house.is_well();
        });
    }
}
