//! Black-box tests of the `riptide` binary: the harness that they share.
//!
//! Nothing here uses the tracker's own code, so that a mistake in it cannot hide itself: requests and replies are those of
//! the load generator's client, whose tests compare it with bytes written by hand, frames are built by another crate, and
//! whatever is learned about the tracker comes from its replies, its metrics and its standard error.
//!
//! A harness for tests has one way to fail: a panic that says what was awaited and what came instead. So everything here
//! panics, and no item says so again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

pub mod acme;
pub mod cgroup;
pub mod cluster;
pub mod conformance;
pub mod control;
pub mod debian;
pub mod doors;
pub mod frames;
pub mod handover;
pub mod liars;
mod listener;
pub mod load;
pub mod maps;
pub mod markdown;
pub mod metrics;
pub mod monitoring;
pub mod nats;
pub mod net;
pub mod openapi;
pub mod private;
pub mod probe;
pub mod process;
pub mod random;
pub mod rig;
pub mod riptide;
pub mod scripts;
pub mod service;
pub mod terminal;
pub mod transfer;
pub mod udp;
pub mod web;

/// How long anything that must happen may take. A passing test never waits this long.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// What clients are told by default, seconds: half an hour, a tenth more or less by chance.
pub const INTERVAL: RangeInclusive<u32> = 1620..=1980;

/// And the first leecher of a torrent, while there is no pressure: half of it.
pub const FIRST_INTERVAL: RangeInclusive<u32> = 810..=990;

/// Asks again until `probe` yields something.
pub fn eventually<T>(awaited: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {awaited}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
