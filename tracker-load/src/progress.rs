//! What a run has come to while it goes on: counters that workers publish, and a line a second about them.

use crate::{cpu::Cpu, numbers::grouped};
use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How often a line is printed on a terminal.
const ON_TERMINAL: Duration = Duration::from_secs(1);
/// How often a line is printed elsewhere.
const ELSEWHERE: Duration = Duration::from_secs(10);

/// What one worker has come to since its probe began. In a cache line of its own, so that workers do not slow each
/// other down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Lane {
    sent: AtomicU64,
    answered: AtomicU64,
    wrong: AtomicU64,
}

impl Lane {
    /// Publishes totals.
    pub fn publish(&self, sent: u64, answered: u64, wrong: u64) {
        self.sent.store(sent, Relaxed);
        self.answered.store(answered, Relaxed);
        self.wrong.store(wrong, Relaxed);
    }
}

/// What a run and those who watch it share.
#[derive(Debug)]
pub struct Watch {
    stopped: AtomicBool,
    lanes: Box<[Lane]>,
    phase: Mutex<Phase>,
    woken: Condvar,
    cpu: Option<Cpu>,
    windows: Option<Duration>,
}

#[derive(Debug)]
struct Phase {
    text: String,
    began: Instant,
    over: bool,
}

impl Watch {
    /// For this many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            stopped: AtomicBool::new(false),
            lanes: (0..workers.max(1)).map(|_| Lane::default()).collect(),
            phase: Mutex::new(Phase { text: String::new(), began: Instant::now(), over: false }),
            woken: Condvar::new(),
            cpu: None,
            windows: None,
        }
    }

    /// The same, and how busy this processor is while requests count.
    #[must_use]
    pub fn with_cpu(self, cpu: Cpu) -> Self {
        Self { cpu: Some(cpu), ..self }
    }

    /// The same, and the figures of each window of this length.
    #[must_use]
    pub fn with_windows(self, every: Duration) -> Self {
        Self { windows: Some(every), ..self }
    }

    /// The processor whose load is told.
    #[must_use]
    pub const fn cpu(&self) -> Option<Cpu> {
        self.cpu
    }

    /// The length of the windows that the figures are told by.
    #[must_use]
    pub const fn windows(&self) -> Option<Duration> {
        self.windows
    }

    /// Asks the run to end now, with the figures so far.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Whether the run was asked to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    /// The counters of this worker; a number too large shares those of the first.
    #[must_use]
    pub fn lane(&self, worker: usize) -> &Lane {
        self.lanes.get(worker).unwrap_or(&self.lanes[0])
    }

    /// Says what the run does from now on, and begins to count anew.
    pub fn begin(&self, text: String) {
        for lane in &self.lanes {
            lane.publish(0, 0, 0);
        }
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        phase.text = text;
        phase.began = Instant::now();
    }

    /// Says something about the run on standard error, once.
    pub fn remark(&self, text: &str) {
        // Where standard error is gone there is nobody left to tell.
        let _ = writeln!(io::stderr().lock(), "note: {text}");
    }

    /// Prints a line on standard error, among those about the run.
    pub fn say(&self, line: &str) {
        let phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        // Where standard error is gone there is nobody left to tell.
        let _ = writeln!(io::stderr().lock(), "{line}");
        drop(phase);
    }

    /// Ends [`Watch::print_lines`].
    pub fn end(&self) {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.woken.notify_all();
    }

    fn totals(&self) -> [u64; 3] {
        self.lanes.iter().fold([0; 3], |[sent, answered, wrong], lane| {
            [
                sent + lane.sent.load(Relaxed),
                answered + lane.answered.load(Relaxed),
                wrong + lane.wrong.load(Relaxed),
            ]
        })
    }

    /// Prints a line about the run on standard error now and then, until [`Watch::end`].
    pub fn print_lines(&self) {
        let every = if io::stderr().is_terminal() { ON_TERMINAL } else { ELSEWHERE };
        let (mut before, mut at) = ([0; 3], Instant::now());
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        while !phase.over {
            let waited = self.woken.wait_timeout(phase, every);
            phase = waited.unwrap_or_else(PoisonError::into_inner).0;
            if phase.over || at.elapsed() < every {
                continue;
            }
            let totals = self.totals();
            // A new phase counts from nought.
            if totals[0] < before[0] {
                before = [0; 3];
            }
            let line = line(&phase.text, phase.began.elapsed(), at.elapsed(), before, totals);
            (before, at) = (totals, Instant::now());
            // Where standard error is gone there is nobody left to tell.
            let _ = writeln!(io::stderr().lock(), "{line}");
        }
    }
}

fn line(phase: &str, since: Duration, step: Duration, before: [u64; 3], now: [u64; 3]) -> String {
    let rate = |i: usize| {
        let count = now[i].saturating_sub(before[i]) as f64;
        grouped(crate::numbers::whole(count / step.as_secs_f64().max(0.001)))
    };
    let mut text =
        format!("{phase} {:>4.0} s: sent {}/s, answered {}/s", since.as_secs_f64(), rate(0), rate(1));
    if now[2] > 0 {
        text += &format!(", wrong {} in all", grouped(now[2]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_rates_since_the_last_one() {
        let (since, step) = (Duration::from_secs(3), Duration::from_secs(2));
        let text = line("20,000/s", since, step, [10, 10, 0], [2010, 1990, 0]);
        assert_eq!(text, "20,000/s    3 s: sent 1,000/s, answered 990/s");
        let text = line("all", since, step, [0; 3], [2, 2, 7]);
        assert_eq!(text, "all    3 s: sent 1/s, answered 1/s, wrong 7 in all");
    }

    #[test]
    fn lanes_add_up_and_begin_anew() {
        let watch = Watch::new(2);
        watch.lane(0).publish(5, 4, 1);
        watch.lane(1).publish(3, 3, 0);
        assert_eq!(watch.totals(), [8, 7, 1]);
        watch.begin("next".into());
        assert_eq!(watch.totals(), [0; 3]);
        assert!(!watch.is_stopped());
        watch.stop();
        assert!(watch.is_stopped());
        watch.end();
        watch.print_lines();
    }
}
