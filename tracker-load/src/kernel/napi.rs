//! The kernel thread that receives for an interface with threaded NAPI, beside the generator on one processor.

use nix::{sched::CpuSet, unistd::Pid};
use std::{fs, path::Path, process::Command};

/// The priority of the receiving thread among real-time threads: the lowest that stands above ordinary ones by far.
const PRIORITY: &str = "50";
/// The kernel cuts the names of threads.
const NAME_LEN: usize = 15;

/// Keeps the threads that receive for an interface on the processors of this process, above ordinary threads: else
/// the generator, which shares a processor with them, starves them, and what is lost is the generator's loss. Returns
/// what could not be done, for a person. Nothing happens where NAPI is not threaded.
#[must_use]
pub fn favour(interface: &str) -> Vec<String> {
    let Ok(processors) = nix::sched::sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    threads(Path::new("/proc"), interface).into_iter().flat_map(|thread| keep(thread, &processors)).collect()
}

fn keep(thread: Pid, processors: &CpuSet) -> Vec<String> {
    let mut undone = Vec::new();
    if let Err(error) = nix::sched::sched_setaffinity(thread, processors) {
        undone.push(format!("NAPI thread {thread} cannot be pinned: {error}"));
    }
    let raised = Command::new("chrt").args(["--fifo", "--pid", PRIORITY, &thread.to_string()]).output();
    if !raised.is_ok_and(|output| output.status.success()) {
        undone.push(format!(
            "NAPI thread {thread} has no real-time priority (`chrt --fifo --pid {PRIORITY} {thread}` failed)"
        ));
    }
    undone
}

/// The process IDs of the kernel's threads for an interface.
fn threads(proc: &Path, interface: &str) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir(proc) else { return Vec::new() };
    let mut name = format!("napi/{interface}-");
    name.truncate(NAME_LEN);
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
            comm.starts_with(&name).then(|| Pid::from_raw(pid))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_found_by_name() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, comm) in
            [("12", "napi/bw-8193\n"), ("13", "napi/bw0-8193\n"), ("14", "bash\n"), ("self", "napi/bw-1\n")]
        {
            fs::create_dir(proc.path().join(pid)).unwrap();
            fs::write(proc.path().join(pid).join("comm"), comm).unwrap();
        }
        assert_eq!(threads(proc.path(), "bw"), [Pid::from_raw(12)]);
        assert_eq!(threads(proc.path(), "bw0"), [Pid::from_raw(13)]);
        assert!(threads(proc.path(), "eth0").is_empty());
    }
}
