//! What a probe came to.

use hdrhistogram::Histogram;
use std::fmt;
use tracker_common::labelled;

/// The longest latency that is told apart, nanoseconds: what is longer counts as this.
const LONGEST: u64 = 60_000_000_000;

labelled! {
    /// What can be wrong with a reply, with its name in the table and in JSON.
    pub enum Wrong {
        /// Its length does not fit its content.
        Length = "length",
        /// It answers another action than was asked for.
        Action = "action",
        /// It answers no request in flight: never sent, from another source, or answered before.
        Unasked = "unasked",
        /// The tracker refused the request: an error reply, or a failure reason.
        Refused = "refused",
        /// It cannot be read: HTTP, bencode, JSON or WebSocket framing.
        Malformed = "malformed",
        /// The HTTP status is not 200, or the WebSocket was closed.
        Status = "status",
        /// A field is missing, or says something else than it must.
        Field = "field",
        /// More peers than wanted.
        TooMany = "too_many_peers",
        /// A peer without a port or an address.
        Peer = "impossible_peer",
        /// The same peer twice.
        Repeated = "repeated_peer",
        /// Counts that cannot be: fewer than the peers listed, or absurdly many.
        Counts = "counts",
    }
}

/// What a probe, or one worker of it, came to. Requests of the warm-up are not in it.
#[derive(Clone)]
pub struct Figures {
    /// How long requests were counted, seconds.
    pub seconds: f64,
    /// Requests that the schedule asked for; without one, as many as were sent.
    pub offered: u64,
    /// Requests sent.
    pub sent: u64,
    /// Requests answered rightly in time.
    pub answered: u64,
    /// Requests not answered in time.
    pub unanswered: u64,
    /// Replies that came after their time; their requests are among the unanswered.
    pub late: u64,
    /// Wrong replies, by [`Wrong`]'s number.
    pub wrong: [u64; Wrong::ALL.len()],
    /// Payload bytes sent.
    pub sent_bytes: u64,
    /// Payload bytes received.
    pub received_bytes: u64,
    /// From request to reply, nanoseconds.
    pub latency: Histogram<u64>,
    /// What else an engine counts, by name.
    pub more: Vec<(&'static str, u64)>,
    /// Seconds that the watched processor was busy while requests counted.
    pub cpu_seconds: Option<f64>,
    /// The same figures by windows of time, if they were asked for.
    pub windows: Vec<Window>,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            seconds: 0.0,
            offered: 0,
            sent: 0,
            answered: 0,
            unanswered: 0,
            late: 0,
            wrong: [0; Wrong::ALL.len()],
            sent_bytes: 0,
            received_bytes: 0,
            latency: histogram(),
            more: Vec::new(),
            cpu_seconds: None,
            windows: Vec::new(),
        }
    }
}

impl fmt::Debug for Figures {
    /// Without the histogram's thousands of counters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong: Vec<(&str, u64)> = Wrong::ALL
            .iter()
            .map(|kind| kind.label())
            .zip(self.wrong)
            .filter(|(_, count)| *count > 0)
            .collect();
        f.debug_struct("Figures")
            .field("seconds", &self.seconds)
            .field("offered", &self.offered)
            .field("sent", &self.sent)
            .field("answered", &self.answered)
            .field("unanswered", &self.unanswered)
            .field("late", &self.late)
            .field("wrong", &wrong)
            .field("more", &self.more)
            .finish_non_exhaustive()
    }
}

/// Two digits are kept: 1 % is finer than what repeated runs agree on, and the counters stay in the cache.
#[allow(clippy::expect_used, reason = "the bounds are constants, and valid ones")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 2).expect("valid bounds")
}

impl Figures {
    /// Counts a wrong reply.
    pub const fn count_wrong(&mut self, wrong: Wrong) {
        self.wrong[wrong as usize] += 1;
    }

    /// Counts a right reply that took this long, nanoseconds.
    pub fn count_answer(&mut self, nanoseconds: u64) {
        self.answered += 1;
        self.latency.saturating_record(nanoseconds.max(1));
    }

    /// All wrong replies.
    #[must_use]
    pub fn wrong_in_all(&self) -> u64 {
        self.wrong.iter().sum()
    }

    /// Adds to what an engine counts under a name.
    pub fn add_more(&mut self, name: &'static str, count: u64) {
        match self.more.iter_mut().find(|(other, _)| *other == name) {
            Some((_, sum)) => *sum += count,
            None => self.more.push((name, count)),
        }
    }

    /// Adds what another worker of the same probe came to.
    pub fn add(&mut self, other: &Self) {
        self.seconds = self.seconds.max(other.seconds);
        self.offered += other.offered;
        self.sent += other.sent;
        self.answered += other.answered;
        self.unanswered += other.unanswered;
        self.late += other.late;
        for (sum, count) in self.wrong.iter_mut().zip(other.wrong) {
            *sum += count;
        }
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        // Both have the same bounds, so nothing is left out.
        let _ = self.latency.add(&other.latency);
        for &(name, count) in &other.more {
            self.add_more(name, count);
        }
        self.cpu_seconds = self.cpu_seconds.or(other.cpu_seconds);
        // One that was stopped earlier may have fewer windows.
        let common = self.windows.len().min(other.windows.len());
        self.windows.iter_mut().zip(&other.windows).for_each(|(window, other)| window.add(other));
        self.windows.extend_from_slice(&other.windows[common..]);
    }

    /// The share of sent requests that were not answered rightly in time, 0..=1.
    #[must_use]
    pub fn unanswered_share(&self) -> f64 {
        share(self.sent.saturating_sub(self.answered), self.sent)
    }

    /// The share of offered requests that were sent, 0..=1.
    #[must_use]
    pub fn sent_share(&self) -> f64 {
        if self.offered == 0 { 1.0 } else { share(self.sent, self.offered).min(1.0) }
    }

    /// Right answers a second.
    #[must_use]
    pub fn answered_rate(&self) -> f64 {
        per_second(self.answered, self.seconds)
    }

    /// Seconds that the watched processor was busy for each million of right answers.
    #[must_use]
    pub fn cpu_seconds_per_million(&self) -> Option<f64> {
        self.cpu_seconds.filter(|_| self.answered > 0).map(|seconds| seconds * 1e6 / self.answered as f64)
    }
}

/// What happened in a window of time. A request may be sent in one and answered in a later one.
#[derive(Clone)]
pub struct Window {
    /// When it began, seconds since requests count.
    pub seconds: f64,
    /// Requests sent.
    pub sent: u64,
    /// Right answers that came.
    pub answered: u64,
    /// Requests given up.
    pub unanswered: u64,
    /// Wrong replies that came.
    pub wrong: u64,
    /// The latencies of the answers, nanoseconds.
    pub latency: Histogram<u64>,
}

impl fmt::Debug for Window {
    /// Without the histogram's thousands of counters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("seconds", &self.seconds)
            .field("sent", &self.sent)
            .field("answered", &self.answered)
            .field("unanswered", &self.unanswered)
            .field("wrong", &self.wrong)
            .finish_non_exhaustive()
    }
}

impl Window {
    /// What came between two states of the same counters.
    pub(crate) fn between(seconds: f64, before: &Figures, after: &Figures) -> Self {
        let mut latency = after.latency.clone();
        // Both have the same bounds, and a counter never falls: nothing can be refused.
        let _ = latency.subtract(&before.latency);
        Self {
            seconds,
            sent: after.sent.saturating_sub(before.sent),
            answered: after.answered.saturating_sub(before.answered),
            // The kernel engine counts what is on its way among these, so that they may become fewer.
            unanswered: after.unanswered.saturating_sub(before.unanswered),
            wrong: after.wrong_in_all().saturating_sub(before.wrong_in_all()),
            latency,
        }
    }

    /// Adds what another worker did in the same window.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.unanswered += other.unanswered;
        self.wrong += other.wrong;
        // Both have the same bounds, so nothing is left out.
        let _ = self.latency.add(&other.latency);
    }
}

/// A count as a rate; 0 if no time went by.
#[must_use]
pub fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up() {
        let mut one = Figures { seconds: 2.0, offered: 10, sent: 8, unanswered: 1, ..Figures::default() };
        one.count_answer(1000);
        one.count_wrong(Wrong::Repeated);
        one.add_more("offers", 3);
        let mut all = one.clone();
        all.add(&one);
        assert_eq!((all.offered, all.sent, all.answered, all.unanswered), (20, 16, 2, 2));
        assert_eq!((all.wrong_in_all(), all.latency.len(), all.more.clone()), (2, 2, vec![("offers", 6)]));
        assert!((all.seconds - 2.0).abs() < 1e-9);
        assert!((all.sent_share() - 0.8).abs() < 1e-9);
        assert!((all.unanswered_share() - 14.0 / 16.0).abs() < 1e-9);
        assert!((all.answered_rate() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn windows_add_up_by_their_place() {
        let window = |seconds, sent| Window {
            seconds,
            sent,
            answered: 1,
            unanswered: 2,
            wrong: 3,
            latency: histogram(),
        };
        let mut all = Figures { windows: vec![window(0.0, 4)], ..Figures::default() };
        let other = Figures {
            windows: vec![window(0.0, 5), window(1.0, 6)],
            cpu_seconds: Some(0.5),
            answered: 250_000,
            ..Figures::default()
        };
        all.add(&other);
        let sent: Vec<_> = all.windows.iter().map(|window| (window.sent, window.wrong)).collect();
        assert_eq!(sent, [(9, 6), (6, 3)]);
        assert_eq!((all.cpu_seconds, all.cpu_seconds_per_million()), (Some(0.5), Some(2.0)));
        all.add(&Figures::default());
        assert_eq!(all.cpu_seconds, Some(0.5));
        assert_eq!(Figures { answered: 0, ..all }.cpu_seconds_per_million(), None);
    }

    #[test]
    fn nothing_sent_is_no_loss() {
        let none = Figures::default();
        assert_eq!((none.unanswered_share(), none.sent_share(), none.answered_rate()), (0.0, 1.0, 0.0));
    }

    #[test]
    fn a_latency_beyond_all_bounds_counts_as_the_longest() {
        let mut figures = Figures::default();
        figures.count_answer(u64::MAX);
        figures.count_answer(0);
        assert_eq!(figures.latency.len(), 2);
    }
}
