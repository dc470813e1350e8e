//! Times announces on one thread and on two, one by one and in batches.
//!
//! `cargo run --release -p tracker-core --example engine_speed [TORRENTS]`

#![expect(clippy::print_stdout, reason = "this is what it is for")]
#![expect(clippy::cast_sign_loss, reason = "a power of a positive number is positive")]

use std::{error::Error, hint::black_box, thread, time::Instant};
use tracker_common::address::Address;
use tracker_core::{
    engine::{Announce, Engine, Lists, Located, Want},
    model::{Event, InfoHash},
    policy::Policy,
    rng::Rng,
};

const BATCH: usize = 64;

fn torrent(n: u64) -> InfoHash {
    let mut rng = Rng::new([n, 1]);
    let mut hash = [0; 20];
    hash.chunks_mut(8).for_each(|part| part.copy_from_slice(&rng.next_u64().to_le_bytes()[..part.len()]));
    InfoHash(hash)
}

/// A peer that is always in the same torrent, three in four a seeder.
fn peer(n: u64, torrents: u64) -> Announce {
    let [a, b, c, d, ..] = n.to_le_bytes();
    Announce {
        info_hash: torrent(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % torrents),
        address: Address::from_ipv4([d % 100 + 1, c, b, a]),
        port: 6881,
        event: Event::None,
        left: u64::from(n.is_multiple_of(4)),
        want: Want::Own(30),
    }
}

fn run(
    engine: &Engine,
    announces: &[Announce],
    batched: bool,
    seed: u64,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut rng = Rng::new([seed, 2]);
    let mut room = [0; 1232];
    let mut located: Vec<Located> = Vec::with_capacity(BATCH);
    for batch in announces.chunks(BATCH) {
        located.clear();
        located.extend(batch.iter().map(|announce| engine.locate(&announce.info_hash)));
        if batched {
            located.iter().for_each(|at| engine.prefetch_shard(at));
            located.iter().for_each(|at| engine.prefetch_slot(at));
            located.iter().for_each(|at| engine.prefetch_torrent(at));
            located.iter().for_each(|at| engine.prefetch_peers(at));
        }
        for (announce, at) in batch.iter().zip(&located) {
            let mut lists = Lists { ipv4: &mut room, ipv6: &mut [] };
            black_box(engine.announce_at(at, announce, 1, &mut rng, &mut lists)?);
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let torrents = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 1_000_000_u64,
    };
    let peers = 2 * torrents;
    let engine = Engine::new(Policy { max_torrents: usize::MAX, ..Policy::default() }, [1, 2]);
    let start = Instant::now();
    let mut rng = Rng::new([9, 9]);
    for n in 0..peers {
        engine.announce(&peer(n, torrents), 0, &mut rng, &mut Lists::default())?;
    }
    println!(
        "{torrents} torrents, {peers} peers: {:.0} ns each to add",
        start.elapsed().as_nanos() as f64 / peers as f64
    );
    let announces: Vec<_> =
        (0..1_000_000).map(|_| peer(rng.below(peers as usize) as u64, torrents)).collect();
    for _ in 0..3 {
        for (name, batched) in [("one by one", false), ("in batches", true)] {
            let start = Instant::now();
            run(&engine, &announces, batched, 1)?;
            println!("{name}: {:.0} ns", start.elapsed().as_nanos() as f64 / announces.len() as f64);
        }
    }
    // Zipf with exponent one: the torrent's number is exponential in a uniform one.
    let mut skewed = |_| {
        let uniform = rng.next_u64() as f64 / u64::MAX as f64;
        let number = ((torrents as f64).powf(uniform) as u64).min(torrents - 1);
        Announce { info_hash: torrent(number), ..peer(rng.below(peers as usize) as u64, torrents) }
    };
    let zipf: Vec<_> = (0..1_000_000).map(&mut skewed).collect();
    run(&engine, &zipf, true, 1)?;
    for _ in 0..3 {
        let start = Instant::now();
        run(&engine, &zipf, true, 1)?;
        let one = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let (left, right) = zipf.split_at(zipf.len() / 2);
        thread::scope(|scope| {
            let other = scope.spawn(|| run(&engine, left, true, 1));
            run(&engine, right, true, 2)?;
            other.join().map_err(|_| "a thread panicked")?
        })?;
        println!(
            "skewed: one thread {:.0} ns, two threads {:.2} times as fast",
            one * 1e3,
            one / start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
