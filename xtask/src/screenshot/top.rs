//! Pictures of `riptide top`: it runs in tmux, which tells what is on the screen, and a browser draws that.

use crate::{npm, process};
use anyhow::{Context, Result};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// Columns and rows: room for all panels, and still to be read in a README.
const SIZE: [&str; 2] = ["124", "27"];

/// What is written.
pub(super) const PICTURES: [&str; 2] = ["top.png", "top-dark.png"];

/// A terminal in which it runs, ended when dropped.
pub(super) struct Screen {
    directory: TempDir,
}

impl Screen {
    /// Starts it for the tracker with these metrics. `before` are words before the command, such as those that enter a
    /// network namespace.
    pub(super) fn open(before: &[&str], riptide: &Path, metrics: &str) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("riptide-screenshot-").tempdir();
        let screen = Self { directory: directory.context("cannot make a directory for tmux")? };
        fs::write(screen.directory.path().join("tmux.conf"), "set -g status off\n")
            .context("cannot configure tmux")?;
        let [columns, rows] = SIZE;
        let mut tmux = screen.tmux(&["new-session", "-d", "-x", columns, "-y", rows]);
        tmux.args(before).arg(riptide).args(["top", "--url", metrics]);
        process::run(&mut tmux).context("cannot start riptide top in tmux")?;
        Ok(screen)
    }

    /// Writes the [`PICTURES`], of what is on it now, into a directory.
    pub(super) fn take(&self, place: &Path) -> Result<()> {
        let shown = self.directory.path().join("screen");
        // With its styles, as a terminal is told them.
        let text = process::output(&mut self.tmux(&["capture-pane", "-e", "-p"]))
            .context("riptide top does not run any more")?;
        fs::write(&shown, text).with_context(|| format!("cannot write {}", shown.display()))?;
        let mut script = process::program("node");
        script.arg("tests/clients/terminal_picture.js").arg(&shown).arg(place.join("top")).args(SIZE);
        script.env("NODE_PATH", npm::modules());
        process::run(&mut script).context("cannot take the picture of riptide top")
    }

    fn tmux(&self, arguments: &[&str]) -> Command {
        let place = self.directory.path();
        let mut tmux = process::program("tmux");
        tmux.arg("-S").arg(place.join("socket")).arg("-f").arg(place.join("tmux.conf")).arg("-u");
        tmux.args(arguments).env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR").env_remove("TMUX");
        tmux
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
