//! What is known of the tracker, and what whoever looks wants to see of it.

use super::{history::History, rates::Rates, reading::Reading};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How often the tracker may be read, from the shortest to the longest that a key leads to.
pub(super) const PACES: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// Over so many readings the rates of client software are taken: announces are looked at by samples, few a minute.
const STEADY: usize = 60;

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
    /// Over the last readings: for what is counted by samples.
    pub(super) steady: Rates,
    pub(super) at: Instant,
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct App {
    /// Host and port of what is read.
    pub(super) address: String,
    pub(super) every: Duration,
    pub(super) latest: Option<Latest>,
    /// Readings before that, the oldest first, as far as counters went on since.
    before: VecDeque<(Reading, Instant)>,
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
            before: VecDeque::new(),
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
                self.trouble = None;
                let Some(latest) = self.latest.take() else {
                    let (rates, steady) = Default::default();
                    self.latest = Some(Latest { reading, rates, steady, at: now });
                    return;
                };
                let since = |then| now.saturating_duration_since(then);
                let rates = Rates::between(&latest.reading, &reading, since(latest.at));
                if rates.is_empty() {
                    // Whatever was counted before is of no use for what is counted from here on.
                    self.before.clear();
                } else {
                    if self.before.len() == STEADY {
                        self.before.pop_front();
                    }
                    self.before.push_back((latest.reading, latest.at));
                }
                let oldest = self.before.front();
                let steady = oldest.map(|(oldest, at)| Rates::between(oldest, &reading, since(*at)));
                let steady = steady.unwrap_or_default();
                self.latest = Some(Latest { reading, rates: rates.clone(), steady, at: now });
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
        self.history.push(&rates, now);
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
                self.every = PACES.into_iter().find(|pace| *pace > self.every).unwrap_or(self.every);
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
        assert!(app.history.points(Figure::All, 9).is_empty(), "one reading is no rate");
        app.take(Ok(reading(30.0)), at(3));
        app.take(Err("gone".to_owned()), at(4));
        assert!(!app.is_current());
        assert_eq!(
            app.latest.as_ref().map(|latest| latest.at),
            Some(at(3)),
            "what was read last is still there"
        );
        app.take(Ok(reading(60.0)), at(6));
        assert_eq!(app.history.points(Figure::All, 9), [Some(10.0), None, Some(10.0)]);
        assert_eq!(app.trouble, None);
    }

    #[test]
    fn steady_rates_are_those_of_many_readings_since_a_restart() {
        let (mut app, begin) = (app(), Instant::now());
        let xsk = Count::Path("xsk".to_owned());
        let mut take = |second: u32, started, requests| {
            let reading = Reading { started: Some(started), ..reading(requests) };
            app.take(Ok(reading), begin + Duration::from_secs(second.into()));
            app.latest.as_ref().and_then(|latest| latest.steady.of(&xsk))
        };
        assert_eq!(take(0, 1.0, 0.0), None);
        assert_eq!(take(1, 1.0, 60.0), Some(60.0));
        assert_eq!(take(2, 1.0, 60.0), Some(30.0));
        assert_eq!(take(3, 2.0, 7.0), None, "another process counts anew");
        assert_eq!(take(4, 2.0, 9.0), Some(2.0));
        for second in 5..200 {
            take(second, 2.0, 9.0);
        }
        assert_eq!(take(200, 2.0, 69.0), Some(1.0), "over a minute");
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
        for paused in [true, false] {
            assert!(app.obey(Wish::Pause));
            assert_eq!(app.paused, paused);
        }
        for (wish, help) in [(Wish::Help, true), (Wish::Back, false), (Wish::Help, true), (Wish::Help, false)]
        {
            assert!(app.obey(wish));
            assert_eq!(app.help, help);
        }
        assert!(!app.obey(Wish::Back) && !app.obey(Wish::Quit));
    }
}
