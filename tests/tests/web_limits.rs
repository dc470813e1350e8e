//! Limits of WebSocket connections: what is too much is cut, refused or closed, and others are served as before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::json;
use std::{io::Write, net::Ipv4Addr, time::Duration};
use tests::{
    eventually,
    rig::Family,
    riptide::Start,
    udp::id20,
    web::{
        house::{Door, House},
        http::Connection,
        stream::{tcp, wait_closed},
        websocket::{self, Socket, announce, counts, latin, offer_id, offering, opcode, with},
    },
};

fn many_offers(count: u32) -> String {
    let start = with(announce(id20("offers", 0), id20("webrtc", 0)), &json!({"numwant": count})).to_string();
    let offer = |n: u32| format!(r#"{{"offer":{{"type":"offer","sdp":"v=0"}},"offer_id":"{n:020}"}}"#);
    let offers: Vec<String> = (0..count).map(offer).collect();
    start.replacen('{', &format!("{{\"offers\":[{}],", offers.join(",")), 1)
}

#[test]
fn a_hundred_thousand_offers_are_cut_or_refused() {
    let many = Socket::frame(true, opcode::TEXT, many_offers(100_000).as_bytes());
    // Longer than a message may be: the connection ends before it is read.
    let house = House::new(Door::Plain);
    let client = house.client(Family::V4, 1);
    house.bounded(16, || {
        let mut socket = client.websocket();
        let _ = socket.try_send(&many);
        assert!(matches!(socket.wait_closed(), None | Some(1009)));
    });
    house.is_well();
    // Long messages allowed: no more are relayed than may be.
    let house =
        House::with(Door::Plain, "", "[websocket]\nmax_message_size = \"16MiB\"\nqueue_size = \"16MiB\"\n");
    let client = house.client(Family::V4, 1);
    let hash = id20("offers", 0);
    let mut others: Vec<Socket> = (1..=15)
        .map(|n| {
            let mut socket = client.websocket();
            let _ = socket.ask(&announce(hash, id20("webrtc", n)));
            socket
        })
        .collect();
    let mut asker = client.websocket();
    house.bounded(64, || {
        for _ in 0..3 {
            asker.send_bytes(&many);
            assert_eq!(counts(&asker.json(), hash), (0, 16));
        }
        let hashes = vec![json!(latin(&hash)).to_string(); 100_000].join(",");
        asker.send_text(&format!(r#"{{"action":"scrape","info_hash":[{hashes}]}}"#));
        assert_eq!(asker.json()["files"].as_object().unwrap().len(), 1);
    });
    let relayed = |m: &tests::metrics::Metrics| {
        m.sum("riptide_ws_messages_total", &[("direction", "out"), ("kind", "offer")])
    };
    house.riptide().metrics_until("ten offers thrice", |m| relayed(m) == 30.0);
    let got: usize = others
        .iter_mut()
        .map(|socket| {
            socket.fence();
            socket.take_early().len()
        })
        .sum();
    assert_eq!(got, 30);
    house.is_well();
}

#[test]
fn a_slow_reader_loses_messages_and_stalls_nobody() {
    let tables = "[websocket]\nqueue_messages = 64\nqueue_size = \"256KiB\"\nsend_timeout = \"1s\"\n";
    let house = House::with(Door::Plain, "", tables);
    let client = house.client(Family::V4, 1);
    let [slow_hash, other_hash] = [id20("slow", 0), id20("brisk", 0)];
    let mut slow = client.websocket();
    let _ = slow.ask(&announce(slow_hash, id20("webrtc", 1)));
    let mut talker = client.websocket();
    let _ = talker.ask(&announce(slow_hash, id20("webrtc", 2)));
    let mut brisk: Vec<Socket> = (0..2).map(|_| client.websocket()).collect();
    for (n, socket) in (3..).zip(&mut brisk) {
        let _ = socket.ask(&announce(other_hash, id20("webrtc", n)));
    }
    let sdp = "x".repeat(30_000);
    let mut message = offering(slow_hash, id20("webrtc", 2), 1, 1);
    message["offers"][0]["offer"]["sdp"] = json!(sdp);
    let frame = Socket::frame(true, opcode::TEXT, message.to_string().as_bytes());
    // Socket buffers of both sides hold a few megabytes; 60 megabytes do not fit anywhere.
    house.bounded(24, || {
        for n in 0..2_000_u32 {
            talker.send_bytes(&frame);
            let (seeders, leechers) = counts(&talker.json(), slow_hash);
            assert_eq!(seeders, 0);
            assert!((1..=2).contains(&leechers));
            if n % 100 == 0 {
                let (one, two) = brisk.split_at_mut(1);
                let _ = one[0].ask(&offering(other_hash, id20("webrtc", 3), 2, 1));
                assert_eq!(two[0].json()["peer_id"], latin(&id20("webrtc", 3)));
            }
        }
    });
    house
        .riptide()
        .metrics_until("the slow reader to be gone", |m| m.sum("riptide_ws_connections", &[]) == 3.0);
    house.riptide().metrics_until("messages lost for want of room, and why it is gone", |m| {
        m.sum("riptide_ws_lost_messages_total", &[("reason", "queue_full")]) > 0.0
            && m.sum("riptide_ws_closed_connections_total", &[("reason", "stalled")]) == 1.0
    });
    // It is no peer any more, and what it can still read comes to an end.
    assert_eq!(client.row(slow_hash).leechers, 1);
    let _ = slow.wait_closed();
    house.is_well();
}

#[test]
fn floods_close_their_connection() {
    let house = House::with(Door::Plain, "", "[websocket]\nmax_messages_per_second = 50\n");
    let client = house.client(Family::V4, 1);
    let hash = id20("flood", 0);
    let frame = Socket::frame(true, opcode::TEXT, announce(hash, id20("webrtc", 0)).to_string().as_bytes());
    for flood in [frame.repeat(1_000), Socket::frame(true, opcode::TEXT, b"{").repeat(1_000)] {
        let mut socket = client.websocket();
        let _ = socket.try_send(&flood);
        let _ = socket.wait_closed();
    }
    house.riptide().metrics_until("no WebSocket left", |m| m.sum("riptide_ws_connections", &[]) == 0.0);
    assert_eq!(client.row(hash).leechers, 0);
    house.is_well();
}

#[test]
fn quiet_connections_are_asked_and_dead_ones_closed() {
    let tables = "[websocket]\nping_interval = \"1s\"\nidle_timeout = \"3s\"\n";
    let house = House::with(Door::Plain, "", tables);
    let client = house.client(Family::V4, 1);
    let hash = id20("quiet", 0);
    let mut dead = client.websocket();
    let _ = dead.ask(&announce(hash, id20("webrtc", 0)));
    let mut alive = client.websocket();
    let _ = alive.ask(&announce(hash, id20("webrtc", 1)));
    // One answers five pings, which takes it past the other's time.
    for _ in 0..5 {
        match alive.receive() {
            websocket::Message::Ping(payload) => alive.pong(&payload),
            other => panic!("a ping expected, not {other:?}"),
        }
    }
    let _ = dead.wait_closed();
    assert_eq!(counts(&alive.ask(&announce(hash, id20("webrtc", 1))), hash), (0, 1));
    alive.close();
}

#[test]
fn offers_can_be_answered_for_a_while() {
    let house =
        House::with(Door::Plain, "", "[websocket]\noffer_lifetime = \"1s\"\nmax_pending_offers = 3\n");
    let client = house.client(Family::V4, 1);
    let hash = id20("lifetime", 0);
    let [asker_id, other_id] = [0, 1].map(|n| id20("webrtc", n));
    let mut other = client.websocket();
    let _ = other.ask(&announce(hash, other_id));
    let mut asker = client.websocket();
    let mut ask = |asker: &mut Socket, tag| {
        let _ = asker.ask(&offering(hash, asker_id, tag, 1));
        assert_eq!(other.json()["offer_id"], latin(&offer_id(tag, 0)));
    };
    ask(&mut asker, 1);
    // The tracker counts whole seconds: three are surely more than one.
    std::thread::sleep(Duration::from_secs(3));
    // Of five, three are remembered.
    for tag in 2..=6 {
        ask(&mut asker, tag);
    }
    for tag in 1..=6 {
        other.send(&websocket::answer(hash, other_id, asker_id, offer_id(tag, 0)));
    }
    for tag in 4..=6 {
        assert_eq!(asker.json()["offer_id"], latin(&offer_id(tag, 0)));
    }
}

#[test]
fn websockets_are_limited_in_number() {
    let house = House::with(Door::Plain, "", "[websocket]\nmax_connections = 3\n");
    let client = house.client(Family::V4, 1);
    let mut sockets: Vec<Socket> = (0..3).map(|_| client.websocket()).collect();
    let refused = client.try_websocket("").err().expect("a refusal");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(client.get("/health").status, 200);
    sockets.pop().unwrap().close();
    let _ = eventually("room for another", || client.try_websocket("").ok());
    let house = House::with(Door::Plain, "", "[websocket]\nenabled = false\n");
    let refused = house.client(Family::V4, 1).try_websocket("").err().expect("a refusal");
    assert_ne!(refused.status, 101, "{refused:?}");
}

/// Defaults follow the limit of descriptors that there is; what was asked for by name and cannot be had is a warning.
#[test]
fn connections_follow_the_limit_of_descriptors() {
    const FEW: &[&str] = &["prlimit", "--nofile=1024:1024"];
    let said = |start: Start| {
        let riptide = start.arguments("--udp 127.0.0.1:0").through(FEW).ready();
        let lines = riptide.lines();
        let mut lines: Vec<_> = lines.into_iter().filter(|line| line.contains("open descriptors")).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    };
    let followed = said(Start::new(None).http("listen = [\"127.0.0.1:0\"]"));
    assert!(
        followed.contains("INFO") && followed.contains("256 connections of HTTP and 256 WebSockets"),
        "{followed}"
    );
    let asked = said(Start::new(None).http("listen = [\"127.0.0.1:0\"]\nmax_connections = 5000"));
    assert!(asked.contains("WARN") && asked.contains("http.max_connections"), "{asked}");
}

/// Whoever may reach it can neither hold it up for others nor make it keep more than a little.
#[test]
fn the_metrics_listener_is_bounded() {
    let metrics = "max_connections = 2\nrequest_timeout = \"1s\"\n";
    let riptide = Start::new(None).arguments("--udp 127.0.0.1:0").metrics(metrics).ready();
    let connect = || tcp(Ipv4Addr::LOCALHOST.into(), riptide.metrics_address());
    // One says nothing and one does not end: both are closed, and who waited has its turn.
    let mut silent = connect();
    let mut half = connect();
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").expect("to send");
    let mut waiting = Connection::new(connect(), "");
    let request = waiting.request("GET", "/metrics", "");
    waiting.send(&request);
    wait_closed(&mut silent);
    wait_closed(&mut half);
    assert_eq!(waiting.receive().status, 200);
    // It keeps no connection.
    waiting.wait_closed();
    let mut long = Connection::new(connect(), "");
    let request = long.request("GET", "/metrics", &format!("X: {}\r\n", "a".repeat(64 << 10)));
    long.send(&request);
    assert_eq!(long.try_receive(false).expect("a refusal").status, 431);
    assert_eq!(Connection::new(connect(), "").get("/other").status, 404);
}
