//! How long what a process sends is on its way, where its clock may be another one's.

use super::time::{ns, seconds};
use std::time::Duration;

/// How far clocks may be apart that pass for the same: those of nodes that keep time are by far less, and no message is on its way for as
/// long all the time.
const SAME_NS: i64 = ns(Duration::from_secs(1)).cast_signed();
const SECOND_NS: i64 = ns(Duration::from_secs(1)).cast_signed();
/// For how long the fastest message counts, at least: a clock may be set.
const WINDOW_NS: u64 = ns(Duration::from_secs(60));

/// How long messages took at the least lately, by the sender's clock and this one's: in this window of time, and in the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delay {
    least: [Option<i64>; 2],
    since_ns: u64,
}

impl Delay {
    /// A message came that had just been written.
    pub fn came(&mut self, written_ns: u64, now_ns: u64) {
        if now_ns.saturating_sub(self.since_ns) > WINDOW_NS {
            self.least = [None, self.least[0]];
            self.since_ns = now_ns;
        }
        let took = took(written_ns, now_ns);
        self.least[0] = Some(self.least[0].map_or(took, |least| least.min(took)));
    }

    /// How old something is that was written then. If its clock is far from this one's, that is how much longer than others it took.
    #[must_use]
    pub fn age_ns(&self, written_ns: u64, now_ns: u64) -> u64 {
        took(written_ns, now_ns).saturating_sub(self.apart_ns()).max(0).cast_unsigned()
    }

    /// By how many seconds ages have grown that were true then: less than none, where its clock is ahead. Both times as the engine
    /// counts seconds, and clocks that are far apart are so by whole ones, so that one second of the sender's is one here. Otherwise
    /// who came and went within one might be there again.
    #[must_use]
    pub fn grown(&self, written_ns: u64, now_ns: u64) -> i64 {
        let whole = self.apart_ns().saturating_add(SECOND_NS / 2).div_euclid(SECOND_NS);
        i64::from(seconds(now_ns)) - i64::from(seconds(written_ns)) - whole
    }

    /// How far this clock is ahead of the sender's, if that is far.
    fn apart_ns(&self) -> i64 {
        let least = self.least.iter().flatten().min().copied();
        least.filter(|least| least.saturating_abs() > SAME_NS).unwrap_or_default()
    }
}

const fn took(written_ns: u64, now_ns: u64) -> i64 {
    now_ns.wrapping_sub(written_ns).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_clock_that_is_another_ones_makes_nothing_older_or_younger() {
        for ahead in [0, 900_000_000, 5 * SECOND, 3000 * SECOND] {
            for is_behind in [false, true] {
                let clock = |at: u64| if is_behind { at - ahead } else { at + ahead };
                let mut delay = Delay::default();
                let slack = if ahead < SECOND { ahead } else { 0 };
                for second in 10_000..10_200 {
                    let (sent, came) = (second * SECOND, second * SECOND + SECOND / 100 * (second % 9 + 1));
                    delay.came(clock(sent), came);
                    let age = delay.age_ns(clock(sent - 7 * SECOND), came);
                    assert!(age.abs_diff(7 * SECOND) <= slack + SECOND / 10, "{ahead} {is_behind} {age}");
                }
            }
        }
    }

    #[test]
    fn what_was_in_one_second_there_is_in_one_second_here() {
        // Clocks that are all but the same, and such that are far apart.
        for ahead in [0, 30_000_000, 400_000_000, 7 * SECOND + 300_000_000] {
            for is_behind in [false, true] {
                let clock = |at: u64| if is_behind { at - ahead } else { at + ahead };
                let mut delay = Delay::default();
                let mut heard = Vec::new();
                for tenth in 100_000..100_200 {
                    let (sent, came) = (tenth * SECOND / 10, tenth * SECOND / 10 + 2_000_000);
                    delay.came(clock(sent), came);
                    // What happened in the sender's second, as the receiver knows it.
                    let here = i64::from(seconds(came)) - delay.grown(clock(sent), came);
                    heard.push((i64::from(seconds(clock(sent))), here));
                }
                assert!(
                    heard.windows(2).all(|two| two[1].0 - two[0].0 == two[1].1 - two[0].1),
                    "{ahead} {is_behind}"
                );
                assert!(heard.iter().all(|(there, here)| (here - there).abs() <= 8), "{ahead} {is_behind}");
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_is_believed_after_a_while() {
        let mut delay = Delay::default();
        for second in 1000..1400 {
            let clock = if second < 1100 { second } else { second - 30 };
            delay.came(clock * SECOND, second * SECOND);
            let age = delay.age_ns(clock * SECOND, second * SECOND) / SECOND;
            assert_eq!(age, if (1100..1183).contains(&second) { 30 } else { 0 }, "{second}");
        }
        assert_eq!(Delay::default().age_ns(9, 5), 0);
        assert_eq!(Delay::default().age_ns(0, 5), 5);
    }
}
