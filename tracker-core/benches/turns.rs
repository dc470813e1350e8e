//! What can only be told by comparison, measured in turns within one run, A B, B A, A B: a machine that gets slower
//! meanwhile slows both. `cargo bench -p tracker-core --bench turns [-- --quick] [--json FILE]`

#![expect(clippy::print_stdout, reason = "this is what it is for")]

mod holds;
mod population;

use population::{Population, Spread, tables};
use serde_json::{Value, json};
use std::{
    cell::Cell,
    env,
    error::Error,
    fs,
    hint::black_box,
    thread,
    time::{Duration, Instant},
};
use tracker_core::{
    engine::{Announce, Engine, Lists, Located},
    rng::Rng,
};

/// Announces of a batch: a busy worker's.
const BATCH: usize = 64;
/// Announces drawn for each population; rounds go through them in turn.
const DRAWN: usize = 1 << 21;
/// Room for the peers of a reply, bytes.
const ROOM: usize = 1232;
/// Within the lifetime of all peers.
const NOW: u32 = 60;

/// Rounds, and announces of each side in a round.
#[derive(Clone, Copy)]
struct Length {
    rounds: usize,
    announces: usize,
}

const FULL: Length = Length { rounds: 15, announces: 1 << 20 };
const QUICK: Length = Length { rounds: 5, announces: 1 << 18 };

/// Announces all, fetching memory a batch ahead or not.
fn announce_all(engine: &Engine, announces: &[Announce], batched: bool, seed: u64) -> u64 {
    let mut rng = Rng::new([seed, 2]);
    let mut room = [0; ROOM];
    let mut located: Vec<Located> = Vec::with_capacity(BATCH);
    let mut refused = 0;
    let mut large: Vec<(&Announce, Located)> = Vec::with_capacity(BATCH);
    for batch in announces.chunks(BATCH) {
        located.clear();
        located.extend(batch.iter().map(|announce| engine.locate(&announce.info_hash)));
        if batched {
            located.iter().for_each(|at| engine.prefetch_shard(at));
            if located.iter().filter(|at| engine.prefetch_part(at)).count() > 0 {
                located.iter().for_each(|at| engine.prefetch_slot(at));
            }
            located.iter().for_each(|at| engine.prefetch_torrent(at));
            large.clear();
            let pairs = batch.iter().zip(located.iter().copied());
            large.extend(pairs.filter(|(_, at)| engine.prefetch_peers(at)));
            large.iter().for_each(|(announce, at)| engine.prefetch_peer_slot(at, announce));
            large.iter().for_each(|(announce, at)| engine.prefetch_peer(at, announce));
        }
        for (announce, at) in batch.iter().zip(&located) {
            let mut lists = Lists { ipv4: &mut room, ipv6: &mut [] };
            let announced = engine.announce_at(at, announce, NOW, &mut rng, &mut lists);
            refused += u64::from(black_box(announced).is_err());
        }
    }
    refused
}

/// An engine with its peers, and what they will announce.
struct Subject {
    engine: Engine,
    announces: Vec<Announce>,
    next: Cell<usize>,
}

impl Subject {
    fn new(torrents: u64, peers: u64, spread: Spread) -> Result<Self, Box<dyn Error>> {
        let population = Population::new(torrents, peers, spread);
        let engine = population.engine()?;
        Ok(Self { engine, announces: population.draw(DRAWN), next: Cell::new(0) })
    }

    /// The next announces, so that no side finds in the cache what the other one has just asked for.
    fn take(&self, count: usize) -> &[Announce] {
        let first = if self.next.get() + count > self.announces.len() { 0 } else { self.next.get() };
        self.next.set(first + count);
        &self.announces[first..first + count]
    }

    fn on_one_thread(&self, count: usize, batched: bool) -> Result<Duration, Box<dyn Error>> {
        let announces = self.take(count);
        let start = Instant::now();
        none(announce_all(&self.engine, announces, batched, 1))?;
        Ok(start.elapsed())
    }

    /// Half of the announces on a thread of its own, to the engine of `other`, which may be the same.
    fn on_two_threads(&self, other: &Self, count: usize) -> Result<Duration, Box<dyn Error>> {
        let (left, right) = (self.take(count / 2), other.take(count / 2));
        let (own, others) = (&self.engine, &other.engine);
        let start = Instant::now();
        thread::scope(|scope| {
            let apart = scope.spawn(move || announce_all(others, right, true, 2));
            none(announce_all(own, left, true, 1))?;
            none(apart.join().map_err(|_| "a thread panicked")?)
        })?;
        Ok(start.elapsed())
    }
}

/// Arithmetic of about as long as so many announces take.
fn compute(count: usize) {
    let mut words = [1_u64, 2, 3, 4];
    for _ in 0..count * 64 {
        for (word, factor) in black_box(&mut words).iter_mut().zip([3, 5, 7, 9]) {
            *word = word.wrapping_mul(factor).rotate_left(7);
        }
    }
    black_box(words);
}

fn computes_on_two_threads(count: usize) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| compute(count / 2));
        compute(count / 2);
    });
    Ok(start.elapsed())
}

fn none(refused: u64) -> Result<(), Box<dyn Error>> {
    if refused == 0 { Ok(()) } else { Err(format!("{refused} announces were refused").into()) }
}

type Side<'a> = &'a dyn Fn(usize) -> Result<Duration, Box<dyn Error>>;

/// Both sides in turns: announces (or what stands for one) a second of each, by round.
fn turns(name: &str, length: Length, ours: Side<'_>, theirs: Side<'_>) -> Result<Value, Box<dyn Error>> {
    let rate = |side: Side<'_>| {
        Ok::<_, Box<dyn Error>>(length.announces as f64 / side(length.announces)?.as_secs_f64())
    };
    // Once for the caches, the branch predictor and the clock.
    let _ = (rate(ours)?, rate(theirs)?);
    let mut rounds = Vec::new();
    for round in 0..length.rounds {
        rounds.push(if round.is_multiple_of(2) {
            let ours = rate(ours)?;
            (ours, rate(theirs)?)
        } else {
            let theirs = rate(theirs)?;
            (rate(ours)?, theirs)
        });
    }
    let mut ratios: Vec<f64> = rounds.iter().map(|(ours, theirs)| ours / theirs).collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "{name}: {:.3} times as fast ({:.3} to {:.3} in {} rounds), {:.0} ns against {:.0} ns",
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1],
        ratios.len(),
        1e9 / rounds[0].0,
        1e9 / rounds[0].1,
    );
    Ok(json!({ "name": name, "per_second": rounds }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let file = arguments.iter().position(|argument| argument == "--json");
    let file = file.map(|at| arguments.get(at + 1).ok_or("--json is followed by a file")).transpose()?;
    let length = if quick { QUICK } else { FULL };

    let mut cases = holds::measure(quick)?;
    let uniform = Subject::new(1_000_000, 2_000_000, Spread::Uniform)?;
    cases.push(turns(
        "batched, one by one",
        length,
        &|count| uniform.on_one_thread(count, true),
        &|count| uniform.on_one_thread(count, false),
    )?);
    cases.push(turns(
        "two threads, one thread, uniform",
        length,
        &|count| uniform.on_two_threads(&uniform, count),
        &|count| uniform.on_one_thread(count, true),
    )?);
    drop(uniform);

    let zipf = Subject::new(1_000_000, 2_000_000, Spread::Zipf)?;
    cases.push(turns(
        "two threads, one thread, Zipf",
        length,
        &|count| zipf.on_two_threads(&zipf, count),
        &|count| zipf.on_one_thread(count, true),
    )?);
    // What the machine gives two threads that share nothing, and that need not even memory.
    let apart = Subject::new(1_000_000, 2_000_000, Spread::Zipf)?;
    cases.push(turns(
        "two threads with an engine each, one thread, Zipf",
        length,
        &|count| zipf.on_two_threads(&apart, count),
        &|count| zipf.on_one_thread(count, true),
    )?);
    drop((zipf, apart));
    cases.push(turns("two threads, one thread, arithmetic", length, &computes_on_two_threads, &|count| {
        let start = Instant::now();
        compute(count);
        Ok(start.elapsed())
    })?);

    let (sizes, left_out) = tables();
    match (sizes.as_slice(), &left_out) {
        (&[smallest, .., largest], None) => {
            let small = Subject::new(smallest, 2 * smallest, Spread::Uniform)?;
            let large = Subject::new(largest, 2 * largest, Spread::Uniform)?;
            cases.push(turns(
                "10 M torrents, 10 k torrents",
                length,
                &|count| large.on_one_thread(count, true),
                &|count| small.on_one_thread(count, true),
            )?);
        }
        (_, why) => println!("{}", why.as_deref().unwrap_or("there are no tables")),
    }
    if let Some(file) = file {
        fs::write(file, format!("{:#}\n", json!({ "cases": cases, "left_out": left_out })))?;
    }
    Ok(())
}
