//! Drives the engine's sweep: a few turns a second, each of slices that nobody notices, so many that a round over everything
//! takes its interval.

use crate::{clock::Clock, config::Config, farewell::Farewell};
use std::{sync::Arc, thread, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tracker_core::engine::Engine;

/// Items looked at at a time. Whoever serves on the same processor waits meanwhile, some tens of microseconds and a few
/// times that where everything expires: at some hundred thousand requests a second a longer slice overflows queues.
const SLICE: usize = 1024;
/// Between two turns: at least this, since waking up costs more than a slice, and at most that, so that what there is to
/// look at is counted again.
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(1);
/// A round takes no longer than this part of the peer timeout.
const ROUNDS_PER_TIMEOUT: u32 = 8;

/// Sweeps for as long as the runtime lives.
pub async fn run(
    engine: Arc<Engine>,
    clock: Clock,
    mut config: watch::Receiver<Config>,
    _farewell: Farewell,
) {
    loop {
        let round = {
            let swarm = &config.borrow_and_update().swarm;
            swarm.sweep_interval.min(swarm.peer_timeout / ROUNDS_PER_TIMEOUT)
        };
        let over = Instant::now() + round.max(SHORTEST);
        loop {
            let pace = Pace::of(engine.size(), round);
            sleep(pace.every).await;
            if turn(&engine, clock, pace.turn) {
                break;
            }
        }
        // What is left of the round, unless there is to be another one.
        tokio::select! {
            () = sleep_until(over) => {}
            Ok(()) = config.changed() => {}
        }
    }
}

/// Looks at so many items. Whether that was the last of a round.
fn turn(engine: &Engine, clock: Clock, mut items: usize) -> bool {
    while items > 0 {
        let slice = items.min(SLICE);
        if engine.sweep(clock.now(), slice).cycle_ended {
            return true;
        }
        items -= slice;
        // Whoever serves on this processor comes first.
        thread::yield_now();
    }
    false
}

/// How often how many items are looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace {
    every: Duration,
    turn: usize,
}

impl Pace {
    /// All items within a round.
    fn of(items: usize, round: Duration) -> Self {
        let slices = items.div_ceil(SLICE).max(1);
        let every = round.div_f64(slices as f64).clamp(SHORTEST, LONGEST);
        let share = items as u128 * every.as_nanos();
        let turn = share.div_ceil(round.max(every).as_nanos());
        Self { every, turn: SLICE.max(usize::try_from(turn).unwrap_or(usize::MAX)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_secs(60);

    /// Seconds that a round takes.
    fn seconds(items: usize) -> f64 {
        let pace = Pace::of(items, ROUND);
        items as f64 / pace.turn as f64 * pace.every.as_secs_f64()
    }

    #[test]
    fn a_round_takes_its_interval_at_most() {
        for items in [70_000, 3_000_000, 30_000_000, 300_000_000] {
            let seconds = seconds(items);
            assert!((59.0..=60.0).contains(&seconds), "{items}: {seconds}");
        }
    }

    #[test]
    fn whatever_is_stored_turns_are_few() {
        let many = Pace::of(3_000_000, ROUND);
        assert_eq!(many, Pace { every: SHORTEST, turn: 12_500 });
        assert_eq!(Pace::of(300_000_000, ROUND), Pace { every: SHORTEST, turn: 1_250_000 });
    }

    #[test]
    fn little_is_looked_at_once_a_second() {
        assert_eq!(Pace::of(0, ROUND), Pace { every: LONGEST, turn: SLICE });
        assert_eq!(Pace::of(1_000, ROUND), Pace { every: LONGEST, turn: SLICE });
    }

    #[test]
    fn without_an_interval_everything_is_looked_at_each_time() {
        assert_eq!(Pace::of(100_000, Duration::ZERO), Pace { every: SHORTEST, turn: 100_000 });
        assert_eq!(Pace::of(0, Duration::ZERO), Pace { every: SHORTEST, turn: SLICE });
    }
}
