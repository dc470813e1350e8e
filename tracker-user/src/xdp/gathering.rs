//! Has the frames of a receive queue gather in the device, for as long as its ring and `udp.latency` allow.

use super::{arrivals::Arrivals, deferral::Patience};
use crate::pace::Pace;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A queue whose device keeps frames until the kernel polls it.
#[derive(Debug)]
pub struct Gathering {
    queue: u32,
    arrivals: Arc<Arrivals>,
    patience: Arc<Patience>,
    pace: Pace,
    room: u64,
    /// What had come at the last look, and when that was.
    seen: (u64, Instant),
    /// Nanoseconds that frames may wait now; 0: as long as they did before.
    wish: u64,
}

impl Gathering {
    /// Frames of this queue may wait for `latency`; the device, and the kernel for us, have room for `room`.
    #[must_use]
    pub fn new(
        queue: u32,
        arrivals: Arc<Arrivals>,
        patience: Arc<Patience>,
        latency: Duration,
        room: u64,
    ) -> Self {
        let seen = (arrivals.of(queue), Instant::now());
        Self { queue, arrivals, patience, pace: Pace::new(latency, room), room, seen, wish: 0 }
    }

    /// After a batch: follows the rate at which frames come, those included that the program answers or passes.
    pub fn look(&mut self) {
        let (came, now) = (self.arrivals.of(self.queue), Instant::now());
        let (before, then) = self.seen;
        let elapsed = u64::try_from(now.duration_since(then).as_nanos()).unwrap_or(u64::MAX);
        let frames = came.wrapping_sub(before);
        // They come in strides of a poll: less than one says nothing, but for a ring that is about to be full.
        if elapsed < self.wish / 2 && frames < self.room / 2 {
            return;
        }
        self.seen = (came, now);
        let pause = self.pace.next(frames, elapsed);
        self.wish(pause);
    }

    /// Nothing has come for a while: what comes next is had at once.
    pub fn rest(&mut self) {
        self.pace.rest();
        self.wish(0);
    }

    /// Whether frames may wait for longer than they would without requests.
    #[must_use]
    pub const fn is_longer(&self) -> bool {
        self.wish > 0
    }

    fn wish(&mut self, nanoseconds: u64) {
        self.wish = nanoseconds;
        self.patience.wish(self.queue as usize, nanoseconds);
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        self.wish(0);
    }
}
