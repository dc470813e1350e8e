//! Forgetting what is old, a slice at a time.

use super::{
    Engine, SHARDS, SwarmSizes, SweepReport,
    retained::Ticket,
    shard::{Progress, Swept},
};
use crate::model::Seconds;

/// Items looked at under one lock: some ten microseconds.
const STEP: usize = 256;

/// Where the sweep is.
#[derive(Debug)]
pub(super) struct Sweeper {
    shard: usize,
    progress: Progress,
    /// Of the torrents seen in this cycle.
    sizes: SwarmSizes,
    tickets: Vec<Ticket>,
}

impl Default for Sweeper {
    fn default() -> Self {
        Self { shard: 0, progress: Progress::START, sizes: SwarmSizes::default(), tickets: Vec::new() }
    }
}

impl Engine {
    /// Looks for expired peers among the next `budget` items or so, where the last slice ended, and stops at the end
    /// of a cycle. A full cycle has to take less than four hours. One slice at a time: a second caller returns at once
    /// with nothing visited.
    pub fn sweep(&self, now: Seconds, budget: usize) -> SweepReport {
        let mut report = SweepReport::default();
        let Some(mut sweeper) = self.sweeper.try_lock() else { return report };
        while report.visited < budget && !report.cycle_ended {
            let swept = self.sweep_step(&mut sweeper, now, STEP.min(budget - report.visited));
            report.visited += swept.visited;
            report.expired += swept.expired;
            if swept.ended {
                sweeper.progress = Progress::START;
                sweeper.shard += 1;
                report.cycle_ended = sweeper.shard == SHARDS;
            }
        }
        if report.cycle_ended {
            *self.sizes.lock() = std::mem::take(&mut *sweeper).sizes;
            let policy = self.policy();
            while let Some(ticket) =
                self.order.excess(policy.downloaded_entries, now, policy.downloaded_retention)
            {
                self.forget(ticket);
            }
        }
        report
    }

    fn sweep_step(&self, sweeper: &mut Sweeper, now: Seconds, budget: usize) -> Swept {
        let Sweeper { shard, progress, sizes, tickets } = sweeper;
        // At least one torrent beside the shard itself, so that every step gets on.
        let budget = budget.max(2);
        let swept = self.shards[*shard].0.lock().sweep(self.common(), progress, now, budget, sizes, tickets);
        for ticket in tickets.drain(..) {
            self.file(Some(ticket));
        }
        swept
    }
}
