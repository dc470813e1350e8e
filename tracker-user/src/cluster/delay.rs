//! How long what a process sends is on its way, where its clock may be another one's.

use super::time::ns;
use std::time::Duration;

/// How far clocks may be apart that pass for the same: those of nodes that keep time are by far less, and no message is on its way for as
/// long all the time.
const SAME_NS: i64 = ns(Duration::from_secs(1)).cast_signed();
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
        let apart =
            self.least.iter().flatten().min().copied().filter(|least| least.saturating_abs() > SAME_NS);
        let age = took(written_ns, now_ns).saturating_sub(apart.unwrap_or_default());
        age.max(0).cast_unsigned()
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
