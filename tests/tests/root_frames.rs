//! Frames that no UDP socket sends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use tests::{
    frames::{self, Link, Sender},
    metrics::Metrics,
    rig::{Path, Rig},
    service::{self, address, client, connects},
    udp::{Announce, Reply, Row, connect_bytes, id20},
};

#[test]
fn impossible_sources_are_dropped_and_counted() {
    for path in [Path::Native, Path::Generic] {
        let rig = Rig::new(path);
        let wire = rig.wire().expect("a wire");
        let link = Link::over(wire);
        let sender = Sender::new(&wire.clients, "c0");
        let cases = [
            (
                "10.77.0.1:6969",
                vec![
                    "10.77.0.101:0",
                    "127.0.0.1:5000",
                    "224.0.0.1:5000",
                    "255.255.255.255:5000",
                    "0.0.0.0:5000",
                ],
            ),
            (
                "[fd77::1]:6969",
                vec![
                    "[fd77::101]:0",
                    "[::1]:5000",
                    "[ff02::1]:5000",
                    "[::]:5000",
                    "[::ffff:10.77.0.101]:5000",
                ],
            ),
        ];
        for (tracker, sources) in cases {
            let client = client(wire, tracker);
            client.connect();
            let before = rig.metrics();
            for source in &sources {
                sender.send(&frames::udp(link, address(source), address(tracker), &connect_bytes(1)));
            }
            client.connect();
            let after = rig.metrics();
            let dropped = |m: &Metrics| m.sum("riptide_udp_dropped_total", &[("path", "kernel")]);
            assert_eq!(connects(&after, "kernel") - connects(&before, "kernel"), 1.0, "{tracker}");
            assert_eq!(
                (dropped(&after) - dropped(&before)).to_string(),
                sources.len().to_string(),
                "{tracker}"
            );
        }
    }
}

#[test]
fn padding_is_not_payload() {
    let rig = Rig::new(Path::Native);
    let wire = rig.wire().expect("a wire");
    let link = Link::over(wire);
    let sender = Sender::new(&wire.clients, "c0");
    for tracker in ["10.77.0.1:6969", "[fd77::1]:6969"] {
        let client = client(wire, tracker);
        client.connect();
        let transaction = client.transaction();
        let mut frame = frames::udp(link, client.address(), address(tracker), &connect_bytes(transaction));
        frame.resize(frame.len() + 30, 0xff);
        sender.send(&frame);
        // Read by the host's own UDP stack: lengths and checksums are right.
        let reply = client.read(&client.receive(), transaction);
        assert!(matches!(reply, Reply::Connected(_)));

        // Fewer bytes of datagram than of frame: too short to be a connect.
        let mut short = frames::udp(link, client.address(), address(tracker), &connect_bytes(7)[..15]);
        short.resize(short.len() + 30, 0);
        sender.send(&short);
        let id = client.connection();
        let hash = id20("padding", 0);
        let mut cut = frames::udp(
            link,
            client.address(),
            address(tracker),
            &Announce::leecher(hash, 1).bytes(id, 7)[..97],
        );
        cut.resize(cut.len() + 30, 0);
        sender.send(&cut);
        client.fence();
        assert_eq!(client.row(hash), Row::default());
    }
    let metrics = rig.metrics();
    let dropped = metrics.sum("riptide_udp_dropped_total", &[("path", "kernel"), ("reason", "malformed")]);
    assert_eq!(dropped, 4.0);
}

/// As the network stack does: damaged requests are dropped, those of local senders, who leave the checksum to hardware, are
/// not.
#[test]
fn requests_with_a_wrong_checksum_are_dropped() {
    for path in [Path::Native, Path::Generic] {
        let rig = Rig::new(path);
        let wire = rig.wire().expect("a wire");
        let link = Link::over(wire);
        let sender = Sender::new(&wire.clients, "c0");
        for (tracker, checksum_at, answered_without) in
            [("10.77.0.1:6969", 14 + 20 + 6, true), ("[fd77::1]:6969", 14 + 40 + 6, false)]
        {
            let client = client(wire, tracker);
            let id = client.connect();
            let hash = id20("checksum", u32::from(answered_without));
            let request = |peer| {
                let payload = Announce::leecher(hash, peer).bytes(id, client.transaction());
                frames::udp(link, client.address(), address(tracker), &payload)
            };
            sender.send(&request(1));
            let mut answers = vec![client.receive()];
            let mut damaged = request(2);
            *damaged.last_mut().expect("a payload") ^= 1;
            sender.send(&damaged);
            let mut without = request(3);
            without[checksum_at..checksum_at + 2].fill(0);
            sender.send(&without);
            if answered_without {
                answers.push(client.receive());
            }
            client.fence();
            assert!(answers.iter().all(|answer| answer.len() >= 20), "{answers:02x?}");
            assert_eq!(client.row(hash).leechers, 1 + u32::from(answered_without), "{tracker}");
        }
        let metrics = rig.metrics();
        let wrong = [("path", "xsk"), ("reason", "bad_checksum")];
        assert_eq!(metrics.sum("riptide_udp_dropped_total", &wrong), 3.0);
        assert!(metrics.sum("riptide_udp_responses_total", &[("path", "xsk")]) >= 3.0);
    }
}

/// What the program does not read it leaves to the network stack, whose sockets answer.
#[test]
fn frames_with_options_are_answered_by_sockets() {
    let rig = Rig::new(Path::Native);
    let wire = rig.wire().expect("a wire");
    let link = Link::over(wire);
    let sender = Sender::new(&wire.clients, "c0");
    for (n, tracker) in (1..).zip(["10.77.0.1:6969", "[fd77::1]:6969"]) {
        let client = client(wire, tracker);
        let id = client.connect();
        let hash = id20("options", 0);
        let [first, second] = [client.transaction(), client.transaction()];
        let request = Announce::leecher(hash, 1).bytes(id, second);
        for (transaction, payload) in [(first, connect_bytes(first)), (second, request)] {
            sender.send(&frames::udp_with_options(link, client.address(), address(tracker), &payload));
            let reply = client.read(&client.receive(), transaction);
            if let Reply::Connected(id) = reply {
                // One that a socket issued, taken by the program.
                let other = service::client(wire, tracker).with_connection(id);
                assert_eq!(other.row(hash).leechers, n - 1);
            }
        }
        assert_eq!(client.row(hash).leechers, n);
    }
    rig.riptide().metrics_until("a connect and an announce of each family on sockets", |m| {
        let count = |action| m.sum("riptide_udp_responses_total", &[("path", "socket"), ("action", action)]);
        count("connect") == 2.0 && count("announce") == 2.0
    });
}
