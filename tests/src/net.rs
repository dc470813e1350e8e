//! Network namespaces that nothing outlives.
//!
//! Names carry the process that made them, so that tests run in parallel, and so that the next run can clear away
//! what a killed one left.

use aya::{
    Ebpf,
    programs::{Xdp, XdpMode},
};
use nix::sched::{CloneFlags, setns};
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

const PREFIX: &str = "riptide-test-";
static COUNT: AtomicU32 = AtomicU32::new(0);
static SWEEP: Once = Once::new();

/// A network namespace with its loopback interface up, deleted when dropped.
pub struct Namespace {
    name: String,
    handle: File,
    // Programs attached to interfaces of this namespace; they detach with their links.
    attached: Vec<Ebpf>,
}

impl Namespace {
    /// Makes one. `role` tells it from others in listings.
    #[must_use]
    pub fn new(role: &str) -> Self {
        SWEEP.call_once(sweep);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}-{role}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let handle = File::open(Path::new("/run/netns").join(&name)).expect("the namespace just made");
        let namespace = Self { name, handle, attached: Vec::new() };
        // No address of a test waits for duplicate detection.
        for scope in ["all", "default"] {
            namespace.sysctl(&format!("ipv6/conf/{scope}/accept_dad"), "0");
        }
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name, for `ip netns`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` on a thread of its own inside the namespace. Sockets made there stay there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.handle, CloneFlags::CLONE_NEWNET).expect("to enter the namespace");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A command that will run inside the namespace, under the process ID that it is started with.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// One or several lines of `ip` commands, without the word `ip`.
    pub fn ip(&self, lines: &str) {
        let mut child = Command::new("ip")
            .args(["-netns", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("iproute2 to be installed");
        child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("ip to read its commands");
        let output = child.wait_with_output().expect("ip to end");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip, in {}: {lines}\n{errors}", self.name);
    }

    /// Whether an XDP program is attached to an interface.
    #[must_use]
    pub fn is_attached(&self, interface: &str) -> bool {
        let shown = self.run(|| Command::new("ip").args(["link", "show", interface]).output());
        String::from_utf8_lossy(&shown.expect("iproute2").stdout).contains("xdp")
    }

    /// The processes inside it.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        processes(&self.name)
    }

    /// Sets a value below `/proc/sys/net`.
    pub fn sysctl(&self, key: &str, value: &str) {
        let path = Path::new("/proc/sys/net").join(key);
        self.run(|| std::fs::write(&path, value)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// Attaches a program that passes everything: what XDP sends out of one end of a veth pair arrives at the other
    /// only if there is a program there.
    pub fn attach_pass(&mut self, interface: &str) {
        let path = ebpf_object();
        let bytes = std::fs::read(&path)
            .unwrap_or_else(|e| panic!("{}: {e}; `cargo xtask build-ebpf` builds it", path.display()));
        let attached = self.run(|| {
            let mut object = Ebpf::load(&bytes).expect("the kernel to take the maps");
            let program: &mut Xdp =
                object.program_mut("pass").expect("a program named pass").try_into().expect("an XDP program");
            program.load().expect("the verifier to take a program that passes");
            program.attach(interface, XdpMode::Driver).expect("to attach natively");
            object
        });
        self.attached.push(attached);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.attached.clear();
        delete(&self.name);
    }
}

/// Where the checkout is.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

fn ebpf_object() -> PathBuf {
    workspace().join("target/bpf/riptide.bpf.o")
}

/// Runs a command to its end.
pub fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}; `cargo xtask test` installs it"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {errors}", arguments.join(" "));
}

/// Deletes the namespaces, and ends the processes in them, of test processes that are gone.
pub fn sweep() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if let Some(owner) = owner
            && !Path::new("/proc").join(owner.to_string()).exists()
        {
            delete(&name);
        }
    }
}

fn processes(name: &str) -> Vec<i32> {
    let output = Command::new("ip").args(["netns", "pids", name]).output();
    let text =
        output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn delete(name: &str) {
    for pid in processes(name) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
    }
    let _ = Command::new("ip").args(["netns", "delete", name]).stderr(Stdio::null()).status();
}

/// Two hosts on one wire: the tracker's with the interface `t0`, the clients' with `c0`.
///
/// The tracker is 10.77.0.1 and 10.77.0.2, fd77::1 and fd77::2; clients are 10.77.0.101 to 10.77.0.105 and fd77::101
/// to fd77::105.
pub struct Wire {
    /// The clients' host.
    pub clients: Namespace,
    /// The tracker's host.
    pub tracker: Namespace,
}

/// How many addresses the clients' host has in each family.
pub const CLIENT_ADDRESSES: u8 = 5;

impl Wire {
    /// Lays the wire, with one queue at each end.
    #[must_use]
    pub fn new() -> Self {
        Self::with_queues(1)
    }

    /// Lays the wire, with so many queues at each end.
    #[must_use]
    pub fn with_queues(queues: usize) -> Self {
        let tracker = Namespace::new("tracker");
        let mut clients = Namespace::new("clients");
        join_queues(&tracker, "t0", &clients, "c0", queues);
        tracker.ip("addr add 10.77.0.1/24 dev t0\naddr add 10.77.0.2/24 dev t0\n\
                    addr add fd77::1/64 dev t0 nodad\naddr add fd77::2/64 dev t0 nodad\n");
        let mut lines = String::new();
        for n in 1..=CLIENT_ADDRESSES {
            lines += &format!("addr add 10.77.0.{}/24 dev c0\n", 100 + n);
            lines += &format!("addr add fd77::10{n}/64 dev c0 nodad\n");
        }
        clients.ip(&lines);
        clients.attach_pass("c0");
        Self { clients, tracker }
    }

    /// Takes the wire away and lays it again, with one queue and one IPv4 address at each end.
    pub fn lay_again(&mut self) {
        self.tracker.ip("link del t0\n");
        join(&self.tracker, "t0", &self.clients, "c0");
        self.tracker.ip("addr add 10.77.0.1/24 dev t0\n");
        self.clients.ip("addr add 10.77.0.101/24 dev c0\n");
        self.clients.attach_pass("c0");
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

/// Joins two namespaces by a veth pair with one queue at each end and brings both ends up.
pub fn join(left: &Namespace, left_interface: &str, right: &Namespace, right_interface: &str) {
    join_queues(left, left_interface, right, right_interface, 1);
}

fn join_queues(
    left: &Namespace,
    left_interface: &str,
    right: &Namespace,
    right_interface: &str,
    queues: usize,
) {
    let count = format!("numrxqueues {queues} numtxqueues {queues}");
    left.ip(&format!(
        "link add {left_interface} {count} type veth peer name {right_interface} {count} netns {}\n",
        right.name()
    ));
    for (namespace, interface) in [(left, left_interface), (right, right_interface)] {
        // Tags stay in the frames, where a program can see them.
        namespace.run(|| run("ethtool", &["-K", interface, "txvlan", "off", "rxvlan", "off"]));
        namespace.ip(&format!("link set {interface} up\n"));
    }
}
