//! Drives the engine's sweep: a bounded share every second, so that a round over everything takes its interval.

use crate::{clock::Clock, config::Config, farewell::Farewell};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::MissedTickBehavior};
use tracker_core::engine::{Engine, Totals};

const TICK: Duration = Duration::from_secs(1);
/// Items looked at before others get the thread.
const SLICE: usize = 4096;
/// A round takes no longer than this part of the peer timeout.
const ROUNDS_PER_TIMEOUT: u32 = 8;

/// Sweeps for as long as the runtime lives.
pub async fn run(engine: Arc<Engine>, clock: Clock, config: watch::Receiver<Config>, _farewell: Farewell) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let round = {
            let swarm = &config.borrow().swarm;
            swarm.sweep_interval.min(swarm.peer_timeout / ROUNDS_PER_TIMEOUT)
        };
        let mut share = share(items(&engine.totals()), round);
        while share > 0 {
            let now = (clock.now_ns() / 1_000_000_000) as u32;
            let report = engine.sweep(now, SLICE.min(share));
            share = share.saturating_sub(report.visited.max(1));
            if report.cycle_ended {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn items(totals: &Totals) -> usize {
    totals.torrents + totals.peers.as_flattened().iter().sum::<usize>() + totals.retained
}

/// How many items to look at in a tick. At least a slice, so that a small tracker is swept every second.
fn share(items: usize, round: Duration) -> usize {
    let ticks = usize::try_from(round.as_secs()).unwrap_or(usize::MAX).max(1);
    items.div_ceil(ticks).max(SLICE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_takes_its_interval_and_small_trackers_a_tick() {
        assert_eq!(share(60_000_000, Duration::from_secs(60)), 1_000_000);
        assert_eq!(share(0, Duration::from_secs(60)), SLICE);
        assert_eq!(share(100_000, Duration::ZERO), 100_000);
    }
}
