//! Hand-overs while `riptide-load` asks at a steady rate.

use super::goes_on;
use crate::{
    load::Steady,
    metrics::Metrics,
    rig::{Family, Path, Rig},
};

/// Replies that are waited for before each hand-over and after the last, of each of the two loads' actions.
const ENOUGH: u64 = 500;

fn responses(metrics: &Metrics, action: &str) -> u64 {
    metrics.count("riptide_udp_responses_total", &[("action", action)])
}

/// Three hand-overs in a row under a load of each family: every request is answered, and rightly, and what there was at the
/// first is there at the last.
pub fn three_under_load(path: Path) {
    let mut rig = Rig::new(path);
    let loads = Family::BOTH.map(|family| {
        let sources = match (path, family) {
            (Path::Loopback, Family::V4) => "127.0.1.0/29",
            (Path::Loopback, Family::V6) => "1",
            (_, Family::V4) => "10.77.0.0/24",
            (_, Family::V6) => "fd77::/64",
        };
        let host = rig.wire().map(|wire| &wire.clients);
        Steady::start(host, rig.tracker(family), sources, if family == Family::V4 { 1 } else { 2 })
    });
    let awaited = "all peers of both loads";
    let all =
        rig.riptide().metrics_until(awaited, |metrics| metrics.stored()[1] == 2 * Steady::PEERS).stored();
    for _ in 0..3 {
        let before = rig.metrics();
        rig.hand_over();
        let after = rig.riptide().metrics_until("more replies", |metrics| {
            let more = |action| responses(metrics, action) >= responses(&before, action) + ENOUGH;
            more("connect") && more("announce")
        });
        goes_on(&before, &after);
        assert_eq!(after.stored(), all);
    }
    let [one, two] = loads.map(Steady::end);
    // The tracker has counted what its clients have had, and what they asked before the load began.
    let answered = one.count("answered") + two.count("answered");
    let metrics = rig.metrics();
    let told = metrics.count("riptide_udp_responses_total", &[]);
    assert!(answered <= told, "{answered} of {told}");
    assert_eq!(responses(&metrics, "error"), 0);
}
