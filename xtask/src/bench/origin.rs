//! What figures come from: which checkout, which machine, when.

use crate::process;
use std::{
    fs,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

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
    let architecture = process::probe(Command::new("uname").arg("-m")).unwrap_or_default();
    describe_machine(
        &read("/proc/cpuinfo"),
        architecture.trim(),
        cores,
        &read("/proc/meminfo"),
        read("/proc/sys/kernel/osrelease").trim(),
    )
}

fn describe_machine(cpuinfo: &str, architecture: &str, cores: usize, meminfo: &str, kernel: &str) -> String {
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let model = value(cpuinfo, "model name").unwrap_or_else(|| format!("{architecture} processor"));
    let kilobytes = value(meminfo, "MemTotal")
        .and_then(|text| text.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()));
    let memory = kilobytes.map(|kilobytes| format!(", {:.0} GiB of memory", kilobytes / 1_048_576.0));
    let plural = if cores == 1 { "" } else { "s" };
    format!("{model}, {cores} core{plural}{}, Linux {kernel}", memory.unwrap_or_default())
}

/// The time, as RFC 3339 in UTC to the second.
pub(crate) fn now() -> String {
    date(SystemTime::now())
}

fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The Gregorian date of a day, counted from 1970-01-01.
fn civil(mut day: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn machines_are_described() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC\nprocessor\t: 1\nmodel name\t: AMD EPYC\n";
        let meminfo = "MemTotal:       24666400 kB\nMemFree: 1 kB\n";
        assert_eq!(
            describe_machine(cpuinfo, "x86_64", 2, meminfo, "6.18.5"),
            "AMD EPYC, 2 cores, 24 GiB of memory, Linux 6.18.5"
        );
        assert_eq!(describe_machine("", "aarch64", 1, "", "6.1"), "aarch64 processor, 1 core, Linux 6.1");
        assert!(machine().contains(", Linux "));
    }

    #[test]
    fn dates_are_utc() {
        let at = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(at(1_795_392_000), "2026-11-23T00:00:00Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
