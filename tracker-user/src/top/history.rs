//! Rates of the last minutes.

use super::{rates::Rates, reading::Count};
use std::collections::VecDeque;

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
pub(super) struct History(VecDeque<[Option<f64>; Figure::ALL.len()]>);

impl History {
    /// A moment is over, in which so much happened; nothing is known of one in which the tracker was not reached.
    pub(super) fn push(&mut self, rates: &Rates) {
        if self.0.len() == MOMENTS {
            self.0.pop_front();
        }
        self.0.push_back(Figure::ALL.map(|figure| figure.rate(rates)));
    }

    /// What is known of the last moments of one figure, so many at most, the latest last.
    pub(super) fn last(&self, figure: Figure, most: usize) -> impl Iterator<Item = Option<f64>> + Clone {
        let place = Figure::ALL.iter().position(|other| *other == figure);
        let skipped = self.0.len().saturating_sub(most);
        self.0.iter().skip(skipped).map(move |moment| moment[place?])
    }

    /// Of the last one.
    pub(super) fn latest(&self, figure: Figure) -> Option<f64> {
        self.last(figure, 1).next().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::reading::Reading;
    use std::time::Duration;

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
        let mut history = History::default();
        assert_eq!(history.latest(Figure::All), None);
        history.push(&rates(3.0));
        history.push(&Rates::default());
        history.push(&rates(5.0));
        let last = |figure, most| history.last(figure, most).collect::<Vec<_>>();
        assert_eq!(last(Figure::Path("xsk"), 9), [Some(3.0), None, Some(5.0)]);
        assert_eq!(last(Figure::All, 2), [None, Some(10.0)]);
        assert_eq!(last(Figure::Path("http"), 1), [None]);
        assert_eq!((history.latest(Figure::Sent), history.latest(Figure::Dropped)), (Some(10.0), None));
    }

    #[test]
    fn it_is_bounded() {
        let mut history = History::default();
        for n in 0..2 * MOMENTS {
            history.push(&rates(n as f64));
        }
        assert_eq!(history.last(Figure::Path("xsk"), usize::MAX).count(), MOMENTS);
        assert_eq!(history.latest(Figure::Path("xsk")), Some((2 * MOMENTS - 1) as f64));
    }
}
