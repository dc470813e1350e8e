//! The log: lines on standard error, as text or JSON. Nothing else of a running tracker writes there.

mod lines;

pub use lines::Lines;

use crate::config::{Log, LogFormat, is_directive};
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal},
    panic::{self, PanicHookInfo},
    sync::Arc,
    thread,
};
use tracing_subscriber::{EnvFilter, filter::ParseError};

/// The environment variable that goes before the configured level.
const VARIABLE: &str = "RUST_LOG";

/// Libraries that tell of what is no business of whoever runs the tracker, and the level above which they are silent
/// unless the filter names them.
const QUIET: [(&str, &str); 3] = [
    // It tells of sockets that are "ready", which would be taken for ours, and of every message.
    ("netlink_proto", "warn"),
    // It tells what the cluster tells.
    ("async_nats", "off"),
    // It warns of what strangers send.
    ("h2", "off"),
];

/// Why the log cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The environment variable is no filter.
    #[error("environment variable {VARIABLE}: `{text}` is not a log level or filter: {reason}")]
    Variable {
        /// Its value.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The configured level is no filter.
    #[error("log.level: `{text}` is not a log level or filter: {reason}")]
    Level {
        /// Its value.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The process has a log.
    #[error("the log was started twice: {0}")]
    Twice(String),
}

/// Starts the log of this process and returns the lines on their way. Records of the `log` crate and panics go the same
/// way.
///
/// # Errors
/// If `RUST_LOG` or the level is no filter, or the process has a log.
pub fn start(log: &Log) -> Result<Arc<Lines>, LoggingError> {
    let variable = std::env::var_os(VARIABLE).map(|v| v.to_string_lossy().into_owned());
    let filter = filter(log, variable.as_deref())?;
    let lines = Arc::new(Lines::new(log.queue_size));
    let format = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines.clone())
        .with_ansi(io::stderr().is_terminal())
        // It would print them on standard error by itself.
        .log_internal_errors(false);
    let started = match log.format {
        LogFormat::Text => format.try_init(),
        LogFormat::Json => format.json().flatten_event(true).with_ansi(false).try_init(),
    };
    started.map_err(|e| LoggingError::Twice(e.to_string()))?;
    panic::set_hook(Box::new(log_panic));
    Ok(lines)
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    // With RUST_BACKTRACE set, as everywhere.
    let trace = Backtrace::capture();
    let trace = match trace.status() {
        BacktraceStatus::Captured => format!("\n{trace}"),
        _ => String::new(),
    };
    tracing::error!("thread {name} panicked at {place}: {message}{trace}");
}

fn filter(log: &Log, variable: Option<&str>) -> Result<EnvFilter, LoggingError> {
    let parse = |text: &str| {
        if let Some(word) = text.split(',').map(str::trim).find(|word| !is_directive(word)) {
            return Err(format!("`{word}` is no level"));
        }
        let mut filter = EnvFilter::builder().parse(text).map_err(|e| e.to_string())?;
        for (target, level) in QUIET {
            if !text.split(',').any(|word| target_of(word) == target) {
                let quiet = format!("{target}={level}").parse().map_err(|e: ParseError| e.to_string())?;
                filter = filter.add_directive(quiet);
            }
        }
        Ok::<_, String>(filter)
    };
    match variable.filter(|text| !text.trim().is_empty()) {
        Some(text) => parse(text).map_err(|reason| LoggingError::Variable { text: text.to_owned(), reason }),
        None => parse(&log.level).map_err(|reason| LoggingError::Level { text: log.level.clone(), reason }),
    }
}

/// The target that a word of a filter names, which its fields and level follow.
fn target_of(word: &str) -> &str {
    word.split(['=', '[']).next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use tracing_subscriber::filter::LevelFilter;

    fn log(level: &str) -> Log {
        Log { level: level.to_owned(), ..Config::default().log }
    }

    #[test]
    fn the_variable_goes_before_the_key() {
        let level = |variable| filter(&log("warn"), variable).unwrap().max_level_hint();
        assert_eq!(level(None), Some(LevelFilter::WARN));
        assert_eq!(level(Some("")), Some(LevelFilter::WARN));
        assert_eq!(level(Some("trace")), Some(LevelFilter::TRACE));
        assert_eq!(level(Some("error,tracker_user=debug")), Some(LevelFilter::DEBUG));
    }

    #[test]
    fn libraries_are_silent_unless_they_are_named() {
        let said = |text: &str| filter(&log(text), None).unwrap().to_string();
        for text in ["warn", "trace", "info,tracker_user=trace", "hyper=debug"] {
            let filter = said(text);
            let quiet = ["h2=off", "netlink_proto=warn", "async_nats=off"];
            assert!(quiet.iter().all(|directive| filter.contains(directive)), "{text}: {filter}");
        }
        let filter = said("info,h2=debug");
        assert!(filter.contains("h2=debug") && !filter.contains("h2=off"), "{filter}");
        // The longer target goes first.
        let filter = said("info,h2::proto=warn");
        assert!(filter.contains("h2::proto=warn") && filter.contains("h2=off"), "{filter}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = filter(&log("warn"), Some("tracker_user=loud")).unwrap_err().to_string();
        assert!(error.contains("RUST_LOG") && error.contains("tracker_user=loud"), "{error}");
        let error = filter(&log("warn"), Some("info,inf")).unwrap_err().to_string();
        assert!(error.contains("RUST_LOG") && error.contains("`inf` is no level"), "{error}");
        let error = filter(&log("a=b=c"), None).unwrap_err().to_string();
        assert!(error.contains("log.level"), "{error}");
    }
}
