//! Any messages of several WebTorrent clients through the relay and its naive twin.

#![no_main]

#[path = "../../tracker-core/tests/relay/mod.rs"]
mod naive;

use libfuzzer_sys::fuzz_target;
use naive::{Op, Twins};

fn op(bytes: &[u8; 8]) -> Op {
    let [kind, client, torrent, peer, event, left, offers, wanted] = *bytes;
    match kind {
        0..=99 => Op::Announce { client, torrent, peer, event, left, offers, wanted },
        100..=159 => Op::Deliver { client, count: torrent },
        160..=199 => Op::AnswerDelivered { client, back: torrent, peer },
        200..=219 => Op::Answer { client, torrent, peer, to: event, offer: left },
        220..=227 => Op::Scrape { torrents: torrent },
        228..=239 => Op::Advance { seconds: torrent },
        _ => Op::Reconnect { client },
    }
}

fuzz_target!(|data: &[u8]| {
    let (steps, _) = data.as_chunks::<8>();
    // At one node, or at two.
    let mut twins = Twins::new([1, data.len() as u64]);
    for step in steps {
        twins.run(op(step));
    }
    twins.end();
});
