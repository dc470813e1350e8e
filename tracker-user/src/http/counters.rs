//! What the HTTP side counts. Requests are counted by whichever thread answers them, so each thread has a place of its
//! own and the places are added up when metrics are read.

use crate::{counters::DURATION_BOUNDS, events::Events};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tracker_common::{address::Family, labelled};
use tracker_core::{client_software::ClientSoftware, engine::NotKept};

labelled! {
    /// What a request asks for.
    pub enum Action {
        /// `/announce`.
        Announce = "announce",
        /// `/scrape`.
        Scrape = "scrape",
        /// A WebSocket handshake.
        Websocket = "websocket",
        /// `/`.
        Page = "page",
        /// `/health`.
        Health = "health",
        /// `/stats`, its events and `/stats.json`.
        Stats = "stats",
        /// Anything else.
        Other = "other",
    }
}

labelled! {
    /// How a request was answered.
    pub enum Outcome {
        /// As it asked.
        Ok = "ok",
        /// By a tracker's failure, which has the HTTP status 200.
        Failure = "failure",
        /// By an HTTP status that tells of an error.
        Rejected = "rejected",
        /// By a tracker's failure, since the client's network asks more often than it may.
        RateLimited = "rate_limited",
        /// Not at all, since the client's network is banned: it is told so.
        Banned = "banned",
    }
}

labelled! {
    /// Why a connection did not end in order, whichever side closed it.
    pub enum Closed {
        /// The first request was not there in time.
        RequestTimeout = "request_timeout",
        /// No further request came in time.
        IdleTimeout = "idle_timeout",
        /// The TLS handshake failed.
        Tls = "tls",
        /// The PROXY header is missing, malformed, or from somebody who may not send one.
        ProxyHeader = "proxy_header",
        /// The address has all the connections it may have.
        AddressLimit = "address_limit",
        /// What came was no HTTP, or the client broke the connection off.
        Broken = "broken",
        /// A fault in the program.
        Panic = "panic",
    }
}

labelled! {
    /// Why no connection is accepted for a while.
    pub enum Pause {
        /// `http.max_connections` is reached.
        Connections = "connections",
        /// The system has no descriptor or memory left.
        Resources = "resources",
    }
}

/// A client's family as an index; the last is that of clients whose address is not known.
const FAMILIES: usize = Family::ALL.len() + 1;

/// One thread's place, in cache lines that no other thread writes.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place {
    requests: [[[AtomicU64; Outcome::ALL.len()]; FAMILIES]; Action::ALL.len()],
    durations: [Durations; 2],
}

#[derive(Debug, Default)]
struct Durations {
    buckets: [AtomicU64; DURATION_BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// All that the HTTP side counts.
#[derive(Debug)]
pub struct Counters {
    places: Box<[Place]>,
    /// Open now: without TLS, with TLS.
    connections: [AtomicUsize; 2],
    /// Accepted so far: without TLS, with TLS.
    accepted: [AtomicU64; 2],
    /// Connections that did not end in order.
    pub closed: Events<Closed>,
    /// How often accepting has paused.
    pub pauses: Events<Pause>,
    /// Peers that announced themselves and are not kept.
    pub not_kept: Events<NotKept>,
    /// Software of the clients whose announces were looked at.
    pub software: Events<ClientSoftware>,
}

impl Counters {
    /// Counters for so many threads; further ones share places.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self {
            places: (0..threads.max(1)).map(|_| Place::default()).collect(),
            connections: Default::default(),
            accepted: Default::default(),
            closed: Events::default(),
            pauses: Events::default(),
            not_kept: Events::default(),
            software: Events::default(),
        }
    }

    /// A request was answered. `family` is that of the client's address, where it is known.
    #[inline]
    pub fn answered(&self, action: Action, family: Option<Family>, outcome: Outcome) {
        self.place().requests[action as usize][index(family)][outcome as usize]
            .fetch_add(1, Ordering::Relaxed);
    }

    /// An announce or scrape took so long from its query to the body of its reply; others are not measured.
    pub fn took(&self, action: Action, nanoseconds: u64) {
        let Some(durations) = self.place().durations.get(action as usize) else { return };
        let seconds = nanoseconds as f64 / 1e9;
        let bucket = DURATION_BOUNDS.partition_point(|bound| *bound < seconds);
        durations.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        durations.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// A connection was accepted. It counts as open until what this returns is dropped.
    #[must_use]
    pub(super) fn opened(self: &std::sync::Arc<Self>, tls: bool) -> Open {
        self.connections[usize::from(tls)].fetch_add(1, Ordering::Relaxed);
        self.accepted[usize::from(tls)].fetch_add(1, Ordering::Relaxed);
        Open { counters: self.clone(), tls }
    }

    /// Requests so far. `family` as for [`Counters::answered`].
    #[must_use]
    pub fn requests(&self, action: Action, family: Option<Family>, outcome: Outcome) -> u64 {
        let count = |place: &Place| {
            place.requests[action as usize][index(family)][outcome as usize].load(Ordering::Relaxed)
        };
        self.places.iter().map(count).sum()
    }

    /// Measured announces or scrapes per bucket of [`DURATION_BOUNDS`], the last one without a bound, and the sum of
    /// their durations in seconds.
    #[must_use]
    pub fn durations(&self, action: Action) -> ([u64; DURATION_BOUNDS.len() + 1], f64) {
        let mut buckets = [0; DURATION_BOUNDS.len() + 1];
        let mut nanoseconds = 0;
        for durations in self.places.iter().filter_map(|place| place.durations.get(action as usize)) {
            for (sum, bucket) in buckets.iter_mut().zip(&durations.buckets) {
                *sum += bucket.load(Ordering::Relaxed);
            }
            nanoseconds += durations.nanoseconds.load(Ordering::Relaxed);
        }
        (buckets, nanoseconds as f64 / 1e9)
    }

    /// Connections open now, WebSocket apart.
    #[must_use]
    pub fn connections(&self, tls: bool) -> usize {
        self.connections[usize::from(tls)].load(Ordering::Relaxed)
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn accepted(&self, tls: bool) -> u64 {
        self.accepted[usize::from(tls)].load(Ordering::Relaxed)
    }

    #[inline]
    fn place(&self) -> &Place {
        &self.places[thread_number() % self.places.len()]
    }
}

/// A connection that is open.
#[derive(Debug)]
pub(super) struct Open {
    counters: std::sync::Arc<Counters>,
    tls: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counters.connections[usize::from(self.tls)].fetch_sub(1, Ordering::Relaxed);
        if std::thread::panicking() {
            self.counters.closed.add(Closed::Panic);
        }
    }
}

#[inline]
fn index(family: Option<Family>) -> usize {
    family.map_or(Family::ALL.len(), |family| family as usize)
}

/// Numbers the threads that ask, from 0, so that each can have a place of its own.
#[inline]
pub(super) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // While a thread ends it may share a place.
    OWN.try_with(|own| *own).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn threads_count_apart_and_are_added_up() {
        let counters = Arc::new(Counters::new(2));
        let threads: Vec<_> = (0..5)
            .map(|_| {
                let counters = counters.clone();
                std::thread::spawn(move || {
                    for _ in 0..1_000 {
                        counters.answered(Action::Announce, Some(Family::Ipv6), Outcome::Failure);
                        counters.took(Action::Scrape, 1_001);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(counters.requests(Action::Announce, Some(Family::Ipv6), Outcome::Failure), 5_000);
        assert_eq!(counters.requests(Action::Announce, None, Outcome::Failure), 0);
        let (buckets, seconds) = counters.durations(Action::Scrape);
        assert_eq!((buckets[0], buckets[1], buckets.iter().sum::<u64>()), (0, 5_000, 5_000));
        assert!((seconds - 0.005_005).abs() < 1e-9, "{seconds}");
        assert_eq!(counters.durations(Action::Announce).0.iter().sum::<u64>(), 0);
    }

    #[test]
    fn every_action_outcome_and_family_has_a_place_of_its_own() {
        let counters = Counters::new(1);
        let families = [Some(Family::Ipv4), Some(Family::Ipv6), None];
        let all = || Action::ALL.iter().flat_map(|a| families.iter().map(move |f| (*a, *f)));
        for (i, (action, family)) in all().enumerate() {
            for outcome in Outcome::ALL {
                for _ in 0..=i {
                    counters.answered(action, family, outcome);
                }
            }
        }
        for (i, (action, family)) in all().enumerate() {
            for outcome in Outcome::ALL {
                assert_eq!(counters.requests(action, family, outcome), i as u64 + 1);
            }
        }
    }

    #[test]
    fn a_connection_is_open_until_it_is_dropped_and_a_panic_is_told() {
        let counters = Arc::new(Counters::new(1));
        let open = counters.opened(true);
        assert_eq!((counters.connections(true), counters.connections(false)), (1, 0));
        drop(open);
        let open = counters.opened(true);
        let panicked = std::thread::spawn(move || {
            let _open = open;
            std::panic::resume_unwind(Box::new("as a fault would"));
        });
        assert!(panicked.join().is_err());
        assert_eq!((counters.connections(true), counters.accepted(true)), (0, 2));
        assert_eq!((counters.closed.of(Closed::Panic), counters.closed.of(Closed::Tls)), (1, 0));
    }
}
