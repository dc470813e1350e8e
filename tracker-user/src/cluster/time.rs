//! Times, as a node counts them: protocol time in nanoseconds.

use std::time::Duration;
use tracker_core::model::Seconds;

/// Nanoseconds of a duration.
pub const fn ns(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// Protocol time as the engine takes it.
pub const fn seconds(now_ns: u64) -> Seconds {
    (now_ns / 1_000_000_000) as Seconds
}
