//! Protocol time: the coarse monotonic clock plus a saved base. The XDP program reads the same clock.

use nix::time::{ClockId, clock_gettime};
use tracker_core::model::Seconds;

/// The clock of connection IDs and swarms.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base_ns: u64,
}

impl Clock {
    /// A clock that is `base_ns` ahead of the monotonic one.
    #[must_use]
    pub fn new(base_ns: u64) -> Self {
        Self { base_ns }
    }

    /// What is added to the monotonic clock, nanoseconds.
    #[must_use]
    pub fn base_ns(self) -> u64 {
        self.base_ns
    }

    /// Protocol time, nanoseconds: never goes back, precise to a tick (1 to 10 ms).
    #[inline]
    #[must_use]
    pub fn now_ns(self) -> u64 {
        monotonic_ns().wrapping_add(self.base_ns)
    }

    /// Protocol time in whole seconds, as the engine counts it.
    #[inline]
    #[must_use]
    pub fn now(self) -> u32 {
        (self.now_ns() / 1_000_000_000) as u32
    }
}

/// Protocol time in whole seconds, as the engine takes it.
#[must_use]
pub const fn seconds(now_ns: u64) -> Seconds {
    (now_ns / 1_000_000_000) as Seconds
}

/// The coarse monotonic clock, nanoseconds since boot.
#[inline]
#[must_use]
pub fn monotonic_ns() -> u64 {
    // Linux has had this clock since 2.6.32; were it refused, time would stand still and IDs would not expire.
    clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)
        .map_or(0, |time| time.tv_sec().unsigned_abs() * 1_000_000_000 + time.tv_nsec().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn runs_with_the_monotonic_clock() {
        let other: Duration = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap().into();
        let now = Duration::from_nanos(Clock::new(1_000).now_ns() - 1_000);
        assert!(now.abs_diff(other) < Duration::from_secs(1), "{now:?} and {other:?}");
    }
}
