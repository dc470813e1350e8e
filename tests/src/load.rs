//! `riptide-load` with its kernel engine beside a tracker with native XDP.

use crate::{
    net::{Namespace, join},
    riptide::{Riptide, Start, binary},
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// Where the tracker is.
pub const TARGET: &str = "10.77.0.1:6969";
/// Where requests come from: addresses that nobody has, behind the load's host.
pub const SOURCES: &str = "10.99.0.0/24";

/// The load generator: it is built beside the tracker.
#[must_use]
pub fn load_binary() -> PathBuf {
    let path = binary().with_file_name("riptide-load");
    assert!(path.is_file(), "no binary at {}: `cargo xtask test` builds it", path.display());
    path
}

/// Two hosts on one wire, the tracker's with the interface `t0`, and the load's with `c0`, where nothing is attached.
pub struct Field {
    /// The load's host, 10.77.0.2.
    pub load: Namespace,
    /// The tracker's host, 10.77.0.1.
    pub tracker: Namespace,
    files: TempDir,
}

impl Default for Field {
    fn default() -> Self {
        Self::new()
    }
}

impl Field {
    /// Lays the wire.
    #[must_use]
    pub fn new() -> Self {
        let (tracker, load) = (Namespace::new("tracker"), Namespace::new("load"));
        join(&tracker, "t0", &load, "c0");
        tracker.ip(&format!("addr add 10.77.0.1/24 dev t0\nroute add {SOURCES} via 10.77.0.2\n"));
        load.ip("addr add 10.77.0.2/24 dev c0\n");
        let files = TempDir::with_prefix("riptide-test-").expect("a temporary directory");
        Self { load, tracker, files }
    }

    /// Starts a tracker with native XDP and these tables in its configuration.
    #[must_use]
    pub fn riptide(&self, config: &str) -> Riptide {
        Start::new(Some(&self.tracker))
            .arguments("--interface t0 --xdp native --udp 0.0.0.0:6969")
            .config(config)
            .ready()
    }

    /// `riptide-load udp` in the load's host, its kernel engine at `c0`, with more arguments divided by white space.
    #[must_use]
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = self.load.command(&load_binary().to_string_lossy());
        command.args(["udp", "--engine", "kernel", "--interface", "c0", "--sources", SOURCES]);
        command.args(["--target", TARGET]).args(arguments.split_whitespace());
        command.arg("--json").arg(self.json());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn json(&self) -> PathBuf {
        self.files.path().join("figures.json")
    }

    /// The figures of the command that ended last.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let text = std::fs::read(self.json()).expect("the figures of a load");
        Figures(serde_json::from_slice(&text).expect("figures in JSON"))
    }

    /// Whether a program is attached to the load's interface.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.load.run(|| {
            let shown = Command::new("ip").args(["link", "show", "c0"]).output().expect("iproute2");
            String::from_utf8_lossy(&shown.stdout).contains("xdp")
        })
    }
}

/// What a load wrote.
pub struct Figures(pub Value);

impl Figures {
    /// A count; names of what only some loads have are below `more`.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        let value = self.0.get(name).unwrap_or_else(|| &self.0["more"][name]);
        value.as_u64().unwrap_or_else(|| panic!("{name} is no count in {:#}", self.0))
    }
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status, unless a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { status: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// Runs a command to its end.
#[must_use]
pub fn run(mut command: Command) -> Ended {
    command.output().expect("to start a command").into()
}

/// A copy of the load generator that a user without rights can reach, wherever the checkout is.
#[must_use]
pub fn copy_for_all(directory: &Path) -> PathBuf {
    use std::{fs, os::unix::fs::PermissionsExt};
    let path = directory.join("riptide-load");
    fs::copy(load_binary(), &path).expect("a copy");
    for path in [directory, &path] {
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("its owner");
    }
    path
}
