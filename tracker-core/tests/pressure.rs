//! A day of many clients that do as they are told, on a simulated clock: what admission and pressure make of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, net::Ipv4Addr};
use tracker_common::address::Address;
use tracker_core::{
    admission::{Admission, Applicant, Door},
    engine::{Announce, Engine, Lists, Membership, Want},
    model::{Counts, Event, InfoHash, Seconds},
    policy::Policy,
    pressure::{Load, Measures, Pressure},
    promises::Promises,
    rng::Rng,
};

fn applicant(address: Address) -> Applicant<'static> {
    Applicant {
        door: Door::Udp,
        key: None,
        peer_id: &[],
        source: address,
        port: 6881,
        claim: None,
        num_want: Some(-1),
    }
}

/// Clients that all come in the first second.
const HERD: u32 = 1_000_000;
/// What counts as full load: somewhat more than three times what they are when they come evenly.
const FULL_LOAD: f64 = 2_000.0;
/// The longest that anybody may be told.
const INTERVAL: usize = 3600 + 360;

/// How many of them announce in each second, for three intervals.
fn herd(jitter: u32) -> Vec<u32> {
    let admission = Admission { interval_jitter: jitter, ..Admission::default() };
    let old = Counts { complete: 50, incomplete: 50, downloaders: 50, downloaded: 9 };
    let applicant = applicant(Address::from_ipv4([192, 0, 2, 1]));
    let (mut pressure, mut rng) = (Pressure::default(), Rng::new([1, 2]));
    let mut announces = vec![0; 4 * INTERVAL];
    announces[0] = HERD;
    for second in 0..3 * INTERVAL {
        let measures = pressure.measures(admission.max_num_want);
        for _ in 0..announces[second] {
            let told = admission.admit(&applicant, measures).unwrap().interval.told(&old, &mut rng);
            announces[second + told as usize] += 1;
        }
        let load = Load { announces: f64::from(announces[second]) / FULL_LOAD, ..Load::default() };
        pressure = pressure.next(&load, 1.0, admission.max_interval);
    }
    announces.truncate(3 * INTERVAL);
    announces
}

/// The most that come in one second.
fn peak(announces: &[u32]) -> u32 {
    announces.iter().copied().max().unwrap_or(0)
}

#[test]
fn a_herd_is_spread_within_two_intervals() {
    let announces = herd(100);
    // Once each: evenly over six minutes, which is full load and more, so that most are told an hour then.
    let first = peak(&announces[1..1981]);
    assert!((2_500..3_100).contains(&first), "{first}");
    // Twelve minutes wide at the second time, where even half an hour is 556 a second.
    let second = peak(&announces[1981..2 * 1980 + INTERVAL]);
    assert!(second < 1_600, "{second}");
    let counted: u32 = announces[1..1981].iter().sum();
    assert_eq!(counted, HERD, "each comes once in the first interval");
}

/// What the test before would see if chance were off.
#[test]
fn without_chance_a_herd_stays_a_herd() {
    let announces = herd(0);
    assert_eq!(announces[1800], HERD);
    assert!(peak(&announces[1981..]) == HERD);
}

/// Peers that announce when they were told to, or a tenth later, and what became of them.
struct Obedient {
    engine: Engine,
    now: Seconds,
    rng: Rng,
    /// By the second in which they announce next.
    due: BTreeMap<Seconds, Vec<u32>>,
    forgotten: u32,
    longest_told: Seconds,
}

const PEERS: u32 = 2_000;
const STEP: Seconds = 5;

impl Obedient {
    fn new() -> Self {
        let mut rng = Rng::new([3, 4]);
        let mut due = BTreeMap::<_, Vec<_>>::new();
        for peer in 0..PEERS {
            due.entry(rng.below(1800) as Seconds).or_default().push(peer);
        }
        let engine = Engine::new(Policy::default(), [5, 6]);
        Self { engine, now: 0, rng, due, forgotten: 0, longest_told: 0 }
    }

    /// Whoever is due announces.
    fn announce(&mut self) {
        let later = self.due.split_off(&(self.now + 1));
        for peer in std::mem::replace(&mut self.due, later).into_values().flatten() {
            let address = Address::from_ipv4(Ipv4Addr::from(0x0a00_0000 + peer).octets());
            let terms =
                self.engine.policy().admission.admit(&applicant(address), self.engine.measures()).unwrap();
            let announce = Announce {
                info_hash: InfoHash([(peer % 20) as u8; 20]),
                address,
                port: terms.port,
                event: Event::None,
                left: 1,
                want: Want::Own(0),
            };
            let announced =
                self.engine.announce(&announce, self.now, &mut self.rng, &mut Lists::default()).unwrap();
            let is_first = self.now <= 1800;
            self.forgotten += u32::from(!is_first && announced.membership == Membership::Added);
            let told = terms.interval.told(&announced.counts, &mut self.rng);
            self.longest_told = self.longest_told.max(told);
            let late = self.rng.below(told as usize / 10 + 1) as Seconds;
            self.due.entry(self.now + told + late).or_default().push(peer);
        }
    }
}

/// Twelve hours: quiet, a rush, quiet again, another one that is half as hard and short, then quiet for long.
fn load(now: Seconds) -> Load {
    let busy = match now / 60 {
        60..140 => 1.0,
        260..262 => 1.0,
        300..340 => 0.8,
        _ => 0.2,
    };
    Load { busy, ..Load::default() }
}

/// How many were forgotten in those hours, where timeouts follow what was told or do not.
fn a_day(timeouts_follow: bool) -> Obedient {
    let mut peers = Obedient::new();
    let (mut pressure, mut promises, mut had) = (Pressure::default(), Promises::default(), Measures::NONE);
    while peers.now < 12 * 3600 {
        let policy = peers.engine.policy().clone();
        pressure = pressure.next(&load(peers.now), STEP.into(), policy.admission.max_interval);
        let measures = pressure.measures(policy.admission.max_num_want);
        let longest = had.stretch.max(measures.stretch);
        let told = (longest > 0).then(|| {
            let longest = Measures { stretch: longest, ..measures };
            policy.admission.interval_by(Door::Udp, longest).longest()
        });
        let remembered = promises.tell(told, peers.now);
        peers.engine.take_measures(measures, if timeouts_follow { remembered } else { 0 });
        had = measures;
        peers.announce();
        while !peers.engine.sweep(peers.now, usize::MAX).cycle_ended {}
        peers.now += STEP;
    }
    peers
}

#[test]
fn nobody_who_obeys_is_forgotten_while_pressure_comes_and_goes() {
    let peers = a_day(true);
    assert!((3700..=3960).contains(&peers.longest_told), "{}", peers.longest_told);
    assert_eq!(peers.forgotten, 0);
    assert_eq!(peers.engine.peers(), PEERS as usize);
    // Once all was over for long, the operator's own timeout holds again.
    assert_eq!(peers.engine.peer_timeout(), 2700);
}

#[test]
fn with_the_operators_timeout_alone_they_would_be() {
    let forgotten = a_day(false).forgotten;
    assert!(forgotten > PEERS / 4, "{forgotten}");
}

#[test]
fn who_is_gone_is_forgotten_all_the_same() {
    let engine = Engine::new(Policy::default(), [5, 6]);
    let announce = Announce {
        info_hash: InfoHash([1; 20]),
        address: Address::from_ipv4([192, 0, 2, 1]),
        port: 1,
        event: Event::None,
        left: 1,
        want: Want::Own(0),
    };
    let _ = engine.announce(&announce, 0, &mut Rng::new([1, 2]), &mut Lists::default()).unwrap();
    engine.take_measures(Measures { stretch: 1000, ..Measures::NONE }, 4950);
    for (now, peers) in [(2700, 1), (4949, 1), (4950, 0)] {
        while !engine.sweep(now, usize::MAX).cycle_ended {}
        assert_eq!(engine.peers(), peers, "{now}");
    }
}
