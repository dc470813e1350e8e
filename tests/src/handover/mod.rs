//! Hand-overs from one process of the tracker to another, with clients that ask all the while.

mod crowd;
mod taker;

pub use crowd::{Answered, Crowd, goes_on, loopback_clients};
pub use taker::{Kind, Taker};

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
        let before = "started process ";
        riptide.wait_for_line("a process that is to take over", |line| line.contains(before));
        let lines = riptide.lines();
        let line = lines.iter().rfind(|line| line.contains(before)).expect("the line");
        let number = line.split_once(before).and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        Self(Pid::from_raw(number.unwrap_or_else(|| panic!("no process: {line}"))))
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
