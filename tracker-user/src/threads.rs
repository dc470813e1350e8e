//! Threads: those whose processor time another thread reads, so that they need not look at a clock themselves, and those that
//! yield to all that answer.
#![allow(unsafe_code, reason = "structs that sched_setscheduler(2) and sched_setattr(2) take by pointer")]

use nix::{
    time::{ClockId, clock_gettime},
    unistd::{Pid, gettid},
};
use parking_lot::Mutex;
use std::{io, panic, thread, time::Duration};

/// The nice value of threads that yield: against one that answers they get a tenth of a processor, and all that it leaves.
const YIELDING: i32 = 10;
/// How long one that yields may go on when another that shares its processor wants to run, nanoseconds: the shortest that may
/// be asked for. By itself the system lets it go on for milliseconds.
const YIELDS_AFTER_NS: u64 = 100_000;

/// Some threads of this process.
#[derive(Debug)]
pub struct Threads {
    most: usize,
    known: Mutex<Vec<Pid>>,
}

impl Threads {
    /// The first so many that join.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, known: Mutex::default() }
    }

    /// The calling thread is one of them.
    pub fn join(&self) {
        let mut known = self.known.lock();
        if known.len() < self.most {
            known.push(gettid());
        }
    }

    /// How many have joined.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.lock().len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The processor time of all of them so far, without those that have ended.
    #[must_use]
    pub fn processor_time(&self) -> Duration {
        self.processor_times().into_iter().map(|(_, time)| time).sum()
    }

    /// The processor time of each so far, by its number in the order of joining, without those that have ended.
    #[must_use]
    pub fn processor_times(&self) -> Vec<(usize, Duration)> {
        let known = self.known.lock();
        let time = |thread: &Pid| clock_gettime(clock_of(*thread)).ok().map(Duration::from);
        known.iter().enumerate().filter_map(|(n, thread)| Some((n, time(thread)?))).collect()
    }
}

/// From now on the calling thread, and those that it starts, yield the processor to those that answer. There is no way back.
pub fn yield_to_answers() {
    let wish = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: YIELDING,
        sched_priority: 0,
        sched_runtime: YIELDS_AFTER_NS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the struct lives through the call, which only reads it, as many bytes as it says; 0 names the calling thread, and
    // what is asked for needs no right. Where the system refuses, the thread runs as others do; before Linux 6.12 it passes the
    // time over.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wish, 0) };
}

/// From now on the calling thread, and those that it starts, run where no other wants to. One that yields by its nice value
/// alone may be let run for milliseconds while another waits, in which a ring overflows.
fn run_where_nobody_else_does() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the struct lives through the call, which only reads it; 0 names the calling thread, and what is asked for needs
    // no right. Where the system refuses, the thread runs as others do.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
}

/// Does some work on a thread that takes what processors are left by all others, and waits for its end.
///
/// # Errors
/// When the system gives no thread.
pub fn aside<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let yielding = move || {
            run_where_nobody_else_does();
            work()
        };
        let running = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, yielding)?;
        Ok(running.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)))
    })
}

/// The clock of a thread's processor time, as pthread_getcpuclockid(3) gives it: the bits of the number inverted, then those
/// that say "of a thread" and "as scheduled" (the kernel's posix-timers_types.h).
fn clock_of(thread: Pid) -> ClockId {
    const OF_A_THREAD: i32 = 4;
    const AS_SCHEDULED: i32 = 2;
    ClockId::from_raw(!thread.as_raw() << 3 | OF_A_THREAD | AS_SCHEDULED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, mpsc};

    #[test]
    fn the_time_of_others_is_read_and_not_that_of_the_reader() {
        let threads = Arc::new(Threads::new(1));
        let (orders, told) = mpsc::channel::<bool>();
        let (says, heard) = mpsc::channel();
        let other = thread::spawn({
            let threads = threads.clone();
            move || {
                threads.join();
                // One too many.
                threads.join();
                for busy in told {
                    let begun = own_time();
                    while busy && own_time() < begun + Duration::from_millis(20) {}
                    says.send(own_time()).unwrap();
                }
            }
        });
        let order = |busy| {
            orders.send(busy).unwrap();
            heard.recv().unwrap()
        };
        let before = order(false);
        assert_eq!(threads.len(), 1);
        assert!(threads.processor_time() >= before);
        // What this thread does is none of theirs.
        let begun = own_time();
        while own_time() < begun + Duration::from_millis(20) {}
        assert!(threads.processor_time() < before + Duration::from_millis(20));
        let after = order(true);
        assert!(after >= before + Duration::from_millis(20));
        assert!(threads.processor_time() >= after);
        let each = threads.processor_times();
        assert!(matches!(each[..], [(0, time)] if time >= after), "{each:?}");
        drop(orders);
        other.join().unwrap();
    }

    #[test]
    fn work_aside_yields_and_who_waits_for_it_does_not() {
        // The nice value and the policy as proc_pid_stat(5) has them, behind the name in parentheses.
        let state = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let fields: Vec<_> = stat.rsplit(')').next().unwrap().split(' ').collect();
            [17, 39].map(|field| fields[field].parse::<i32>().unwrap())
        };
        let before = state();
        assert_eq!(aside("aside", state).unwrap(), [before[0], libc::SCHED_IDLE]);
        assert_eq!(state(), before);
        let yielding = thread::spawn(move || {
            yield_to_answers();
            state()
        });
        assert_eq!(yielding.join().unwrap(), [YIELDING, before[1]]);
    }

    fn own_time() -> Duration {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
    }
}
