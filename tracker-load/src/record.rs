//! What is taken beside a worker's counters while its requests count: the same figures by windows of time, and how busy
//! a processor was.

use crate::{
    cpu::{Busy, Cpu},
    error::Error,
    figures::{Figures, Window},
    numbers::{grouped, nanoseconds},
    progress::Watch,
};
use std::time::Duration;

/// Windows of a run at the most: each has a histogram.
pub const MOST_WINDOWS: u64 = 1_000;

/// Refuses windows that would be too many.
///
/// # Errors
/// If they are.
pub fn check_windows(every: Duration, duration: Duration) -> Result<(), Error> {
    let (every, duration) = (nanoseconds(every), nanoseconds(duration));
    if every == 0 || duration.div_ceil(every) > MOST_WINDOWS {
        return Err(Error::Usage(format!(
            "--windows: a run is cut into {} windows at the most; give a longer time",
            grouped(MOST_WINDOWS)
        )));
    }
    Ok(())
}

/// One worker's record of a probe. Times are nanoseconds of any one clock.
#[derive(Debug)]
pub struct Record {
    from: u64,
    until: u64,
    /// The length of a window; without windows, longer than any run.
    every: u64,
    /// When there is something to do next: at first when requests begin to count, then at each window's end.
    next: u64,
    began: bool,
    before: Figures,
    windows: Vec<Window>,
    cpu: Option<Cpu>,
    busy: Option<Busy>,
    cpu_seconds: Option<f64>,
}

impl Record {
    /// Of a worker whose requests count from `from` until `until` at the latest. The first worker watches the processor.
    #[must_use]
    pub fn new(watch: &Watch, worker: usize, from: u64, until: u64) -> Self {
        Self {
            from,
            until,
            every: watch.windows().map_or(u64::MAX, nanoseconds),
            next: from,
            began: false,
            before: Figures::default(),
            windows: Vec::new(),
            cpu: watch.cpu().filter(|_| worker == 0),
            busy: None,
            cpu_seconds: None,
        }
    }

    /// To be called often until requests count no more, with what the worker has counted so far.
    #[inline]
    pub fn look(&mut self, now: u64, figures: &Figures) {
        if now >= self.next {
            self.turn(now, figures);
        }
    }

    /// How long it is until [`Record::look`] has something to do, nanoseconds.
    #[must_use]
    pub const fn rest(&self, now: u64) -> u64 {
        self.next.saturating_sub(now)
    }

    fn turn(&mut self, now: u64, figures: &Figures) {
        if !self.began {
            self.began = true;
            self.busy = self.cpu.and_then(Busy::of);
            self.plan();
        }
        while now >= self.next {
            self.cut(figures);
            self.plan();
        }
    }

    fn cut(&mut self, figures: &Figures) {
        let seconds = (self.windows.len() as u64 * self.every) as f64 / 1e9;
        self.windows.push(Window::between(seconds, &self.before, figures));
        self.before = figures.clone();
    }

    /// The end of the window that has begun; the last one lasts until the worker is done.
    fn plan(&mut self) {
        let end = self.every.saturating_mul(self.windows.len() as u64 + 1).saturating_add(self.from);
        self.next = if end < self.until { end } else { u64::MAX };
    }

    /// Requests count no more.
    pub fn stop(&mut self) {
        self.cpu_seconds = self.busy.as_ref().and_then(Busy::seconds);
        self.next = u64::MAX;
    }

    /// Puts the record with the worker's figures, once the last replies are there.
    pub fn finish(mut self, figures: &mut Figures) {
        if self.began && self.every != u64::MAX {
            self.cut(figures);
        }
        figures.windows = self.windows;
        figures.cpu_seconds = self.cpu_seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Wrong;

    const SECOND: u64 = 1_000_000_000;

    fn record(watch: &Watch) -> Record {
        Record::new(watch, 0, 5 * SECOND, 8 * SECOND)
    }

    fn counts(figures: &Figures) -> Vec<(f64, u64, u64, u64, u64, u64)> {
        let counts = |window: &Window| {
            let Window { seconds, sent, answered, unanswered, wrong, latency } = window;
            (*seconds, *sent, *answered, *unanswered, *wrong, latency.len())
        };
        figures.windows.iter().map(counts).collect()
    }

    #[test]
    fn windows_hold_what_happened_in_them() {
        let watch = Watch::new(1).with_windows(Duration::from_secs(1));
        let (mut record, mut figures) = (record(&watch), Figures::default());
        record.look(4 * SECOND, &figures);
        // Wrong before requests count: the first window tells of it.
        figures.count_wrong(Wrong::Counts);
        record.look(5 * SECOND, &figures);
        assert_eq!(record.rest(5 * SECOND), SECOND);
        figures.sent = 10;
        figures.count_answer(1_000);
        record.look(6 * SECOND + 3, &figures);
        figures.sent = 30;
        (0..20).for_each(|_| figures.count_answer(2_000_000));
        figures.unanswered = 2;
        record.look(7 * SECOND, &figures);
        figures.sent = 31;
        record.look(8 * SECOND, &figures);
        record.stop();
        // What comes after the end is in the last window.
        figures.count_answer(3_000_000);
        record.look(9 * SECOND, &figures);
        record.finish(&mut figures);
        assert_eq!(counts(&figures), [(0.0, 10, 1, 0, 1, 1), (1.0, 20, 20, 2, 0, 20), (2.0, 1, 1, 0, 0, 1)]);
        let p50 = figures.windows[1].latency.value_at_quantile(0.5);
        assert!((1_980_000..2_020_000).contains(&p50), "{p50}");
        assert_eq!(figures.cpu_seconds, None);
    }

    #[test]
    fn a_worker_that_was_held_up_skips_no_window() {
        let watch = Watch::new(1).with_windows(Duration::from_secs(1));
        let (mut record, mut figures) = (record(&watch), Figures { sent: 7, ..Figures::default() });
        record.look(7 * SECOND + 5, &figures);
        record.stop();
        record.finish(&mut figures);
        assert_eq!(counts(&figures), [(0.0, 7, 0, 0, 0, 0), (1.0, 0, 0, 0, 0, 0), (2.0, 0, 0, 0, 0, 0)]);
    }

    #[test]
    fn a_run_that_is_stopped_early_has_fewer_windows() {
        let watch = Watch::new(1).with_windows(Duration::from_secs(1));
        let (mut early, mut figures) = (record(&watch), Figures::default());
        early.look(5 * SECOND, &figures);
        early.stop();
        early.finish(&mut figures);
        assert_eq!(figures.windows.len(), 1);
        let (mut never, mut figures) = (record(&watch), Figures::default());
        never.stop();
        never.finish(&mut figures);
        assert!(figures.windows.is_empty());
    }

    #[test]
    fn without_windows_there_are_none() {
        let watch = Watch::new(1);
        let (mut record, mut figures) = (record(&watch), Figures::default());
        record.look(6 * SECOND, &figures);
        assert_eq!(record.rest(6 * SECOND), u64::MAX - 6 * SECOND);
        record.stop();
        record.finish(&mut figures);
        assert!(figures.windows.is_empty());
    }

    #[test]
    fn the_first_worker_watches_the_processor() {
        let watch = Watch::new(2).with_cpu(Cpu::find(0).unwrap());
        for worker in [0, 1] {
            let (mut record, mut figures) = (Record::new(&watch, worker, 0, SECOND), Figures::default());
            record.look(0, &figures);
            record.stop();
            record.finish(&mut figures);
            assert_eq!(figures.cpu_seconds.is_some(), worker == 0);
        }
    }

    #[test]
    fn too_many_windows_are_wrong_usage() {
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        assert!(check_windows(second, 1_000 * second).is_ok());
        assert!(check_windows(second, Duration::ZERO).is_ok());
        for (every, duration) in [(second, hour), (Duration::ZERO, second)] {
            assert!(check_windows(every, duration).unwrap_err().is_usage());
        }
    }
}
