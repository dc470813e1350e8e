//! Clients that are scripts for Node.js, with the npm packages of `tests/clients/npm`, some of them in a browser.

use crate::net::workspace;
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A script that is not done by then is stuck. A browser on a busy machine takes its time to start.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(100);

/// Ends the script, and with it the browser that it has started, when dropped.
struct Script(Child);

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A script that runs until it is dropped, and has printed one line of JSON once it was ready.
pub struct Server {
    _running: Script,
    /// What it said.
    pub said: serde_json::Value,
}

impl Server {
    /// Starts a script of `tests/clients`, and waits for what it says.
    #[must_use]
    pub fn start(script: &str) -> Self {
        let mut command = Command::new("node");
        command
            .arg(workspace().join("tests/clients").join(script))
            .env("NODE_PATH", modules())
            // It ends with its input, whatever becomes of this process.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut running = Script(spawn(&mut command));
        let mut line = String::new();
        let out = running.0.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let said = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{script}: {e}: {line}"));
        Self { _running: running, said }
    }
}

fn modules() -> PathBuf {
    let modules = workspace().join("target/npm/node_modules");
    assert!(modules.is_dir(), "no npm packages at {}: `cargo xtask test` installs them", modules.display());
    modules
}

fn spawn(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|e| panic!("node: {e}; `cargo xtask test` installs it"))
}

/// Runs a script of `tests/clients` to its end and gives what it printed. It trusts the certificates of machines, and
/// those in the file `trusted`.
pub fn node(script: &str, arguments: &[&str], trusted: Option<&Path>) -> String {
    // A browser's profile and whatever else it writes.
    let directory = TempDir::with_prefix("riptide-script-").expect("a directory");
    let log = directory.path().join("log");
    let output = File::create(&log).expect("a log file");
    let mut command = Command::new("node");
    command
        .arg(workspace().join("tests/clients").join(script))
        .args(arguments)
        .env("NODE_PATH", modules())
        .env("HOME", directory.path())
        .env("TMPDIR", directory.path())
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a log file"))
        .stderr(output);
    if let Some(trusted) = trusted {
        command.env("NODE_EXTRA_CA_CERTS", trusted);
    }
    let mut running = Script(spawn(&mut command));
    let deadline = Instant::now() + SCRIPT_PATIENCE;
    let status = loop {
        if let Some(status) = running.0.try_wait().expect("a child") {
            break Some(status);
        }
        if Instant::now() >= deadline {
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let said = String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
    match status {
        Some(status) if status.success() => said,
        Some(status) => panic!("{script} {}: {status}\n{said}", arguments.join(" ")),
        None => panic!("{script} {} was not done in {SCRIPT_PATIENCE:?}\n{said}", arguments.join(" ")),
    }
}
