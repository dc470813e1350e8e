//! Random messages of several WebTorrent clients through the relay and its naive twin.

#[path = "relay/mod.rs"]
mod naive;

use naive::{Op, Twins};
use proptest::{collection::vec, prelude::*};

fn op() -> impl Strategy<Value = Op> {
    let announce =
        (any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>());
    prop_oneof![
        20 => announce.prop_map(|(client, torrent, peer, event, left, offers, wanted)| {
            // Most are of one torrent, and of a peer ID of the client's own.
            let torrent = if torrent < 200 { 0 } else { torrent };
            let peer = if peer < 150 { client % 6 } else { peer };
            let event = if event < 150 { 0 } else { event };
            Op::Announce { client, torrent, peer, event, left, offers, wanted }
        }),
        16 => (any::<u8>(), any::<u8>()).prop_map(|(client, count)| Op::Deliver { client, count }),
        12 => (any::<u8>(), any::<u8>(), any::<u8>())
            .prop_map(|(client, back, peer)| Op::AnswerDelivered { client, back, peer }),
        4 => (any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>())
            .prop_map(|(client, peer, to, offer)| Op::Answer { client, torrent: 0, peer, to, offer }),
        1 => any::<u8>().prop_map(|torrents| Op::Scrape { torrents }),
        3 => any::<u8>().prop_map(|seconds| Op::Advance { seconds }),
        1 => any::<u8>().prop_map(|client| Op::Reconnect { client }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn the_relay_does_what_its_rules_say(seed: [u64; 2], ops in vec(op(), 1..400)) {
        let mut twins = Twins::new(seed);
        for op in ops {
            twins.run(op);
        }
        twins.end();
    }
}
