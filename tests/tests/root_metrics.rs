//! The tracker's counters against what many clients at once counted, exactly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use tests::{
    rig::{Family, Path, Rig},
    udp::{Announce, Client, id20},
};

/// One client's share, a mix that depends on its number.
fn work(client: &Client, number: u32) {
    for round in 0..40 {
        if round % (2 + number % 3) == 0 {
            client.connect();
        }
        let info_hash = id20("mix", round % 5);
        let port = u16::try_from(1000 + number).expect("a port");
        let announce = Announce::leecher(info_hash, port);
        client.announce(&Announce { left: u64::from(round % 3), ..announce });
        if round % 4 == 0 {
            let _ = client.scrape(&[info_hash, id20("nobody's", round)]);
        }
    }
}

fn counters_match(path: Path) {
    let rig = Rig::new(path);
    // (path, action, family) to replies.
    let mut expected: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    let received = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..10_u8)
            .map(|n| {
                let family = Family::BOTH[usize::from(n % 2)];
                let client = rig.client(family, 1 + n / 2);
                scope.spawn(move || {
                    work(&client, u32::from(n));
                    (family, client.received())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a client")).collect::<Vec<_>>()
    });
    for (family, replies) in received {
        for (action, count) in replies {
            let path = if action == "connect" { rig.connect_path() } else { rig.request_path() };
            *expected.entry((path, action, family.label())).or_default() += count;
        }
    }
    assert_eq!(expected.len(), 6, "three actions, two families: {expected:?}");
    let metrics = rig.settled();
    for sample in metrics.samples.iter().filter(|s| s.name == "riptide_udp_responses_total") {
        let label = |name: &str| sample.labels.get(name).map_or("", String::as_str);
        let counted = expected.remove(&(label("path"), label("action"), label("family"))).unwrap_or(0);
        assert_eq!(sample.value.to_string(), counted.to_string(), "{sample:?}");
    }
    assert_eq!(expected, BTreeMap::new(), "replies that no metric tells of");
}

#[test]
fn native_counters_match_what_clients_counted() {
    counters_match(Path::Native);
}

#[test]
fn generic_counters_match_what_clients_counted() {
    counters_match(Path::Generic);
}

#[test]
fn socket_counters_match_what_clients_counted() {
    counters_match(Path::Sockets);
}
