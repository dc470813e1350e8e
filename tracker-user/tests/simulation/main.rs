//! Clusters on a clock and a network that are simulated, with loss, delay, duplication, partitions, clocks that are wrong, processes that
//! freeze, die and come back, and strangers among them. Each run follows from a seed; one that fails is made smaller and printed.
//!
//! `RIPTIDE_TEST_SEED` runs one seed alone, `RIPTIDE_SIMULATIONS` so many.

// What fails here fails at once.
#![allow(clippy::unwrap_used, clippy::panic)]

mod generate;
mod model;
mod process;
mod scenario;
mod stranger;
mod world;

use model::run;
use scenario::Scenario;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};
use world::Planted;

/// Runs of the short form.
const RUNS: u64 = 10_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The first seed that fails, and what is wrong then.
fn first_failure(seeds: impl Iterator<Item = u64> + Send, planted: Option<Planted>) -> Option<(u64, String)> {
    let seeds = std::sync::Mutex::new(seeds);
    let failed = AtomicU64::new(u64::MAX);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while failed.load(Ordering::Relaxed) == u64::MAX {
                    let Some(seed) = seeds.lock().unwrap().next() else { return };
                    if run(&Scenario::new(seed, None), planted).is_err() {
                        failed.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let seed = Some(failed.into_inner()).filter(|seed| *seed != u64::MAX)?;
    let wrong = run(&Scenario::new(seed, None), planted).err()?;
    Some((seed, wrong))
}

fn report(seed: u64, wrong: &str, planted: Option<Planted>) -> String {
    let smallest = Scenario::new(seed, None).shrunk(|scenario| run(scenario, planted).is_err());
    let wrong_now = run(&smallest, planted).err().unwrap_or_default();
    format!("RIPTIDE_TEST_SEED={seed}: {wrong}\nas small as it gets: {wrong_now}\n{smallest:#?}")
}

#[test]
fn clusters_converge_whatever_the_network_does() {
    let seeds = match number("RIPTIDE_TEST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RIPTIDE_SIMULATIONS").unwrap_or(RUNS),
    };
    if let Some((seed, wrong)) = first_failure(seeds, None) {
        panic!("{}", report(seed, &wrong, None));
    }
}

#[test]
fn bugs_that_are_planted_are_found_and_made_small() {
    for planted in [Planted::FreshReplays, Planted::NoRepair] {
        let (seed, _) =
            first_failure(0..RUNS, Some(planted)).unwrap_or_else(|| panic!("{planted:?} is not found"));
        let whole = Scenario::new(seed, None);
        let smallest = whole.shrunk(|scenario| run(scenario, Some(planted)).is_err());
        assert!(run(&smallest, Some(planted)).is_err());
        assert!(smallest.steps.len() < whole.steps.len() / 2, "{planted:?}, seed {seed}: {smallest:#?}");
    }
}

#[test]
fn a_hundred_nodes_converge() {
    for seed in 0..2 {
        if let Err(wrong) = run(&Scenario::new(seed, Some(100)), None) {
            panic!("seed {seed}: {wrong}");
        }
    }
}

#[test]
fn a_run_is_the_same_each_time() {
    for seed in 0..20 {
        let all = || {
            let world = run(&Scenario::new(seed, None), None);
            world.ok().map(|world| (0..2).map(|node| world.tally(node)).collect::<Vec<_>>())
        };
        assert_eq!(all(), all(), "seed {seed}");
    }
}
