//! The longest that a shard's lock is held while something in it grows to a million and goes again, and while it is all
//! written down.

use super::population::info_hash;
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::{error::Error, time::Duration};
use tracker_common::address::Address;
use tracker_core::{
    engine::{Announce, Cursor, Engine, Lists, Want},
    model::{Event, InfoHash},
    policy::Policy,
    records::WalkWriter,
    rng::Rng,
};

/// Peers that the one swarm grows to.
const PEERS: u32 = 1_000_000;
/// Torrents that the one shard grows to.
const TORRENTS: usize = 100_000;

/// Torrents that are written down, two peers each, beside that swarm.
const WALKED: u32 = 500_000;
/// Items of a walk that are looked at under one lock.
const STEP: usize = 256;

/// Time that this thread has run, without that which others took from it.
fn run_time() -> Result<Duration, Box<dyn Error>> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// The longest of many calls that each take one lock once.
#[derive(Default)]
struct Longest(Duration);

impl Longest {
    fn time<T>(&mut self, call: impl FnOnce() -> T) -> Result<T, Box<dyn Error>> {
        let start = run_time()?;
        let result = call();
        self.0 = self.0.max(run_time()?.saturating_sub(start));
        Ok(result)
    }
}

fn announce(info_hash: InfoHash, peer: u32) -> Announce {
    let address = Address::from_ipv4((0x0a00_0000 + peer).to_be_bytes());
    Announce { info_hash, address, port: 6881, event: Event::None, left: 1, want: Want::Own(0) }
}

/// Announces all, then lets all expire.
fn grow_and_expire(announces: impl Iterator<Item = Announce>) -> Result<Duration, Box<dyn Error>> {
    let engine = Engine::new(Policy::default(), [1, 2]);
    let (mut longest, mut rng) = (Longest::default(), Rng::new([1, 2]));
    for announce in announces {
        longest.time(|| engine.announce(&announce, 0, &mut rng, &mut Lists::default()))??;
    }
    let later = Policy::default().peer_timeout;
    // With the least budget, a sweep takes one lock once.
    while !longest.time(|| engine.sweep(later, 1))?.cycle_ended {}
    if engine.totals().torrents > 0 { Err("not all has expired".into()) } else { Ok(longest.0) }
}

/// Announces all, then writes all down.
fn write_down(announces: impl Iterator<Item = Announce>) -> Result<Duration, Box<dyn Error>> {
    let engine = Engine::new(Policy::default(), [1, 2]);
    let (mut longest, mut rng) = (Longest::default(), Rng::new([1, 2]));
    for announce in announces {
        engine.announce(&announce, 0, &mut rng, &mut Lists::default())?;
    }
    let (mut cursor, mut writer) = (Cursor::default(), WalkWriter::default());
    while !longest.time(|| engine.walk(&mut cursor, 0, STEP, &mut writer))?.ended {
        drop(writer.take());
    }
    Ok(longest.0)
}

/// Hashes of torrents that one shard has.
fn of_one_shard() -> Vec<InfoHash> {
    let engine = Engine::new(Policy::default(), [1, 2]);
    let all = (0..).map(info_hash);
    all.filter(|hash| engine.locate(hash).shard() == 7).take(TORRENTS).collect()
}

/// The median of several rounds: what interrupts the thread is in it too.
fn case(
    name: &str,
    rounds: usize,
    round: impl Fn() -> Result<Duration, Box<dyn Error>>,
) -> Result<Value, Box<dyn Error>> {
    let mut longest = (0..rounds).map(|_| round()).collect::<Result<Vec<_>, _>>()?;
    longest.sort();
    println!("{name}: {:?} at the longest, rounds {longest:?}", longest[rounds / 2]);
    Ok(json!({ "name": name, "microseconds": longest[rounds / 2].as_nanos() as f64 / 1e3 }))
}

/// All cases.
pub(crate) fn measure(quick: bool) -> Result<Vec<Value>, Box<dyn Error>> {
    let (rounds, hash) = (if quick { 3 } else { 7 }, info_hash(0));
    let hashes = of_one_shard();
    Ok(vec![
        case("lock_hold_swarm", rounds, || grow_and_expire((0..PEERS).map(|peer| announce(hash, peer))))?,
        case("lock_hold_shard", rounds, || {
            grow_and_expire(hashes.iter().zip(0..).map(|(hash, peer)| announce(*hash, peer)))
        })?,
        case("lock_hold_walk", rounds.min(3), || {
            let others = (0..2 * WALKED).map(|peer| announce(info_hash(1 + u64::from(peer / 2)), peer));
            write_down((0..PEERS).map(|peer| announce(hash, peer)).chain(others))
        })?,
    ])
}
