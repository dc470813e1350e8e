//! Rates from counters: of the last seconds, and of each minute of the last hour.

use std::{collections::VecDeque, ops::Index};

/// Minutes that are kept, the present one included.
pub(super) const MINUTES: usize = 60;
/// A rate of the present is taken over at least so long, as soon as there is as much.
const WINDOW_NS: u64 = 10_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
const MINUTE_NS: u64 = 60 * SECOND_NS;

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
    pub(super) const COUNT: usize = 14;
    /// Requests by protocol and path; together they are all.
    pub(super) const PATHS: [Self; 5] =
        [Self::UdpKernel, Self::UdpXsk, Self::UdpSocket, Self::Http, Self::Websocket];
}

/// One number for each [`Series`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Of<T>(pub(super) [T; Series::COUNT]);

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

#[derive(Clone, Copy, Debug)]
struct Minute {
    /// Since the clock's zero.
    number: u64,
    /// How much of it has been seen, seconds.
    seen: f64,
    counts: Of<f64>,
}

/// What counters have done. Times are those of one monotonic clock, nanoseconds.
#[derive(Debug)]
pub(super) struct History {
    /// Oldest first, at least one. The first is the youngest that is a whole window older than the last, or the first
    /// of all.
    recent: VecDeque<Sample>,
    /// Oldest first, at most [`MINUTES`].
    minutes: VecDeque<Minute>,
}

impl History {
    pub(super) fn new(at_ns: u64, counts: Of<u64>) -> Self {
        let recent = VecDeque::from([Sample { at_ns, counts }]);
        Self { recent, minutes: VecDeque::with_capacity(MINUTES) }
    }

    /// Takes up a reading. What was counted since the last one is spread evenly over the time between.
    pub(super) fn record(&mut self, at_ns: u64, counts: Of<u64>) {
        let Some(&last) = self.recent.back() else { return };
        let Some(elapsed) = at_ns.checked_sub(last.at_ns).filter(|&elapsed| elapsed > 0) else { return };
        let increase = increase(&last.counts, &counts);
        let end = at_ns / MINUTE_NS;
        let start = (last.at_ns / MINUTE_NS).max((end + 1).saturating_sub(MINUTES as u64));
        for number in start..=end {
            let from = last.at_ns.max(number * MINUTE_NS);
            let overlap = at_ns.min((number + 1) * MINUTE_NS) - from;
            if overlap > 0 {
                self.spread(number, overlap, overlap as f64 / elapsed as f64, &increase);
            }
        }
        self.recent.push_back(Sample { at_ns, counts });
        while self.recent.get(1).is_some_and(|second| at_ns - second.at_ns >= WINDOW_NS) {
            self.recent.pop_front();
        }
    }

    fn spread(&mut self, number: u64, overlap_ns: u64, share: f64, increase: &Of<f64>) {
        if self.minutes.back().is_none_or(|minute| minute.number != number) {
            self.minutes.push_back(Minute { number, seen: 0.0, counts: Of::default() });
            while self.minutes.len() > MINUTES {
                self.minutes.pop_front();
            }
        }
        if let Some(minute) = self.minutes.back_mut() {
            minute.seen += seconds(overlap_ns);
            for (sum, more) in minute.counts.0.iter_mut().zip(increase.0) {
                *sum += more * share;
            }
        }
    }

    /// What is counted per second now, by a reading of now.
    pub(super) fn rates(&self, at_ns: u64, counts: &Of<u64>) -> Of<f64> {
        let Some(first) = self.recent.front() else { return Of::default() };
        // A rate over less than a second says little, and over none nothing.
        let elapsed = at_ns.saturating_sub(first.at_ns).max(SECOND_NS);
        per_second(&increase(&first.counts, counts), seconds(elapsed))
    }

    /// What was counted per second in each minute of the hour before `at_ns`, the present minute last; `None` before
    /// the first reading.
    pub(super) fn minutes(&self, at_ns: u64) -> [Option<Of<f64>>; MINUTES] {
        let present = at_ns / MINUTE_NS;
        let mut all = [None; MINUTES];
        for minute in &self.minutes {
            let age = usize::try_from(present.saturating_sub(minute.number)).unwrap_or(usize::MAX);
            if let Some(place) = (MINUTES - 1).checked_sub(age) {
                all[place] = Some(per_second(&minute.counts, minute.seen));
            }
        }
        all
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
        history.minutes(at_ns).iter().flatten().map(|rates| rates[Series::Http]).collect()
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
        let mut history = History::new(at(0), http(0));
        for i in 1..=30 {
            history.record(at(i), http(i * 70));
            assert_near(&[history.rates(at(i), &http(i * 70))[Series::Http]], &[7.0]);
        }
        assert_near(&rates(&history, at(30)), &[7.0; 6]);
        assert_eq!(history.recent.len(), 2, "only the window is kept");
    }

    #[test]
    fn what_was_counted_between_two_minutes_goes_to_both() {
        let mut history = History::new(50 * SECOND_NS, http(1_000));
        history.record(80 * SECOND_NS, http(1_300));
        history.record(90 * SECOND_NS, http(1_300));
        // 10 s of the first minute and 20 s of the second at 10 a second, then 10 s of nothing.
        assert_near(&rates(&history, 90 * SECOND_NS), &[10.0, 200.0 / 30.0]);
        let minutes = history.minutes(90 * SECOND_NS);
        assert!(minutes[..MINUTES - 2].iter().all(Option::is_none));
        assert!(minutes[MINUTES - 2..].iter().all(Option::is_some));
    }

    #[test]
    fn an_hour_is_kept_and_older_minutes_go() {
        let mut history = History::new(0, http(0));
        let mut count = 0;
        for minute in 0..200 {
            count += 60 * minute;
            history.record((minute + 1) * MINUTE_NS - 1, http(count));
        }
        let at = 200 * MINUTE_NS - 1;
        let all = rates(&history, at);
        assert_eq!((all.len(), history.minutes.len()), (MINUTES, MINUTES));
        assert!(
            all.iter().zip(140..).all(|(rate, minute)| (rate - f64::from(minute)).abs() < 0.001),
            "{all:?}"
        );
        // Half an hour later without a reading the younger half is left, further back.
        let later = history.minutes(at + 30 * MINUTE_NS);
        assert!(later[..30].iter().all(Option::is_some) && later[30..].iter().all(Option::is_none));
        assert!(rates(&history, at + 500 * MINUTE_NS).is_empty());
    }

    #[test]
    fn a_long_gap_is_filled_evenly_and_costs_no_more_than_an_hour() {
        let mut history = History::new(0, http(0));
        history.record(1_000_000 * MINUTE_NS, http(60_000_000));
        assert_near(&rates(&history, 1_000_000 * MINUTE_NS), &[1.0; MINUTES - 1]);
    }

    #[test]
    fn a_counter_that_goes_back_counts_as_none() {
        let mut history = History::new(0, http(500));
        history.record(10 * SECOND_NS, http(100));
        assert_near(&rates(&history, 10 * SECOND_NS), &[0.0]);
        history.record(20 * SECOND_NS, http(160));
        assert_near(&rates(&history, 20 * SECOND_NS), &[3.0]);
    }

    #[test]
    fn time_that_stands_still_or_goes_back_adds_nothing() {
        let mut history = History::new(5 * SECOND_NS, http(0));
        history.record(5 * SECOND_NS, http(10));
        history.record(4 * SECOND_NS, http(10));
        assert!(rates(&history, 5 * SECOND_NS).is_empty());
        assert_near(&[history.rates(5 * SECOND_NS, &http(10))[Series::Http]], &[10.0]);
    }

    #[test]
    fn the_present_is_a_window_that_moves() {
        let mut history = History::new(0, http(0));
        for second in 1..=100 {
            history.record(second * SECOND_NS, http(if second <= 50 { 0 } else { (second - 50) * 5 }));
        }
        assert_near(&[history.rates(100 * SECOND_NS, &http(250))[Series::Http]], &[5.0]);
        assert!(history.recent.len() <= 12);
    }
}
