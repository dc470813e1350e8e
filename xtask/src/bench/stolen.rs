//! Processor time that a virtual machine's host gave to others: while it is away, queues overflow and no tracker is to blame.

use std::{fs, time::Duration};

/// Ticks a second in `/proc/stat`, the same on every machine that Rust's Linux runs on.
const TICKS: f64 = 100.0;
/// Where the line of all processors together has it, counted behind the line's name.
const STEAL: usize = 7;

/// What all processors together have lost since the machine started; zero if the kernel does not tell.
pub(crate) fn stolen() -> Duration {
    steal(&fs::read_to_string("/proc/stat").unwrap_or_default()).unwrap_or_default()
}

fn steal(stat: &str) -> Option<Duration> {
    let mut fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let ticks: u64 = fields.nth(STEAL)?.parse().ok()?;
    Some(Duration::from_secs_f64(ticks as f64 / TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_read_of_all_processors_together() {
        let text = "cpu  356816 0 620790 242148 80218 0 650 3979 0 0\ncpu0 157694 0 395993 111485 354 0 104 695 0 0\n";
        assert_eq!(steal(text), Some(Duration::from_millis(39_790)));
        for text in ["", "cpu", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 3 4 5 6 7", "cpu  1 2 3 4 5 6 7 x"] {
            assert_eq!(steal(text), None, "{text}");
        }
    }
}
