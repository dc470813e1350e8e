//! Has requests gather in ordinary sockets: a pause before the next look, while they keep coming.

use crate::{pace::Pace, xdp::deferral::Patience};
use nix::sys::prctl::set_timerslack;
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// A pause may be longer by this, nanoseconds, if the kernel wakes others then.
const SLACK: u64 = 10_000;
/// While a worker polls, the kernel shall not: its timer is set to twice a pause and this, nanoseconds.
const HEADROOM: u64 = 200_000;

/// What a worker pauses by.
#[derive(Debug)]
pub struct Gatherer {
    worker: usize,
    patiences: Vec<Arc<Patience>>,
    pace: Pace,
    /// Requests since the last pause, and when that began.
    came: u64,
    since: Instant,
    pausing: bool,
}

impl Gatherer {
    /// Worker number `worker` may keep requests waiting for `latency`; its sockets have room for `room`. `patiences` are
    /// those of interfaces that it polls.
    #[must_use]
    pub fn new(worker: usize, patiences: Vec<Arc<Patience>>, latency: Duration, room: u64) -> Self {
        let pace = Pace::new(latency, room);
        Self { worker, patiences, pace, came: 0, since: Instant::now(), pausing: false }
    }

    /// Takes note of a pass over all sources. Whether any request was there; if not, what comes next is had at once.
    #[inline]
    pub fn has_come(&mut self, requests: usize) -> bool {
        self.came += requests as u64;
        if requests == 0 && self.pausing {
            self.pausing = false;
            self.pace.rest();
            self.have_kernel_wait(0);
        }
        requests > 0
    }

    /// Pauses, if as many requests have come lately that more will. Whether it did.
    pub fn pause(&mut self) -> bool {
        let now = Instant::now();
        let elapsed = u64::try_from(now.duration_since(self.since).as_nanos()).unwrap_or(u64::MAX);
        let pause = self.pace.next(self.came, elapsed);
        (self.came, self.since) = (0, now);
        if pause == 0 {
            return false;
        }
        if !self.pausing {
            self.pausing = true;
            // Of this thread alone; without it a pause is longer by some ten microseconds.
            let _ = set_timerslack(SLACK);
        }
        self.have_kernel_wait(2 * pause + HEADROOM);
        thread::sleep(Duration::from_nanos(pause));
        true
    }

    fn have_kernel_wait(&self, nanoseconds: u64) {
        for patience in &self.patiences {
            patience.wish(self.worker, nanoseconds);
        }
    }
}

impl Drop for Gatherer {
    fn drop(&mut self) {
        self.have_kernel_wait(0);
    }
}
