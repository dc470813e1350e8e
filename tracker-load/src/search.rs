//! Finding the served rate: the highest offered rate at which few enough requests stay unanswered (RFC 2544's way).

use tracker_common::labelled;

/// How the search goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// Where it begins, requests/s.
    pub from: f64,
    /// It never offers more than this, requests/s.
    pub to: f64,
    /// The share of requests that may stay unanswered, 0..=1.
    pub loss: f64,
    /// It ends when the lowest rate that failed is at most this share above the highest that passed.
    pub precision: f64,
    /// How often a rate is offered at most until it passes. On a shared host, a processor that the host takes away for a
    /// moment loses what no tracker lost, and never the other way round; at least 1.
    pub tries: u32,
}

/// The share of requests that may stay unanswered.
pub const LOSS: f64 = 0.005;
/// Where a search begins, requests/s.
pub const FROM: f64 = 10_000.0;
/// The highest rate that a search offers, requests/s.
pub const TO: f64 = 20_000_000.0;
/// How exact the result is.
pub const PRECISION: f64 = 0.02;
/// A probe counts as sent whole if this share of it was sent; else the generator is what was measured.
pub const SENT: f64 = 0.98;
/// A rate at which more than this share stayed unanswered is not tried again.
pub const HOPELESS: f64 = 0.05;
/// Below this rate there is nothing to find, requests/s.
const LOWEST: f64 = 1.0;

impl Default for Search {
    fn default() -> Self {
        Self { from: FROM, to: TO, loss: LOSS, precision: PRECISION, tries: 1 }
    }
}

/// What a probe at one rate gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// What was offered, requests/s.
    pub rate: f64,
    /// The share of the offered requests that were sent.
    pub sent: f64,
    /// The share of the sent requests that were not answered rightly.
    pub unanswered: f64,
}

labelled! {
    /// How a probe ended.
    pub enum Verdict {
        /// Answered well enough.
        Passed = "passed",
        /// Too many stayed unanswered.
        Lost = "lost",
        /// The generator could not send so much.
        NotSent = "not_sent",
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The served rate, requests/s; 0 if no rate passed.
    pub rate: f64,
    /// What stopped the search from going higher.
    pub limit: Limit,
}

labelled! {
    /// What stopped a search.
    pub enum Limit {
        /// The tracker left too much unanswered.
        Tracker = "tracker",
        /// The generator could not send more: the tracker may serve more.
        Generator = "generator",
        /// The highest rate allowed was served.
        Top = "top",
        /// There was no search: answers came as fast as the connections asked.
        Connections = "connections",
    }
}

impl Search {
    /// What a probe says.
    #[must_use]
    pub fn judge(&self, probe: &Probe) -> Verdict {
        if probe.unanswered > self.loss {
            Verdict::Lost
        } else if probe.sent < SENT {
            Verdict::NotSent
        } else {
            Verdict::Passed
        }
    }

    /// Offers a rate, again if it fails by little.
    fn offer<E>(&self, rate: f64, probe: &mut impl FnMut(f64) -> Result<Probe, E>) -> Result<Verdict, E> {
        let mut tried = 1;
        loop {
            let seen = probe(rate)?;
            let verdict = self.judge(&seen);
            if verdict == Verdict::Passed || tried >= self.tries || seen.unanswered > HOPELESS {
                return Ok(verdict);
            }
            tried += 1;
        }
    }

    /// Searches: doubles (or halves) from the start until one rate passed and one did not, then bisects.
    ///
    /// # Errors
    /// The first one of `probe`, which ends the search.
    pub fn run<E>(&self, mut probe: impl FnMut(f64) -> Result<Probe, E>) -> Result<Found, E> {
        let top = self.to.max(LOWEST);
        let mut rate = self.from.clamp(LOWEST, top);
        let (mut passed, mut failed) = (None::<f64>, None::<(f64, Limit)>);
        loop {
            match self.offer(rate, &mut probe)? {
                Verdict::Passed => passed = Some(rate),
                Verdict::Lost => failed = Some((rate, Limit::Tracker)),
                Verdict::NotSent => failed = Some((rate, Limit::Generator)),
            }
            rate = match (passed, failed) {
                (Some(low), _) if low >= top => return Ok(Found { rate: low, limit: Limit::Top }),
                (Some(low), None) => (low * 2.0).min(top),
                (None, Some((high, limit))) if high <= LOWEST => return Ok(Found { rate: 0.0, limit }),
                (None, Some((high, _))) => (high / 2.0).max(LOWEST),
                (Some(low), Some((high, limit))) if high <= low * (1.0 + self.precision) => {
                    return Ok(Found { rate: low, limit });
                }
                (Some(low), Some((high, _))) => f64::midpoint(low, high),
                (None, None) => return Ok(Found { rate: 0.0, limit: Limit::Tracker }),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// A server that answers up to its capacity and drops the rest, and a generator that sends up to its own.
    fn model(rate: f64, capacity: f64, generator: f64) -> Probe {
        let sent = rate.min(generator);
        Probe { rate, sent: sent / rate, unanswered: (1.0 - capacity / sent).max(0.0) }
    }

    fn search(search: &Search, capacity: f64, generator: f64) -> (Found, u32, f64) {
        let (mut probes, mut highest) = (0, 0.0_f64);
        let found = search
            .run(|rate| {
                probes += 1;
                highest = highest.max(rate);
                Ok::<_, Infallible>(model(rate, capacity, generator))
            })
            .unwrap_or_else(|never| match never {});
        (found, probes, highest)
    }

    #[test]
    fn finds_the_capacity_of_a_modelled_server() {
        for capacity in [3.0, 700.0, 9_999.0, 67_500.0, 134_900.0, 1_266_000.0] {
            let (found, probes, _) = search(&Search::default(), capacity, 1e9);
            // At most 0.5 % may be lost, so the served rate lies between the capacity and 0.503 % above it.
            let (low, high) = (capacity * (1.0 - PRECISION), capacity * 1.00504);
            assert!(found.rate >= low && found.rate <= high, "{capacity}: {found:?}");
            assert_eq!(found.limit, Limit::Tracker);
            assert!(probes <= 30, "{capacity}: {probes} probes");
        }
    }

    #[test]
    fn says_when_the_generator_is_the_limit() {
        let (found, ..) = search(&Search::default(), 1e9, 140_000.0);
        assert_eq!(found.limit, Limit::Generator);
        assert!(found.rate > 130_000.0 && found.rate < 145_000.0, "{found:?}");
    }

    #[test]
    fn never_offers_more_than_it_may() {
        let limits = Search { to: 50_000.0, ..Search::default() };
        let (found, _, highest) = search(&limits, 1e9, 1e9);
        assert_eq!((found.rate, found.limit, highest), (50_000.0, Limit::Top, 50_000.0));
        let (found, probes, _) = search(&Search { from: 99_000.0, ..limits }, 1e9, 1e9);
        assert_eq!((found.rate, probes), (50_000.0, 1));
    }

    #[test]
    fn a_dead_server_serves_nothing() {
        let (found, probes, _) = search(&Search::default(), 0.0, 1e9);
        assert_eq!((found.rate, found.limit), (0.0, Limit::Tracker));
        assert!(probes <= 16, "{probes}");
    }

    #[test]
    fn half_a_per_cent_may_be_lost_and_no_more() {
        let probe = |unanswered| Probe { rate: 1.0, sent: 1.0, unanswered };
        let search = Search::default();
        assert_eq!(search.judge(&probe(0.005)), Verdict::Passed);
        assert_eq!(search.judge(&probe(0.0051)), Verdict::Lost);
        assert_eq!(search.judge(&Probe { sent: 0.9, ..probe(0.0) }), Verdict::NotSent);
        assert_eq!(search.judge(&Probe { sent: 0.9, ..probe(0.1) }), Verdict::Lost);
    }

    #[test]
    fn a_rate_that_failed_by_little_is_tried_again() {
        let outcomes = |tries, lost: &[f64]| {
            let mut calls = 0;
            let search = Search { from: 100.0, to: 100.0, precision: 1e9, tries, ..Search::default() };
            let verdict = search.offer(100.0, &mut |rate| {
                calls += 1;
                Ok::<_, Infallible>(Probe { rate, sent: 1.0, unanswered: lost[calls - 1] })
            });
            (verdict.unwrap_or_else(|never| match never {}), calls)
        };
        assert_eq!(outcomes(1, &[0.01]), (Verdict::Lost, 1));
        assert_eq!(outcomes(3, &[0.01, 0.004]), (Verdict::Passed, 2));
        assert_eq!(outcomes(3, &[0.01, 0.02, 0.03]), (Verdict::Lost, 3));
        assert_eq!(outcomes(3, &[0.2]), (Verdict::Lost, 1), "far beyond what a stall costs");
    }

    #[test]
    fn an_error_ends_the_search() {
        let mut calls = 0;
        let result = Search::default().run(|_| {
            calls += 1;
            Err("gone")
        });
        assert_eq!((result, calls), (Err("gone"), 1));
    }
}
