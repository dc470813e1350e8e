//! Hand-overs with XDP, native and generic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use tests::{
    handover::{Crowd, goes_on},
    rig::{Family, Path, Rig},
    udp::{Announce, id20},
};

fn crowd(rig: &Rig) -> Crowd {
    let clients = Family::BOTH.iter().flat_map(|family| (1..=2).map(|number| rig.client(*family, number)));
    Crowd::new(clients.collect())
}

#[test]
fn nothing_is_lost_in_three_hand_overs_under_load() {
    for path in [Path::Native, Path::Generic] {
        let mut rig = Rig::new(path);
        let crowd = crowd(&rig);
        let id = rig.client(Family::V4, 3).connect();
        crowd.goes_round();
        for _ in 0..3 {
            let before = rig.metrics();
            rig.hand_over();
            goes_on(&before, &rig.metrics());
            crowd.goes_round();
            let after = rig.metrics();
            goes_on(&before, &after);
            for (path, action) in [("kernel", "connect"), ("xsk", "announce"), ("xsk", "scrape")] {
                let labels = [("path", path), ("action", action)];
                let replies =
                    |metrics: &tests::metrics::Metrics| metrics.sum("riptide_udp_responses_total", &labels);
                assert!(replies(&after) > replies(&before), "{path} {action}\n{}", after.text);
            }
        }
        let _ = crowd.end();
        let metrics = rig.settled();
        let [torrents, peers] = Crowd::size(4);
        assert_eq!(metrics.sum("riptide_torrents", &[]).to_string(), torrents.to_string());
        assert_eq!(metrics.sum("riptide_peers", &[]).to_string(), peers.to_string());
        // An ID of the first process holds.
        let client = rig.client(Family::V4, 3).with_connection(id);
        client.announce(&Announce::leecher(id20("last", 0), 1));
    }
}
