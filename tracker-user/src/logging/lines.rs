//! Lines on their way to standard error: a bounded queue, and a thread of its own that empties it.
//!
//! Whoever logs never waits for whoever reads. A line that finds no room, or that standard error does not take, is lost
//! and counted; once a line is taken again, one more says how many were lost.

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::write,
};
use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    fmt, io,
    os::fd::AsFd as _,
    sync::{Arc, OnceLock},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

/// The name of the thread that writes.
const THREAD: &str = "riptide-log";

/// The queue. Until [`Lines::begin_thread`] whoever logs writes too, as far as that does not take waiting.
pub struct Lines {
    /// Bytes that may wait.
    limit: usize,
    state: Mutex<State>,
    /// A line has come, or the last one has gone.
    changed: Condvar,
    writer: OnceLock<ThreadId>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    /// Bytes of those.
    bytes: usize,
    /// A line was taken from the queue and is not written yet.
    in_hand: bool,
    /// A line was written in part, so that the next one has to begin on a line of its own.
    torn: bool,
    lost: u64,
    /// How many of these a line has told of.
    told: u64,
    /// Why the last one was lost.
    why: Option<Loss>,
}

/// Why a line was lost.
#[derive(Clone, Copy)]
enum Loss {
    NoRoom,
    NotTaken(Errno),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom => {
                f.write_str("standard error took no more for a while, and log.queue_size was full")
            }
            Self::NotTaken(errno) => write!(f, "standard error could not be written: {}", errno.desc()),
        }
    }
}

impl Lines {
    /// An empty queue for so many bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), changed: Condvar::new(), writer: OnceLock::new() }
    }

    /// Lines lost since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.state.lock().lost
    }

    /// Adds a line, which ends with a line feed, unless there is no room.
    pub fn add(&self, line: &[u8]) {
        {
            let mut state = self.state.lock();
            // What the writer itself says is how many lines were lost: it has room for one line more.
            if state.bytes + line.len() > self.limit && self.writer.get() != Some(&thread::current().id()) {
                state.lose(Loss::NoRoom);
                return;
            }
            state.push(line);
        }
        self.added();
    }

    /// Adds the last line of the process, for which there is always room.
    pub fn add_last(&self, line: &[u8]) {
        self.state.lock().push(line);
        self.added();
    }

    fn added(&self) {
        match self.writer.get() {
            Some(_) => {
                self.changed.notify_all();
            }
            None => self.write_out(Duration::ZERO),
        }
    }

    /// Begins the thread that writes from now on. A process that gives up privileges does so before: they are each
    /// thread's own.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn begin_thread(self: &Arc<Self>) -> io::Result<()> {
        let lines = self.clone();
        let handle = thread::Builder::new().name(THREAD.to_owned()).spawn(move || lines.run())?;
        // It lives as long as the process, which does not wait for it: it may be stuck in a write.
        let _ = self.writer.set(handle.thread().id());
        Ok(())
    }

    /// Gives what waits a last chance to be written, for so long at most.
    pub fn finish(&self, patience: Duration) {
        if self.writer.get().is_none() {
            self.write_out(patience);
            return;
        }
        let until = Instant::now() + patience;
        let mut state = self.state.lock();
        while !state.waiting.is_empty() || state.in_hand {
            if self.changed.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }

    fn run(&self) {
        loop {
            {
                let mut state = self.state.lock();
                while state.waiting.is_empty() {
                    self.changed.wait(&mut state);
                }
            }
            takes_more(None);
            if let Some((lost, why)) = self.write_next(None) {
                tracing::warn!(
                    "{lost} lines of this log were lost since the start, the last one because {why}"
                );
            }
        }
    }

    /// Writes what waits for as long as standard error takes it within `patience`.
    fn write_out(&self, patience: Duration) {
        let until = Some(Instant::now() + patience);
        while !self.state.lock().waiting.is_empty() && takes_more(until) {
            self.write_next(until);
        }
    }

    /// Writes the next line. Where it is the first one that was taken after others were lost, returns how many were, in
    /// all, and why the last one was.
    fn write_next(&self, until: Option<Instant>) -> Option<(u64, Loss)> {
        let (line, torn) = {
            let mut state = self.state.lock();
            let line = state.waiting.pop_front()?;
            state.bytes -= line.len();
            state.in_hand = true;
            (line, state.torn)
        };
        let written = match torn {
            true => write_whole(b"\n", until).and_then(|()| write_whole(&line, until)),
            false => write_whole(&line, until),
        };
        let mut state = self.state.lock();
        state.in_hand = false;
        if state.waiting.is_empty() {
            self.changed.notify_all();
        }
        match written {
            Ok(()) => state.torn = false,
            Err(Unwritten { errno, partly }) => {
                state.torn |= partly;
                state.lose(Loss::NotTaken(errno));
                return None;
            }
        }
        let why = state.why.filter(|_| state.lost > state.told)?;
        state.told = state.lost;
        Some((state.lost, why))
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// One call, one line.
impl io::Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    fn push(&mut self, line: &[u8]) {
        self.bytes += line.len();
        self.waiting.push_back(line.to_vec());
    }

    fn lose(&mut self, why: Loss) {
        self.lost += 1;
        self.why = Some(why);
    }
}

/// Waits until standard error takes more without waiting, or is gone, which a write then tells. Whether it came to that
/// before `until`; without one it waits for ever.
fn takes_more(until: Option<Instant>) -> bool {
    let stderr = io::stderr();
    let mut asked = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.map_or(PollTimeout::NONE, |left| left.try_into().unwrap_or(PollTimeout::MAX));
        match poll(&mut asked, timeout) {
            Ok(0) if until.is_some() => return false,
            Ok(0) | Err(Errno::EINTR) => {}
            // What cannot be waited for is written at once.
            Ok(_) | Err(_) => return true,
        }
    }
}

/// Why a line was not written whole.
struct Unwritten {
    errno: Errno,
    /// Whether a part of it was.
    partly: bool,
}

/// Writes all of it, by the system call and not through the standard library, whose lock a stuck write would hold.
fn write_whole(bytes: &[u8], until: Option<Instant>) -> Result<(), Unwritten> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match write(io::stderr(), rest) {
            Ok(written) if written > 0 => rest = &rest[written..],
            Err(Errno::EINTR) => {}
            // Whoever shares it has made it non-blocking.
            Err(Errno::EAGAIN) if takes_more(until) => {}
            other => {
                let errno = other.err().unwrap_or(Errno::EIO);
                return Err(Unwritten { errno, partly: rest.len() < bytes.len() });
            }
        }
    }
    Ok(())
}
