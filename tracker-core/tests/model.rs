//! Random sequences of operations through the engine and its naive twin.

mod naive;

use naive::{Op, Twins};
use proptest::{collection::vec, prelude::*};

fn announce() -> impl Strategy<Value = Op> {
    let fields = (any::<u8>(), any::<u16>(), 0..9_u8, any::<u8>(), any::<u8>(), any::<bool>());
    fields.prop_map(|(torrent, peer, event, left, want, both)| {
        // Most torrents here are small, one is large; most announces are no event.
        let torrent = if torrent < 128 { 0 } else { torrent };
        Op::Announce { torrent, peer, event: event.min(4) * u8::from(event < 5), left, want, both }
    })
}

fn webrtc() -> impl Strategy<Value = Op> {
    let fields = (any::<u8>(), any::<u8>(), any::<u8>(), 0..9_u8, any::<u8>(), any::<u8>());
    fields.prop_map(|(torrent, peer, connection, event, left, want)| {
        let torrent = if torrent < 128 { 0 } else { torrent };
        Op::Webrtc { torrent, peer, connection, event: event.min(4) * u8::from(event < 5), left, want }
    })
}

fn leaving() -> impl Strategy<Value = Op> {
    let fields = (any::<u8>(), any::<u8>(), any::<u8>());
    fields.prop_map(|(torrent, peer, connection)| Op::Leave { torrent: torrent / 128, peer, connection })
}

fn import() -> impl Strategy<Value = Op> {
    let fields = (any::<u8>(), any::<u8>(), any::<u8>(), any::<u16>(), any::<u8>());
    fields.prop_map(|(torrent, peer, node, age, kind)| {
        let torrent = if torrent < 128 { 0 } else { torrent };
        Op::Import { torrent, peer, node, age, kind }
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        150 => announce(),
        80 => webrtc(),
        20 => leaving(),
        60 => import(),
        1 => any::<u8>().prop_map(|node| Op::Forget { node }),
        1 => any::<u8>().prop_map(|connection| Op::Close { connection }),
        10 => any::<u8>().prop_map(|torrent| Op::Scrape { torrent }),
        6 => any::<u16>().prop_map(|seconds| Op::Advance { seconds }),
        3 => any::<u16>().prop_map(|budget| Op::Sweep { budget }),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(mode, torrents)| Op::Allow { mode, torrents }),
        1 => (any::<u8>(), any::<u8>(), any::<u8>())
            .prop_map(|(peers, torrents, per_address)| Op::Limit { peers, torrents, per_address }),
    ]
}

/// No limits and no list: swarms grow through all their forms.
fn growing() -> impl Strategy<Value = Op> {
    prop_oneof![
        200 => announce(),
        200 => webrtc(),
        50 => import(),
        2 => any::<u16>().prop_map(|seconds| Op::Advance { seconds: seconds % 100 }),
        1 => any::<u16>().prop_map(|budget| Op::Sweep { budget }),
    ]
}

fn check(seed: [u64; 2], ops: Vec<Op>) {
    let mut twins = Twins::new(seed);
    for op in ops {
        twins.run(op);
    }
    twins.end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_does_what_its_rules_say(seed: [u64; 2], ops in vec(op(), 1..600)) {
        check(seed, ops);
    }

    #[test]
    fn and_so_do_large_swarms(seed: [u64; 2], ops in vec(growing(), 500..2500)) {
        check(seed, ops);
    }
}
