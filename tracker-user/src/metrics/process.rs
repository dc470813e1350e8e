//! What metrics tell of the process itself, by the names that Prometheus' own client libraries have for it.

use crate::memory::{Memory, resident};
use nix::{
    time::{ClockId, clock_gettime},
    unistd::{SysconfVar, sysconf},
};
use std::{fmt::Write as _, fs, time::Duration};

/// What the system tells of this process; what it does not tell is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Process {
    /// Seconds since 1970.
    started: Option<f64>,
    /// Seconds of processor time.
    processor: Option<f64>,
    /// Bytes.
    resident: Option<u64>,
    /// Bytes that it may use.
    permitted: Option<u64>,
}

impl Process {
    fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten();
        let processor = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok();
        Self {
            started: ticks.and_then(|ticks| started(&read("/proc/self/stat"), &read("/proc/stat"), ticks)),
            processor: processor.map(|time| Duration::from(time).as_secs_f64()),
            resident: resident(),
            permitted: Memory::detect().map(|memory| memory.bytes),
        }
    }
}

/// When a process was started, in seconds since 1970: the 22nd field of proc_pid_stat(5), in ticks since the `btime` of
/// proc_stat(5). The name of the program, the second field, may have spaces and parentheses.
fn started(process: &str, system: &str, ticks_per_second: i64) -> Option<f64> {
    const FIELDS_BETWEEN: usize = 19;
    let (_, fields) = process.rsplit_once(')')?;
    let ticks: u32 = fields.split_whitespace().nth(FIELDS_BETWEEN)?.parse().ok()?;
    let booted: u32 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let ticks_per_second = u32::try_from(ticks_per_second).ok().filter(|ticks| *ticks > 0)?;
    Some(f64::from(booted) + f64::from(ticks) / f64::from(ticks_per_second))
}

/// Appends them. Processor time has fractions, which the exporter's counters have not.
pub(super) fn write(text: &mut String) {
    let Process { started, processor, resident, permitted } = Process::look();
    for (name, kind, help, value) in [
        (
            "process_start_time_seconds",
            "gauge",
            "When this process was started, seconds since 1970",
            started.map(|it| it.to_string()),
        ),
        (
            "process_cpu_seconds_total",
            "counter",
            "Processor time that this process has used",
            processor.map(|it| it.to_string()),
        ),
        (
            "process_resident_memory_bytes",
            "gauge",
            "What this process has in memory",
            resident.map(|it| it.to_string()),
        ),
        (
            "riptide_memory_limit_bytes",
            "gauge",
            "Memory that this process may use: of its control groups, or the machine's",
            permitted.map(|it| it.to_string()),
        ),
    ] {
        if let Some(value) = value {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of proc_pid_stat(5), with a name that tries to look like the fields after it.
    const STAT: &str = "4711 (a) S 1 2) S 1 4711 4711 0 -1 4194560 12 0 0 0 5 6 0 0 20 0 9 0 123456 98304000 2000 18446744073709551615\n";

    #[test]
    fn the_start_is_counted_from_the_boot() {
        let system = "cpu  1 2 3\nintr 4\nctxt 5\nbtime 1700000000\nprocesses 6\n";
        assert_eq!(started(STAT, system, 100), Some(1_700_001_234.56));
        assert_eq!(started(STAT, system, 0), None);
        assert_eq!(started(STAT, "cpu 1\n", 100), None);
        assert_eq!(started("4711 (a) S 1", system, 100), None);
        assert_eq!(started("", system, 100), None);
    }

    #[test]
    fn this_process_was_started_lately_and_has_memory() {
        let process = Process::look();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - process.started.unwrap();
        // The boot is told in whole seconds.
        assert!((-2.0..86_400.0).contains(&age), "{age} s ago");
        assert!(process.processor.unwrap() >= 0.0);
        assert!(process.resident.unwrap() > 1 << 20);
        assert!(process.permitted.unwrap() > process.resident.unwrap());
    }

    #[test]
    fn what_is_not_told_is_left_out() {
        let mut text = String::new();
        write(&mut text);
        assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE ")).count(), 4, "{text}");
        assert!(text.lines().any(|line| line.starts_with("process_start_time_seconds 1")), "{text}");
    }
}
