//! From two readings to what happened between them, a second.

use super::reading::{Count, Reading};
use std::{collections::BTreeMap, time::Duration};

/// How much counters have grown a second. What is not known is not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates(BTreeMap<Count, f64>);

impl Rates {
    /// From one reading to a later one.
    ///
    /// A counter that has gone back, since an interface with its counters is gone, or that is new, has no rate for once. After
    /// a restart, where some go back and others may have caught up, none has; a process that took over goes on with
    /// the counters of the one before, and so do rates.
    pub(super) fn between(before: &Reading, now: &Reading, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64();
        // What a thread has done goes with its process.
        let outlives = |count: &Count| !matches!(count, Count::Busy(_));
        let is_back = |count: &Count| before.counts.get(count) > now.counts.get(count);
        let is_other = before.started != now.started;
        if seconds <= 0.0 || (is_other && now.counts.keys().any(|count| outlives(count) && is_back(count))) {
            return Self::default();
        }
        let rate = |(count, value): (&Count, &f64)| {
            // Software that nobody had yet has no series.
            let none = matches!(count, Count::Client(_)).then_some(0.0);
            let grown = value - before.counts.get(count).copied().or(none)?;
            let known = grown >= 0.0 && grown.is_finite() && (outlives(count) || !is_other);
            known.then(|| (count.clone(), grown / seconds))
        };
        Self(now.counts.iter().filter_map(rate).collect())
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of one.
    pub(super) fn of(&self, count: &Count) -> Option<f64> {
        self.0.get(count).copied()
    }

    /// Of some, together; `None` if none of them is known.
    pub(super) fn sum(&self, which: impl Fn(&Count) -> bool) -> Option<f64> {
        let mut some = self.0.iter().filter(|(count, _)| which(count)).map(|(_, rate)| *rate).peekable();
        some.peek()?;
        Some(some.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::reading::Worker;

    fn path(name: &str) -> Count {
        Count::Path(name.to_owned())
    }

    fn busy() -> Count {
        Count::Busy(Worker { serves: "udp".to_owned(), number: 0 })
    }

    fn reading<const N: usize>(started: f64, counts: [(Count, f64); N]) -> Reading {
        Reading { started: Some(started), counts: counts.into_iter().collect(), ..Reading::default() }
    }

    const TWO_SECONDS: Duration = Duration::from_secs(2);

    #[test]
    fn rates_are_differences_by_time() {
        let before = reading(1.0, [(path("xsk"), 100.0), (path("http"), 5.0), (Count::Sent, 0.0)]);
        let now = reading(1.0, [(path("xsk"), 150.0), (path("http"), 5.0), (Count::Sent, 3.0)]);
        let rates = Rates::between(&before, &now, TWO_SECONDS);
        assert_eq!((rates.of(&path("xsk")), rates.of(&path("http"))), (Some(25.0), Some(0.0)));
        assert_eq!(rates.of(&path("ws")), None);
        assert_eq!(rates.sum(|count| matches!(count, Count::Path(_))), Some(25.0));
        assert_eq!(rates.sum(|count| matches!(count, Count::Client(_))), None);
        assert_eq!(Rates::between(&before, &now, Duration::ZERO), Rates::default());
    }

    #[test]
    fn one_that_went_back_or_is_new_has_none_for_once() {
        let before = reading(1.0, [(path("kernel"), 100.0), (path("xsk"), 10.0)]);
        let now = reading(1.0, [(path("kernel"), 40.0), (path("xsk"), 20.0), (path("new"), 7.0)]);
        let rates = Rates::between(&before, &now, TWO_SECONDS);
        assert_eq!((rates.of(&path("kernel")), rates.of(&path("new"))), (None, None));
        assert_eq!(rates.of(&path("xsk")), Some(5.0));
        let aria2 = Count::Client("aria2".to_owned());
        let now = reading(1.0, [(aria2.clone(), 61.0)]);
        assert_eq!(Rates::between(&before, &now, TWO_SECONDS).of(&aria2), Some(30.5), "it had none");
    }

    #[test]
    fn a_restart_has_no_rates() {
        let before = reading(1.0, [(path("xsk"), 100.0), (path("http"), 2.0)]);
        // HTTP has caught up already.
        let now = reading(9.0, [(path("xsk"), 3.0), (path("http"), 50.0)]);
        assert_eq!(Rates::between(&before, &now, TWO_SECONDS), Rates::default());
    }

    #[test]
    fn a_take_over_goes_on_but_for_threads() {
        let before = reading(1.0, [(path("xsk"), 100.0), (busy(), 50.0)]);
        let now = reading(9.0, [(path("xsk"), 104.0), (busy(), 0.5)]);
        let rates = Rates::between(&before, &now, TWO_SECONDS);
        assert_eq!((rates.of(&path("xsk")), rates.of(&busy())), (Some(2.0), None));
        // Even if the new one has been busier already.
        let now = reading(9.0, [(path("xsk"), 104.0), (busy(), 60.0)]);
        assert_eq!(Rates::between(&before, &now, TWO_SECONDS).of(&busy()), None);
    }
}
