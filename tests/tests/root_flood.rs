//! Floods beside real clients: forged sources, and one address far above its rate. The larger version is `cargo xtask bench`'s.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{net::SocketAddr, time::Instant};
use tests::{
    frames::{self, Link, Sender},
    rig::{Family, Path, Rig},
    udp::{Announce, id20},
};

const ROUNDS: u32 = 50;
/// Of each flood, before each real client asks.
const FRAMES: u32 = 40;
const LIMITS: &str = "[limits]\nudp_requests_per_second = 1\nudp_requests_burst = 60\n";
const BURST: f64 = 60.0;

#[test]
fn real_clients_are_answered_beside_floods() {
    for path in [Path::Native, Path::Generic, Path::Sockets] {
        let rig = Rig::with_config(path, LIMITS);
        let wire = rig.wire().expect("a wire");
        let link = Link::over(wire);
        let sender = Sender::new(&wire.clients, "c0");
        let begun = Instant::now();
        let (tracker, hash) = (rig.tracker(Family::V4), id20("flood", 0));
        let greedy = rig.client(Family::V4, 2);
        let connection = greedy.connect();
        let real = rig.client(Family::V4, 1).address().ip();
        let greedy_frame = |port: u16, transaction| {
            let from = SocketAddr::new(greedy.address().ip(), port);
            frames::udp(link, from, tracker, &Announce::leecher(hash, port).bytes(connection, transaction))
        };
        for round in 0..ROUNDS {
            for n in 0..FRAMES {
                // Forged sources are many, and that of the real clients is among them.
                let source = match n % 4 {
                    0 => real,
                    _ => [10, 77, 0, 150 + ((n * ROUNDS + round) % 100) as u8].into(),
                };
                let guessed = (u64::from(n) << 32 | u64::from(round)).to_be_bytes();
                let forged = Announce::leecher(hash, 7).bytes(guessed, n);
                sender.send(&frames::udp(link, SocketAddr::new(source, 4000), tracker, &forged));
                sender.send(&greedy_frame(5000 + n as u16, n));
            }
            let client = rig.client(Family::V4, 1);
            client.connect();
            let announced = client.announce(&Announce::leecher(hash, 1000 + round as u16));
            assert!(announced.leechers > 0);
        }
        let floods = f64::from(ROUNDS * FRAMES);
        let dropped = |m: &tests::metrics::Metrics, reason| {
            m.sum("riptide_udp_dropped_total", &[("reason", reason), ("path", rig.connect_path())])
        };
        // All others but the real clients' were the greedy one's.
        let announces = |m: &tests::metrics::Metrics| {
            m.sum("riptide_udp_responses_total", &[("action", "announce")]) - f64::from(ROUNDS)
        };
        let metrics = rig.riptide().metrics_until("all to be judged", |m| {
            dropped(m, "bad_connection_id") == floods && announces(m) + dropped(m, "rate_limited") == floods
        });
        let served = announces(&metrics);
        let most = BURST + begun.elapsed().as_secs() as f64 + 1.0;
        assert!((BURST..=most).contains(&served), "{path:?}: {served} of {most}");
    }
}
