//! `riptide doctor`: what this machine can do for the tracker, and what to change.
//!
//! Facts are gathered apart from their judgement: `host` and `interfaces` ask the system, `ethtool`, `features`, `rules`
//! and `text` read its answers, `judge_host`, `judge_firewall` and `judge_interface` are pure functions from facts to
//! findings.

mod ethtool;
mod features;
mod host;
mod interfaces;
mod judge_firewall;
mod judge_host;
mod judge_interface;
mod rules;
mod text;

use crate::{
    cli::{DoctorArgs, RunArgs},
    config::{self, Config},
    exit::{Exit, print},
};
use std::fmt::{self, Write};

/// How good or bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Nothing to do.
    Ok,
    /// The tracker works, but not as well as it could, or differently from what one may expect.
    Warn,
    /// What was asked for cannot be had.
    Fail,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        })
    }
}

/// One line of the report, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    level: Level,
    subject: String,
    what: String,
    advice: Option<String>,
}

impl Finding {
    fn ok(subject: &str, what: impl Into<String>) -> Self {
        Self { level: Level::Ok, subject: subject.to_owned(), what: what.into(), advice: None }
    }

    fn bad(level: Level, subject: &str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level, subject: subject.to_owned(), what: what.into(), advice: Some(advice.into()) }
    }

    fn warn(subject: &str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::bad(Level::Warn, subject, what, advice)
    }
}

/// Looks at the machine and prints a report. It ends with [`Exit::Failed`] if there is a FAIL: if an interface was
/// named and the fast path cannot be had on it. The configuration is the built-in one with the environment over it.
#[must_use]
pub fn run(args: &DoctorArgs) -> Exit {
    let flags = RunArgs { interface: args.interface.clone(), ..RunArgs::default() };
    let config = match Config::load(&flags, &config::process_environment()).whole() {
        Ok((config, _)) => config,
        Err(errors) => return errors.0.iter().fold(Exit::Usage, |exit, error| exit.because(error)),
    };
    let asked = !config.xdp.interfaces.is_empty();
    let mut findings = judge_host::judge(&host::gather(&config), &config, asked);
    match interfaces::gather(&config.xdp.interfaces) {
        Ok(facts) => {
            for interface in &facts {
                findings.extend(judge_interface::judge(interface, &config, asked));
            }
            if facts.is_empty() {
                findings.push(Finding::ok(
                    "interfaces",
                    "none is up besides loopback; sockets serve what there is",
                ));
            }
        }
        Err(error) => findings.push(Finding::warn(
            "interfaces",
            format!("the kernel does not tell of them: {error}"),
            "run riptide doctor where netlink is allowed",
        )),
    }
    let worst = findings.iter().map(|f| f.level).max();
    match print(&report(&findings)) {
        Exit::Clean if worst == Some(Level::Fail) => Exit::Failed,
        exit => exit,
    }
}

fn report(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { level, subject, what, advice } in findings {
        let _ = writeln!(text, "{level:<4}  {subject}: {what}");
        if let Some(advice) = advice {
            let _ = writeln!(text, "      what to do: {advice}");
        }
    }
    let count = |level| findings.iter().filter(|f| f.level == level).count();
    let [ok, warn, fail] = [Level::Ok, Level::Warn, Level::Fail].map(count);
    let _ = writeln!(text, "\n{ok} OK, {warn} WARN, {fail} FAIL");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_a_line_and_its_advice_another() {
        let findings = [
            Finding::ok("kernel", "6.18"),
            Finding::warn("a", "b", "c"),
            Finding::bad(Level::Fail, "d", "e", "f"),
        ];
        let expected = "OK    kernel: 6.18\nWARN  a: b\n      what to do: c\nFAIL  d: e\n      what to do: f\n\n\
                        1 OK, 1 WARN, 1 FAIL\n";
        assert_eq!(report(&findings), expected);
    }

    #[test]
    fn the_machine_at_hand_is_looked_at_without_a_panic() {
        let (config, _) = Config::load(&RunArgs::default(), &[]).whole().unwrap();
        let findings = judge_host::judge(&host::gather(&config), &config, false);
        assert!(findings.iter().any(|f| f.subject == "kernel"));
        assert!(findings.iter().all(|f| f.level < Level::Fail), "nothing was asked for: {findings:?}");
        let facts = interfaces::gather(&["lo".to_owned(), "absent0".to_owned()]).unwrap();
        assert_eq!(facts.len(), 2);
        assert!(facts[0].link.is_some() && facts[1].link.is_none());
    }
}
