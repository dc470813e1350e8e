//! Any text as a WebTorrent message: whatever is answered or relayed is JSON that others can read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::sync::LazyLock;
use tracker_common::address::Address;
use tracker_core::{
    admission::Admission,
    engine::{ConnectionKey, Engine},
    policy::Policy,
    rng::Rng,
    ws::{Connection, Kind, Outbox, Outcome, Relay, Settings},
};

const NOW: u32 = 1_700_000_000;
const NOW_NS: u64 = NOW as u64 * 1_000_000_000;
const MAX_OFFERS: usize = 3;

/// The peer that offers go to.
const WAITS: &str =
    r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"wwwwwwwwwwwwwwwwwwww"}"#;

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Empty at the begin and the end of each run.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let admission = Admission { max_offers: MAX_OFFERS, ..Admission::default() };
    Engine::new(Policy { admission, ..Policy::default() }, [1, 2])
});

fuzz_target!(|text: &str| {
    let engine = &*ENGINE;
    let settings = Settings { max_scrape_hashes: 3, ..Settings::default() };
    let (mut rng, mut out) = (Rng::new([3, 4]), Outbox::default());
    let connect =
        |number| Connection::new(ConnectionKey(number), Address::from_ipv4([10, 0, 0, number as u8]), [5, 6]);
    let (mut other, mut client) = (connect(1), connect(2));
    other.receive(WAITS, engine, &settings, NOW_NS, &mut rng, &mut out);

    let received = client.receive(text, engine, &settings, NOW_NS, &mut rng, &mut out);
    let reply = out.reply.take().map(|reply| parse(&reply));
    assert_eq!(reply.is_none(), received.kind == Kind::Answer);
    if let Some(reply) = &reply {
        assert_eq!(reply.get("failure reason").is_some(), received.outcome == Outcome::Failed);
        if let Some(hash) = reply.get("info_hash") {
            let characters: Vec<char> = hash.as_str().expect("a string").chars().collect();
            assert!(characters.len() == 20 && characters.iter().all(|character| u32::from(*character) < 256));
        }
        if received.kind == Kind::Scrape {
            assert!(
                reply["files"].as_object().is_some_and(|files| files.len() <= settings.max_scrape_hashes)
            );
        }
    }
    assert!(out.relays.len() <= MAX_OFFERS);
    for (to, relay) in out.relays.drain(..) {
        assert_eq!(to, ConnectionKey(1));
        assert!(matches!(relay, Relay::Offer { .. }));
        let relay = parse(&other.deliver(relay, &settings, NOW));
        assert!(relay["offer"].is_object());
    }
    client.close(engine, NOW);
    other.close(engine, NOW);
    assert_eq!(engine.totals().torrents, 0);
});
