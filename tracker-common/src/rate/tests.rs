//! Figures by hand, and the naive model: a list of the times at which a network was served.

extern crate std;

use super::*;
use core::{cell::Cell, net::IpAddr};
use proptest::prelude::*;
use std::vec::Vec;

const SECOND: u64 = 1_000_000_000;
/// About what protocol time is.
const NOW: u64 = 1_700_000_000 * SECOND;

impl Bucket for Cell<u64> {
    fn get(&self) -> u64 {
        Self::get(self)
    }
    fn set(&self, word: u64) {
        Self::set(self, word);
    }
}

/// A network alone in its buckets.
#[derive(Default)]
struct Alone([Cell<u64>; ROWS]);

impl Alone {
    fn asks(&self, rate: Rate, now_ns: u64) -> bool {
        rate.admit([&self.0[0], &self.0[1]], now_ns)
    }

    fn served(&self, rate: Rate, times: usize, now_ns: u64) -> usize {
        (0..times).filter(|_| self.asks(rate, now_ns)).count()
    }
}

#[test]
fn figures_by_hand() {
    assert_eq!(Rate::new(100, 20), Rate { interval_ns: 10_000_000, tolerance_ns: 190_000_000 });
    assert_eq!(Rate::new(1, 1), Rate { interval_ns: SECOND, tolerance_ns: 0 });
    assert_eq!(Rate::new(3, 1), Rate { interval_ns: 333_333_333, tolerance_ns: 0 });
    assert_eq!(Rate::new(1_000_000, 1_000_000), Rate { interval_ns: 1_000, tolerance_ns: 999_999_000 });
    assert!(Rate::new(0, 9).is_none() && !Rate::new(1, 1).is_none() && Rate::NONE == Rate::default());
    // What comes within a step of the clock is a burst.
    assert_eq!(Rate::new(100, 1).tolerance_ns, 0);
    assert_eq!(Rate::new(1_000, 1).tolerance_ns, 9_000_000);
    assert_eq!(Rate::new(1_001, 10).tolerance_ns, 10 * Rate::new(1_001, 10).interval_ns);
}

#[test]
fn a_burst_then_one_for_each_interval() {
    let (client, rate) = (Alone::default(), Rate::new(10, 5));
    let tenth = SECOND / 10;
    assert_eq!(client.served(rate, 20, NOW), 5);
    assert_eq!(client.served(rate, 20, NOW + tenth - 1), 0);
    assert_eq!(client.served(rate, 20, NOW + tenth), 1);
    assert_eq!(client.served(rate, 20, NOW + 3 * tenth), 2);
    // What is left over is no more than a burst, however long it was quiet.
    assert_eq!(client.served(rate, 20, NOW + 3600 * SECOND), 5);
}

#[test]
fn whoever_asks_a_hundred_thousand_times_a_second_is_served_a_hundred() {
    let (client, rate) = (Alone::default(), Rate::new(100, 100));
    let served = (0..1_000_000).filter(|n| client.asks(rate, NOW + n * SECOND / 100_000)).count();
    assert_eq!(served, 100 + 10 * 100 - 1);
    // The clock goes on in steps of 10 ms.
    let (client, rate) = (Alone::default(), Rate::new(10_000, 1));
    let step = |n: u64| NOW + n / 1_000 * 10_000_000;
    let served = (0..1_000_000).filter(|n| client.asks(rate, step(*n))).count();
    assert_eq!(served, 100_000);
}

#[test]
fn another_rate_does_not_hold_what_was_spent_at_the_old_one() {
    let client = Alone::default();
    assert_eq!(client.served(Rate::new(1, 1000), 2000, NOW), 1000);
    let faster = Rate::new(1000, 10);
    assert_eq!(client.served(faster, 100, NOW), 10);
    assert_eq!(client.served(faster, 100, NOW + SECOND), 10);
    // Nor does a clock that was set back for ever.
    assert_eq!(client.served(faster, 100, NOW - 3600 * SECOND), 10);
}

#[test]
fn a_bucket_that_others_fill_is_no_harm_alone() {
    let rate = Rate::new(1, 2);
    let [shared, own, theirs] = [(); 3].map(|()| Cell::new(0));
    assert_eq!((0..9).filter(|_| rate.admit([&shared, &theirs], NOW)).count(), 2);
    assert_eq!((0..9).filter(|_| rate.admit([&shared, &own], NOW)).count(), 2);
    // What is counted twice is not counted on top: the shared bucket is as full as its fullest guest.
    assert_eq!(shared.get(), NOW + 2 * SECOND);
    assert_eq!((0..9).filter(|_| rate.admit([&shared, &theirs], NOW)).count(), 0);
}

#[test]
fn networks_are_spread_by_a_secret() {
    let place = |secret, text: &str| {
        places(Key { k0: secret, k1: 7 }, &Address::from(text.parse::<IpAddr>().unwrap()))
    };
    let mut all = Vec::new();
    for (one, other, same) in [
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
    ] {
        assert_eq!(place(1, one) == place(1, other), same, "{one} and {other}");
        assert_ne!(place(1, one), place(2, one));
        all.extend([place(1, one), place(1, other)]);
    }
    assert!(all.iter().all(|[a, b]| *a < BUCKETS && (BUCKETS..2 * BUCKETS).contains(b)));
}

/// The definition, without clever words: requests that were served keep the time at which each would have been exactly in time.
fn naive(rate: Rate, times: &[u64]) -> Vec<bool> {
    let mut in_time: Vec<u64> = Vec::new();
    times
        .iter()
        .map(|now| {
            let next = in_time.last().map_or(*now, |last| (last + rate.interval_ns).max(*now));
            let served = next <= now + rate.tolerance_ns;
            if served {
                in_time.push(next);
            }
            served
        })
        .collect()
}

proptest! {
    #[test]
    fn agrees_with_the_naive_model(
        per_second in 1_u32..2_000,
        burst in 1_u32..50,
        gaps in proptest::collection::vec(0_u64..200_000_000, 1..300),
    ) {
        let rate = Rate::new(per_second, burst);
        let times: Vec<u64> = gaps.iter().scan(NOW, |now, gap| { *now += gap; Some(*now) }).collect();
        let client = Alone::default();
        let served: Vec<bool> = times.iter().map(|now| client.asks(rate, *now)).collect();
        prop_assert_eq!(served, naive(rate, &times));
    }

    /// Whoever shares buckets with others, nobody is served more than its rate.
    #[test]
    fn company_never_serves_more(
        asks in proptest::collection::vec((0_usize..4, 0_usize..3, 0_usize..3, 0_u64..300_000_000), 1..300),
    ) {
        let rate = Rate::new(10, 3);
        let buckets: [[Cell<u64>; 3]; ROWS] = Default::default();
        let mut homes: [Option<(usize, usize)>; 4] = [None; 4];
        let mut times: [Vec<u64>; 4] = Default::default();
        let mut served: [usize; 4] = [0; 4];
        let mut now = NOW;
        for (client, one, other, gap) in asks {
            now += gap;
            let (one, other) = *homes[client].get_or_insert((one, other));
            times[client].push(now);
            served[client] += usize::from(rate.admit([&buckets[0][one], &buckets[1][other]], now));
        }
        for (times, served) in times.iter().zip(served) {
            let span = times.last().map_or(0, |last| last - times[0]);
            prop_assert!(served as u64 <= 3 + span / rate.interval_ns);
        }
    }
}
