//! `riptide probe`, run against a tracker.

use crate::{net::Namespace, riptide};
use serde_json::Value;
use std::process::Output;

/// What a probe said, and how it ended.
#[derive(Debug)]
pub struct Probed {
    /// What it printed.
    pub text: String,
    /// Its exit status.
    pub status: Option<i32>,
}

impl Probed {
    fn of(output: &Output) -> Self {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "", "a probe that ran says all in its report");
        Self { text: String::from_utf8_lossy(&output.stdout).into_owned(), status: output.status.code() }
    }

    /// Whether a line with this mark, of this step, has these words; also below it.
    #[must_use]
    pub fn finds(&self, mark: &str, step: &str, words: &str) -> bool {
        let mut of_step = false;
        self.text.lines().any(|line| {
            if line.starts_with("  ") && !line.starts_with("    ") {
                of_step = line.trim().starts_with(mark) && line.contains(&format!(" {step} "))
                    || line.trim().starts_with(mark) && line.ends_with(&format!(" {step}"));
            }
            of_step && line.contains(words)
        })
    }

    /// Checks that all is well and nothing odd.
    #[track_caller]
    pub fn is_fine(&self) {
        assert_eq!(self.status, Some(0), "{}", self.text);
        assert!(
            !self.text.contains("note") && self.text.contains("\nok: two clients find each other"),
            "{}",
            self.text
        );
    }

    /// Checks that something odd was found in a step, which is nothing wrong.
    #[track_caller]
    pub fn notes(&self, step: &str, words: &str) {
        assert!(self.status == Some(0) && self.finds("note", step, words), "{:?} {}", self.status, self.text);
    }

    /// Checks that something wrong was found in a step.
    #[track_caller]
    pub fn is_wrong(&self, step: &str, words: &str) {
        assert!(
            self.status == Some(1) && self.finds("wrong", step, words),
            "{:?} {}",
            self.status,
            self.text
        );
        assert!(self.text.lines().last().is_some_and(|last| last.starts_with("wrong: ")), "{}", self.text);
    }
}

/// Probes from this host; the arguments are divided by white space.
#[must_use]
pub fn probe(arguments: &str) -> Probed {
    let arguments: Vec<&str> = ["probe"].into_iter().chain(arguments.split_whitespace()).collect();
    Probed::of(&riptide::command(&arguments))
}

/// Probes from a host of its own.
#[must_use]
pub fn probe_from(host: &Namespace, arguments: &str) -> Probed {
    let program = riptide::binary();
    let mut command = host.command(&program.to_string_lossy());
    Probed::of(&command.arg("probe").args(arguments.split_whitespace()).output().expect("riptide probe"))
}

/// Probes, and reads the JSON.
#[must_use]
pub fn probe_json(arguments: &str) -> Value {
    let probed = probe(&format!("--json {arguments}"));
    assert_eq!(probed.text.lines().count(), 1, "{}", probed.text);
    serde_json::from_str(&probed.text).unwrap_or_else(|e| panic!("{e}: {}", probed.text))
}
