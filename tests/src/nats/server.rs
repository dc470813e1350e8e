//! The real server, which `cargo xtask test` brings.

use crate::{eventually, net::workspace};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// The program.
#[must_use]
pub fn program() -> PathBuf {
    workspace().join("target/unpacked/usr/bin/nats-server")
}

/// A running server, in the network namespace of the thread that starts it. Ended when dropped.
pub struct NatsServer {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl NatsServer {
    /// Starts one on the loopback interface that serves everybody.
    #[must_use]
    pub fn start() -> Self {
        Self::with("")
    }

    /// Starts one there with this configuration, which says neither host nor port.
    #[must_use]
    pub fn with(configuration: &str) -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), configuration)
    }

    /// Starts one at an address of the host.
    #[must_use]
    pub fn at(address: IpAddr, configuration: &str) -> Self {
        let directory = TempDir::with_prefix("riptide-nats-").expect("a directory");
        fs::write(directory.path().join("nats.conf"), configuration).expect("a file");
        // Port -1 is any.
        let child = spawn(directory.path(), address, -1);
        // Dropped, and so ended, if it never says where it listens.
        let mut server = Self { child, address: SocketAddr::new(address, 0), directory };
        let port = server.wait_ready();
        server.address.set_port(port);
        server
    }

    /// Where clients find it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a key of the configuration has it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Where other servers find it, if its configuration has a cluster.
    #[must_use]
    pub fn routes(&self) -> SocketAddr {
        let port = self.port("cluster").expect("a port for routes");
        SocketAddr::new(self.address.ip(), port)
    }

    /// What it has written into its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port, after it was ended if it runs.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.directory.path(), self.address.ip(), self.address.port().into());
        let port = self.wait_ready();
        assert_eq!(port, self.address.port(), "another port");
    }

    /// Freezes it: connections stay, and nothing moves.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
        eventually("the NATS server to stand still", || self.is_paused().then_some(()));
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Whether the kernel has stopped it.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a process");
        // Its state follows its name, which is in parentheses.
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("a running server");
    }

    /// Waits until it listens, and gives the port: it writes a file then.
    fn wait_ready(&mut self) -> u16 {
        eventually("the NATS server to be ready", || {
            if let Some(status) = self.child.try_wait().expect("a child") {
                panic!("the NATS server ended, {status}:\n{}", self.log());
            }
            self.port("nats")
        })
    }

    /// The port for this, as its file has it. It may be half written.
    fn port(&self, purpose: &str) -> Option<u16> {
        let file = self.directory.path().join(format!("nats-server_{}.ports", self.child.id()));
        let ports: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
        ports[purpose][0].as_str()?.rsplit(':').next()?.parse().ok()
    }
}

fn spawn(directory: &Path, address: IpAddr, port: i32) -> Child {
    let log = fs::OpenOptions::new().append(true).create(true).open(directory.join("log")).expect("a file");
    let mut command = Command::new(program());
    command
        .args(["--addr", &address.to_string(), "--port", &port.to_string(), "--config", "nats.conf"])
        .args(["--ports_file_dir", "."])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    let shown = program();
    command.spawn().unwrap_or_else(|e| panic!("{}: {e}; `cargo xtask test` brings it", shown.display()))
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- the NATS server said\n{}\n---", self.log());
        }
    }
}
