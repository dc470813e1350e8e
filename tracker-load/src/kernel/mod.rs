//! Load for UDP trackers over IPv4, made and checked in the kernel: an order of magnitude more than a program could
//! send by system calls, at a known pace. It needs root, an interface with native XDP, and the target on its link.

pub mod coalesce;
pub mod napi;
pub mod neighbour;
pub mod programs;

use crate::{
    engine::{Engine, Offered, Span},
    error::Error,
    figures::{Figures, Wrong},
    numbers::{nanoseconds, whole},
    progress::Watch,
    record::Record,
    udp::mix::Mix,
};
use bytemuck::Zeroable as _;
use coalesce::Coalesced;
use nix::time::{ClockId, clock_gettime};
use programs::{Programs, Snapshot};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    thread,
    time::{Duration, Instant},
};
use tracker_common::load::{MAX_SOURCES, Plan, Tally, latency_of};

/// The port that requests come from, and replies go to.
const SOURCE_PORT: u16 = 40_000;
/// A generator that is so far behind skips requests: bursts much longer overflow a veth's 256 slots, whatever
/// the tracker does.
const MOST_BEHIND: u32 = 128;
/// How fast connection IDs are learned, requests a second.
const LEARN_RATE: u64 = 20_000;
/// How often all sources are gone through for them.
const LEARN_ROUNDS: u32 = 3;
/// From setting a plan until its first request: the kernel takes this long to begin a run.
const LEAD: Duration = Duration::from_millis(60);
/// How often counters are looked at.
const STEP: Duration = Duration::from_millis(50);
/// The lowest rate that can be paced exactly, requests a second.
const LOWEST_RATE: f64 = 1_000.0;

/// What to ask of a UDP tracker, and from where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The tracker.
    pub target: SocketAddrV4,
    /// The interface that it is reached by.
    pub interface: String,
    /// The first source address; none has to be configured on this host, but the target must have a way back.
    pub source: Ipv4Addr,
    /// How many source addresses follow each other.
    pub sources: u32,
    /// Shares of requests.
    pub mix: Mix,
    /// Peers wanted in each announce.
    pub wanted: u16,
    /// Torrents.
    pub torrents: u32,
    /// Peers; each is in one torrent.
    pub peers: u32,
    /// The share of seeders, 0..=1.
    pub seeders: f64,
    /// Requests follow from this number.
    pub seed: u64,
    /// How long the last replies are waited for.
    pub timeout: Duration,
    /// So many announces of a flood are sent beside each request.
    pub flood: u32,
    /// They are of one client more, and not forged.
    pub loud: bool,
    /// Before the first probe every peer announces once, at this rate, requests a second.
    pub fill: Option<f64>,
}

/// The engine.
#[derive(Debug)]
pub struct Kernel {
    programs: Programs,
    plan: Plan,
    timeout: Duration,
    probes: u64,
    /// How many peers got an answer when every peer announced once.
    filled: Option<u64>,
    _coalesced: Coalesced,
}

impl Kernel {
    /// Attaches to the interface, learns a connection ID for each source, and announces every peer if asked to.
    ///
    /// # Errors
    /// When rights or the interface do not suffice, or no tracker answers.
    pub fn open(settings: &Settings, watch: &Watch) -> Result<Self, Error> {
        if settings.sources == 0 || settings.sources > MAX_SOURCES - u32::from(settings.loud) {
            return Err(Error::Usage(format!(
                "--sources: the kernel engine has room for 1 to {MAX_SOURCES}, one less with --loud"
            )));
        }
        let interface_index = programs::interface_index(&settings.interface)?;
        let destination_mac = neighbour::resolve(settings.target, &settings.interface)?;
        let programs = Programs::attach(&settings.interface, interface_index)?;
        for undone in napi::favour(&settings.interface) {
            watch.remark(&undone);
        }
        let (coalesced, undone) = Coalesced::set(&settings.interface);
        if let Some(undone) = undone {
            watch.remark(&undone);
        }
        let mac = format!("/sys/class/net/{}/address", settings.interface);
        let source_mac = fs::read_to_string(mac).ok().and_then(|text| neighbour::parse_mac(&text));
        let source_mac = source_mac
            .ok_or_else(|| Error::Usage(format!("{} is not an Ethernet interface", settings.interface)))?;
        let [connects_below, announces_below] = settings.mix.thresholds();
        let plan = Plan {
            seed: settings.seed,
            destination_mac: widen(destination_mac),
            source_mac: widen(source_mac),
            source: settings.source.to_bits(),
            sources: settings.sources,
            destination: settings.target.ip().to_bits(),
            ports: u32::from(SOURCE_PORT) << 16 | u32::from(settings.target.port()),
            connects_below,
            announces_below,
            torrents: settings.torrents,
            peers: settings.peers,
            seeders_below: u32::try_from(whole(settings.seeders * f64::from(u32::MAX))).unwrap_or(u32::MAX),
            wanted: settings.wanted.into(),
            most_behind: MOST_BEHIND,
            flood: settings.flood,
            loud: settings.loud.into(),
            ..Plan::zeroed()
        };
        let mut kernel = Self {
            programs,
            plan,
            timeout: settings.timeout,
            probes: 0,
            filled: None,
            _coalesced: coalesced,
        };
        kernel.learn(settings.target, watch)?;
        if let Some(rate) = settings.fill {
            kernel.fill(rate, watch)?;
        }
        Ok(kernel)
    }

    /// Gets every source a connection ID that is fresh.
    fn learn(&mut self, target: SocketAddrV4, watch: &Watch) -> Result<(), Error> {
        let sources = self.plan.sources + self.plan.loud;
        self.programs.maps.disconnect(sources)?;
        let plan = Plan {
            in_order: 1,
            peers: sources,
            sources,
            connects_below: u32::MAX,
            announces_below: u32::MAX,
            flood: 0,
            loud: 0,
            ..self.plan
        };
        let span = Duration::from_secs_f64(f64::from(sources) / LEARN_RATE as f64) + STEP;
        for _ in 0..LEARN_ROUNDS {
            self.run(plan, LEARN_RATE as f64, Span { warmup: Duration::ZERO, duration: span }, watch)?;
            if self.programs.maps.unconnected(sources)? == 0 {
                return Ok(());
            }
            if watch.is_stopped() {
                return Err(Error::Stopped);
            }
        }
        let waited = (span + self.timeout) * LEARN_ROUNDS;
        Err(Error::Silent { target: target.to_string(), what: "connects from every source", waited })
    }

    fn fill(&mut self, rate: f64, watch: &Watch) -> Result<(), Error> {
        watch.begin("every peer announces once:".to_owned());
        let plan = Plan { in_order: 1, connects_below: 0, announces_below: u32::MAX, flood: 0, ..self.plan };
        let duration = Duration::from_secs_f64(f64::from(plan.peers) / rate.max(LOWEST_RATE));
        let figures = self.run(plan, rate, Span { warmup: Duration::ZERO, duration }, watch)?;
        self.filled = Some(figures.answered);
        Ok(())
    }

    /// Runs a plan at a rate; figures are of the duration after the warm-up.
    fn run(&mut self, plan: Plan, rate: f64, span: Span, watch: &Watch) -> Result<Figures, Error> {
        let start =
            clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(Error::system("the clock cannot be read"))?;
        let start_ns = (Duration::from(start) + LEAD).as_nanos() as u64;
        self.probes += 1;
        let seed = plan.seed.wrapping_add(self.probes << 32);
        let maps = &mut self.programs.maps;
        let stride = u64::from(plan.flood) + 1;
        maps.set_plan(Plan { start_ns, rate: Plan::rate_of(whole(rate * stride as f64)), seed, ..plan })?;
        let before = maps.snapshot()?;
        let (begun, from) = (Instant::now(), LEAD + span.warmup);
        let now = || nanoseconds(begun.elapsed());
        let until = from + span.duration;
        let mut record = Record::new(watch, 0, nanoseconds(from), nanoseconds(until));
        let (first, skipped, seconds) = self.programs.while_generating(|maps| {
            let warm = Self::until(begun + from, maps, watch, &before, |_| STEP)?;
            // Without a warm-up all requests count, those too that were sent before the counters could be read.
            let first = if span.warmup.is_zero() { before.clone() } else { warm };
            record.look(now(), &Figures::default());
            let (skipped, counted) = (maps.progress()?.skipped, Instant::now());
            Self::until(begun + until, maps, watch, &before, |counts| {
                if record.rest(now()) == 0 {
                    record.look(now(), &figures(&counts.since(&first), 0, 0.0));
                }
                STEP.min(Duration::from_nanos(record.rest(now())))
            })?;
            record.stop();
            Ok((first, maps.progress()?.skipped - skipped, counted.elapsed().as_secs_f64()))
        })?;
        let last = self.last_replies(watch, &before)?;
        let mut figures = figures(&last.since(&first), skipped / stride, seconds);
        record.finish(&mut figures);
        Ok(figures)
    }

    /// Shows progress until then; what has been counted by then. `seen` says in how long to look again.
    fn until(
        then: Instant,
        maps: &programs::Maps,
        watch: &Watch,
        before: &Snapshot,
        mut seen: impl FnMut(&Snapshot) -> Duration,
    ) -> Result<Snapshot, Error> {
        loop {
            let counts = maps.snapshot()?;
            publish(&counts.since(before), watch);
            let step = seen(&counts);
            let left = then.saturating_duration_since(Instant::now());
            if left.is_zero() || watch.is_stopped() {
                return Ok(counts);
            }
            thread::sleep(left.min(step));
        }
    }

    /// Waits until no reply has come for a while.
    fn last_replies(&self, watch: &Watch, before: &Snapshot) -> Result<Snapshot, Error> {
        let deadline = Instant::now() + self.timeout;
        let mut last = self.programs.maps.snapshot()?;
        loop {
            thread::sleep(STEP);
            let now = self.programs.maps.snapshot()?;
            publish(&now.since(before), watch);
            if Instant::now() >= deadline || answered(&now) == answered(&last) {
                return Ok(now);
            }
            last = now;
        }
    }
}

impl Engine for Kernel {
    fn probe(&mut self, offered: Offered, span: Span, watch: &Watch) -> Result<Figures, Error> {
        let Offered::Rate(rate) = offered else {
            return Err(Error::Usage("the kernel engine sends at a --rate, or to --search".into()));
        };
        if rate < LOWEST_RATE {
            return Err(Error::Usage(format!("the kernel engine sends at {LOWEST_RATE}/s or faster")));
        }
        let [ip, port] = [self.plan.destination, self.plan.ports & 0xffff];
        // IDs live for two minutes at least: those of an earlier probe may be too old.
        self.learn(SocketAddrV4::new(Ipv4Addr::from_bits(ip), port as u16), watch)?;
        let mut figures = self.run(self.plan, rate, span, watch)?;
        if let Some(filled) = self.filled {
            figures.add_more("filled", filled);
        }
        Ok(figures)
    }
}

fn widen(mac: [u8; 6]) -> [u8; 8] {
    let [a, b, c, d, e, f] = mac;
    [a, b, c, d, e, f, 0, 0]
}

fn sent(counts: &Snapshot) -> u64 {
    [Tally::SentConnects, Tally::SentAnnounces, Tally::SentScrapes]
        .iter()
        .map(|kind| counts.tally(*kind))
        .sum()
}

fn answered(counts: &Snapshot) -> u64 {
    [Tally::Connected, Tally::Announced, Tally::Scraped].iter().map(|kind| counts.tally(*kind)).sum()
}

const WRONG: [(Tally, Wrong); 5] = [
    (Tally::Errors, Wrong::Refused),
    (Tally::Unknown, Wrong::Unasked),
    (Tally::WrongKind, Wrong::Action),
    (Tally::WrongLength, Wrong::Length),
    (Tally::WrongPeers, Wrong::Peer),
];

fn publish(counts: &Snapshot, watch: &Watch) {
    let wrong = WRONG.iter().map(|(tally, _)| counts.tally(*tally)).sum();
    watch.lane(0).publish(sent(counts), answered(counts), wrong);
}

/// Payload bytes of a connect, an announce and a scrape of one torrent.
const REQUEST_BYTES: [(Tally, u64); 3] =
    [(Tally::SentConnects, 16), (Tally::SentAnnounces, 98), (Tally::SentScrapes, 36)];

fn figures(counts: &Snapshot, skipped: u64, seconds: f64) -> Figures {
    let sent = sent(counts);
    // Replies to requests before the warm-up's end may be among these.
    let answered = answered(counts).min(sent);
    let mut figures = Figures {
        seconds,
        offered: sent + skipped + counts.tally(Tally::Unsent),
        sent,
        answered,
        unanswered: sent - answered,
        sent_bytes: REQUEST_BYTES.iter().map(|(kind, bytes)| counts.tally(*kind) * bytes).sum(),
        received_bytes: counts.tally(Tally::ReplyBytes),
        ..Figures::default()
    };
    for (tally, wrong) in WRONG {
        figures.wrong[wrong as usize] += counts.tally(tally);
    }
    for (bucket, replies) in (0..).zip(&counts.latencies) {
        // The middle of the bucket, from units of 1,024 ns.
        let nanoseconds = (latency_of(bucket) + latency_of(bucket + 1)) * 512;
        figures.latency.saturating_record_n(nanoseconds.max(1), *replies);
    }
    for (tally, name) in [
        (Tally::Connected, "connects"),
        (Tally::Announced, "announces"),
        (Tally::Scraped, "scrapes"),
        (Tally::Peers, "peers"),
    ] {
        figures.add_more(name, counts.tally(tally));
    }
    for (tally, name) in [(Tally::SentFlood, "flood"), (Tally::LoudReplies, "loud_replies")] {
        if counts.tally(tally) > 0 {
            figures.add_more(name, counts.tally(tally));
        }
    }
    figures
}
