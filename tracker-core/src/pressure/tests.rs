//! The function on paper: each number below was worked out by hand.

use super::*;

const HOUR: Seconds = 3600;

#[track_caller]
fn assert_near(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-9, "{a} and {b}");
}

fn peers(share: f64) -> Load {
    Load { peers: share, ..Load::default() }
}

fn egress(share: f64) -> Load {
    Load { egress: share, ..Load::default() }
}

/// After so many seconds of this load, looked at once a second.
fn after(mut pressure: Pressure, load: Load, seconds: u32) -> Pressure {
    for _ in 0..seconds {
        pressure = pressure.next(&load, 1.0, HOUR);
    }
    pressure
}

#[test]
fn intervals_grow_with_what_is_stored_at_once() {
    for (share, stretch, haste) in [
        (0.0, 0, 1000),
        (0.3, 0, 1000),
        (0.45, 0, 500),
        (0.6, 0, 0),
        (0.7, 250, 0),
        (0.8, 500, 0),
        (0.9, 750, 0),
        (1.0, 1000, 0),
        (7.0, 1000, 0),
    ] {
        let measures = Pressure::default().next(&peers(share), 1.0, HOUR).measures(200);
        assert_eq!(measures, Measures { stretch, haste, peers: u32::MAX }, "{share}");
    }
}

#[test]
fn of_rates_the_greater_one_counts_once_it_lasts() {
    for load in [
        Load { busy: 1.0, announces: 0.2, ..Load::default() },
        Load { announces: 1.0, busy: 0.9, ..Load::default() },
    ] {
        // A sixth of what is missing is made up for each second: 1 - (5/6)^n.
        let second = after(Pressure::default(), load, 1);
        assert_near(second.rate, 1.0 / 6.0);
        assert_eq!(second.measures(200).stretch, 0);
        // 1 - (5/6)^5 is 0.598, (5/6)^6 is 0.3349.
        assert_eq!(after(Pressure::default(), load, 5).stretch, 0.0);
        assert_eq!(after(Pressure::default(), load, 6).measures(200).stretch, 163);
        assert_eq!(after(Pressure::default(), load, 60).measures(200).stretch, 1000);
    }
    // One look after five seconds knows half of it.
    assert_near(Pressure::default().next(&Load { busy: 1.0, ..Load::default() }, 5.0, HOUR).rate, 0.5);
}

#[test]
fn a_second_of_everything_is_no_pressure() {
    let burst = after(Pressure::default(), Load { busy: 1.0, ..Load::default() }, 2);
    assert_eq!(after(burst, Load::default(), 1).measures(200).stretch, 0);
}

#[test]
fn intervals_get_shorter_by_and_by() {
    let full = Pressure::default().next(&peers(1.0), 1.0, HOUR);
    assert_eq!(full.measures(200).stretch, 1000);
    // A quarter of the way in a quarter of the longest interval, whatever there is room for.
    assert_eq!(after(full, peers(0.0), 900).measures(200).stretch, 750);
    assert_eq!(after(full, peers(0.75), 3600).measures(200).stretch, 375);
    let nearly = after(full, peers(0.0), 3599);
    assert!(!nearly.is_none() && nearly.measures(200).haste == 0);
    let over = after(nearly, peers(0.0), 2);
    assert!(over.is_none());
    assert_eq!(over.measures(200), Measures { stretch: 0, haste: 1000, peers: u32::MAX });
}

#[test]
fn a_load_that_swings_does_not_swing_intervals() {
    let (mut pressure, mut told) = (Pressure::default(), Vec::new());
    for second in 0..600 {
        let load = if second % 2 == 0 { 1.0 } else { 0.9 };
        pressure = pressure.next(&peers(load), 1.0, HOUR);
        told.push(pressure.measures(200).interval(1800, 3600));
    }
    assert!(told.iter().all(|told| (3599..=3600).contains(told)), "{told:?}");
}

#[test]
fn lists_get_shorter_before_intervals_get_longer() {
    // 0.2 for each share above 0.95, but no more than 0.25 a second.
    assert_near(after(Pressure::default(), egress(1.2), 1).squeeze, 0.05);
    assert_near(after(Pressure::default(), egress(9.0), 1).squeeze, 0.25);
    // 200 × (1/20)^¼ and so on: 94.57, 44.72, 21.15, 10.
    let lists = [1, 2, 3, 4].map(|n| after(Pressure::default(), egress(9.0), n).measures(200));
    assert_eq!(lists.map(|measures| measures.peers), [95, 45, 21, 10]);
    assert_eq!(lists.map(|measures| (measures.stretch, measures.haste)), [(0, 0); 4]);
    let longer = [6, 8, 99].map(|n| after(Pressure::default(), egress(9.0), n).measures(200));
    assert_eq!(
        longer.map(|measures| (measures.peers, measures.stretch)),
        [(10, 500), (10, 1000), (10, 1000)]
    );
}

#[test]
fn near_the_ceiling_lists_stay_as_they_are_and_below_they_get_longer_slowly() {
    let full = after(Pressure::default(), egress(9.0), 4);
    assert_eq!(after(full, egress(0.9), 1000).measures(200).peers, 10);
    // 0.02 × 0.85 a second: 30 seconds are 0.51, a minute is more than all.
    assert_near(after(full, egress(0.0), 30).squeeze, 0.49);
    assert_eq!(after(full, egress(0.0), 30).measures(200).peers, 46);
    assert_eq!(after(full, egress(0.0), 59).measures(200).peers, u32::MAX);
}

/// Bytes a second follow the lists: they come to rest below the ceiling, and stay there.
#[test]
fn lists_find_the_length_that_fits_the_ceiling() {
    for overload in [1.2, 2.0, 5.0, 12.0] {
        let (mut pressure, mut seen) = (Pressure::default(), Vec::new());
        for _ in 0..600 {
            let most = pressure.measures(200).peers.min(200);
            let share = overload * f64::from(20 + 6 * most) / 1220.0;
            seen.push((share, most));
            pressure = pressure.next(&egress(share), 1.0, HOUR);
        }
        let (settling, settled) = seen.split_at(60);
        assert!(
            settled.iter().all(|(share, most)| (0.8..=1.0).contains(share) && *most >= 10),
            "{overload}: {settled:?}"
        );
        assert!(settling.iter().skip(10).all(|(share, _)| *share <= 1.05), "{overload}: {settling:?}");
        assert_eq!(pressure.stretch, 0.0);
    }
}

#[test]
fn short_lists_are_not_made_longer() {
    let full = after(Pressure::default(), egress(9.0), 9);
    for (longest, list) in [(1000, 10), (11, 10), (10, u32::MAX), (3, u32::MAX)] {
        assert_eq!(full.measures(longest).peers, list, "{longest}");
    }
}

#[test]
fn time_that_stands_still_or_leaps_does_no_harm() {
    let load = Load { peers: 0.8, busy: 1.0, announces: 0.0, egress: 2.0 };
    let first = Pressure::default().next(&load, 0.0, HOUR);
    assert_eq!(first.measures(200), Measures { stretch: 500, haste: 0, peers: u32::MAX });
    assert_eq!(first.next(&load, -3.0, 0), first);
    let later = first.next(&load, 1e9, HOUR).measures(200);
    assert_eq!(later, Measures { stretch: 1000, haste: 0, peers: 10 });
    let wild = Load { peers: f64::NAN, busy: f64::INFINITY, announces: f64::NAN, egress: f64::INFINITY };
    let wild = first.next(&wild, 1.0, HOUR).measures(200);
    assert!(wild.stretch <= 1000 && wild.haste <= 1000 && wild.peers >= 10);
}

#[test]
fn measures_are_a_word() {
    for measures in [
        Measures::NONE,
        Measures { stretch: 1000, haste: 7, peers: 10 },
        Measures { stretch: 0, haste: 1000, peers: 0x8000_0001 },
    ] {
        assert_eq!(Measures::from_word(measures.to_word()), measures);
    }
    assert_eq!(
        Measures { stretch: 0x0102, haste: 0x0304, peers: 0x0506_0708 }.to_word(),
        0x0102_0304_0506_0708
    );
}
