//! The processors of the load and of the tracker.

use anyhow::{Context, Result};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

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
    pub(crate) fn inherited() -> Result<Self> {
        let mask = sched_getaffinity(Pid::from_raw(0)).context("cannot tell which processors are ours")?;
        let mut ours = (0..CpuSet::count()).filter(|cpu| mask.is_set(*cpu).unwrap_or(false));
        let [load, tracker] = [ours.next(), ours.next()];
        let (load, tracker) = load.zip(tracker).context("bench needs two processors, one for the load")?;
        Ok(Self { load, tracker })
    }

    /// Keeps this process off the tracker's processor.
    pub(crate) fn stay_with_load(self) -> Result<()> {
        pin(Pid::from_raw(0), self.load).context("cannot pin this process to the load's processor")
    }
}

/// Has a thread run on one processor alone.
pub(crate) fn pin(thread: Pid, cpu: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(thread, &set)
}
