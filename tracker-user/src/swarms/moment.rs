//! How long it is since something was saved, whatever clocks did meanwhile.

use crate::state::boot_id;
use nix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};
use tracker_common::hex;
use tracker_core::model::Seconds;

/// A moment, by all clocks that may be of use later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970 by the wall clock, which may be wrong.
    pub wall: u64,
    /// Seconds since the boot, times of suspend included (`CLOCK_BOOTTIME`).
    pub uptime: u64,
    /// Which boot that was; zeroes where the kernel does not say.
    pub boot: [u8; 16],
}

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        let digits: Vec<u8> = boot_id().bytes().filter(|byte| *byte != b'-').collect();
        Self { wall: wall(), uptime: uptime(), boot: hex::decode(&digits).unwrap_or_default() }
    }

    /// The moment so many seconds later.
    #[must_use]
    pub const fn plus(self, seconds: u32) -> Self {
        Self {
            wall: self.wall.saturating_add(seconds as u64),
            uptime: self.uptime.saturating_add(seconds as u64),
            boot: self.boot,
        }
    }

    /// Seconds from that moment to this one.
    ///
    /// In the same boot the machine's own clock tells, which nobody sets. Otherwise the wall clock does: if it has gone back,
    /// nothing is known and no time has passed.
    #[must_use]
    pub fn since(&self, then: &Self) -> Seconds {
        let same_boot = self.boot == then.boot && self.boot != [0; 16];
        let seconds = match self.uptime.checked_sub(then.uptime) {
            Some(seconds) if same_boot => seconds,
            _ => self.wall.saturating_sub(then.wall),
        };
        Seconds::try_from(seconds).unwrap_or(Seconds::MAX)
    }
}

/// Seconds since 1970 by the wall clock.
#[must_use]
pub fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Seconds since the boot, times of suspend included.
#[must_use]
pub fn uptime() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| time.tv_sec().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: Moment = Moment { wall: 1_800_000_000, uptime: 5_000, boot: [7; 16] };

    #[test]
    fn in_the_same_boot_the_wall_clock_does_not_count() {
        for wall in [0, THEN.wall - 1, THEN.wall + 100_000_000, u64::MAX] {
            let now = Moment { wall, uptime: 5_060, ..THEN };
            assert_eq!(now.since(&THEN), 60, "{wall}");
        }
    }

    #[test]
    fn over_boots_the_wall_clock_counts_unless_it_went_back() {
        let after = |wall| Moment { wall, uptime: 9, boot: [8; 16] }.since(&THEN);
        assert_eq!(after(THEN.wall + 90), 90);
        assert_eq!([after(THEN.wall - 1), after(0)], [0, 0]);
        assert_eq!(after(u64::MAX), Seconds::MAX);
    }

    #[test]
    fn an_unknown_boot_is_no_other_one() {
        let unknown = Moment { boot: [0; 16], ..THEN };
        let now = Moment { wall: THEN.wall + 5, uptime: THEN.uptime + 500, boot: [0; 16] };
        assert_eq!(now.since(&unknown), 5);
    }

    /// As in a container with times of its own.
    #[test]
    fn a_boot_that_grew_younger_leaves_the_wall_clock() {
        assert_eq!(Moment { wall: THEN.wall + 5, uptime: 1, ..THEN }.since(&THEN), 5);
    }

    #[test]
    fn the_machine_tells_its_boot() {
        let [first, second] = [Moment::now(), Moment::now()];
        assert_ne!(first.boot, [0; 16]);
        assert_eq!(first.boot, second.boot);
        assert!(first.uptime > 0 && second.since(&first) <= 1);
        assert_eq!(first.plus(70).since(&first), 70);
    }
}
