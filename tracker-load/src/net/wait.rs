//! Waiting for many sockets and a periodic tick at once.

use crate::error::Error;
use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
};
use std::{os::fd::AsFd, time::Duration};

/// What the timer is called among the descriptors.
const TIMER: u64 = u64::MAX;
/// Events that one wait brings at the most.
const EVENTS: usize = 128;
/// Requests that a tick sends at the least, so that batches are worth their system call.
const PER_TICK: f64 = 16.0;
/// The shortest and the longest tick.
const TICK: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(1)];

/// The tick of a worker that sends this many requests a second.
#[must_use]
pub fn tick(rate: f64) -> Duration {
    Duration::from_secs_f64((PER_TICK / rate).min(1.0)).clamp(TICK[0], TICK[1])
}

/// Sockets and a timer.
#[derive(Debug)]
pub struct Wait {
    epoll: Epoll,
    timer: TimerFd,
}

/// What a wait brought.
#[derive(Debug)]
pub struct Ready {
    events: [EpollEvent; EVENTS],
    count: usize,
    /// Whether a tick has come.
    pub tick: bool,
}

impl Ready {
    /// The numbers of the sockets that something happened to.
    pub fn sockets(&self) -> impl Iterator<Item = usize> {
        let named = self.events[..self.count].iter().filter(|event| event.data() != TIMER);
        named.map(|event| usize::try_from(event.data()).unwrap_or(usize::MAX))
    }
}

impl Wait {
    /// With a tick of this length.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn new(tick: Duration) -> Result<Self, Error> {
        let system = || Error::system::<Errno>("the worker's wait cannot be set up");
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(system())?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(system())?;
        let every = Expiration::Interval(TimeSpec::from_duration(tick));
        timer.set(every, TimerSetTimeFlags::empty()).map_err(system())?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER)).map_err(system())?;
        Ok(Self { epoll, timer })
    }

    /// Waits for a socket to be readable, for as long as it is.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn readable(&self, socket: &impl AsFd, number: usize) -> Result<(), Error> {
        self.add(socket, number, EpollFlags::EPOLLIN)
    }

    /// Waits for anything new about a socket: once each time it becomes readable, writable, or is closed.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn changes(&self, socket: &impl AsFd, number: usize) -> Result<(), Error> {
        let all = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        self.add(socket, number, all)
    }

    fn add(&self, socket: &impl AsFd, number: usize, flags: EpollFlags) -> Result<(), Error> {
        let event = EpollEvent::new(flags, number as u64);
        self.epoll.add(socket, event).map_err(Error::system::<Errno>("a socket cannot be waited for"))
    }

    /// Waits for the next events.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn wait(&self) -> Result<Ready, Error> {
        let mut events = [EpollEvent::empty(); EVENTS];
        let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(Error::system("the wait for replies failed")(error)),
        };
        let tick = events[..count].iter().any(|event| event.data() == TIMER);
        if tick {
            // Non-blocking: it has expired, or nothing is to be read.
            let _ = self.timer.wait();
        }
        Ok(Ready { events, count, tick })
    }
}
