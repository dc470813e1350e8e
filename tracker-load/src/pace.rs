//! Offering requests at an even rate.

use crate::numbers::whole;

/// Spreads requests evenly over time. Time is in nanoseconds from any point on.
///
/// What could not be sent in time is not made up for beyond [`Pace::SLACK`]: a generator that was held up goes on at
/// its rate, and never sends a flood.
#[derive(Clone, Debug)]
pub struct Pace {
    per_nanosecond: f64,
    started: u64,
    given: u64,
    most: u64,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Requests to be sent now.
    pub now: u64,
    /// Requests whose time has passed for good.
    pub missed: u64,
}

impl Pace {
    /// How far behind its schedule a generator may be and still catch up, nanoseconds.
    pub const SLACK: u64 = 10_000_000;

    /// `rate` requests a second from `now` on.
    #[must_use]
    pub fn new(rate: f64, now: u64) -> Self {
        let per_nanosecond = rate / 1e9;
        // At least one: a slow pace is behind by a whole request each time one is due.
        let most = whole(per_nanosecond * Self::SLACK as f64).max(1);
        Self { per_nanosecond, started: now, given: 0, most }
    }

    /// What is due at `now`. Each request is given out once, as due or as missed.
    pub fn due(&mut self, now: u64) -> Due {
        let all = whole(now.saturating_sub(self.started) as f64 * self.per_nanosecond);
        let behind = all.saturating_sub(self.given);
        self.given = all.max(self.given);
        let due = behind.min(self.most);
        Due { now: due, missed: behind - due }
    }

    /// When the next request is due, nanoseconds.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.started + whole(((self.given + 1) as f64 / self.per_nanosecond).ceil())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_evenly() {
        let mut pace = Pace::new(1000.0, 5);
        assert_eq!(pace.due(5), Due { now: 0, missed: 0 });
        assert_eq!(pace.next(), 1_000_005);
        assert_eq!(pace.due(1_000_004), Due { now: 0, missed: 0 });
        assert_eq!(pace.due(1_000_005), Due { now: 1, missed: 0 });
        assert_eq!(pace.due(1_000_005), Due { now: 0, missed: 0 });
        assert_eq!(pace.due(4_000_005), Due { now: 3, missed: 0 });
    }

    #[test]
    fn a_held_up_generator_does_not_flood() {
        let mut pace = Pace::new(1_000_000.0, 0);
        assert_eq!(pace.due(1_000_000_000), Due { now: 10_000, missed: 990_000 });
        assert_eq!(pace.due(1_000_001_000), Due { now: 1, missed: 0 });
    }

    #[test]
    fn a_slow_pace_still_sends() {
        let mut pace = Pace::new(0.5, 0);
        assert_eq!(pace.next(), 2_000_000_000);
        assert_eq!(pace.due(2_000_000_000), Due { now: 1, missed: 0 });
        assert_eq!(pace.due(6_000_000_000), Due { now: 1, missed: 1 });
    }

    #[test]
    fn nothing_is_given_twice_or_forgotten() {
        let mut pace = Pace::new(77_777.0, 0);
        let (mut sum, mut now) = (0, 0);
        for step in 0..100_000_u64 {
            now += 37 + step % 9973;
            let due = pace.due(now);
            sum += due.now + due.missed;
        }
        assert_eq!(sum, whole(now as f64 * 77_777.0 / 1e9));
    }
}
