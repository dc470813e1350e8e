//! Looks about once a second at what is stored, asked and sent and how busy the workers are, and has the engine take measures:
//! longer intervals, shorter lists. What follows from what is decided in [`tracker_core::pressure`].

mod herald;

use crate::{
    clock::Clock,
    config::Config,
    counters::Path,
    farewell::Farewell,
    http::counters as http,
    metrics::{Sources, kernel_bytes},
    threads::Threads,
};
use herald::Herald;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tracker_common::{address::Family, bep15::Action};
use tracker_core::{
    admission::Door,
    policy::Policy,
    pressure::{Load, Measures, Pressure},
    promises::Promises,
    ws::Kind,
};

/// From look to look.
const EVERY: Duration = Duration::from_secs(1);

/// Threads that serve clients.
#[derive(Clone, Debug)]
pub struct Workers {
    /// Of UDP, unless they never sleep: then nobody knows how busy they are.
    pub udp: Option<Arc<Threads>>,
    /// Of HTTP, where it is served.
    pub io: Option<Arc<Threads>>,
    /// Processors that they share.
    pub cpus: usize,
}

/// What looks after pressure.
#[derive(Debug)]
pub struct Watch {
    sources: Arc<Sources>,
    workers: Workers,
    clock: Clock,
    seen: Seen,
    pressure: Pressure,
    promises: Promises,
    herald: Herald,
}

/// What had been counted at a moment.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    udp: Duration,
    io: Duration,
    /// Announces, where somebody asks.
    announces: Option<u64>,
    /// Bytes sent by UDP, where somebody asks.
    bytes: Option<u64>,
}

impl Watch {
    /// Begins with what is stored; rates are known later.
    #[must_use]
    pub fn new(sources: Arc<Sources>, workers: Workers, clock: Clock, config: &Config) -> Self {
        let seen = look(&sources, &workers, config);
        let (pressure, promises, herald) = Default::default();
        let mut watch = Self { sources, workers, clock, seen, pressure, promises, herald };
        watch.take(seen, config);
        watch
    }

    /// Looks for as long as the runtime lives.
    pub async fn run(mut self, config: watch::Receiver<Config>, _farewell: Farewell) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let config = config.borrow();
            let seen = look(&self.sources, &self.workers, &config);
            self.take(seen, &config);
        }
    }

    /// Has the engine take measures, by what has been counted since the last time.
    fn take(&mut self, seen: Seen, config: &Config) {
        let before = std::mem::replace(&mut self.seen, seen);
        let engine = &self.sources.engine;
        let (policy, had) = (Arc::clone(&engine.policy()), engine.measures());
        let load = Load {
            peers: engine.peers() as f64 / policy.max_peers.max(1) as f64,
            ..load(&before, &seen, &self.workers, config)
        };
        let elapsed = seen.at.duration_since(before.at).as_secs_f64();
        let longest = policy.admission.max_interval.max(policy.admission.interval);
        self.pressure = self.pressure.next(&load, elapsed, longest);
        let measures = self.pressure.measures(policy.admission.max_num_want);
        // Somebody may have been told the longer one until now.
        let told = [had, measures].into_iter().filter_map(|measures| longer(&policy, measures)).max();
        engine.take_measures(measures, self.promises.tell(told, self.clock.now()));
        if let Some(line) = self.herald.say(&self.pressure, &load, &policy.admission, seen.at) {
            tracing::info!("{line}");
        }
    }
}

/// The longest interval that clients are told, where it is longer than the operator's own. As long as it is not, peers are
/// remembered for as long as the operator says; and so they are whatever they are told, where that is not even long enough
/// for the operator's own interval.
fn longer(policy: &Policy, measures: Measures) -> Option<u32> {
    let admission = &policy.admission;
    let longest = |measures| admission.interval_by(Door::Udp, measures).longest();
    let is_longer = admission.present_interval(measures) > admission.interval;
    (is_longer && policy.peer_timeout > longest(Measures::NONE)).then(|| longest(measures))
}

/// What is counted now.
fn look(sources: &Sources, workers: &Workers, config: &Config) -> Seen {
    let time =
        |threads: &Option<Arc<Threads>>| threads.as_ref().map_or(Duration::ZERO, |it| it.processor_time());
    Seen {
        at: Instant::now(),
        udp: time(&workers.udp),
        io: time(&workers.io),
        announces: config.swarm.full_load_announces.map(|_| announces(sources)),
        bytes: config.limits.udp_bytes_per_second.map(|_| sent(sources)),
    }
}

/// Announces so far, by every protocol.
fn announces(sources: &Sources) -> u64 {
    let paths =
        Path::ALL.into_iter().flat_map(|path| Family::ALL.into_iter().map(move |family| (path, family)));
    let udp: u64 = paths.map(|(path, family)| sources.udp_requests(path, Action::Announce, family)).sum();
    let families = [Some(Family::Ipv4), Some(Family::Ipv6), None];
    let places = families
        .into_iter()
        .flat_map(|family| http::Outcome::ALL.into_iter().map(move |outcome| (family, outcome)));
    let http: u64 =
        places.map(|(family, outcome)| sources.http.requests(http::Action::Announce, family, outcome)).sum();
    udp + http + sources.websocket.as_ref().map_or(0, |hub| hub.counters().received.of(Kind::Announce))
}

/// Bytes sent by UDP so far, on every path.
fn sent(sources: &Sources) -> u64 {
    let reports = sources.xdp.read();
    let of = |family| {
        let workers: u64 = Path::ALL.into_iter().map(|path| sources.udp_bytes(path, family).1).sum();
        workers + kernel_bytes(&reports, family).1
    };
    Family::ALL.into_iter().map(of).sum()
}

/// What happened from one moment to another, as shares of what may.
fn load(before: &Seen, now: &Seen, workers: &Workers, config: &Config) -> Load {
    let elapsed = now.at.duration_since(before.at).as_secs_f64();
    if elapsed <= 0.0 {
        return Load::default();
    }
    let rate = |before: Option<u64>, now: Option<u64>, most: f64| match (before, now) {
        // What an interface had counted goes with it.
        (Some(before), Some(now)) => now.saturating_sub(before) as f64 / elapsed / most,
        _ => 0.0,
    };
    let time = |before: Duration, now: Duration| now.saturating_sub(before).as_secs_f64() / elapsed;
    let (udp, io) = (time(before.udp, now.udp), time(before.io, now.io));
    let each = |time: f64, threads: &Option<Arc<Threads>>| {
        time / threads.as_ref().map_or(1, |threads| threads.len().max(1)) as f64
    };
    // More threads than processors are not all busy when there is no more to be had.
    let together = (udp + io) / workers.cpus.max(1) as f64;
    Load {
        peers: 0.0,
        busy: each(udp, &workers.udp).max(each(io, &workers.io)).max(together),
        announces: rate(
            before.announces,
            now.announces,
            config.swarm.full_load_announces.map_or(1.0, f64::from),
        ),
        egress: rate(
            before.bytes,
            now.bytes,
            config.limits.udp_bytes_per_second.map_or(1.0, |most| most as f64),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracker_core::admission::Admission;

    fn threads(count: usize) -> Option<Arc<Threads>> {
        let threads = Threads::new(count);
        (0..count).for_each(|_| threads.join());
        Some(Arc::new(threads))
    }

    fn seen(at: Instant) -> Seen {
        Seen { at, udp: Duration::ZERO, io: Duration::ZERO, announces: None, bytes: None }
    }

    #[test]
    fn rates_are_shares_of_what_the_keys_say() {
        let mut config = Config::default();
        let workers = Workers { udp: None, io: None, cpus: 2 };
        let start = Instant::now();
        let before = Seen { announces: Some(1_000), bytes: Some(5_000), ..seen(start) };
        let now =
            Seen { announces: Some(1_500), bytes: Some(25_000), ..seen(start + Duration::from_secs(2)) };
        config.swarm.full_load_announces = Some(1_000);
        config.limits.udp_bytes_per_second = Some(8_000);
        let expected = Load { announces: 0.25, egress: 1.25, ..Load::default() };
        assert_eq!(load(&before, &now, &workers, &config), expected);
        // Asked for only now, gone back, or no time at all.
        assert_eq!(load(&seen(start), &now, &workers, &config), Load::default());
        let gone = Seen { bytes: Some(0), ..now };
        assert_eq!(load(&before, &gone, &workers, &config), Load { announces: 0.25, ..Load::default() });
        assert_eq!(load(&before, &Seen { at: start, ..now }, &workers, &config), Load::default());
    }

    #[test]
    fn workers_are_as_busy_as_the_busier_kind_or_the_machine() {
        let config = Config::default();
        let start = Instant::now();
        let busy = |udp, io, workers: &Workers| {
            let now = Seen {
                udp: Duration::from_millis(udp),
                io: Duration::from_millis(io),
                ..seen(start + Duration::from_secs(2))
            };
            load(&seen(start), &now, workers, &config).busy
        };
        let workers = Workers { udp: threads(4), io: threads(2), cpus: 16 };
        assert_eq!(busy(4_000, 0, &workers), 0.5);
        assert_eq!(busy(800, 3_000, &workers), 0.75);
        let crowded = Workers { cpus: 2, ..workers.clone() };
        assert_eq!(busy(2_000, 1_600, &crowded), 0.9);
        assert_eq!(busy(0, 1_000, &Workers { udp: None, ..workers }), 0.25);
    }

    #[test]
    fn only_longer_intervals_are_promised() {
        let policy = Policy::default();
        assert_eq!(longer(&policy, Measures::NONE), None);
        let half = Measures { stretch: 500, ..Measures::NONE };
        // 45 minutes, and a tenth.
        assert_eq!(longer(&policy, half), Some(2970));
        let admission = Admission { max_interval: 5, ..Admission::default() };
        assert_eq!(longer(&Policy { admission, ..Policy::default() }, half), None);
        // 33 minutes are too few as they are.
        assert_eq!(longer(&Policy { peer_timeout: 1980, ..Policy::default() }, half), None);
    }
}
