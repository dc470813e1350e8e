//! What was not done for somebody, read from the counters that metrics show.

use super::{
    history::{Of, Series},
    reasons::{Place, REASONS},
};
use crate::{
    counters::{Dropped, Path},
    http::counters::{Action, Outcome},
    metrics::{Sources, kernel_drops},
    ws,
    xdp::interface::Report,
};
use tracker_common::address::Family;
use tracker_core::engine::NotKept;

/// Counts everything that was refused so far.
pub(super) fn count(sources: &Sources, reports: &[Report], counts: &mut Of<u64>) {
    each(sources, reports, |place, label, n| {
        let found = REASONS.iter().position(|reason| reason.place == place && reason.label == label);
        if let Some(found) = found {
            counts.refuse(found, n);
        }
        if place == Place::Udp {
            counts.add(Series::Dropped, n);
        }
    });
}

/// Tells of everything that was refused: where, why, how often.
fn each(sources: &Sources, reports: &[Report], mut tell: impl FnMut(Place, &'static str, u64)) {
    for why in Dropped::ALL {
        for path in Path::ALL {
            tell(Place::Udp, why.label(), sources.udp_drops(reports, path, why));
        }
    }
    for (counter, frames) in kernel_drops(reports) {
        tell(Place::Udp, counter.label(), frames);
    }
    for outcome in Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Ok) {
        for action in [Action::Announce, Action::Scrape, Action::Websocket] {
            let families = [Some(Family::Ipv4), Some(Family::Ipv6), None].into_iter();
            let requests = families.map(|family| sources.http.requests(action, family, outcome)).sum();
            tell(Place::Http, outcome.label(), requests);
        }
    }
    if let Some(hub) = &sources.websocket {
        let counters = hub.counters();
        for sent in [ws::Sent::Failure, ws::Sent::RateLimited] {
            tell(Place::Websocket, sent.label(), counters.sent.of(sent));
        }
        for (label, lost) in counters.lost.each() {
            tell(Place::Websocket, label, lost);
        }
    }
    for why in NotKept::ALL {
        tell(Place::Peer, why.label(), sources.not_kept(why));
    }
}

/// That whatever is told has a reason, and every reason is told of.
#[cfg(test)]
pub(super) fn assert_all_known(sources: &Sources) {
    use std::collections::BTreeSet;
    let known: BTreeSet<_> = REASONS.iter().map(|reason| (reason.place.label(), reason.label)).collect();
    assert_eq!(known.len(), REASONS.len(), "none stands twice");
    let mut told = BTreeSet::new();
    each(sources, &[], |place, label, _| {
        told.insert((place.label(), label));
    });
    assert_eq!(known, told);
}
