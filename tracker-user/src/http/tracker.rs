//! Announces and scrapes: from a query to the engine and back, without a wait.

use super::counters::{Action, Counters, Outcome, thread_number};
use crate::{
    clock::{Clock, seconds},
    random::seed,
};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use std::{io, sync::Arc, time::Instant};
use tracker_common::{address::Address, rate::Kind};
use tracker_core::{
    admission::{Rejected, Retry},
    engine::{Engine, NotKept},
    http::{Outcome as Answered, Responder, bencode},
};

/// One request in so many is timed for the duration histogram; a prime, so that no pattern of requests is always
/// passed over.
const REQUESTS_BETWEEN_TIMINGS: u32 = 61;

/// Answers announces and scrapes, on any thread.
#[derive(Debug)]
pub(super) struct Tracker {
    engine: Arc<Engine>,
    clock: Clock,
    counters: Arc<Counters>,
    desks: Box<[Mutex<Desk>]>,
}

/// What one thread works with. Threads seldom meet at one: each has its own, as long as there are no more threads than
/// were told of.
#[derive(Debug)]
#[repr(align(128))]
struct Desk {
    responder: Responder,
    /// Replies are cut from its front, and their room is used again once they are sent.
    out: BytesMut,
    requests: u32,
}

impl Tracker {
    /// For so many threads.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(super) fn new(
        engine: Arc<Engine>,
        clock: Clock,
        counters: Arc<Counters>,
        threads: usize,
        max_scrape_hashes: usize,
    ) -> io::Result<Self> {
        let desk = |_| {
            let responder = Responder::new(seed()?, max_scrape_hashes);
            Ok(Mutex::new(Desk { responder, out: BytesMut::new(), requests: 0 }))
        };
        let desks = (0..threads.max(1)).map(desk).collect::<io::Result<_>>()?;
        Ok(Self { engine, clock, counters, desks })
    }

    /// Whether clients need a key.
    pub(super) fn is_private(&self) -> bool {
        self.engine.policy().admission.is_private()
    }

    /// Announces the client, which shows `key`.
    pub(super) fn announce(&self, query: &[u8], key: Option<&[u8]>, client: Address) -> (Bytes, Outcome) {
        let now_ns = self.clock.now_ns();
        if let Some(refused) = self.refuse_early(&client, now_ns) {
            return refused;
        }
        self.at_desk(Action::Announce, |responder, out| {
            if let Some(software) = responder.software(query) {
                self.counters.software.add(software);
            }
            responder.announce(&self.engine, query, key, client, seconds(now_ns), out)
        })
    }

    /// Whether this client gets nothing.
    #[inline]
    pub(super) fn bans(&self, client: Address) -> bool {
        self.engine.policy().admission.banned.covers(client)
    }

    /// Tells of torrents whoever shows `key`. Where the client is not known, it may ask as often as it likes.
    pub(super) fn scrape(
        &self,
        query: &[u8],
        key: Option<&[u8]>,
        client: Option<Address>,
    ) -> (Bytes, Outcome) {
        if let Some(refused) = client.and_then(|client| self.refuse_early(&client, self.clock.now_ns())) {
            return refused;
        }
        self.at_desk(Action::Scrape, |responder, out| (responder.scrape(&self.engine, query, key, out), None))
    }

    /// The failure for a client that does not keep to its rate. What it asks is not even read.
    fn refuse_early(&self, client: &Address, now_ns: u64) -> Option<(Bytes, Outcome)> {
        let admission = &self.engine.policy().admission;
        if admission.admits(self.engine.buckets(), Kind::HttpRequests, client, now_ns) {
            return None;
        }
        let (why, interval) = (Rejected::RateLimited, admission.present_interval(self.engine.measures()));
        Some((failure(why.message(), admission.retry(why, interval)), Outcome::RateLimited))
    }

    fn at_desk(
        &self,
        action: Action,
        answer: impl FnOnce(&mut Responder, &mut BytesMut) -> (Answered, Option<NotKept>),
    ) -> (Bytes, Outcome) {
        let mut desk = self.desks[thread_number() % self.desks.len()].lock();
        let Desk { responder, out, requests } = &mut *desk;
        *requests = requests.wrapping_add(1);
        let began = requests.is_multiple_of(REQUESTS_BETWEEN_TIMINGS).then(Instant::now);
        // What a reply that panicked has left behind goes in front of none.
        out.clear();
        let (answered, not_kept) = answer(responder, out);
        let reply = out.split().freeze();
        drop(desk);
        if let Some(why) = not_kept {
            self.counters.not_kept.add(why);
        }
        if let Some(began) = began {
            self.counters.took(action, u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        match answered {
            Answered::Ok => (reply, Outcome::Ok),
            Answered::Failure => (reply, Outcome::Failure),
        }
    }
}

/// A failure that is found before the tracker is asked.
pub(super) fn failure(reason: &str, retry: Option<Retry>) -> Bytes {
    let mut out = BytesMut::new();
    bencode::failure(&mut out, reason, retry);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, policy};
    use tracker_common::rate::Rate;
    use tracker_core::policy::Policy;

    const QUERY: &[u8] =
        b"info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=6881&left=0&compact=1";

    fn tracker(counters: &Arc<Counters>) -> Tracker {
        let engine = Engine::new(policy::from_config(&Config::default()), [1, 2]);
        Tracker::new(Arc::new(engine), Clock::new(0), counters.clone(), 2, 100).unwrap()
    }

    #[test]
    fn replies_do_not_touch_each_other_while_they_wait_to_be_sent() {
        let tracker = tracker(&Arc::new(Counters::new(1)));
        let client = Address::from_ipv4([192, 0, 2, 1]);
        let (first, outcome) = tracker.announce(QUERY, None, client);
        assert_eq!(outcome, Outcome::Ok);
        let copy = first.to_vec();
        assert!(copy.starts_with(b"d8:completei1e") && copy.ends_with(b"e"), "{first:?}");
        for _ in 0..100 {
            let (scrape, outcome) = tracker.scrape(b"info_hash=aaaaaaaaaaaaaaaaaaaa", None, None);
            assert_eq!(outcome, Outcome::Ok);
            assert!(scrape.starts_with(b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad"), "{scrape:?}");
        }
        assert_eq!(first, copy);
    }

    #[test]
    fn some_requests_are_timed() {
        let counters = Arc::new(Counters::new(1));
        let tracker = tracker(&counters);
        for _ in 0..3 * REQUESTS_BETWEEN_TIMINGS {
            let (_, outcome) = tracker.scrape(b"", None, None);
            assert_eq!(outcome, Outcome::Failure, "a full scrape is not for strangers");
        }
        assert_eq!(counters.durations(Action::Scrape).0.iter().sum::<u64>(), 3);
        assert_eq!(counters.durations(Action::Announce).0.iter().sum::<u64>(), 0);
    }

    #[test]
    fn who_asks_too_often_is_told_when_to_come_back() {
        let tracker = tracker(&Arc::new(Counters::new(1)));
        let mut policy = Policy::default();
        policy.admission.rates[Kind::HttpRequests as usize] = Rate::new(1, 2);
        tracker.engine.set_policy(policy);
        let [client, other] = [1, 2].map(|last| Address::from_ipv4([192, 0, 2, last]));
        // What cannot be read counts as well.
        let outcomes = [QUERY, b"nonsense"].map(|query| tracker.announce(query, None, client).1);
        assert_eq!(outcomes, [Outcome::Ok, Outcome::Failure]);
        let (reply, outcome) = tracker.announce(QUERY, None, client);
        assert_eq!(outcome, Outcome::RateLimited);
        assert_eq!(reply, &b"d14:failure reason34:too many requests, try again later8:retry ini1ee"[..]);
        assert_eq!(
            tracker.scrape(b"info_hash=aaaaaaaaaaaaaaaaaaaa", None, Some(client)).1,
            Outcome::RateLimited
        );
        assert_eq!(tracker.scrape(b"info_hash=aaaaaaaaaaaaaaaaaaaa", None, Some(other)).1, Outcome::Ok);
        assert_eq!(tracker.scrape(b"info_hash=aaaaaaaaaaaaaaaaaaaa", None, None).1, Outcome::Ok);
        tracker.engine.set_policy(Policy::default());
        assert_eq!(tracker.announce(QUERY, None, client).1, Outcome::Ok);
    }

    #[test]
    fn a_failure_is_a_dictionary() {
        assert_eq!(failure("no", None), &b"d14:failure reason2:noe"[..]);
    }
}
