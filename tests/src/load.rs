//! `riptide-load`: with its kernel engine beside a tracker with native XDP, and by sockets at a steady rate for as long as a
//! test takes.

use crate::{
    net::{Namespace, join},
    riptide::{Riptide, Start, binary},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
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
    files: Files,
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
        Self { load, tracker, files: Files::new() }
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
        self.files.told(&mut command);
        command
    }

    /// The figures of the command that ended last.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.files.figures()
    }

    /// Whether a program is attached to the load's interface.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.load.is_attached("c0")
    }
}

/// Where a load writes.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::with_prefix("riptide-test-").expect("a temporary directory"))
    }

    fn json(&self) -> PathBuf {
        self.0.path().join("figures.json")
    }

    /// Has a command write there, and all that it says kept.
    fn told(&self, command: &mut Command) {
        command.arg("--json").arg(self.json());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }

    fn figures(&self) -> Figures {
        let text = std::fs::read(self.json()).expect("the figures of a load");
        Figures(serde_json::from_slice(&text).expect("figures in JSON"))
    }
}

/// A load over UDP by sockets, which asks a thousand times a second until it is ended.
pub struct Steady {
    child: Option<Child>,
    files: Files,
}

impl Steady {
    /// Peers of each, in about a quarter as many torrents.
    pub const PEERS: u64 = 400;

    /// Begins to ask a tracker, from a host or this one, from all addresses that it has in the network `sources`. The info
    /// hashes are those of the seed.
    #[must_use]
    pub fn start(host: Option<&Namespace>, tracker: SocketAddr, sources: &str, seed: u32) -> Self {
        let files = Files::new();
        let program = load_binary().to_string_lossy().into_owned();
        let mut command = match host {
            Some(host) => host.command(&program),
            None => Command::new(program),
        };
        // A machine that is held up answers late, but it answers.
        let pace = "--rate 1k --warmup 0s --duration 1h --timeout 10s";
        let (torrents, peers) = (Self::PEERS / 4, Self::PEERS);
        let workload = format!("--torrents {torrents} --peers {peers} --seed {seed} --sources {sources}");
        command.args(["udp", "--target", &tracker.to_string()]);
        command.args(format!("{pace} {workload}").split(' '));
        files.told(&mut command);
        Self { child: Some(command.spawn().expect("to start a load")), files }
    }

    /// Ends it once what is on its way is answered, and checks that all was, and rightly.
    #[must_use]
    pub fn end(mut self) -> Figures {
        let child = self.child.take().expect("a running load");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process ID"));
        kill(pid, Signal::SIGINT).expect("a running load");
        let ended: Ended = child.wait_with_output().expect("its end").into();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        let figures = self.files.figures();
        for nothing in ["unanswered", "late", "wrong_in_all"] {
            assert_eq!(figures.count(nothing), 0, "{nothing}: {:#}", figures.0);
        }
        let [sent, answered] = ["sent", "answered"].map(|name| figures.count(name));
        assert!(sent == answered && sent > 0, "{:#}", figures.0);
        figures
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
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

/// A copy of a program that a user without rights can reach, wherever the checkout is.
#[must_use]
pub fn copy_for_all(program: &Path, directory: &Path) -> PathBuf {
    use std::{fs, os::unix::fs::PermissionsExt};
    let path = directory.join(program.file_name().expect("a program"));
    fs::copy(program, &path).expect("a copy");
    for path in [directory, &path] {
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("its owner");
    }
    path
}
