//! Hand-overs from one process of the tracker to another, with clients that ask all the while.

mod crowd;
mod load;
mod persistent;
mod taker;
mod visitors;

pub use crowd::{Answered, Crowd, goes_on, loopback_clients};
pub use load::three_under_load;
pub use persistent::Persistent;
pub use taker::{Kind, Taker, stays};
pub use visitors::Visitors;

use crate::riptide::Riptide;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A process that a tracker has started in its place. Killed when dropped.
pub struct Successor(Pid);

impl Successor {
    /// The one that this tracker has started last, as it tells.
    #[must_use]
    pub fn of(riptide: &Riptide) -> Self {
        Self::after(riptide, 0)
    }

    /// The last one, where so many have been started before at least.
    #[must_use]
    pub fn after(riptide: &Riptide, others: usize) -> Self {
        let told = |line: &String| line.split_once("started process ")?.1.split(' ').next()?.parse().ok();
        let number = crate::eventually("a process that is to take over", || {
            let all: Vec<i32> = riptide.lines().iter().filter_map(told).collect();
            all.get(others..)?.last().copied()
        });
        Self(Pid::from_raw(number))
    }

    /// Its process ID.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.0
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.0, signal).unwrap_or_else(|e| panic!("{signal}: {e}"));
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
    }
}
