//! How long requests may gather, so that waking up is paid for many at once.

use std::time::Duration;

/// Where requests wait there is room for those that come while the processor is away for so long, and for a burst: others
/// work there as well, and in a virtual machine the host takes it away.
const ABSENCE: u64 = Duration::from_millis(1).as_nanos() as u64;
/// Fewer requests than this are not worth a pause: the next one is answered when it comes.
const LEAST: u64 = 2;
/// A shorter pause costs more than it saves.
const SHORTEST: u64 = Duration::from_micros(50).as_nanos() as u64;
/// A rate that falls is believed by this share at each look; one that rises, at once.
const FORGET: u64 = 4;
/// After a pause in which too little came there is none for two looks, after another for four, and so on up to this power
/// of two: whoever asks one thing after the other, and waits for each answer, is hardly kept waiting.
const MOST_DOUBT: u32 = 10;

/// Follows the rate of requests from one place.
#[derive(Clone, Debug)]
pub struct Pace {
    latency: u64,
    room: u64,
    /// Requests a second.
    rate: u64,
    /// What was answered last.
    pause: u64,
    /// How many pauses in a row were in vain.
    doubt: u32,
    /// Looks to come without a pause.
    skipped: u32,
}

impl Pace {
    /// Requests may wait for `latency`, and there is room for `room` of them.
    #[must_use]
    pub fn new(latency: Duration, room: u64) -> Self {
        Self {
            latency: u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX),
            room,
            rate: 0,
            pause: 0,
            doubt: 0,
            skipped: 0,
        }
    }

    /// For how long the next requests may gather, in nanoseconds, when so many have come in so many. Zero: not at all, since
    /// hardly any come, or since there is no room for those that would.
    #[must_use]
    pub fn next(&mut self, requests: u64, elapsed_ns: u64) -> u64 {
        self.judge(requests);
        let seen = u64::try_from(u128::from(requests) * 1_000_000_000 / u128::from(elapsed_ns.max(1)))
            .unwrap_or(u64::MAX);
        self.rate = match seen < self.rate {
            true => self.rate - (self.rate - seen) / FORGET,
            false => seen,
        };
        self.pause = match self.skipped.checked_sub(1) {
            None => self.fitting(),
            Some(left) => {
                self.skipped = left;
                0
            }
        };
        self.pause
    }

    /// Nothing came: what comes next is answered at once.
    pub fn rest(&mut self) {
        self.judge(0);
        (self.rate, self.pause) = (0, 0);
    }

    /// Whether the last pause was worth it.
    fn judge(&mut self, requests: u64) {
        if self.pause == 0 {
            return;
        }
        if requests >= LEAST {
            self.doubt = 0;
        } else {
            self.doubt = MOST_DOUBT.min(self.doubt + 1);
            self.skipped = 1 << self.doubt;
        }
    }

    /// As long a pause as latency and room allow at this rate.
    fn fitting(&self) -> u64 {
        let rate = u128::from(self.rate);
        if rate * u128::from(self.latency) < u128::from(LEAST) * 1_000_000_000 {
            return 0;
        }
        let fills = u128::from(self.room) * 1_000_000_000 / rate.max(1);
        let pause = u64::try_from(fills).unwrap_or(u64::MAX).saturating_sub(ABSENCE).min(self.latency);
        if pause < SHORTEST { 0 } else { pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// The pause once requests have come at a steady rate for a while, microseconds.
    fn steady(room: u64, rate: u64) -> u64 {
        let mut pace = Pace::new(Duration::from_millis(1), room);
        let mut pause = 0;
        for _ in 0..100 {
            let elapsed = pause.max(1_000_000_000 / rate);
            pause = pace.next((rate * elapsed).div_ceil(1_000_000_000), elapsed);
        }
        pause / 1000
    }

    #[test]
    fn the_pause_follows_the_rate() {
        // A veth's ring.
        let pauses = [100, 1_000, 25_000, 90_000, 200_000, 480_000, 1_000_000, 3_000_000];
        let pauses = pauses.map(|rate| steady(256, rate));
        assert_eq!(pauses, [0, 0, 1000, 1000, 280, 0, 0, 0]);
        assert_eq!(steady(1_000_000, 1_000_000), 1000);
    }

    #[test]
    fn the_first_request_and_those_after_idleness_are_answered_at_once() {
        let mut pace = Pace::new(Duration::from_millis(1), 256);
        assert_eq!(pace.next(1, 10_000 * MS), 0);
        assert_eq!(pace.next(50, MS), MS);
        pace.rest();
        assert_eq!(pace.next(1, 10_000 * MS), 0);
    }

    #[test]
    fn who_waits_for_each_answer_is_hardly_kept_waiting() {
        let mut pace = Pace::new(Duration::from_millis(1), 256);
        let mut pause = 0;
        let pauses = (0..10_000).filter(|_| {
            pause = pace.next(1, pause + 50_000);
            pause > 0
        });
        assert_eq!(pauses.count(), 18);
        // Many of them are let gather again soon.
        let looks = (0..).position(|_| {
            pause = pace.next(20 * pause.max(50_000) / MS, pause.max(50_000));
            pause == MS
        });
        assert!(looks.unwrap() <= 1024);
        assert_eq!(pace.next(20, MS), MS);
    }

    #[test]
    fn a_burst_shortens_the_pause_at_once_and_its_end_lengthens_it_by_and_by() {
        let mut pace = Pace::new(Duration::from_millis(1), 256);
        assert_eq!(pace.next(25, MS), MS);
        assert_eq!(pace.next(220, MS), 163_636);
        let after = [(); 4].map(|()| pace.next(6, MS / 4) / 1000);
        assert_eq!(after, [497, 906, 1000, 1000]);
    }

    #[test]
    fn without_latency_nothing_waits() {
        let mut pace = Pace::new(Duration::ZERO, 256);
        assert_eq!(pace.next(1000, MS), 0);
        assert_eq!(pace.next(u64::MAX, 0), 0);
    }
}
