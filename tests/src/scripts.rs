//! Clients that are scripts for Node.js, with the npm packages of `tests/clients/npm`, some of them in a browser.

use crate::net::workspace;
use std::{
    fs::File,
    path::Path,
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

/// Runs a script of `tests/clients` to its end and gives what it printed. It trusts the certificates of machines, and
/// those in the file `trusted`.
pub fn node(script: &str, arguments: &[&str], trusted: Option<&Path>) -> String {
    let modules = workspace().join("target/npm/node_modules");
    assert!(modules.is_dir(), "no npm packages at {}: `cargo xtask test` installs them", modules.display());
    // A browser's profile and whatever else it writes.
    let directory = TempDir::with_prefix("riptide-script-").expect("a directory");
    let log = directory.path().join("log");
    let output = File::create(&log).expect("a log file");
    let mut command = Command::new("node");
    command
        .arg(workspace().join("tests/clients").join(script))
        .args(arguments)
        .env("NODE_PATH", modules)
        .env("HOME", directory.path())
        .env("TMPDIR", directory.path())
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a log file"))
        .stderr(output);
    if let Some(trusted) = trusted {
        command.env("NODE_EXTRA_CA_CERTS", trusted);
    }
    let child = command.spawn().unwrap_or_else(|e| panic!("node: {e}; `cargo xtask test` installs it"));
    let mut running = Script(child);
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
