//! What is known of the tracker, and what whoever looks wants to see of it.

use super::{history::History, rates::Rates, reading::Reading};
use std::time::{Duration, Instant};

/// How often the tracker may be read, from the shortest to the longest that a key leads to.
pub(super) const PACES: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// By what tables are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// What happens most now.
    #[default]
    Rate,
    /// What has happened most.
    Total,
    /// The alphabet.
    Name,
}

impl Order {
    const fn next(self) -> Self {
        match self {
            Self::Rate => Self::Total,
            Self::Total => Self::Name,
            Self::Name => Self::Rate,
        }
    }

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Total => "total",
            Self::Name => "name",
        }
    }
}

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Quit,
    Pause,
    Sort,
    Slower,
    Faster,
    Help,
    /// Ends what is in the way: help, else all.
    Back,
}

/// A good reading.
#[derive(Clone, Debug)]
pub(super) struct Latest {
    pub(super) reading: Reading,
    pub(super) rates: Rates,
    pub(super) at: Instant,
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct App {
    /// Host and port of what is read.
    pub(super) address: String,
    pub(super) every: Duration,
    pub(super) latest: Option<Latest>,
    pub(super) history: History,
    /// Why the last attempt came to nothing, if it did.
    pub(super) trouble: Option<String>,
    pub(super) paused: bool,
    pub(super) order: Order,
    pub(super) help: bool,
}

impl App {
    pub(super) fn new(address: String, every: Duration) -> Self {
        Self {
            address,
            every,
            latest: None,
            history: History::default(),
            trouble: None,
            paused: false,
            order: Order::default(),
            help: false,
        }
    }

    /// An attempt to read has ended, just now.
    pub(super) fn take(&mut self, outcome: Result<Reading, String>, now: Instant) {
        let rates = match outcome {
            Ok(reading) => {
                let rates = self.latest.as_ref().map(|latest| {
                    Rates::between(&latest.reading, &reading, now.saturating_duration_since(latest.at))
                });
                let is_first = rates.is_none();
                let rates = rates.unwrap_or_default();
                self.latest = Some(Latest { reading, rates: rates.clone(), at: now });
                self.trouble = None;
                if is_first {
                    return;
                }
                rates
            }
            Err(error) => {
                self.trouble = Some(error);
                if self.latest.is_none() {
                    return;
                }
                Rates::default()
            }
        };
        self.history.push(&rates);
    }

    /// Whether what was read is that of now, as far as anybody knows.
    pub(super) const fn is_current(&self) -> bool {
        self.latest.is_some() && self.trouble.is_none()
    }

    /// Does what a key means. `false` if that is the end.
    #[must_use]
    pub(super) fn obey(&mut self, wish: Wish) -> bool {
        match wish {
            Wish::Quit => return false,
            Wish::Back if !self.help => return false,
            Wish::Back => self.help = false,
            Wish::Help => self.help = !self.help,
            Wish::Pause => self.paused = !self.paused,
            Wish::Sort => self.order = self.order.next(),
            Wish::Slower => {
                self.every = PACES.into_iter().find(|pace| *pace > self.every).unwrap_or(self.every)
            }
            Wish::Faster => {
                self.every = PACES.into_iter().rev().find(|pace| *pace < self.every).unwrap_or(self.every);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::{history::Figure, reading::Count};

    fn reading(requests: f64) -> Reading {
        let counts = [(Count::Path("xsk".to_owned()), requests)];
        Reading { counts: counts.into_iter().collect(), ..Reading::default() }
    }

    fn app() -> App {
        App::new("tracker:1".to_owned(), PACES[0])
    }

    #[test]
    fn rates_come_with_the_second_reading_and_go_over_a_gap() {
        let (mut app, begin) = (app(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        app.take(Err("nobody there".to_owned()), at(0));
        assert!(!app.is_current() && app.latest.is_none());
        app.take(Ok(reading(10.0)), at(1));
        assert!(app.is_current());
        assert_eq!(app.history.last(Figure::All, 9).count(), 0, "one reading is no rate");
        app.take(Ok(reading(30.0)), at(3));
        app.take(Err("gone".to_owned()), at(4));
        assert!(!app.is_current());
        assert_eq!(
            app.latest.as_ref().map(|latest| latest.at),
            Some(at(3)),
            "what was read last is still there"
        );
        app.take(Ok(reading(60.0)), at(6));
        let rates: Vec<_> = app.history.last(Figure::All, 9).collect();
        assert_eq!(rates, [Some(10.0), None, Some(10.0)]);
        assert_eq!(app.trouble, None);
    }

    #[test]
    fn keys_change_what_is_seen() {
        let mut app = app();
        for (wish, every) in
            [(Wish::Slower, 2), (Wish::Slower, 5), (Wish::Faster, 2), (Wish::Faster, 1), (Wish::Faster, 1)]
        {
            assert!(app.obey(wish));
            assert_eq!(app.every, Duration::from_secs(every));
        }
        app.every = Duration::from_secs(7);
        assert!(app.obey(Wish::Slower) && app.every == Duration::from_secs(10));
        app.every = Duration::from_secs(60);
        assert!(app.obey(Wish::Slower) && app.every == Duration::from_secs(60));
        for order in [Order::Total, Order::Name, Order::Rate] {
            assert!(app.obey(Wish::Sort));
            assert_eq!(app.order, order);
        }
        assert!(app.obey(Wish::Pause) && app.paused && app.obey(Wish::Pause) && !app.paused);
        assert!(app.obey(Wish::Help) && app.help && app.obey(Wish::Back) && !app.help);
        assert!(!app.obey(Wish::Back) && !app.obey(Wish::Quit));
    }
}
