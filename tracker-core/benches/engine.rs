//! What the engine's operations cost, on one thread: `cargo bench -p tracker-core --bench engine`.
//!
//! Datagrams go through the same responder as those of both UDP back ends, 64 at a time or one by one. All figures are
//! of one datagram, or of one peer that a sweep looks at or removes.

#![expect(clippy::print_stderr, reason = "says what is left out")]

mod population;

use criterion::{BenchmarkId, Criterion, Throughput};
use population::{Population, Spread};
use std::{
    cell::LazyCell,
    error::Error,
    hint::black_box,
    time::{Duration, Instant},
};
use tracker_common::{
    address::Address,
    connection_id::{ConnectionIds, lifetime_slots},
    siphash::Key,
};
use tracker_core::{
    engine::{Announce, Engine, Want},
    udp::{Batch, Outcome, Received, Responder, ResponderConfig},
};

/// Datagrams that wait at a time: a busy worker's batch.
const BATCH: usize = 64;
/// Announces that are drawn beforehand; they are gone through in turn.
const DRAWN: usize = 1 << 20;
/// Protocol time, nanoseconds: within the lifetime of all peers.
const NOW: u64 = 60_000_000_000;
/// Peers that no sweep finds expired yet, and those it does, seconds.
const FRESH: u32 = 60;
const EXPIRED: u32 = 2 * 3600;
/// What a sweep looks at before it lets go of the sweeper.
const SWEEP_BUDGET: usize = 4096;

/// A frame with a request, whose reply goes into the same place.
struct Frame {
    source: Address,
    bytes: [u8; 2048],
    length: usize,
}

/// Some frames, of which a window is worked on.
struct Frames {
    frames: Vec<Frame>,
    first: usize,
    count: usize,
}

impl Batch for Frames {
    fn len(&self) -> usize {
        self.count
    }

    fn request(&self, i: usize) -> Received<'_> {
        let frame = &self.frames[self.first + i];
        Received {
            source: frame.source,
            source_port: 6881,
            payload: &frame.bytes[..frame.length],
            // The XDP program has checked the connection ID.
            verified: true,
            on_loopback: false,
        }
    }

    fn reply_buffer(&mut self, i: usize) -> &mut [u8] {
        &mut self.frames[self.first + i].bytes
    }

    fn finish(&mut self, _: usize, outcome: Outcome) {
        black_box(outcome);
    }
}

impl Frames {
    fn new() -> Self {
        let frame = || Frame { source: Address::from_ipv4([0; 4]), bytes: [0; 2048], length: 0 };
        Self { frames: (0..BATCH).map(|_| frame()).collect(), first: 0, count: 0 }
    }
}

impl Frame {
    fn write(&mut self, source: Address, parts: &[&[u8]]) {
        self.source = source;
        self.length = 0;
        for part in parts {
            self.bytes[self.length..][..part.len()].copy_from_slice(part);
            self.length += part.len();
        }
    }

    /// BEP 15's announce request, field by field.
    fn announce(&mut self, announce: &Announce) {
        let Announce { info_hash, address, port, left, want, .. } = announce;
        let wanted = match want {
            Want::Own(count) | Want::Both(count) => *count as u32,
        };
        let (left, wanted, port) = (left.to_be_bytes(), wanted.to_be_bytes(), port.to_be_bytes());
        let nothing = [0; 8];
        self.write(
            *address,
            &[
                &nothing,
                &[0, 0, 0, 1],
                b"txid",
                &info_hash.0,
                b"-RT0001-000000000000",
                &nothing,
                &left,
                &nothing,
                &[0; 4],
                &[0; 4],
                b"key!",
                &wanted,
                &port,
            ],
        );
    }

    /// BEP 15's scrape request.
    fn scrape(&mut self, announces: &[Announce]) {
        let mut parts: Vec<&[u8]> = vec![&[0; 8], &[0, 0, 0, 2], b"txid"];
        parts.extend(announces.iter().map(|announce| &announce.info_hash.0[..]));
        self.write(Address::from_ipv4([10, 0, 0, 1]), &parts);
    }
}

/// A worker with requests to come.
struct Worker<'a> {
    engine: &'a Engine,
    responder: Responder,
    frames: Frames,
    announces: &'a [Announce],
    next: usize,
}

impl<'a> Worker<'a> {
    fn new(engine: &'a Engine, announces: &'a [Announce]) -> Self {
        let ids = ConnectionIds::new(Key { k0: 1, k1: 2 }, lifetime_slots(120), NOW);
        let responder = Responder::new(ResponderConfig::default(), ids, [5, 6]);
        Self { engine, responder, frames: Frames::new(), announces, next: 0 }
    }

    /// The next announces, as many as are drawn in one piece.
    fn take(&mut self, count: usize) -> &'a [Announce] {
        if self.next + count > self.announces.len() {
            self.next = 0;
        }
        let taken = &self.announces[self.next..][..count];
        self.next += count;
        taken
    }

    /// Answers this many datagrams, written by `write` outside the time, `at_a_time`.
    fn time(&mut self, iterations: u64, at_a_time: usize, write: impl Fn(&mut Self, usize)) -> Duration {
        let (mut spent, mut done) = (Duration::ZERO, 0);
        while done < iterations {
            (0..BATCH).for_each(|frame| write(self, frame));
            let start = Instant::now();
            for first in (0..BATCH).step_by(at_a_time) {
                (self.frames.first, self.frames.count) = (first, at_a_time);
                self.responder.handle_batch(self.engine, NOW, &mut self.frames);
            }
            spent += start.elapsed();
            done += BATCH as u64;
        }
        spent.mul_f64(iterations as f64 / done as f64)
    }

    fn time_announces(&mut self, iterations: u64, at_a_time: usize) -> Duration {
        self.time(iterations, at_a_time, |worker, frame| {
            let announce = &worker.take(1)[0];
            worker.frames.frames[frame].announce(announce);
        })
    }

    fn time_scrapes(&mut self, iterations: u64, hashes: usize) -> Duration {
        self.time(iterations, BATCH, |worker, frame| {
            let announces = worker.take(hashes);
            worker.frames.frames[frame].scrape(announces);
        })
    }
}

/// An engine and announces to it. Made when they are first used, since a filter may leave them out; a bench's closure runs
/// many times.
type Table = (Engine, Vec<Announce>);

fn table(torrents: u64, peers: u64, spread: Spread) -> Result<Table, Box<dyn Error>> {
    let population = Population::new(torrents, peers, spread);
    Ok((population.engine()?, population.draw(DRAWN)))
}

fn by_swarm_size(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("announce by peers in the swarm");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    for peers in [1, 2, 10, 100, 1_000, 10_000] {
        let table = LazyCell::new(|| table(1_000, 1_000 * peers, Spread::Even));
        group.bench_function(BenchmarkId::from_parameter(peers), |bencher| {
            let Ok((engine, announces)) = &*table else { return };
            let mut worker = Worker::new(engine, announces);
            bencher.iter_custom(|iterations| worker.time_announces(iterations, BATCH));
        });
    }
    group.finish();
}

fn by_table_size(criterion: &mut Criterion) {
    let (tables, left_out) = population::tables();
    if let Some(why) = left_out {
        eprintln!("{why}");
    }
    for torrents in tables {
        let table = LazyCell::new(|| table(torrents, 2 * torrents, Spread::Uniform));
        for (name, at_a_time) in [("batched", BATCH), ("one by one", 1)] {
            let mut group = criterion.benchmark_group(format!("announce by torrents, {name}"));
            group.throughput(Throughput::Elements(1)).sample_size(10);
            group.bench_function(BenchmarkId::from_parameter(torrents), |bencher| {
                let Ok((engine, announces)) = &*table else { return };
                let mut worker = Worker::new(engine, announces);
                bencher.iter_custom(|iterations| worker.time_announces(iterations, at_a_time));
            });
            group.finish();
        }
        if torrents != 1_000_000 {
            continue;
        }
        let mut group = criterion.benchmark_group("scrape by hashes");
        group.throughput(Throughput::Elements(1)).sample_size(10);
        for hashes in [1, 10, 74] {
            group.bench_function(BenchmarkId::from_parameter(hashes), |bencher| {
                let Ok((engine, announces)) = &*table else { return };
                let mut worker = Worker::new(engine, announces);
                bencher.iter_custom(|iterations| worker.time_scrapes(iterations, hashes));
            });
        }
        group.finish();
    }
}

/// Sweeps a whole cycle and gives how many peers expired.
fn sweep(engine: &Engine, now: u32) -> usize {
    let mut expired = 0;
    loop {
        let report = engine.sweep(now, SWEEP_BUDGET);
        expired += report.expired;
        if report.cycle_ended {
            return expired;
        }
    }
}

fn sweeps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sweep");
    let population = Population::new(100_000, 200_000, Spread::Uniform);
    group.throughput(Throughput::Elements(population.peers())).sample_size(10);
    let engine = LazyCell::new(|| population.engine());
    group.bench_function("all peers stay", |bencher| {
        let Ok(engine) = &*engine else { return };
        bencher.iter(|| assert_eq!(sweep(engine, FRESH), 0));
    });
    group.bench_function("all peers expire", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut spent = Duration::ZERO;
            for _ in 0..iterations {
                let Ok(engine) = population.engine() else { return spent };
                let start = Instant::now();
                assert_eq!(sweep(&engine, EXPIRED) as u64, population.peers());
                spent += start.elapsed();
            }
            spent
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().nresamples(10_000).configure_from_args();
    by_swarm_size(&mut criterion);
    by_table_size(&mut criterion);
    sweeps(&mut criterion);
    criterion.final_summary();
}
