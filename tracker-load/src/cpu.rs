//! How busy a processor was, as the kernel tells of each in `/proc/stat`.

use crate::error::Error;
use std::{
    fs,
    time::{Duration, Instant},
};

/// Where the kernel counts how processors spend their time, in the same ticks on every machine that Rust's Linux runs on.
const STAT: &str = "/proc/stat";
/// Ticks a second.
const TICKS: f64 = 100.0;
/// Where a processor's line has its idle time, and right behind it its time spent waiting for storage.
const IDLE: usize = 3;

/// A processor of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu(usize);

impl Cpu {
    /// The processor with this number.
    ///
    /// # Errors
    /// If there is none, or the kernel does not tell.
    pub fn find(number: usize) -> Result<Self, Error> {
        let stat = fs::read_to_string(STAT)
            .map_err(Error::system::<std::io::Error>(format!("{STAT} cannot be read")))?;
        match idle(&stat, number) {
            Some(_) => Ok(Self(number)),
            None => Err(Error::Usage(format!(
                "--watch-cpu {number}: this host has no such processor online; it has {}",
                numbers(&stat)
            ))),
        }
    }
}

/// Measures how busy a processor is from when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    cpu: Cpu,
    began: Instant,
    idle: Duration,
}

impl Busy {
    /// From now on; `None` if the kernel has stopped telling.
    #[must_use]
    pub fn of(cpu: Cpu) -> Option<Self> {
        let (began, idle) = read(cpu)?;
        Some(Self { cpu, began, idle })
    }

    /// Seconds that it was busy until now: the time that went by, less the time it was idle or waited for storage. So
    /// what a virtual machine's host took away counts as busy.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let (now, idle) = read(self.cpu)?;
        Some(now.duration_since(self.began).saturating_sub(idle.saturating_sub(self.idle)).as_secs_f64())
    }
}

fn read(cpu: Cpu) -> Option<(Instant, Duration)> {
    let now = Instant::now();
    Some((now, idle(&fs::read_to_string(STAT).ok()?, cpu.0)?))
}

/// The numbers and fields of the processors' lines. The first line, of all together, has no number.
fn lines(stat: &str) -> impl Iterator<Item = (usize, impl Iterator<Item = &str>)> {
    stat.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        Some((words.next()?.strip_prefix("cpu")?.parse().ok()?, words))
    })
}

/// How long a processor did nothing since the host's start.
fn idle(stat: &str, number: usize) -> Option<Duration> {
    let (_, fields) = lines(stat).find(|(other, _)| *other == number)?;
    let ticks: Vec<u64> = fields.skip(IDLE).take(2).map_while(|field| field.parse().ok()).collect();
    match ticks[..] {
        [idle, waiting] => Some(Duration::from_secs_f64(idle.saturating_add(waiting) as f64 / TICKS)),
        _ => None,
    }
}

/// The processors online, in words such as `0-3, 8`.
fn numbers(stat: &str) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for (number, _) in lines(stat) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |&(first, last): &(usize, usize)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processor 2 is offline; 1 and 10 begin alike.
    const STAT: &str = "\
cpu  61 0 33 12850 8 0 9 0 0 0
cpu0 20 0 11 4000 1 0 3 0 0 0
cpu1 21 0 11 4250 50 0 3 0 0 0
cpu3 10 0 1 300 0 0 3 7 0 0
cpu10 10 0 10 4300 7 0 0 0 0 0
intr 9034 0 1
ctxt 2314
";

    #[test]
    fn idle_time_is_that_of_the_processor_asked_for() {
        for (number, seconds) in [(0, 40.01), (1, 43.0), (3, 3.0), (10, 43.07)] {
            assert_eq!(idle(STAT, number), Some(Duration::from_secs_f64(seconds)), "{number}");
        }
        assert_eq!(numbers(STAT), "0-1, 3, 10");
    }

    #[test]
    fn what_is_not_told_is_none() {
        assert_eq!(idle(STAT, 2), None);
        for text in ["", "cpu", "cpu0", "cpu0 1 2 3 4", "cpu0 1 2 3 x 5", "cpu0 1 2 3 4 -5", "cpux 1 2 3 4 5"]
        {
            assert_eq!(idle(text, 0), None, "{text}");
        }
    }

    #[test]
    fn a_processor_that_is_not_there_is_wrong_usage() {
        let error = Cpu::find(1_000_000).unwrap_err();
        assert!(error.is_usage(), "{error}");
        let text = error.to_string();
        assert!(text.contains("--watch-cpu 1000000") && text.contains("it has 0"), "{text}");
    }

    #[test]
    fn a_processor_is_not_busy_for_longer_than_time_goes_by() {
        let cpu = lines(&fs::read_to_string(super::STAT).unwrap()).next().unwrap().0;
        let began = Instant::now();
        let busy = Busy::of(Cpu::find(cpu).unwrap()).unwrap();
        let seconds = busy.seconds().unwrap();
        assert!(seconds >= 0.0 && seconds <= began.elapsed().as_secs_f64(), "{seconds}");
    }
}
