//! Blocks of documents that are run as they stand, against a tracker of their page's own.

use std::{
    os::unix::fs::symlink,
    process::{Command, Stdio},
};
use tempfile::TempDir;
use tests::{
    markdown::{Block, Page},
    riptide::{Riptide, Start, binary},
};

/// Stands for lines, or for a part of one, that differ from run to run.
const ANYTHING: char = '…';

/// A tracker that documents mean by its default addresses and paths.
pub(crate) struct Tracker {
    riptide: Riptide,
    /// Where commands run, with the program in `bin`.
    directory: TempDir,
}

impl Tracker {
    /// On free ports of this host, with nothing in it.
    pub(crate) fn start() -> Self {
        let riptide =
            Start::new(None).arguments("--udp 127.0.0.1:0").http("listen = [\"127.0.0.1:0\"]").ready();
        let directory = tempfile::tempdir().expect("a directory");
        let programs = directory.path().join("bin");
        std::fs::create_dir(&programs).expect("a directory");
        symlink(std::fs::canonicalize(binary()).expect("the binary"), programs.join("riptide"))
            .expect("a link");
        Self { riptide, directory }
    }

    /// Runs a block and compares what it prints, where it shows that.
    pub(crate) fn run(&self, page: &Page, block: &Block) {
        let place = format!("{}:{}", page.path.display(), block.line);
        match block.language.as_str() {
            "sh" => {
                let _ = self.shell(&place, &format!("set -e\n{}", block.text));
            }
            "console" => {
                for (command, shown) in steps(&place, &block.text) {
                    let printed = self.shell(&place, &command);
                    let printed: Vec<_> = printed.lines().collect();
                    assert!(
                        is_like(&shown, &printed),
                        "{place}: {command}\nshown:\n{}\nprinted:\n{}",
                        shown.join("\n"),
                        printed.join("\n")
                    );
                }
            }
            language => panic!("{place}: a block of {language:?} cannot run"),
        }
    }

    /// Ends it as an operator does.
    pub(crate) fn stop(self) {
        let _ = self.riptide.stop();
    }

    /// What a script printed that went well.
    fn shell(&self, place: &str, script: &str) -> String {
        let own = self.riptide.directory().path().join("riptide.toml").display().to_string();
        let socket = self.riptide.control_socket().display().to_string();
        let script = script
            .replace("localhost:6969", &self.riptide.http()[0].to_string())
            .replace("localhost:9000", &self.riptide.metrics_address().to_string())
            .replace("/etc/riptide/riptide.toml", &own)
            .replace("/run/riptide/control.sock", &socket);
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(self.directory.path())
            .env("PATH", format!("{}:{path}", self.directory.path().join("bin").display()))
            .env("RIPTIDE_CONTROL__LISTEN", &socket)
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{place}: {}\n{script}\n{said}", output.status);
        String::from_utf8(output.stdout).expect("text")
    }
}

/// The commands behind `$`, each with the lines that it is shown to print.
fn steps<'a>(place: &str, text: &'a str) -> Vec<(String, Vec<&'a str>)> {
    let mut steps: Vec<(String, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push((command.to_owned(), Vec::new())),
            (None, Some((_, shown))) => shown.push(line),
            (None, None) => panic!("{place}: {line}: a block of console begins with a command behind `$ `"),
        }
    }
    steps
}

/// Whether what was printed is what is shown. A line of nothing but an ellipsis is any number of lines.
fn is_like(shown: &[&str], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first.trim() == ANYTHING.to_string() => {
            (0..=printed.len()).any(|n| is_like(rest, &printed[n..]))
        }
        Some((first, rest)) => {
            printed.split_first().is_some_and(|(line, others)| is_line(first, line) && is_like(rest, others))
        }
    }
}

/// The same of one line: an ellipsis in it is any part of a line.
fn is_line(shown: &str, printed: &str) -> bool {
    match shown.split_once(ANYTHING) {
        None => shown == printed,
        Some((before, after)) => printed.strip_prefix(before).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| is_line(after, &rest[at..]))
        }),
    }
}

#[test]
fn an_ellipsis_is_anything() {
    for (shown, printed, expected) in [
        (&["a"][..], &["a"][..], true),
        (&["a"], &["b"], false),
        (&["a"], &[], false),
        (&[], &["a"], false),
        (&["a … c"], &["a b c"], true),
        (&["a … c"], &["a b d"], false),
        (&["…"], &[], true),
        (&["a", "…", "c"], &["a", "b", "b", "c"], true),
        (&["a", "…", "c"], &["a", "b"], false),
    ] {
        assert_eq!(is_like(shown, printed), expected, "{shown:?} {printed:?}");
    }
}

#[test]
fn commands_have_what_they_print_behind_them() {
    let text = "$ a b\nc\n$ d\n";
    assert_eq!(steps("", text), [("a b".to_owned(), vec!["c"]), ("d".to_owned(), vec![])]);
}
