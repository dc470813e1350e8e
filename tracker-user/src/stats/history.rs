//! Rates from counters: of the last seconds, of each minute of the last hour, and of each quarter of an hour of the last day.
//! However long it runs, it keeps no more.

use super::reasons::REASONS;
use std::{collections::VecDeque, ops::Index};

/// Minutes that are kept, the present one included.
pub(super) const MINUTES: usize = 60;
/// Quarters of an hour that are kept, the present one included.
pub(super) const QUARTERS: usize = 96;
/// A rate of the present is taken over at least so long, as soon as there is as much.
const WINDOW_NS: u64 = 10_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
const MINUTE_NS: u64 = 60 * SECOND_NS;
const QUARTER_NS: u64 = 15 * MINUTE_NS;

/// What is followed over time: counters that only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Series {
    /// Requests answered inside the XDP program.
    UdpKernel,
    /// Requests through AF_XDP.
    UdpXsk,
    /// Requests through ordinary UDP sockets.
    UdpSocket,
    /// Announces and scrapes over HTTP.
    Http,
    /// Messages that came by WebSocket.
    Websocket,
    /// UDP connects.
    Connect,
    /// Announces by every protocol.
    Announce,
    /// Scrapes by every protocol.
    Scrape,
    /// WebRTC offers relayed.
    Offer,
    /// UDP and HTTP requests by IPv4.
    Ipv4,
    /// UDP and HTTP requests by IPv6.
    Ipv6,
    /// UDP datagrams without a reply.
    Dropped,
    /// UDP payload of requests, bytes.
    Received,
    /// UDP payload of replies, bytes.
    Sent,
}

impl Series {
    const COUNT: usize = 14;
    /// Requests by protocol and path; together they are all.
    pub(super) const PATHS: [Self; 5] =
        [Self::UdpKernel, Self::UdpXsk, Self::UdpSocket, Self::Http, Self::Websocket];
}

/// Numbers of one kind.
const NUMBERS: usize = Series::COUNT + REASONS.len();

/// One number for each [`Series`], and one for each of [`REASONS`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Of<T>([T; NUMBERS]);

impl<T: Copy + Default> Default for Of<T> {
    fn default() -> Self {
        Self([T::default(); NUMBERS])
    }
}

impl<T: Copy> Of<T> {
    /// That of the reason at this place in [`REASONS`].
    pub(super) fn refused(&self, place: usize) -> T {
        self.0[Series::COUNT + place]
    }
}

impl<T> Index<Series> for Of<T> {
    type Output = T;

    fn index(&self, series: Series) -> &T {
        &self.0[series as usize]
    }
}

impl Of<u64> {
    pub(super) fn add(&mut self, series: Series, n: u64) {
        self.0[series as usize] += n;
    }

    /// Adds to that of the reason at this place in [`REASONS`].
    pub(super) fn refuse(&mut self, place: usize, n: u64) {
        self.0[Series::COUNT + place] += n;
    }
}

impl Of<f64> {
    /// Requests of every protocol and path.
    pub(super) fn all_paths(&self) -> f64 {
        Series::PATHS.iter().map(|path| self[*path]).sum()
    }
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at_ns: u64,
    counts: Of<u64>,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// Since the clock's zero.
    number: u64,
    /// How much of it has been seen, seconds.
    seen: f64,
    counts: Of<f64>,
}

/// The last `N` stretches of the same length.
#[derive(Debug)]
struct Ring<const N: usize> {
    length_ns: u64,
    /// Oldest first, at most `N`.
    stretches: VecDeque<Stretch>,
}

impl<const N: usize> Ring<N> {
    fn new(length_ns: u64) -> Self {
        Self { length_ns, stretches: VecDeque::with_capacity(N + 1) }
    }

    /// Spreads what was counted between two moments evenly over the stretches between.
    fn record(&mut self, from_ns: u64, at_ns: u64, increase: &Of<f64>) {
        let length = self.length_ns;
        let end = at_ns / length;
        let start = (from_ns / length).max((end + 1).saturating_sub(N as u64));
        for number in start..=end {
            let overlap = at_ns.min((number + 1) * length) - from_ns.max(number * length);
            if overlap > 0 {
                self.add(number, overlap, overlap as f64 / (at_ns - from_ns) as f64, increase);
            }
        }
    }

    fn add(&mut self, number: u64, overlap_ns: u64, share: f64, increase: &Of<f64>) {
        if self.stretches.back().is_none_or(|stretch| stretch.number != number) {
            self.stretches.push_back(Stretch { number, seen: 0.0, counts: Of::default() });
            while self.stretches.len() > N {
                self.stretches.pop_front();
            }
        }
        if let Some(stretch) = self.stretches.back_mut() {
            stretch.seen += seconds(overlap_ns);
            for (sum, more) in stretch.counts.0.iter_mut().zip(increase.0) {
                *sum += more * share;
            }
        }
    }

    /// What was counted up to the present stretch, which is the last.
    fn course(&self, at_ns: u64) -> Course {
        let present = at_ns / self.length_ns;
        let (mut stretches, mut sum, mut seen) = (vec![None; N], Of::<f64>::default(), 0.0);
        for stretch in &self.stretches {
            let age = usize::try_from(present.saturating_sub(stretch.number)).unwrap_or(usize::MAX);
            if let Some(place) = (N - 1).checked_sub(age) {
                stretches[place] = Some(per_second(&stretch.counts, stretch.seen));
                sum.0.iter_mut().zip(stretch.counts.0).for_each(|(sum, count)| *sum += count);
                seen += stretch.seen;
            }
        }
        let mean = if seen > 0.0 { per_second(&sum, seen) } else { sum };
        Course { stretches, mean }
    }
}

/// What counters have done over some time: of each stretch of it, and of all of it.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// Per second in each stretch, the present one last; `None` from before the first reading.
    pub(super) stretches: Vec<Option<Of<f64>>>,
    /// Per second, over all that was seen.
    pub(super) mean: Of<f64>,
}

impl Course {
    /// Requests of every protocol and path in the busiest stretch, per second.
    pub(super) fn busiest(&self) -> f64 {
        self.stretches.iter().flatten().map(Of::all_paths).fold(0.0, f64::max)
    }
}

/// What counters have done. Times are those of one monotonic clock, nanoseconds.
#[derive(Debug)]
pub(super) struct History {
    /// Oldest first, at least one. The first is the youngest that is a whole window older than the last, or the first
    /// of all.
    recent: VecDeque<Sample>,
    hour: Ring<MINUTES>,
    day: Ring<QUARTERS>,
}

impl History {
    pub(super) fn new(at_ns: u64, counts: &Of<u64>) -> Self {
        let recent = VecDeque::from([Sample { at_ns, counts: *counts }]);
        Self { recent, hour: Ring::new(MINUTE_NS), day: Ring::new(QUARTER_NS) }
    }

    /// Takes up a reading. What was counted since the last one is spread evenly over the time between.
    pub(super) fn record(&mut self, at_ns: u64, counts: &Of<u64>) {
        let Some(&last) = self.recent.back() else { return };
        if at_ns <= last.at_ns {
            return;
        }
        let increase = increase(&last.counts, counts);
        self.hour.record(last.at_ns, at_ns, &increase);
        self.day.record(last.at_ns, at_ns, &increase);
        self.recent.push_back(Sample { at_ns, counts: *counts });
        while self.recent.get(1).is_some_and(|second| at_ns - second.at_ns >= WINDOW_NS) {
            self.recent.pop_front();
        }
    }

    /// What is counted per second now, by a reading of now.
    pub(super) fn rates(&self, at_ns: u64, counts: &Of<u64>) -> Of<f64> {
        let Some(first) = self.recent.front() else { return Of::default() };
        // A rate over less than a second says little, and over none nothing.
        let elapsed = at_ns.saturating_sub(first.at_ns).max(SECOND_NS);
        per_second(&increase(&first.counts, counts), seconds(elapsed))
    }

    /// The minutes of the hour before `at_ns`.
    pub(super) fn hour(&self, at_ns: u64) -> Course {
        self.hour.course(at_ns)
    }

    /// The quarters of an hour of the day before `at_ns`.
    pub(super) fn day(&self, at_ns: u64) -> Course {
        self.day.course(at_ns)
    }
}

/// A counter that has gone back belonged to something that is no more, and tells nothing.
fn increase(before: &Of<u64>, after: &Of<u64>) -> Of<f64> {
    Of(std::array::from_fn(|i| after.0[i].saturating_sub(before.0[i]) as f64))
}

fn per_second(counts: &Of<f64>, seconds: f64) -> Of<f64> {
    Of(counts.0.map(|count| count / seconds))
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / SECOND_NS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(count: u64) -> Of<u64> {
        let mut counts = Of::default();
        counts.add(Series::Http, count);
        counts
    }

    /// The rate of each minute that was seen, oldest first.
    fn rates(history: &History, at_ns: u64) -> Vec<f64> {
        history.hour(at_ns).stretches.iter().flatten().map(|rates| rates[Series::Http]).collect()
    }

    #[track_caller]
    fn assert_near(a: &[f64], b: &[f64]) {
        let near = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{a:?} is not {b:?}");
    }

    #[test]
    fn a_steady_rate_is_the_same_in_every_minute() {
        // Readings every 10 s, off the minutes' borders.
        let at = |i: u64| 1_234_567_890 + i * 10 * SECOND_NS;
        let mut history = History::new(at(0), &http(0));
        for i in 1..=30 {
            history.record(at(i), &http(i * 70));
            assert_near(&[history.rates(at(i), &http(i * 70))[Series::Http]], &[7.0]);
        }
        assert_near(&rates(&history, at(30)), &[7.0; 6]);
        assert_eq!(history.recent.len(), 2, "only the window is kept");
    }

    #[test]
    fn what_was_counted_between_two_minutes_goes_to_both() {
        let mut history = History::new(50 * SECOND_NS, &http(1_000));
        history.record(80 * SECOND_NS, &http(1_300));
        history.record(90 * SECOND_NS, &http(1_300));
        // 10 s of the first minute and 20 s of the second at 10 a second, then 10 s of nothing.
        assert_near(&rates(&history, 90 * SECOND_NS), &[10.0, 200.0 / 30.0]);
        let Course { stretches: minutes, mean } = history.hour(90 * SECOND_NS);
        assert_near(&[mean[Series::Http]], &[300.0 / 40.0]);
        assert!(minutes[..MINUTES - 2].iter().all(Option::is_none));
        assert!(minutes[MINUTES - 2..].iter().all(Option::is_some));
    }

    #[test]
    fn an_hour_is_kept_and_older_minutes_go() {
        let mut history = History::new(0, &http(0));
        let mut count = 0;
        for minute in 0..200 {
            count += 60 * minute;
            history.record((minute + 1) * MINUTE_NS - 1, &http(count));
        }
        let at = 200 * MINUTE_NS - 1;
        let all = rates(&history, at);
        assert_eq!((all.len(), history.hour.stretches.len()), (MINUTES, MINUTES));
        assert!(
            all.iter().zip(140..).all(|(rate, minute)| (rate - f64::from(minute)).abs() < 0.001),
            "{all:?}"
        );
        // Half an hour later without a reading the younger half is left, further back.
        let later = history.hour(at + 30 * MINUTE_NS).stretches;
        assert!(later[..30].iter().all(Option::is_some) && later[30..].iter().all(Option::is_none));
        assert!(rates(&history, at + 500 * MINUTE_NS).is_empty());
    }

    #[test]
    fn a_long_gap_is_filled_evenly_and_costs_no_more_than_an_hour() {
        let mut history = History::new(0, &http(0));
        history.record(1_000_000 * MINUTE_NS, &http(60_000_000));
        assert_near(&rates(&history, 1_000_000 * MINUTE_NS), &[1.0; MINUTES - 1]);
    }

    #[test]
    fn a_day_is_kept_in_quarters_of_an_hour() {
        // A request a second in the first hour, two in the second, and so on for thirty hours.
        let mut history = History::new(0, &http(0));
        let mut count = 0;
        for minute in 0..30 * 60 {
            count += 60 * (minute / 60 + 1);
            history.record((minute + 1) * MINUTE_NS - 1, &http(count));
        }
        let Course { stretches: quarters, mean } = history.day(30 * 60 * MINUTE_NS - 1);
        assert_eq!((quarters.len(), history.day.stretches.len()), (QUARTERS, QUARTERS));
        for (place, quarter) in quarters.iter().enumerate() {
            let hour = 7.0 + (place / 4) as f64;
            let rate = quarter.unwrap()[Series::Http];
            assert!((rate - hour).abs() < 0.001, "{place}: {rate} is not {hour}");
        }
        assert!((mean[Series::Http] - 18.5).abs() < 0.001, "{}", mean[Series::Http]);
    }

    #[test]
    fn refusals_have_rates_of_their_own() {
        let mut history = History::new(0, &Of::default());
        let mut counts = Of::default();
        counts.refuse(REASONS.len() - 1, 50);
        history.record(10 * SECOND_NS, &counts);
        let rates = history.rates(10 * SECOND_NS, &counts);
        assert!((rates.refused(REASONS.len() - 1) - 5.0).abs() < 1e-9 && rates.refused(0) == 0.0);
        assert!(Series::PATHS.iter().all(|path| rates[*path] == 0.0));
    }

    #[test]
    fn a_counter_that_goes_back_counts_as_none() {
        let mut history = History::new(0, &http(500));
        history.record(10 * SECOND_NS, &http(100));
        assert_near(&rates(&history, 10 * SECOND_NS), &[0.0]);
        history.record(20 * SECOND_NS, &http(160));
        assert_near(&rates(&history, 20 * SECOND_NS), &[3.0]);
    }

    #[test]
    fn time_that_stands_still_or_goes_back_adds_nothing() {
        let mut history = History::new(5 * SECOND_NS, &http(0));
        history.record(5 * SECOND_NS, &http(10));
        history.record(4 * SECOND_NS, &http(10));
        assert!(rates(&history, 5 * SECOND_NS).is_empty());
        assert_near(&[history.rates(5 * SECOND_NS, &http(10))[Series::Http]], &[10.0]);
    }

    #[test]
    fn the_present_is_a_window_that_moves() {
        let mut history = History::new(0, &http(0));
        for second in 1..=100 {
            history.record(second * SECOND_NS, &http(if second <= 50 { 0 } else { (second - 50) * 5 }));
        }
        assert_near(&[history.rates(100 * SECOND_NS, &http(250))[Series::Http]], &[5.0]);
        assert!(history.recent.len() <= 12);
    }
}
