//! Drives the engine's sweep: slices that nobody notices, so many a second that a round over everything takes its interval.

use crate::{clock::Clock, config::Config, farewell::Farewell};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at},
};
use tracker_core::engine::{Engine, Totals};

/// Items looked at at a time. Whoever serves on the same processor waits meanwhile, some tens of microseconds and a few
/// times that where everything expires: at some hundred thousand requests a second a longer slice overflows queues.
const SLICE: usize = 1024;
/// Between two slices: at least this, since timers are hardly finer, and at most that, so that what there is to look at
/// is counted again.
const SHORTEST: Duration = Duration::from_millis(2);
const LONGEST: Duration = Duration::from_secs(1);
/// A round takes no longer than this part of the peer timeout.
const ROUNDS_PER_TIMEOUT: u32 = 8;

/// Sweeps for as long as the runtime lives.
pub async fn run(engine: Arc<Engine>, clock: Clock, config: watch::Receiver<Config>, _farewell: Farewell) {
    loop {
        let round = {
            let swarm = &config.borrow().swarm;
            swarm.sweep_interval.min(swarm.peer_timeout / ROUNDS_PER_TIMEOUT)
        };
        let pace = Pace::of(items(&engine.totals()), round);
        let begun = Instant::now();
        let mut tick = interval_at(begun + pace.every, pace.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while begun.elapsed() < LONGEST {
            tick.tick().await;
            let now = clock.now();
            engine.sweep(now, pace.slice);
        }
    }
}

fn items(totals: &Totals) -> usize {
    totals.torrents + totals.peers.as_flattened().iter().sum::<usize>() + totals.retained
}

/// How often how many items are looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace {
    every: Duration,
    slice: usize,
}

impl Pace {
    /// All items within a round.
    fn of(items: usize, round: Duration) -> Self {
        let slices = items.div_ceil(SLICE).max(1);
        let every = round.div_f64(slices as f64).clamp(SHORTEST, LONGEST);
        let share = items as u128 * every.as_nanos();
        let slice = share.div_ceil(round.max(every).as_nanos());
        Self { every, slice: SLICE.max(usize::try_from(slice).unwrap_or(usize::MAX)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_secs(60);

    /// Seconds that a round takes.
    fn seconds(items: usize) -> f64 {
        let pace = Pace::of(items, ROUND);
        items as f64 / pace.slice as f64 * pace.every.as_secs_f64()
    }

    #[test]
    fn a_round_takes_its_interval_at_most() {
        for items in [70_000, 3_000_000, 30_000_000, 300_000_000] {
            let seconds = seconds(items);
            assert!((59.0..=60.0).contains(&seconds), "{items}: {seconds}");
        }
    }

    #[test]
    fn more_is_looked_at_more_often_before_it_is_looked_at_for_longer() {
        let many = Pace::of(3_000_000, ROUND);
        assert_eq!(many.slice, SLICE);
        assert!(many.every < Duration::from_millis(21), "{many:?}");
        assert_eq!(Pace::of(300_000_000, ROUND), Pace { every: SHORTEST, slice: 10_000 });
    }

    #[test]
    fn little_is_looked_at_once_a_second() {
        assert_eq!(Pace::of(0, ROUND), Pace { every: LONGEST, slice: SLICE });
        assert_eq!(Pace::of(1_000, ROUND), Pace { every: LONGEST, slice: SLICE });
    }

    #[test]
    fn without_an_interval_everything_is_looked_at_each_time() {
        assert_eq!(Pace::of(100_000, Duration::ZERO), Pace { every: SHORTEST, slice: 100_000 });
        assert_eq!(Pace::of(0, Duration::ZERO), Pace { every: SHORTEST, slice: SLICE });
    }
}
