//! Which requests are sent how often.

use crate::rng::Rng;
use std::{fmt, str::FromStr};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A connection ID.
    Connect,
    /// Peers.
    Announce,
    /// Counts.
    Scrape,
}

/// Shares of connects, announces and scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix([u32; 3]);

/// The largest share.
const MOST: u32 = 1_000_000;

impl Mix {
    /// Below the first a random word stands for a connect, else below the second for an announce, else for a scrape.
    #[must_use]
    pub fn thresholds(self) -> [u32; 2] {
        let [connect, announce, scrape] = self.0.map(u64::from);
        let all = connect + announce + scrape;
        [connect, connect + announce].map(|share| u32::try_from((share << 32) / all).unwrap_or(u32::MAX))
    }

    /// A request, as likely as its share.
    #[must_use]
    pub fn draw(self, rng: &mut Rng) -> Kind {
        let [connect, announce, scrape] = self.0.map(u64::from);
        let place = rng.below(connect + announce + scrape);
        if place < connect {
            Kind::Connect
        } else if place < connect + announce {
            Kind::Announce
        } else {
            Kind::Scrape
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [connect, announce, scrape] = self.0;
        write!(f, "{connect}:{announce}:{scrape}")
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("three shares from 0 to {MOST} with colons, not all 0, as in 50:50:1");
        let shares: Vec<u32> =
            text.split(':').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        match *shares {
            [a, b, c] if a.max(b).max(c) <= MOST && a.max(b).max(c) > 0 => Ok(Self([a, b, c])),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept() {
        let mix: Mix = "50:50:1".parse().unwrap();
        let mut rng = Rng::new(1);
        let mut seen = [0_u32; 3];
        for _ in 0..101_000 {
            seen[mix.draw(&mut rng) as usize] += 1;
        }
        for (count, expected) in seen.into_iter().zip([50_000_u32, 50_000, 1000]) {
            let slack = 5.0 * f64::from(expected).sqrt();
            assert!((f64::from(count) - f64::from(expected)).abs() < slack, "{seen:?}");
        }
        let only: Mix = "0:0:9".parse().unwrap();
        assert!((0..100).all(|_| only.draw(&mut rng) == Kind::Scrape));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "1", "1:2", "1:2:3:4", "0:0:0", "-1:1:1", "a:b:c", "1:2:1000001"] {
            assert!(text.parse::<Mix>().is_err(), "{text}");
        }
    }
}
