//! A terminal as people have one, by tmux.

use crate::{PATIENCE, eventually};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// What is typed first: the terminal's settings are told before the program, and after it with how it ended. Then whatever
/// is typed comes back, as long as the terminal echoes.
const SHELL: &str = "stty -g; \"$@\"; echo \"status $?\"; stty -g; exec cat";

/// A terminal with a program in it. Dropped, both end.
pub struct Terminal {
    directory: TempDir,
}

impl Terminal {
    /// Runs a program in one of so many columns and rows.
    #[must_use]
    pub fn run(columns: u16, rows: u16, program: &Path, arguments: &[&str]) -> Self {
        let directory = TempDir::with_prefix("riptide-test-").expect("a temporary directory");
        std::fs::write(directory.path().join("tmux.conf"), "set -g status off\n").expect("its owner");
        let terminal = Self { directory };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut command = terminal.tmux(&["new-session", "-d", "-x", &columns, "-y", &rows]);
        command.args(["sh", "-c", SHELL, "sh"]).arg(program).args(arguments);
        said(command);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(self.directory.path().join("socket"));
        tmux.arg("-f").arg(self.directory.path().join("tmux.conf")).arg("-u").args(arguments);
        tmux.env("LC_ALL", "C.UTF-8").env_remove("TMUX").stdin(Stdio::null());
        tmux
    }

    /// What it shows, line by line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.captured(&[])
    }

    fn captured(&self, more: &[&str]) -> Vec<String> {
        let shown = said(self.tmux(&[&["capture-pane", "-p"], more].concat()));
        shown.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// Waits until it shows what is awaited.
    pub fn wait(&self, awaited: &str, good: impl FnMut(&[String]) -> bool) -> Vec<String> {
        self.wait_with(&[], awaited, good)
    }

    fn wait_with(
        &self,
        more: &[&str],
        awaited: &str,
        mut good: impl FnMut(&[String]) -> bool,
    ) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = self.captured(more);
            if good(&lines) {
                return lines;
            }
            assert!(Instant::now() < deadline, "the terminal never showed {awaited}:\n{}", lines.join("\n"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Presses keys, by the names that tmux has for them.
    pub fn press(&self, keys: &str) {
        said(self.tmux(&["send-keys", keys]));
    }

    /// Gives it another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        said(self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]));
    }

    /// What tmux knows of it by these names: `alternate_on`, `cursor_flag`, `pane_pid`.
    #[must_use]
    pub fn ask(&self, name: &str) -> String {
        said(self.tmux(&["display-message", "-p", &format!("#{{{name}}}")])).trim().to_owned()
    }

    /// The process ID of the program.
    #[must_use]
    pub fn program(&self) -> i32 {
        let shell = self.ask("pane_pid");
        eventually("the program to run", || {
            let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).ok()?;
            let child: i32 = children.split_whitespace().next()?.parse().ok()?;
            let name = std::fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
            (name.trim() == "riptide").then_some(child)
        })
    }

    /// Waits until the program has ended, and checks that it left the terminal as it was: its settings, its first screen, its
    /// cursor. Gives the exit status.
    pub fn wait_restored(&self) -> i32 {
        let mut status = None;
        // Lines that were too long for it are whole again.
        let lines = self.wait_with(&["-J"], "the end of the program", |lines| {
            status = lines.iter().find_map(|line| line.strip_prefix("status ")?.parse::<i32>().ok());
            status.is_some() && settings(lines).len() == 2
        });
        let [before, after] = settings(&lines)[..] else { panic!("{lines:?}") };
        assert_eq!(before, after, "the terminal's settings");
        assert_eq!((self.ask("alternate_on"), self.ask("cursor_flag")), ("0".to_owned(), "1".to_owned()));
        status.unwrap_or_else(|| panic!("no status: {lines:?}"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]).stderr(Stdio::null()).status();
    }
}

/// The lines in which `stty -g` has told the terminal's settings.
fn settings(lines: &[String]) -> Vec<&String> {
    lines.iter().filter(|line| line.split(':').count() > 10).collect()
}

/// Runs a command to its end, and gives what it says.
fn said(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("tmux: {e}; `cargo xtask test` installs it"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
