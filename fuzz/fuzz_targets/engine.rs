//! Any operations through the engine and its naive twin.

#![no_main]

#[path = "../../tracker-core/tests/naive/mod.rs"]
mod naive;

use libfuzzer_sys::fuzz_target;
use naive::{Op, Twins};

fn op(bytes: &[u8; 8]) -> Op {
    let [kind, a, b, c, d, e, f, g] = *bytes;
    match kind {
        0..=119 => Op::Announce {
            torrent: a,
            peer: u16::from_be_bytes([b, c]),
            event: d,
            left: e,
            want: f,
            both: g % 2 == 1,
        },
        120..=169 => Op::Webrtc { torrent: a, peer: b, connection: c, event: d, left: e, want: f },
        170..=187 => Op::Import { torrent: a, peer: b, node: c, age: u16::from_be_bytes([d, e]), kind: f },
        188..=189 => Op::Forget { node: a },
        190..=204 => Op::Leave { torrent: a, peer: b, connection: c },
        205..=209 => Op::Close { connection: a },
        210..=219 => Op::Scrape { torrent: a },
        220..=235 => Op::Advance { seconds: u16::from_be_bytes([a, b]) },
        236..=239 => Op::Sweep { budget: u16::from_be_bytes([a, b]) },
        240..=247 => Op::Allow { mode: a, torrents: b },
        _ => Op::Limit { peers: a, torrents: b, per_address: c },
    }
}

fuzz_target!(|data: &[u8]| {
    let (steps, _) = data.as_chunks::<8>();
    let mut twins = Twins::new([1, 2]);
    for step in steps {
        twins.run(op(step));
    }
    twins.end();
});
