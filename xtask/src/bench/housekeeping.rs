//! Keeps the kernel's errands off the tracker's processor. A kernel thread that looks through memory for a millisecond, a few
//! times a second, overflows the queue of a fast tracker and not that of a slow one.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use std::{fs, path::Path};

/// The flag of kernel threads in `/proc/PID/stat` (`PF_KTHREAD`), and which field has the flags, counted behind the name.
const KERNEL_THREAD: u64 = 0x0020_0000;
const FLAGS: usize = 6;
/// Threads that receive for an interface; those of a rig are pinned by it.
const RECEIVERS: &str = "napi/";

/// Kernel threads that were moved to one processor. Dropped, it lets them go where they were.
#[derive(Debug, Default)]
pub(crate) struct Housekeeping(Vec<(Pid, CpuSet)>);

impl Housekeeping {
    /// Moves all that may be moved. Those that belong to a processor stay.
    pub(crate) fn keep_to(cpu: usize) -> Self {
        let mut only = CpuSet::new();
        if only.set(cpu).is_err() {
            return Self(Vec::new());
        }
        let move_away = |thread: Pid| {
            let before = sched_getaffinity(thread).ok().filter(|before| *before != only)?;
            sched_setaffinity(thread, &only).ok()?;
            Some((thread, before))
        };
        Self(kernel_threads(Path::new("/proc")).into_iter().filter_map(move_away).collect())
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        for (thread, before) in self.0.drain(..) {
            // It may be gone.
            let _ = sched_setaffinity(thread, &before);
        }
    }
}

fn kernel_threads(proc: &Path) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir(proc) else { return Vec::new() };
    let threads = entries.flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        is_errand(&fs::read_to_string(entry.path().join("stat")).ok()?).then(|| Pid::from_raw(pid))
    });
    threads.collect()
}

/// Whether a line of `/proc/PID/stat` is of a kernel thread that does not receive for an interface.
fn is_errand(stat: &str) -> bool {
    let Some((begin, rest)) = stat.rsplit_once(')') else { return false };
    let name = begin.split_once('(').map_or("", |(_, name)| name);
    let flags = rest.split_whitespace().nth(FLAGS).and_then(|flags| flags.parse::<u64>().ok());
    !name.starts_with(RECEIVERS) && flags.is_some_and(|flags| flags & KERNEL_THREAD != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_threads_are_told_by_their_flags() {
        for (stat, errand) in [
            ("38 (kcompactd0) S 2 0 0 0 -1 2129984 0 0 0 0", true),
            ("77 (a) b) S 2 0 0 0 -1 2097216 0 0 0 0", true),
            ("19032 (napi/t1a-258) S 2 0 0 0 -1 2129984 0 0 0 0", false),
            ("19036 (riptide) S 1 19036 1 0 -1 4194560 0 0 0 0", false),
            ("19036 (riptide", false),
            ("", false),
        ] {
            assert_eq!(is_errand(stat), errand, "{stat}");
        }
    }
}
