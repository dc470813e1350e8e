//! Rates of the last minutes.

use super::{rates::Rates, reading::Count};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// So many moments are kept: five minutes, a second each.
pub(super) const MOMENTS: usize = 300;

/// What is followed over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    /// Requests.
    All,
    /// Requests by the way that they came.
    Path(&'static str),
    /// By what they ask for.
    Action(&'static str),
    /// What got lost.
    Dropped,
    /// Bytes that came by UDP.
    Received,
    /// Bytes that left by UDP.
    Sent,
}

impl Figure {
    /// All of them, in the order in which they are shown.
    pub(super) const ALL: [Self; 13] = [
        Self::All,
        Self::Path("kernel"),
        Self::Path("xsk"),
        Self::Path("socket"),
        Self::Path("http"),
        Self::Path("ws"),
        Self::Action("connect"),
        Self::Action("announce"),
        Self::Action("scrape"),
        Self::Action("offer"),
        Self::Dropped,
        Self::Received,
        Self::Sent,
    ];

    fn rate(self, rates: &Rates) -> Option<f64> {
        match self {
            Self::All => rates.sum(|count| matches!(count, Count::Path(_))),
            Self::Path(name) => rates.of(&Count::Path(name.to_owned())),
            Self::Action(name) => rates.of(&Count::Action(name.to_owned())),
            Self::Dropped => rates.sum(|count| matches!(count, Count::Dropped(_))),
            Self::Received => rates.of(&Count::Received),
            Self::Sent => rates.of(&Count::Sent),
        }
    }
}

/// The last moments, the latest last.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    moments: VecDeque<Moment>,
    /// How many there have been in all.
    count: usize,
}

#[derive(Clone, Debug)]
struct Moment {
    at: Instant,
    rates: [Option<f64>; Figure::ALL.len()],
}

impl History {
    /// A moment is over, in which so much happened; nothing is known of one in which the tracker was not reached.
    pub(super) fn push(&mut self, rates: &Rates, at: Instant) {
        if self.moments.len() == MOMENTS {
            self.moments.pop_front();
        }
        self.moments.push_back(Moment { at, rates: Figure::ALL.map(|figure| figure.rate(rates)) });
        self.count += 1;
    }

    /// Of the last one.
    pub(super) fn latest(&self, figure: Figure) -> Option<f64> {
        self.moments.back().and_then(|moment| moment.rates[place(figure)])
    }

    /// All that is known of one figure in so many points at most, the latest last. Where there are more moments, as many make a
    /// point as are needed: it is their mean, as far as they are known.
    pub(super) fn points(&self, figure: Figure, most: usize) -> Vec<Option<f64>> {
        if most == 0 {
            return Vec::new();
        }
        // With one more, since the first and the last point may have fewer moments.
        let of_each = match self.moments.len() {
            few if few <= most => 1,
            many => many.div_ceil(most.max(2) - 1),
        };
        // A moment stays with those that it is with, or points would change as others come.
        let first = self.count - self.moments.len();
        let mut points: Vec<(usize, f64, f64)> = Vec::new();
        for (number, moment) in (first..).zip(&self.moments) {
            let (known, rate) = moment.rates[place(figure)].map_or((0.0, 0.0), |rate| (1.0, rate));
            match points.last_mut() {
                Some((point, moments, sum)) if *point == number / of_each => {
                    *moments += known;
                    *sum += rate;
                }
                _ => points.push((number / of_each, known, rate)),
            }
        }
        let last = points.len().saturating_sub(most);
        points[last..].iter().map(|(_, moments, sum)| (*moments > 0.0).then(|| sum / moments)).collect()
    }

    /// From its first moment to its last one; `None` if there is none.
    pub(super) fn length(&self) -> Option<Duration> {
        let (first, last) = (self.moments.front()?, self.moments.back()?);
        Some(last.at.saturating_duration_since(first.at))
    }
}

fn place(figure: Figure) -> usize {
    // Each is there.
    Figure::ALL.iter().position(|other| *other == figure).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::reading::Reading;

    const XSK: Figure = Figure::Path("xsk");

    fn rates(grown: f64) -> Rates {
        let counts = |value: f64| {
            let of = |count, value| (count, value);
            let path = |name: &str| Count::Path(name.to_owned());
            let counts = [of(path("xsk"), value), of(path("new way"), value), of(Count::Sent, 2.0 * value)];
            Reading { counts: counts.into_iter().collect(), ..Reading::default() }
        };
        Rates::between(&counts(0.0), &counts(grown), Duration::from_secs(1))
    }

    #[test]
    fn figures_are_followed() {
        let (mut history, begin) = (History::default(), Instant::now());
        assert_eq!((history.latest(Figure::All), history.length()), (None, None));
        for (second, rates) in [(0, rates(3.0)), (1, Rates::default()), (3, rates(5.0))] {
            history.push(&rates, begin + Duration::from_secs(second));
        }
        assert_eq!(history.points(XSK, 9), [Some(3.0), None, Some(5.0)]);
        assert_eq!(history.points(Figure::All, 3), [Some(6.0), None, Some(10.0)]);
        assert_eq!(history.points(Figure::Path("http"), 9), [None; 3]);
        assert_eq!((history.latest(Figure::Sent), history.latest(Figure::Dropped)), (Some(10.0), None));
        assert_eq!(history.length(), Some(Duration::from_secs(3)));
        assert!(history.points(XSK, 0).is_empty());
    }

    #[test]
    fn many_moments_make_a_point_that_stays_as_it_is() {
        let (mut history, now) = (History::default(), Instant::now());
        for grown in [1.0, 3.0, 5.0, 7.0] {
            history.push(&rates(grown), now);
        }
        // Two each.
        assert_eq!(history.points(XSK, 3), [Some(2.0), Some(6.0)]);
        history.push(&Rates::default(), now);
        // Three each: what is not known is no zero.
        assert_eq!(history.points(XSK, 3), [Some(3.0), Some(7.0)]);
        for _ in 0..MOMENTS {
            history.push(&rates(1.0), now);
        }
        history.push(&rates(9.0), now);
        let before = history.points(XSK, 11);
        history.push(&rates(9.0), now);
        let after = history.points(XSK, 11);
        assert_eq!(before[1..9], after[1..9]);
        assert!(after.len() <= 11 && after.last() > Some(&Some(1.0)));
    }

    #[test]
    fn it_is_bounded() {
        let (mut history, now) = (History::default(), Instant::now());
        for n in 0..2 * MOMENTS {
            history.push(&rates(n as f64), now);
        }
        assert_eq!(history.points(XSK, usize::MAX).len(), MOMENTS);
        assert_eq!(history.latest(XSK), Some((2 * MOMENTS - 1) as f64));
        for most in 1..=MOMENTS + 1 {
            let points = history.points(XSK, most);
            assert!((1..=most).contains(&points.len()), "{most}: {}", points.len());
        }
    }
}
