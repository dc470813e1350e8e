//! Intervals and lists that follow load: what clients of every protocol are told, and what metrics and the log say of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::json;
use tests::{
    eventually,
    rig::Family,
    riptide::Start,
    udp::{Announce, Id20, event, id20},
    web::{
        house::{Door, House},
        http, websocket,
    },
};

fn interval_of(house: &House) -> f64 {
    house.metrics().sum("riptide_announce_interval_seconds", &[])
}

/// What somebody who leaves is told, who so changes nothing: by UDP, by HTTP with the least, and by WebSocket.
fn told(house: &House, hash: Id20) -> [u32; 4] {
    let client = house.client(Family::V4, 9);
    let udp = house.udp(Family::V4, 9).announce(&Announce::seeder(hash, 9).event(event::STOPPED)).interval;
    let http = client.announce(&http::Announce::seeder(hash, 9).event("stopped"));
    let mut socket = client.websocket();
    let message = json!({ "left": 0, "event": "stopped" });
    let reply = socket.ask(&websocket::with(websocket::announce(hash, id20("webrtc", 0)), &message));
    socket.close();
    let [http, least, webtorrent] =
        [http.interval, http.min_interval, reply["interval"].as_i64().expect("an interval")]
            .map(|seconds| u32::try_from(seconds).expect("seconds"));
    [udp, http, least, webtorrent]
}

#[test]
fn intervals_grow_as_room_fills_alike_at_every_door() {
    let tables = "[limits]\npeers = 100\n\
                  [swarm]\ninterval = \"10m\"\nmax_interval = \"20m\"\ninterval_jitter = 0\n";
    let house = House::with(Door::Plain, "", tables);
    let (hash, client) = (id20("filling", 0), house.udp(Family::V4, 1));
    // Up to six tenths nothing happens; from there to all it grows from the shortest to the longest.
    for (peers, expected) in [
        (0..60, [600, 600, 300, 120]),
        (60..80, [900, 900, 450, 180]),
        (80..90, [1050, 1050, 525, 210]),
        (90..100, [1200, 1200, 600, 240]),
    ] {
        for port in peers {
            client.announce(&Announce::seeder(hash, 1000 + port).num_want(0));
        }
        house.riptide().metrics_until(&format!("an interval of {} s", expected[0]), |metrics| {
            metrics.sum("riptide_announce_interval_seconds", &[]) == f64::from(expected[0])
        });
        assert_eq!(told(&house, hash), expected);
    }
    let line = house.riptide().wait_for_line("the beginning", |line| line.contains("pressure has begun"));
    assert!(line.contains("INFO") && line.contains("of limits.peers are stored"), "{line}");
    let stats = house.client(Family::V4, 9).get("/stats.json");
    let stats: serde_json::Value = serde_json::from_slice(&stats.body).expect("JSON");
    assert_eq!(
        (&stats["announce_interval_seconds"], &stats["reply_peers_limit"]),
        (&json!(1200), &json!(200))
    );
    // One line is enough.
    let log = house.riptide().log_text();
    assert_eq!(log.matches("pressure has begun").count(), 1, "{log}");
}

#[test]
fn intervals_get_short_again_when_room_does() {
    let tables =
        "[limits]\npeers = 10\n[swarm]\ninterval = \"1s\"\nmax_interval = \"3s\"\ninterval_jitter = 0\n";
    let house = House::with(Door::Plain, "", tables);
    let (hash, client) = (id20("emptying", 0), house.udp(Family::V4, 1));
    let all = |event| {
        for port in 1..=10 {
            client.announce(&Announce::seeder(hash, port).event(event));
        }
    };
    all(event::STARTED);
    eventually("the longest interval", || (interval_of(&house) == 3.0).then_some(()));
    all(event::STOPPED);
    eventually("the shortest interval", || (interval_of(&house) == 1.0).then_some(()));
}

#[test]
fn announces_by_every_protocol_are_load() {
    let tables = "[swarm]\nfull_load_announces = 60\ninterval_jitter = 0\n";
    let house = House::with(Door::Plain, "", tables);
    let (hash, udp, http) = (id20("many", 0), house.udp(Family::V4, 1), house.client(Family::V4, 2));
    let mut socket = http.websocket();
    eventually("longer intervals", || {
        for _ in 0..3 {
            udp.announce(&Announce::seeder(hash, 1));
            http.announce(&http::Announce::seeder(hash, 2));
            let _ = socket.ask(&websocket::announce(hash, id20("webrtc", 0)));
        }
        // Less is not worth a line.
        (interval_of(&house) > 1900.0).then_some(())
    });
    let line = house.riptide().wait_for_line("the beginning", |line| line.contains("pressure has begun"));
    assert!(line.contains("of swarm.full_load_announces come"), "{line}");
}

#[test]
fn the_ceiling_shortens_lists_by_udp_and_then_lengthens_intervals() {
    let tables = "[limits]\nudp_bytes_per_second = \"20KiB\"\n[swarm]\nmax_num_want = 100\n";
    let house = House::with(Door::Plain, "", tables);
    let (hash, client) = (id20("ceiling", 0), house.udp(Family::V4, 1));
    for port in 1..=120 {
        client.announce(&Announce::seeder(hash, port).num_want(0));
    }
    let mut lengths = Vec::new();
    eventually("the shortest lists", || {
        for _ in 0..200 {
            lengths.push(client.announce(&Announce::leecher(hash, 1000)).peers.len());
        }
        (lengths.last() == Some(&10)).then_some(())
    });
    assert_eq!((lengths.iter().max(), lengths.iter().min()), (Some(&50), Some(&10)));
    let http = house.client(Family::V4, 2);
    let reply = http.announce(&http::Announce::leecher(hash, 1001).with("numwant", 100));
    assert_eq!(reply.all().len(), 100, "HTTP has no ceiling");
    let metrics = eventually("longer intervals", || {
        for _ in 0..200 {
            assert!(client.announce(&Announce::leecher(hash, 1000)).peers.len() >= 10);
        }
        Some(house.metrics()).filter(|metrics| metrics.sum("riptide_announce_interval_seconds", &[]) > 1800.0)
    });
    assert_eq!(metrics.sum("riptide_reply_peers_limit", &[]), 10.0);
    house.riptide().wait_for_line("why", |line| line.contains("of limits.udp_bytes_per_second are sent"));
}

#[test]
fn without_a_ceiling_and_without_load_all_is_as_configured() {
    let riptide =
        Start::new(None).arguments("--udp 127.0.0.1:0").config("[swarm]\nmax_num_want = 77\n").ready();
    let metrics = riptide.metrics();
    assert_eq!(metrics.sum("riptide_announce_interval_seconds", &[]), 1800.0);
    assert_eq!(metrics.sum("riptide_reply_peers_limit", &[]), 77.0);
    for text in ["# TYPE riptide_announce_interval_seconds gauge", "# HELP riptide_reply_peers_limit "] {
        assert!(metrics.text.contains(text), "{}", metrics.text);
    }
}
