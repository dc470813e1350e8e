//! `cargo xtask screenshot`: the pictures of the stats page in the README, from a tracker with real swarms.

use crate::{apt, build_ebpf, machine, npm, pins, process, run, say};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

/// What `screenshot` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long peers announce before the pictures are taken: the page's charts go by the minute
    #[arg(long, default_value_t = 15, value_name = "N")]
    minutes: u64,
}

/// Loopback addresses with ports of the system's choice.
const LISTENERS: [&str; 10] = [
    "--udp",
    "127.0.0.1:0",
    "--http",
    "127.0.0.1:0",
    "--http",
    "[::1]:0",
    "--metrics",
    "127.0.0.1:0",
    "--xdp",
    "off",
];

/// Builds the tracker, starts it, lets peers announce to it and writes `docs/stats.png` and `docs/stats-dark.png`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    apt::ensure(pins::BROWSER_PACKAGES, "a browser to take pictures with")?;
    npm::ensure()?;
    build_ebpf::run(&build_ebpf::Arguments::default())?;
    let mut tracker = Tracker::start(run::build_riptide()?)?;
    say::step(&format!("peers announce for {} minutes", arguments.minutes));
    let docs = machine::workspace_root().join("docs");
    let mut script = process::program("node");
    script.arg("tests/clients/stats_page.js").arg(&docs).arg((arguments.minutes * 60).to_string());
    script.args(&tracker.udp).args(&tracker.http).env("NODE_PATH", npm::modules());
    process::run(&mut script).with_context(|| format!("cannot take the pictures; {}", tracker.state()))?;
    say::step("docs/stats.png and docs/stats-dark.png are written");
    Ok(())
}

/// A running tracker, killed when dropped, with its state in a directory of its own.
struct Tracker {
    child: Child,
    directory: PathBuf,
    said: Arc<Mutex<String>>,
    udp: Vec<String>,
    http: Vec<String>,
}

impl Tracker {
    fn start(riptide: PathBuf) -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("riptide-screenshot-{}", std::process::id()));
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let mut command = Command::new(riptide);
        command
            .arg("run")
            .args(LISTENERS)
            .env("RIPTIDE_STATE__DIRECTORY", &directory)
            .env("RIPTIDE_CONTROL__LISTEN", "off");
        let child =
            command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context("cannot start riptide")?;
        let mut tracker = Self { child, directory, said: Arc::default(), udp: Vec::new(), http: Vec::new() };
        tracker.wait_ready()?;
        Ok(tracker)
    }

    /// Reads the addresses from the lines that come before the tracker is ready.
    fn wait_ready(&mut self) -> Result<()> {
        let Some(errors) = self.child.stderr.take() else { bail!("riptide has no standard error") };
        let mut lines = BufReader::new(errors).lines();
        loop {
            let Some(line) = lines.next() else { bail!("riptide is not ready; {}", self.state()) };
            let line = line.context("cannot read what riptide says")?;
            if let Some(address) = listener(&line, "udp") {
                self.udp.push(address.to_owned());
            } else if let Some(address) = listener(&line, "http") {
                self.http.push(address.to_owned());
            }
            let ready = line.contains("ready");
            keep(&self.said, &line);
            if ready {
                break;
            }
        }
        // A full pipe would stop the tracker.
        let said = Arc::clone(&self.said);
        std::thread::spawn(move || lines.map_while(std::io::Result::ok).for_each(|line| keep(&said, &line)));
        Ok(())
    }

    /// Whether it runs, and what it said.
    fn state(&mut self) -> String {
        let state = match self.child.try_wait() {
            Ok(Some(status)) => format!("riptide ended ({status})"),
            _ => "riptide runs".to_owned(),
        };
        format!("{state} and said:\n{}", self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn keep(said: &Mutex<String>, line: &str) {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    said.push_str(line);
    said.push('\n');
}

impl Drop for Tracker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The address in a line that says that `what` listens.
fn listener<'a>(line: &'a str, what: &str) -> Option<&'a str> {
    let (_, address) = line.split_once(&format!("{what} listens on "))?;
    address.split([' ', ',']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_found_in_lines() {
        let line = "2026-01-01T00:00:00Z  INFO riptide: http listens on [::1]:6969";
        assert_eq!(listener(line, "http"), Some("[::1]:6969"));
        assert_eq!(listener(line, "udp"), None);
        assert_eq!(listener("INFO udp listens on 127.0.0.1:5, 4 sockets", "udp"), Some("127.0.0.1:5"));
        assert_eq!(listener("INFO https listens on 127.0.0.1:5", "http"), None);
    }
}
