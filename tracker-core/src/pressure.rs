//! From load to measures: how much longer intervals and how much shorter lists are, the harder the tracker is pressed.
//!
//! One function, [`Pressure::next`], of plain numbers and of what it said before: it reads no clock and no counter. Whoever
//! looks after the tracker calls it about once a second, and each announce reads what came of it as [`Measures`].

use crate::model::Seconds;

/// What is in use of what there is, as shares: 1 is all of it, and more is possible where nothing bounds it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Peers stored, of those that may be.
    pub peers: f64,
    /// The time in which workers were busy.
    pub busy: f64,
    /// Announces a second, of those that count as full load.
    pub announces: f64,
    /// Bytes sent by UDP a second, of the ceiling.
    pub egress: f64,
}

/// A share up to which nothing happens; from there to 1 intervals grow from the shortest to the longest.
const ONSET: f64 = 0.6;
/// A share up to which there is no pressure at all; from there to [`ONSET`] swarms that just began lose what they are
/// told less.
const CALM: f64 = 0.3;
/// Over about so many seconds rates are averaged, none of which counts for more than this: one busy second is no load.
const SETTLING: f64 = 5.0;
const BUSIEST: f64 = 2.0;
/// Lists are held as they are while the ceiling is used from the first share to the second.
const HELD: [f64; 2] = [0.85, 0.95];
/// How fast lists get shorter for each share above, a second, and at most; and longer for each share below. They go from
/// the longest to the shortest from 0 to 1, in equal ratios.
const TIGHTENING: f64 = 0.2;
const MOST_TIGHTENING: f64 = 0.25;
const LOOSENING: f64 = 0.02;
/// No list is made shorter than this.
pub const SHORTEST_LIST: u32 = 10;

/// How hard the tracker is pressed, and for how long it has been.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// The greater of the rates' shares, averaged.
    rate: f64,
    /// Of peers.
    peers: f64,
    /// Up to 1 how much of their length lists have lost; beyond it, up to 2, how far intervals grow for the ceiling.
    squeeze: f64,
    /// How far intervals are from the shortest to the longest.
    stretch: f64,
}

impl Pressure {
    /// What it is after so many further seconds with this load. `longest` is the longest interval that clients may be told:
    /// within as long intervals get short again, since those who were told it come back by then. They grow as fast as the
    /// load does.
    #[must_use]
    pub fn next(self, load: &Load, elapsed: f64, longest: Seconds) -> Self {
        let elapsed = elapsed.max(0.0);
        let busiest = [load.busy, load.announces].into_iter().fold(0.0, f64::max).min(BUSIEST);
        let rate = self.rate + (busiest - self.rate) * elapsed / (elapsed + SETTLING);
        let [least, most] = HELD;
        let pull = match load.egress {
            egress if egress > most => ((egress - most) * TIGHTENING).min(MOST_TIGHTENING),
            egress if egress < least => (egress - least) * LOOSENING,
            _ => 0.0,
        };
        let squeeze = (self.squeeze + pull * elapsed).clamp(0.0, 2.0);
        let wanted = beyond_onset(load.peers).max(beyond_onset(rate)).max(squeeze - 1.0);
        let fallen = self.stretch - elapsed / f64::from(longest.max(1));
        Self { rate, peers: load.peers, squeeze, stretch: wanted.max(fallen).clamp(0.0, 1.0) }
    }

    /// What it calls for, where a list may have up to `max_num_want` peers.
    #[must_use]
    pub fn measures(&self, max_num_want: usize) -> Measures {
        let greatest = self.peers.max(self.rate);
        let calm = match self.is_none() {
            true => ((ONSET - greatest) / (ONSET - CALM)).clamp(0.0, 1.0),
            false => 0.0,
        };
        Measures {
            stretch: thousandths(self.stretch),
            haste: thousandths(calm),
            peers: list(self.squeeze, max_num_want),
        }
    }

    /// Whether nothing is other than the operator said.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.stretch <= 0.0 && self.squeeze <= 0.0
    }

    /// How far intervals are from the shortest to the longest, from 0 to 1.
    #[must_use]
    pub const fn stretch(&self) -> f64 {
        self.stretch
    }

    /// How much of their length lists have lost, from 0 to 1.
    #[must_use]
    pub const fn squeeze(&self) -> f64 {
        self.squeeze.min(1.0)
    }
}

/// From 0 at the onset to 1 at all.
fn beyond_onset(share: f64) -> f64 {
    ((share - ONSET) / (1.0 - ONSET)).clamp(0.0, 1.0)
}

/// The most peers in a list that has lost so much of its length.
fn list(squeeze: f64, longest: usize) -> u32 {
    let longest = u32::try_from(longest).unwrap_or(u32::MAX);
    if squeeze <= 0.0 || longest <= SHORTEST_LIST {
        return u32::MAX;
    }
    let (shortest, longest) = (f64::from(SHORTEST_LIST), f64::from(longest));
    whole(longest * (shortest / longest).powf(squeeze.min(1.0)))
}

fn thousandths(share: f64) -> u16 {
    // A share from 0 to 1.
    u16::try_from(whole(share * 1000.0)).unwrap_or(u16::MAX)
}

#[expect(clippy::cast_sign_loss, reason = "nothing here is negative, and a cast of a double saturates")]
fn whole(number: f64) -> u32 {
    number.round() as u32
}

/// What pressure makes of the operator's wishes: a word that each announce reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measures {
    /// How far intervals are from the shortest to the longest, in thousandths.
    pub stretch: u16,
    /// How much of what they may be told less swarms are told that just began, in thousandths.
    pub haste: u16,
    /// The most peers in a reply by UDP.
    pub peers: u32,
}

impl Measures {
    /// Everything as the operator said; whether there is pressure is not known, so nobody is told to hurry either.
    pub const NONE: Self = Self { stretch: 0, haste: 0, peers: u32::MAX };

    /// The interval between the shortest and the longest.
    #[inline]
    #[must_use]
    pub fn interval(self, shortest: Seconds, longest: Seconds) -> Seconds {
        let growth = u64::from(longest.saturating_sub(shortest)) * u64::from(self.stretch) / 1000;
        shortest.saturating_add(u32::try_from(growth).unwrap_or(u32::MAX))
    }

    /// As one word.
    #[must_use]
    pub const fn to_word(self) -> u64 {
        (self.stretch as u64) << 48 | (self.haste as u64) << 32 | self.peers as u64
    }

    /// From [`Measures::to_word`].
    #[inline]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self { stretch: (word >> 48) as u16, haste: (word >> 32) as u16, peers: word as u32 }
    }
}

#[cfg(test)]
mod tests;
