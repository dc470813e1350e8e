//! The interval that one reply tells: what pressure makes of it, what the swarm does, and chance.

use crate::{
    model::{Counts, Seconds},
    pressure::Measures,
    rng::Rng,
};

/// A swarm with fewer peers than this, besides the announcer, may have just begun.
const SMALL: u32 = 10;

/// How long clients are asked to wait, as the operator says it for a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Without pressure.
    pub shortest: Seconds,
    /// Under the greatest. Less than the shortest counts as that.
    pub longest: Seconds,
    /// How soon a client may announce again at the shortest; it grows in proportion.
    pub least: Seconds,
    /// By how many thousandths a reply's interval differs from another's, up or down.
    pub jitter: u32,
}

/// The interval of a reply, before the swarm is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// What most are told, on average.
    given: Seconds,
    /// How much less the first of a swarm that just began is told.
    cut: Seconds,
    span: Span,
}

impl Interval {
    /// What these measures make of it.
    #[inline]
    #[must_use]
    pub fn new(span: Span, measures: Measures) -> Self {
        let given = measures.interval(span.shortest, span.longest);
        let half = u64::from(given / 2) * u64::from(measures.haste.min(1000)) / 1000;
        let cut = u32::try_from(half).unwrap_or(u32::MAX).min(given.saturating_sub(span.least));
        Self { given, cut, span }
    }

    /// What is told of a swarm with these counts, the announcer among them; at least a second.
    #[inline]
    #[must_use]
    pub fn told(&self, counts: &Counts, rng: &mut Rng) -> Seconds {
        let middle = self.given - part(self.cut, youth(counts), SMALL);
        let sway = part(middle, self.span.jitter.min(1000), 1000);
        let chance = match sway {
            0 => 0,
            sway => u32::try_from(rng.below(2 * sway as usize + 1)).unwrap_or(0),
        };
        (middle - sway).saturating_add(chance).max(1)
    }

    /// How soon a client may announce again that is told this interval: never later than that.
    #[must_use]
    pub fn least(&self, told: Seconds) -> Seconds {
        part(self.span.least, self.given, self.span.shortest.max(1)).min(told)
    }

    /// The longest that anybody is told.
    #[must_use]
    pub fn longest(&self) -> Seconds {
        self.given.saturating_add(part(self.given, self.span.jitter.min(1000), 1000)).max(1)
    }
}

/// From 0 to [`SMALL`]: how much of a swarm that just began this is. Somebody downloads, nobody has finished, and one at
/// most had all from the start. A seeder alone is none: nobody waits for it, and most torrents are that for years.
#[inline]
const fn youth(counts: &Counts) -> u32 {
    if counts.downloaded > 0 || counts.downloaders == 0 || counts.complete > 1 {
        return 0;
    }
    SMALL.saturating_sub((counts.complete.saturating_add(counts.incomplete)).saturating_sub(1))
}

/// `n` of `of` parts of a number.
#[inline]
fn part(number: Seconds, n: u32, of: u32) -> Seconds {
    u32::try_from(u64::from(number) * u64::from(n) / u64::from(of)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { shortest: 1800, longest: 3600, least: 300, jitter: 0 };
    const CALM: Measures = Measures { stretch: 0, haste: 1000, peers: u32::MAX };

    fn swarm(complete: u32, incomplete: u32) -> Counts {
        Counts { complete, incomplete, downloaders: incomplete, downloaded: 0 }
    }

    /// Interval and least interval, without chance.
    fn told(measures: Measures, counts: Counts) -> (Seconds, Seconds) {
        let interval = Interval::new(SPAN, measures);
        let told = interval.told(&counts, &mut Rng::new([1, 2]));
        (told, interval.least(told))
    }

    #[test]
    fn it_grows_with_pressure_and_the_least_with_it() {
        for (stretch, expected) in [
            (0, (1800, 300)),
            (1, (1801, 300)),
            (250, (2250, 375)),
            (500, (2700, 450)),
            (999, (3598, 599)),
            (1000, (3600, 600)),
        ] {
            assert_eq!(told(Measures { stretch, ..Measures::NONE }, swarm(30, 30)), expected, "{stretch}");
        }
    }

    #[test]
    fn swarms_that_just_began_are_told_less() {
        for (counts, expected) in [
            // Half, and more from each further peer on.
            (swarm(0, 1), 900),
            (swarm(1, 1), 990),
            (swarm(0, 2), 990),
            (swarm(1, 8), 1620),
            (swarm(1, 9), 1710),
            (swarm(1, 10), 1800),
            (swarm(1, 1000), 1800),
            // Nobody downloads, or not from the beginning.
            (swarm(0, 0), 1800),
            (swarm(1, 0), 1800),
            (swarm(2, 1), 1800),
            (Counts { downloaded: 1, ..swarm(1, 1) }, 1800),
            (Counts { downloaders: 0, ..swarm(0, 1) }, 1800),
        ] {
            assert_eq!(told(CALM, counts), (expected, 300), "{counts:?}");
        }
        // Less of it, the nearer pressure is.
        assert_eq!(told(Measures { haste: 500, ..CALM }, swarm(0, 1)), (1350, 300));
        assert_eq!(told(Measures::NONE, swarm(0, 1)), (1800, 300));
    }

    #[test]
    fn nobody_is_told_less_than_the_operator_permits() {
        let span = Span { least: 1700, ..SPAN };
        let interval = Interval::new(span, CALM);
        assert_eq!(interval.told(&swarm(0, 1), &mut Rng::new([1, 2])), 1700);
        assert_eq!(Interval::new(Span { shortest: 0, longest: 0, ..SPAN }, CALM).longest(), 1);
    }

    #[test]
    fn chance_moves_it_up_and_down_by_its_share_and_no_further() {
        let mut rng = Rng::new([3, 4]);
        for (jitter, least, most) in [(100, 1620, 1980), (500, 900, 2700), (1, 1799, 1801), (0, 1800, 1800)] {
            let interval = Interval::new(Span { jitter, ..SPAN }, Measures::NONE);
            let mut times = vec![0_u32; 4000];
            for _ in 0..1000 * (most - least + 1) {
                times[interval.told(&swarm(5, 5), &mut rng) as usize] += 1;
            }
            assert_eq!(interval.longest(), most);
            let seen = |range: std::ops::Range<usize>| times[range].iter().sum::<u32>();
            assert_eq!(seen(0..least as usize) + seen(most as usize + 1..4000), 0);
            // A thousand expected for each; chance alone is not six standard deviations away.
            let each = &times[least as usize..=most as usize];
            assert!(
                each.iter().all(|&times| jitter == 0 || (800..1200).contains(&times)),
                "{jitter}: {each:?}"
            );
        }
    }

    #[test]
    fn the_least_is_never_longer_than_what_is_told() {
        let interval = Interval::new(Span { least: 1800, jitter: 100, ..SPAN }, Measures::NONE);
        let mut rng = Rng::new([5, 6]);
        for _ in 0..1000 {
            let told = interval.told(&swarm(5, 5), &mut rng);
            assert!(interval.least(told) <= told && interval.least(told) >= told.min(1800));
        }
    }

    #[test]
    fn numbers_out_of_range_do_no_harm() {
        let span = Span { shortest: u32::MAX, longest: u32::MAX, least: u32::MAX, jitter: u32::MAX };
        let wild = Measures { stretch: u16::MAX, haste: u16::MAX, peers: 0 };
        for span in [span, Span { shortest: 0, ..span }] {
            let interval = Interval::new(span, wild);
            let told = interval.told(&swarm(u32::MAX, u32::MAX), &mut Rng::new([1, 2]));
            assert!(told >= 1 && interval.least(told) <= told && interval.longest() >= told);
        }
    }
}
