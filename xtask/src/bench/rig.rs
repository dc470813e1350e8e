//! The two-core rig: namespaces joined by a veth pair, the load's work on one processor, the tracker's on another.

use crate::{
    bench::{cpus::pin, lab::Lab, program},
    process,
};
use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What the names of our namespaces begin with; the owner's process ID follows.
const PREFIX: &str = "riptide-bench-";
/// Where namespaces with names are.
const NAMESPACES: &str = "/run/netns";
/// The tracker's address.
pub(crate) const TRACKER: &str = "10.88.0.1";
/// The load's address, which all its source addresses are behind.
const LOAD: &str = "10.88.0.2";
/// The tracker's address on the wire to another host, and that host's.
pub(crate) const BESIDE: [&str; 2] = ["10.89.0.1", "10.89.0.2"];
/// The addresses that the load comes from.
pub(crate) const SOURCES: &str = "10.99.0.0/22";
/// What the tracker's host routes back to the load; it holds [`SOURCES`].
const BEHIND_LOAD: &str = "10.99.0.0/16";
/// The kernel cuts the names of threads.
const THREAD_NAME: usize = 15;

/// A network namespace with its loopback interface up. Dropped, it ends the processes in it and is deleted.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one; `role` tells it from others in listings.
    pub(crate) fn new(lab: &Lab, role: &str) -> Result<Self> {
        lab.check()?;
        let name = format!("{PREFIX}{}-{}-{role}", std::process::id(), lab.number());
        said(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.bash("ip link set lo up")?;
        Ok(namespace)
    }

    /// What `ip netns` calls it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run in it on this processor. It keeps the process ID that it is started with, gets no signals
    /// from the terminal, and does not outlive this process.
    pub(crate) fn command(&self, cpu: usize, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "setpriv", "--pdeathsig", "KILL"]);
        command.args(["taskset", "--cpu-list", &cpu.to_string()]).arg(program);
        command.stdin(Stdio::null()).process_group(0);
        command
    }

    /// A line of shell in it, and what it prints; `/sys` shows its interfaces.
    pub(crate) fn bash(&self, line: &str) -> Result<String> {
        said(Command::new("ip").args(["netns", "exec", &self.name, "bash", "-ec", line]))
    }

    /// What a server of HTTP answers that listens at a port of its loopback interface: the body, whatever the status.
    pub(crate) fn get(&self, port: u16, path: &str) -> Result<String> {
        let ask = format!(
            "exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
        );
        let answer = self.bash(&ask)?;
        let (_, body) = answer
            .split_once("\r\n\r\n")
            .with_context(|| format!("what listens at port {port} does not speak HTTP"))?;
        Ok(body.to_owned())
    }

    /// Its file, by which a thread can enter it.
    pub(crate) fn file(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

/// Runs a command to its end, and returns what it prints; what it says besides is told only if it fails.
fn said(command: &mut Command) -> Result<String> {
    let line = process::describe(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", program::last_line(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn delete(name: &str) {
    let pids = process::probe(Command::new("ip").args(["netns", "pids", name])).unwrap_or_default();
    for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    process::probe(Command::new("ip").args(["netns", "delete", name]));
}

/// Deletes what benches left that were killed.
pub(crate) fn sweep() {
    for entry in fs::read_dir(NAMESPACES).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if owner(&name).is_some_and(|owner| !Path::new("/proc").join(owner.to_string()).exists()) {
            delete(&name);
        }
    }
}

/// The process that made a namespace of this name, if a bench did.
fn owner(namespace: &str) -> Option<u32> {
    namespace.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Two hosts on one wire, the tracker's and the load's.
#[derive(Debug)]
pub(crate) struct Rig {
    /// Where the tracker runs.
    pub(crate) tracker: Namespace,
    /// Where the load runs.
    pub(crate) load: Namespace,
    /// The tracker's interface.
    pub(crate) tracker_interface: String,
    /// The load's.
    pub(crate) load_interface: String,
}

impl Rig {
    /// Lays the wire with one queue at each end, receiving in threads of the kernel that can be pinned.
    pub(crate) fn lay(lab: &Lab) -> Result<Self> {
        let (tracker, load) = (Namespace::new(lab, "tracker")?, Namespace::new(lab, "load")?);
        let [tracker_interface, load_interface] = interfaces(["t", "l"], lab.number());
        let count = "numrxqueues 1 numtxqueues 1";
        tracker.bash(&format!(
            "ip link add {tracker_interface} {count} type veth peer name {load_interface} {count} netns {}",
            load.name
        ))?;
        let rig = Self { tracker, load, tracker_interface, load_interface };
        for (namespace, interface, address) in
            [(&rig.tracker, &rig.tracker_interface, TRACKER), (&rig.load, &rig.load_interface, LOAD)]
        {
            namespace.bash(&format!(
                "ip addr add {address}/24 dev {interface}\n\
                 ip link set {interface} up\n\
                 ethtool -K {interface} gro on tx off >&2\n\
                 echo 1 > /sys/class/net/{interface}/threaded\n\
                 echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter\n\
                 echo 0 > /proc/sys/net/ipv4/conf/{interface}/rp_filter"
            ))?;
        }
        rig.tracker.bash(&format!("ip route add {BEHIND_LOAD} via {LOAD}"))?;
        lab.check()?;
        Ok(rig)
    }

    /// Another host, on a wire of its own to the tracker's; both ends have the addresses that [`BESIDE`] says.
    pub(crate) fn beside(&self, lab: &Lab, role: &str) -> Result<Namespace> {
        let other = Namespace::new(lab, role)?;
        let [here, there] = interfaces(["h", "o"], lab.number());
        self.tracker.bash(&format!("ip link add {here} type veth peer name {there} netns {}", other.name))?;
        for (namespace, interface, address) in [(&self.tracker, here, BESIDE[0]), (&other, there, BESIDE[1])]
        {
            namespace
                .bash(&format!("ip addr add {address}/24 dev {interface}\nip link set {interface} up"))?;
        }
        Ok(other)
    }

    /// Pins the thread that receives for the tracker, which is a new one once a program has been attached to the
    /// interface, and returns its directory in `/proc`.
    pub(crate) fn pin_receiver(&self, cpu: usize) -> Result<PathBuf> {
        let thread = receiver(Path::new("/proc"), &self.tracker_interface)
            .context("no kernel thread receives for the tracker: this kernel has no threaded NAPI")?;
        pin(thread, cpu).with_context(|| format!("cannot pin NAPI thread {thread} to CPU {cpu}"))?;
        Ok(Path::new("/proc").join(thread.to_string()))
    }
}

/// Names of both ends, short enough to be told apart in the names of threads.
fn interfaces(ends: [&str; 2], number: u32) -> [String; 2] {
    named(ends, std::process::id(), number)
}

fn named(ends: [&str; 2], process: u32, number: u32) -> [String; 2] {
    let letter = char::from(b'a' + (number % 26) as u8);
    ends.map(|end| format!("{end}{}{letter}", process % 100_000))
}

/// The newest thread that receives for an interface.
fn receiver(proc: &Path, interface: &str) -> Option<Pid> {
    let mut name = format!("napi/{interface}-");
    name.truncate(THREAD_NAME);
    let threads = fs::read_dir(proc).ok()?.flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse::<i32>().ok()?;
        let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
        comm.starts_with(&name).then_some(pid)
    });
    threads.max().map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_of_benches_have_an_owner() {
        assert_eq!(owner("riptide-bench-4711-3-tracker"), Some(4711));
        assert_eq!([owner("riptide-test-4711-3-tracker"), owner("riptide-bench-mine")], [None, None]);
    }

    #[test]
    fn receivers_are_found_by_interface() {
        let [tracker, load] = named(["t", "l"], 4_194_304, 27);
        assert_eq!((tracker.as_str(), load.as_str()), ("t94304b", "l94304b"));
        let proc = tempfile::tempdir().unwrap();
        for (pid, comm) in [("9", "napi/t94304b-1\n"), ("30", "napi/t94304b-2\n"), ("42", "napi/l94304b-3\n")]
        {
            fs::create_dir(proc.path().join(pid)).unwrap();
            fs::write(proc.path().join(pid).join("comm"), comm).unwrap();
        }
        assert_eq!(receiver(proc.path(), &tracker), Some(Pid::from_raw(30)));
        assert_eq!(receiver(proc.path(), "eth0"), None);
    }
}
