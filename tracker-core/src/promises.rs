//! How long peers have to be remembered, so that nobody is forgotten who does as it was told.

use crate::{model::Seconds, policy::Policy};
use std::collections::VecDeque;

/// A quarter of an interval is for requests that are lost and clients that are late.
const MARGIN: Seconds = 4;

/// The intervals that clients were told and that have not passed yet.
#[derive(Debug, Default)]
pub struct Promises {
    /// From the longest to the shortest, which is from the oldest to the youngest: what is neither longer nor younger than
    /// another does not count. So there are never more than there are different intervals.
    told: VecDeque<Promise>,
}

#[derive(Clone, Copy, Debug)]
struct Promise {
    /// Protocol time.
    until: Seconds,
    /// How long a peer is remembered meanwhile.
    timeout: Seconds,
}

impl Promises {
    /// Somebody is told at `now` to come back after at most this long. Gives the time without a sign of life after which a
    /// peer may be forgotten: at most [`Policy::MAX_PEER_TIMEOUT`], and 0 where nobody was told anything.
    pub fn tell(&mut self, longest: Option<Seconds>, now: Seconds) -> Seconds {
        if let Some(longest) = longest {
            let timeout = Self::timeout(longest).min(Policy::MAX_PEER_TIMEOUT);
            while self.told.back().is_some_and(|promise| promise.timeout <= timeout) {
                self.told.pop_back();
            }
            self.told.push_back(Promise { until: now.saturating_add(timeout), timeout });
        }
        while self.told.front().is_some_and(|promise| promise.until <= now) {
            self.told.pop_front();
        }
        self.told.front().map_or(0, |promise| promise.timeout)
    }

    /// How long a peer is remembered that is told this interval.
    #[must_use]
    pub const fn timeout(longest: Seconds) -> Seconds {
        longest.saturating_add(longest.div_ceil(MARGIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_counts_until_its_time_has_passed() {
        let mut promises = Promises::default();
        assert_eq!(promises.tell(None, 0), 0);
        assert_eq!(promises.tell(Some(1000), 10), 1250);
        assert_eq!(promises.tell(Some(2000), 20), 2500);
        assert_eq!(promises.tell(Some(1600), 30), 2500);
        assert_eq!(promises.tell(Some(400), 40), 2500);
        assert_eq!(promises.tell(None, 2519), 2500);
        // Then what was told after it, if its time has not passed, too.
        assert_eq!(promises.tell(None, 2520), 0);
        assert_eq!(promises.tell(Some(1000), 3000), 1250);
        assert_eq!(promises.tell(Some(800), 3300), 1250);
        assert_eq!(promises.tell(None, 4250), 1000);
        assert_eq!(promises.tell(None, 4300), 0);
    }

    #[test]
    fn there_are_never_more_than_different_intervals() {
        let mut promises = Promises::default();
        for now in 0..100_000 {
            promises.tell(Some(1000 + now % 100), now);
        }
        assert!(promises.told.len() <= 100);
        assert_eq!(promises.tell(Some(Policy::MAX_PEER_TIMEOUT), 100_000), Policy::MAX_PEER_TIMEOUT);
    }
}
