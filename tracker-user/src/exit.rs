//! How the process ends: the exit statuses, and the last line on standard error.

use crate::logging::Lines;
use nix::sys::signal::{SigSet, Signal};
use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

/// How a command ended. The numbers are part of the contract with scripts and service managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A clean stop: status 0.
    Clean,
    /// Starting or running failed: status 1.
    Failed,
    /// Wrong usage or configuration: status 2.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Clean => Self::SUCCESS,
            Exit::Failed => Self::FAILURE,
            Exit::Usage => Self::from(2),
        }
    }
}

impl Exit {
    /// Ends with this, after saying why on standard error: what happened, where, and what to do.
    #[must_use]
    pub fn because(self, reason: &dyn Display) -> Self {
        // Where standard error is gone there is nobody left to tell.
        let _ = writeln!(io::stderr().lock(), "riptide: {reason}");
        self
    }

    /// The same for a process that logs: nobody waits for whoever reads standard error.
    #[must_use]
    pub fn because_in(self, log: &Lines, reason: &dyn Display) -> Self {
        log.add_last(format!("riptide: {reason}\n").as_bytes());
        self
    }
}

/// A write beyond the file size limit is an error like others from now on, in this thread and those that it begins: it
/// does not kill the process.
pub fn survive_file_limits() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    // It takes a valid set and nothing else.
    let _ = signals.thread_block();
}

/// Says what is odd but stops nothing, on standard error.
pub fn warn(warning: &dyn Display) {
    let _ = writeln!(io::stderr().lock(), "riptide: warning: {warning}");
}

/// Writes a command's result to standard output. A reader that has seen enough (`| head`) is no failure.
#[must_use]
pub fn print(text: &str) -> Exit {
    write(text.as_bytes()).err().unwrap_or(Exit::Clean)
}

/// Writes a part of a command's result to standard output.
///
/// # Errors
/// How the command ends, since nothing more can be written.
pub fn write(bytes: &[u8]) -> Result<(), Exit> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Exit::Clean),
        Err(error) => Err(Exit::Failed.because(&format!("standard output cannot be written: {error}"))),
    }
}
