//! How often a client network may ask. Rates are one a second, so that what time brings meanwhile is little, and known.

use super::{client, hash};
use crate::{
    metrics::Metrics,
    rig::{Family, Path, Rig},
    udp::{Announce, Client, connect_bytes, scrape_bytes},
};
use std::time::Instant;

const LIMITS: &str = "[limits]\nudp_requests_per_second = 1\nudp_requests_burst = 5\n";
const BURST: u64 = 5;
const REQUESTS: u64 = 40;

/// Requests dropped so far for being too many, where they are judged.
fn over(rig: &Rig, metrics: &Metrics) -> f64 {
    let labels = [("reason", "rate_limited"), ("path", rig.connect_path())];
    metrics.sum("riptide_udp_dropped_total", &labels)
}

/// Sends requests and waits until each is answered or counted as too many. Returns how many were answered.
fn answered(rig: &Rig, client: &Client, requests: impl Iterator<Item = Vec<u8>>) -> u64 {
    let before = over(rig, &rig.settled());
    let sent = requests.inspect(|request| client.send(request)).count();
    let mut answered = 0_u32;
    rig.riptide().metrics_until("each to be answered or dropped", |metrics| {
        for reply in client.take_arrived() {
            let transaction = u32::from_be_bytes(reply[4..8].try_into().expect("four bytes"));
            let _ = client.read(&reply, transaction);
            answered += 1;
        }
        (f64::from(answered) + over(rig, metrics) - before).to_string() == sent.to_string()
    });
    answered.into()
}

fn announces<'a>(client: &'a Client, case: &str, family: Family) -> impl Iterator<Item = Vec<u8>> + use<'a> {
    let (connection, info_hash) = (client.connection(), hash(case, family));
    (0..REQUESTS).map(move |_| Announce::leecher(info_hash, 1).bytes(connection, client.transaction()))
}

/// A burst is answered, then one a second. Whoever shares the network shares that, nobody else notices.
pub fn a_client_over_its_rate_is_dropped_and_counted(path: Path) {
    let rig = Rig::with_config(path, LIMITS);
    for family in Family::BOTH {
        let begun = Instant::now();
        let client = client(&rig, family);
        let expected = |served: u64, what: &str| {
            let most = BURST + begun.elapsed().as_secs() + 1;
            assert!((BURST..=most).contains(&served), "{what}: {served} of {most}");
        };
        let mut served = answered(&rig, &client, announces(&client, "rate", family));
        expected(served, "announces");
        // Another port is the same network, and so is another address of a /64.
        let mut others = vec![super::client(&rig, family)];
        if family == Family::V6 && rig.client_addresses(family) > 1 {
            others.push(rig.client(family, 2));
        }
        for other in others {
            served += answered(&rig, &other, announces(&other, "rate", family));
            expected(served, "those of the network");
        }
        let (connection, hashes) = (client.connection(), [hash("rate", family)]);
        let scrapes = (0..REQUESTS).map(|_| scrape_bytes(connection, client.transaction(), &hashes));
        served += answered(&rig, &client, scrapes);
        expected(served, "and scrapes");
        // Connects are not limited here.
        for _ in 0..REQUESTS {
            client.connect();
        }
        if family == Family::V4 {
            let other = rig.client(family, 2);
            for port in 1..=BURST {
                other.announce(&Announce::leecher(hash("rate", family), u16::try_from(port).expect("few")));
            }
        }
    }
}

/// A source that is forged has no valid ID, so nobody's share is spent by it.
pub fn forged_requests_spend_no_share(path: Path) {
    let rig = Rig::with_config(path, LIMITS);
    for family in Family::BOTH {
        let client = client(&rig, family);
        let forged: Vec<_> = (0..REQUESTS)
            .map(|n| Announce::leecher(hash("forged", family), 1).bytes(n.to_be_bytes(), 7))
            .collect();
        client.connect();
        let reason = [("reason", "bad_connection_id"), ("path", rig.connect_path())];
        super::assert_drops(&rig, &client, forged.len(), &reason, || {
            forged.iter().for_each(|request| client.send(request));
        });
        // The fence was a scrape.
        for port in 2..=BURST {
            let port = u16::try_from(port).expect("few");
            assert_eq!(
                client.announce(&Announce::leecher(hash("forged", family), port)).leechers,
                u32::from(port) - 1
            );
        }
    }
}

/// Connects have a rate of their own.
pub fn connects_over_their_rate_are_dropped_and_counted(path: Path) {
    let rig = Rig::with_config(path, "[limits]\nudp_connects_per_second = 1\nudp_connects_burst = 5\n");
    for family in Family::BOTH {
        let begun = Instant::now();
        let client = client(&rig, family);
        client.connect();
        let connects = (0..REQUESTS).map(|_| connect_bytes(client.transaction()));
        let served = 1 + answered(&rig, &client, connects);
        let most = BURST + begun.elapsed().as_secs() + 1;
        assert!((BURST..=most).contains(&served), "{served} of {most}");
        let requests = announces(&client, "connects", family);
        assert_eq!(answered(&rig, &client, requests), REQUESTS, "who has an ID is served");
    }
}

/// In force once `riptide control reload` has answered, both ways.
pub fn a_reload_switches_rates_on_and_off(path: Path) {
    let rig = Rig::with_config(path, "[swarm]\ninterval = \"20m\"\n");
    let file = rig.riptide().directory().path().join("riptide.toml");
    let without = std::fs::read_to_string(&file).expect("its configuration");
    for family in Family::BOTH {
        let client = client(&rig, family);
        let ask = || answered(&rig, &client, announces(&client, "reload", family));
        // What was spent at the first time counts at the second.
        for least in [BURST, 0] {
            assert_eq!(ask(), REQUESTS);
            std::fs::write(&file, format!("{without}\n{LIMITS}")).expect("a configuration");
            let output = rig.riptide().control("reload");
            assert!(output.status.success(), "{output:?}");
            let begun = Instant::now();
            let served = ask();
            assert!((least..=BURST + begun.elapsed().as_secs() + 1).contains(&served), "{served}");
            std::fs::write(&file, &without).expect("a configuration");
            assert!(rig.riptide().control("reload").status.success());
        }
        assert_eq!(ask(), REQUESTS);
    }
}
