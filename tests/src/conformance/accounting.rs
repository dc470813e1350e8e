//! What the tracker says of itself agrees with what its clients saw.

use super::{client, hash};
use crate::{
    metrics::Metrics,
    rig::{Family, Path, Rig},
    udp::{Announce, Reply, Row, connect_bytes, event, hex, scrape_bytes},
};
use std::fmt::Write;

/// A metric, the labels to add up, and what must come out.
type Expected = (&'static str, Vec<(&'static str, &'static str)>, f64);

/// Requests, responses and bytes, for each path, action and family.
pub fn every_reply_is_counted_by_path(path: Path) {
    let rig = Rig::new(path);
    let mut expected: Vec<Expected> = Vec::new();
    let mut bytes: Vec<Expected> = Vec::new();
    for family in Family::BOTH {
        let client = client(&rig, family);
        let info_hash = hash("counted", family);
        let entry = if family == Family::V4 { 6.0 } else { 18.0 };
        for _ in 0..5 {
            client.connect();
        }
        for port in 1..=3 {
            client.announce(&Announce::seeder(info_hash, port));
        }
        client.announce(&Announce::leecher(info_hash, 9));
        for _ in 0..2 {
            let _ = client.scrape(&[info_hash; 3]);
        }
        for (action, path, count) in [
            ("connect", rig.connect_path(), 5),
            ("announce", rig.request_path(), 4),
            ("scrape", rig.request_path(), 2),
        ] {
            let labels = vec![("path", path), ("action", action), ("family", family.label())];
            expected.push(("riptide_udp_requests_total", labels.clone(), f64::from(count)));
            expected.push(("riptide_udp_responses_total", labels, f64::from(count)));
        }
        let family = ("family", family.label());
        bytes.push(("riptide_udp_received_bytes_total", vec![family, ("path", rig.connect_path())], 80.0));
        bytes.push(("riptide_udp_sent_bytes_total", vec![family, ("path", rig.connect_path())], 80.0));
        bytes.push((
            "riptide_udp_received_bytes_total",
            vec![family, ("path", rig.request_path())],
            4.0 * 98.0 + 2.0 * 76.0,
        ));
        bytes.push((
            "riptide_udp_sent_bytes_total",
            vec![family, ("path", rig.request_path())],
            4.0 * 20.0 + 3.0 * entry + 2.0 * 44.0,
        ));
    }
    // On one path the two kinds of request add up.
    for (name, labels, _) in &bytes {
        let total = bytes.iter().filter(|b| b.0 == *name && b.1 == *labels).map(|b| b.2).sum();
        expected.push((name, labels.clone(), total));
    }
    let right = |metrics: &Metrics| {
        let mut wrong = String::new();
        for (name, labels, value) in &expected {
            let found = metrics.sum(name, labels);
            if found != *value {
                let _ = writeln!(wrong, "{name} {labels:?}: {value} expected, {found} found");
            }
        }
        wrong
    };
    let what = expected.iter().fold(String::new(), |all, e| format!("{all}\n{e:?}"));
    let metrics = rig.riptide().metrics_until(&what, |metrics| right(metrics).is_empty());
    for name in ["riptide_udp_requests_total", "riptide_udp_responses_total"] {
        assert_eq!(metrics.sum(name, &[]), 22.0, "{name} on other paths");
        assert!(metrics.text.contains(&format!("# TYPE {name} counter")), "{name} has a type");
        assert!(metrics.text.contains(&format!("# HELP {name} ")), "{name} has a help text");
    }
    assert_eq!(metrics.sum("riptide_udp_dropped_total", &[]), 0.0);
    assert_eq!(metrics.sum("riptide_build_info", &[]), 1.0);
}

/// Torrents, and peers by family and role.
pub fn peers_and_torrents_are_gauged(path: Path) {
    let rig = Rig::new(path);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let [one, two] = ["gauge one", "gauge two"].map(|name| hash(name, family));
        client.announce(&Announce::seeder(one, 1));
        client.announce(&Announce::leecher(one, 2));
        client.announce(&Announce::leecher(one, 3));
        client.announce(&Announce::leecher(two, 1));
        let peers = |m: &Metrics, role| m.sum("riptide_peers", &[("family", family.label()), ("role", role)]);
        let metrics = rig.riptide().metrics_until("one seeder and three leechers", |m| {
            peers(m, "seeder") == 1.0 && peers(m, "leecher") == 3.0
        });
        assert_eq!(metrics.sum("riptide_torrents", &[]), if family == Family::V4 { 2.0 } else { 4.0 });
    }
    for family in Family::BOTH {
        let client = client(&rig, family);
        client.announce(&Announce::leecher(hash("gauge two", family), 1).event(event::STOPPED));
    }
    rig.riptide().metrics_until("two torrents fewer", |m| m.sum("riptide_torrents", &[]) == 2.0);
}

/// A torrent that is not served: an error with the transaction ID, in plain ASCII, counted as one.
pub fn a_refusal_is_an_error_reply(path: Path) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("denied");
    let [v4, v6] = Family::BOTH.map(|family| hex(hash("denied", family)));
    std::fs::write(&file, format!("# not served here\n{v4}\n{v6}\n")).expect("a list");
    let rig =
        Rig::with_config(path, &format!("[access]\nmode = \"deny\"\ninfo_hashes = {:?}\n", file.display()));
    for family in Family::BOTH {
        let client = client(&rig, family);
        let denied = hash("denied", family);
        let reply = client.try_announce(&Announce::leecher(denied, 1));
        assert!(matches!(&reply, Reply::Error(text) if !text.is_empty()), "{reply:?}");
        assert_eq!(client.row(denied), Row::default());
        assert_eq!(client.announce(&Announce::leecher(hash("served", family), 1)).leechers, 1);
        let labels = [("path", rig.request_path()), ("action", "error"), ("family", family.label())];
        rig.riptide().metrics_until("one error", |m| m.sum("riptide_udp_responses_total", &labels) == 1.0);
        // What asks nothing of the swarm is served as ever.
        let _ = client.ask(&connect_bytes(client.transaction()));
        let _ = client.ask(&scrape_bytes(client.connection(), client.transaction(), &[denied]));
    }
}
