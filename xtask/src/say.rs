//! What xtask tells the person in front of it, on standard error so that a command's own output stays clean.
#![expect(clippy::print_stderr, reason = "a command-line tool talks to its user here, and only here")]

use std::time::{Duration, Instant};

/// One line for one step: what happens and why.
pub(crate) fn step(what: &str) {
    eprintln!("xtask: {what}");
}

/// The beginning of a line that [`end`] completes.
pub(crate) fn begin(what: &str) {
    eprint!("xtask: {what} ... ");
}

/// What came of what [`begin`] named.
pub(crate) fn end(result: &str) {
    eprintln!("{result}");
}

/// A heading that stands out between the output of other tools.
pub(crate) fn heading(what: &str) {
    eprintln!("\n==== {what} ====");
}

/// A plain line below a step or heading.
pub(crate) fn detail(what: &str) {
    eprintln!("  {what}");
}

/// What an install took.
pub(crate) fn installed(what: &str, since: Instant) {
    step(&format!("installed {what} in {}", duration(since.elapsed())));
}

/// The failure that ends the command, then its causes, one on each line.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("xtask: error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}

/// `1m 05s`, or `5.2s` below a minute.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds >= 60 {
        format!("{}m {:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{:.1}s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_a_clock() {
        assert_eq!(duration(Duration::from_millis(5_230)), "5.2s");
        assert_eq!(duration(Duration::from_secs(60)), "1m 00s");
        assert_eq!(duration(Duration::from_millis(65_900)), "1m 05s");
        assert_eq!(duration(Duration::from_secs(3_601)), "60m 01s");
    }
}
