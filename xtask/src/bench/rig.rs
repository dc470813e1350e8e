//! The two-core rig: namespaces joined by a veth pair, the load's work on one processor, the tracker's on another.

use crate::{
    bench::{Lab, program},
    process,
};
use anyhow::{Context, Result, bail};
use nix::{
    sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, setns},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::Path,
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
/// The addresses that the load comes from.
pub(crate) const SOURCES: &str = "10.99.0.0/22";
/// What the tracker's host routes back to the load; it holds [`SOURCES`].
const BEHIND_LOAD: &str = "10.99.0.0/16";
/// The kernel cuts the names of threads.
const THREAD_NAME: usize = 15;

/// Who works where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpus {
    /// The load's processor.
    pub(crate) load: usize,
    /// The tracker's.
    pub(crate) tracker: usize,
}

impl Cpus {
    /// The first two processors that this process was given.
    ///
    /// # Errors
    /// There are fewer.
    pub(crate) fn inherited() -> Result<Self> {
        let mask = sched_getaffinity(Pid::from_raw(0)).context("cannot tell which processors are ours")?;
        Self::first_two((0..CpuSet::count()).filter(|cpu| mask.is_set(*cpu).unwrap_or(false)))
    }

    fn first_two(mut cpus: impl Iterator<Item = usize>) -> Result<Self> {
        match (cpus.next(), cpus.next()) {
            (Some(load), Some(tracker)) => Ok(Self { load, tracker }),
            _ => bail!("bench needs two processors: one for the load, one for the tracker"),
        }
    }

    /// Keeps this process off the tracker's processor.
    pub(crate) fn stay_with_load(self) -> Result<()> {
        pin(Pid::from_raw(0), self.load).context("cannot pin this process to the load's processor")
    }
}

fn pin(thread: Pid, cpu: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(thread, &set)
}

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
        quietly(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// A command that will run in it on these processors. It keeps the process ID that it is started with, gets no
    /// signals from the terminal, and does not outlive this process.
    pub(crate) fn command(&self, cpus: &[usize], program: &Path) -> Command {
        let list: Vec<String> = cpus.iter().map(ToString::to_string).collect();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "setpriv", "--pdeathsig", "KILL"]);
        command.args(["taskset", "--cpu-list", &list.join(",")]).arg(program);
        command.stdin(Stdio::null()).process_group(0);
        command
    }

    /// Runs `work` in a thread inside the namespace.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = Path::new(NAMESPACES).join(&self.name);
        let handle = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || setns(&handle, CloneFlags::CLONE_NEWNET).map(|()| work()));
            match thread.join() {
                Ok(result) => result.with_context(|| format!("cannot enter {}", self.name)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// One `ip` command, without the word `ip`.
    fn ip(&self, line: &str) -> Result<()> {
        quietly(Command::new("ip").args(["-netns", &self.name]).args(line.split(' ')))
    }

    /// A line of shell in it; `/sys` shows its interfaces.
    fn shell(&self, line: &str) -> Result<()> {
        quietly(Command::new("ip").args(["netns", "exec", &self.name, "sh", "-ec", line]))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

/// Runs a command to its end; what it says is told only if it fails.
fn quietly(command: &mut Command) -> Result<()> {
    let line = process::describe(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", program::last_line(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(())
}

fn delete(name: &str) {
    if let Some(pids) = process::probe(Command::new("ip").args(["netns", "pids", name])) {
        for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    process::probe(Command::new("ip").args(["netns", "delete", name]));
}

/// Deletes what benches left that were killed.
pub(crate) fn sweep() {
    let Ok(entries) = fs::read_dir(NAMESPACES) else { return };
    for entry in entries.flatten() {
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
    tracker_interface: String,
    load_interface: String,
}

impl Rig {
    /// Lays the wire with so many queues at each end, receiving in threads of the kernel that can be pinned.
    pub(crate) fn lay(lab: &Lab, queues: usize) -> Result<Self> {
        let (tracker, load) = (Namespace::new(lab, "tracker")?, Namespace::new(lab, "load")?);
        let [tracker_interface, load_interface] = interfaces(std::process::id(), lab.number());
        let count = format!("numrxqueues {queues} numtxqueues {queues}");
        tracker.ip(&format!(
            "link add {tracker_interface} {count} type veth peer name {load_interface} {count} netns {}",
            load.name
        ))?;
        let rig = Self { tracker, load, tracker_interface, load_interface };
        for (namespace, interface, address) in
            [(&rig.tracker, &rig.tracker_interface, TRACKER), (&rig.load, &rig.load_interface, LOAD)]
        {
            namespace.ip(&format!("addr add {address}/24 dev {interface}"))?;
            namespace.ip(&format!("link set {interface} up"))?;
        }
        rig.tracker.ip(&format!("route add {BEHIND_LOAD} via {LOAD}"))?;
        for (namespace, interface) in
            [(&rig.tracker, &rig.tracker_interface), (&rig.load, &rig.load_interface)]
        {
            namespace.shell(&format!(
                "ethtool -K {interface} gro on tx off >&2\n\
                 echo 1 > /sys/class/net/{interface}/threaded\n\
                 echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter\n\
                 echo 0 > /proc/sys/net/ipv4/conf/{interface}/rp_filter"
            ))?;
        }
        lab.check()?;
        Ok(rig)
    }

    /// The tracker's interface.
    pub(crate) fn tracker_interface(&self) -> &str {
        &self.tracker_interface
    }

    /// The load's interface.
    pub(crate) fn load_interface(&self) -> &str {
        &self.load_interface
    }

    /// Pins the threads that receive for the tracker, one to each of these processors in turn. The threads are new
    /// ones once a program has been attached to the interface.
    pub(crate) fn pin_receiver(&self, cpus: &[usize]) -> Result<()> {
        let threads = receivers(Path::new("/proc"), &self.tracker_interface);
        if threads.is_empty() {
            bail!(
                "no kernel thread receives for {}: this kernel has no threaded NAPI",
                self.tracker_interface
            );
        }
        for (thread, cpu) in threads.into_iter().zip(cpus.iter().cycle()) {
            pin(thread, *cpu).with_context(|| format!("cannot pin NAPI thread {thread} to CPU {cpu}"))?;
        }
        Ok(())
    }
}

/// Names of both ends, short enough to be told apart in the names of threads.
fn interfaces(process: u32, number: u32) -> [String; 2] {
    let letter = char::from(b'a' + (number % 26) as u8);
    ["t", "l"].map(|end| format!("{end}{}{letter}", process % 100_000))
}

/// The threads that receive for an interface, oldest first.
fn receivers(proc: &Path, interface: &str) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir(proc) else { return Vec::new() };
    let mut name = format!("napi/{interface}-");
    name.truncate(THREAD_NAME);
    let mut threads: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
            comm.starts_with(&name).then_some(pid)
        })
        .collect();
    threads.sort_unstable();
    threads.into_iter().map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_and_tracker_have_a_processor_each() {
        assert_eq!(Cpus::first_two([3, 5, 7].into_iter()).unwrap(), Cpus { load: 3, tracker: 5 });
        let error = Cpus::first_two([3].into_iter()).unwrap_err().to_string();
        assert!(error.contains("two processors"), "{error}");
        assert!(Cpus::first_two(std::iter::empty()).is_err());
    }

    #[test]
    fn only_namespaces_of_benches_have_an_owner() {
        assert_eq!(owner("riptide-bench-4711-3-tracker"), Some(4711));
        assert_eq!(owner("riptide-test-4711-3-tracker"), None);
        assert_eq!(owner("riptide-bench-mine"), None);
        assert_eq!(owner("bt"), None);
    }

    #[test]
    fn interfaces_are_told_apart_in_the_names_of_threads() {
        let [tracker, load] = interfaces(4_194_304, 27);
        assert_eq!((tracker.as_str(), load.as_str()), ("t94304b", "l94304b"));
        assert!(format!("napi/{tracker}-").len() <= THREAD_NAME);
        assert_ne!(interfaces(1, 0), interfaces(1, 1));
    }

    #[test]
    fn receivers_are_found_by_interface() {
        let proc = std::env::temp_dir().join(format!("xtask-rig-{}", std::process::id()));
        for (pid, comm) in [
            ("30", "napi/t1a-8194\n"),
            ("9", "napi/t1a-8193\n"),
            ("12", "napi/t1ab-8193\n"),
            ("x", "napi/t1a-1\n"),
        ] {
            fs::create_dir_all(proc.join(pid)).unwrap();
            fs::write(proc.join(pid).join("comm"), comm).unwrap();
        }
        assert_eq!(receivers(&proc, "t1a"), [Pid::from_raw(9), Pid::from_raw(30)]);
        assert!(receivers(&proc, "eth0").is_empty());
        fs::remove_dir_all(&proc).unwrap();
    }
}
