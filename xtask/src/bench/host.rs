//! What figures come from: which checkout, which machine, when; and what a virtual machine's host took of it.

use crate::process;
use std::{fs, process::Command, time::Duration};

/// Ticks a second in `/proc/stat`, the same on every machine that Rust's Linux runs on.
const TICKS: f64 = 100.0;
/// Where the line of all processors together has it, counted behind the line's name.
const STEAL: usize = 7;

/// Processor time that the host of this virtual machine has given to others since it started; zero if the kernel does not
/// tell. While a processor is away, queues overflow and no tracker is to blame.
pub(crate) fn stolen() -> Duration {
    steal(&fs::read_to_string("/proc/stat").unwrap_or_default()).unwrap_or_default()
}

fn steal(stat: &str) -> Option<Duration> {
    let mut fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let ticks: u64 = fields.nth(STEAL)?.parse().ok()?;
    Some(Duration::from_secs_f64(ticks as f64 / TICKS))
}

/// The checkout's commit, `-dirty` if tracked files differ from it.
pub(crate) fn commit() -> String {
    let git = |arguments: &[&str]| process::probe(process::program("git").args(arguments));
    let Some(head) = git(&["rev-parse", "HEAD"]) else { return "unknown".to_owned() };
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|text| !text.is_empty());
    format!("{}{}", head.trim(), if dirty { "-dirty" } else { "" })
}

/// Processor, cores, memory and kernel.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (cpuinfo, meminfo) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let model = value(&cpuinfo, "model name").unwrap_or(std::env::consts::ARCH);
    let memory = value(&meminfo, "MemTotal").unwrap_or("an unknown amount");
    format!("{model}, {cores} cores, {memory} of memory, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

/// What stands behind a name and a colon.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':')).map(str::trim)
}

/// The time, as RFC 3339 in UTC to the second.
pub(crate) fn now() -> String {
    let date = process::probe(Command::new("date").args(["--utc", "+%Y-%m-%dT%H:%M:%SZ"]));
    date.map_or_else(|| "unknown".to_owned(), |date| date.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_described() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC\nprocessor\t: 1\n";
        assert_eq!([value(cpuinfo, "model name"), value(cpuinfo, "model")], [Some("AMD EPYC"), None]);
        assert!(machine().contains(", Linux "));
    }

    #[test]
    fn steal_is_read_of_all_processors_together() {
        let text = "cpu  356816 0 620790 242148 80218 0 650 3979 0 0\ncpu0 157694 0 395993 111485 354 0 104 695 0 0\n";
        assert_eq!(steal(text), Some(Duration::from_millis(39_790)));
        assert_eq!(["", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 3 4 5 6 7"].map(steal), [None; 3]);
    }
}
