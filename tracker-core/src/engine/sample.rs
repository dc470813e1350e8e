//! Chooses the peers that an announcer is given: a random window of those who have, and one of those who want.

use super::shape::List;
use crate::{model::Role, rng::Rng};

/// Who of a list an announcer may be given: a leecher all, anybody else leechers only, and nobody itself.
pub(super) struct Candidates<'a, P> {
    uploaders: Ring<'a, P>,
    leechers: Ring<'a, P>,
}

impl<'a, P> Candidates<'a, P> {
    /// For an announcer of this role, which is at position `me` if it is in the list.
    #[inline]
    pub(super) fn new(list: List<'a, P>, role: Role, me: Option<usize>) -> Self {
        let (border, end) = (list.shape.uploaders as usize, list.len());
        let wanted = if role == Role::Leecher { border } else { 0 };
        Self { uploaders: Ring::new(list, 0, wanted, me), leechers: Ring::new(list, border, end, me) }
    }

    pub(super) const fn len(&self) -> usize {
        self.uploaders.len + self.leechers.len
    }

    /// Passes `count` of them to `give`, in several slices: both kinds in proportion to their numbers, none twice, each
    /// with the same chance. There have to be that many.
    #[inline]
    pub(super) fn draw(&self, count: usize, rng: &mut Rng, mut give: impl FnMut(&[P])) {
        let total = self.len();
        if count == 0 {
            return;
        }
        let share = count * self.uploaders.len;
        // Rounded at random, so that the expected share is exact. Neither part exceeds what there is: a share of at
        // most all, rounded up or down, is at most all.
        let from_uploaders = share / total + usize::from(rng.below(total) < share % total);
        self.uploaders.draw(from_uploaders, rng, &mut give);
        self.leechers.draw(count - from_uploaders, rng, &mut give);
    }
}

/// Peers in a circle, one of them left out.
struct Ring<'a, P> {
    list: List<'a, P>,
    start: usize,
    /// Without the one left out.
    len: usize,
    without: usize,
}

impl<'a, P> Ring<'a, P> {
    #[inline]
    fn new(list: List<'a, P>, start: usize, end: usize, without: Option<usize>) -> Self {
        match without {
            Some(at) if start <= at && at < end => Self { list, start, len: end - start - 1, without: at },
            _ => Self { list, start, len: end - start, without: usize::MAX },
        }
    }

    /// Gives `count` peers from a random place on; there are that many.
    #[inline]
    fn draw(&self, count: usize, rng: &mut Rng, give: &mut impl FnMut(&[P])) {
        let first = if count < self.len { rng.below(self.len) } else { 0 };
        let until_end = count.min(self.len - first);
        self.give_range(first, until_end, give);
        self.give_range(0, count - until_end, give);
    }

    #[inline]
    fn give_range(&self, first: usize, count: usize, give: &mut impl FnMut(&[P])) {
        let (start, end) = (self.start + first, self.start + first + count);
        if start < self.without {
            self.list.range(start, end.min(self.without), give);
        }
        // Behind the one left out, everybody is a place further on.
        if end > self.without {
            self.list.range(start.max(self.without) + 1, end + 1, give);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::shape::Shape;
    use std::collections::HashSet;

    /// Peers that are their position.
    fn peers(count: usize) -> Vec<usize> {
        (0..count).collect()
    }

    /// As many as wanted, or all.
    fn draw(
        peers: &[usize],
        seeders: usize,
        role: Role,
        me: Option<usize>,
        want: usize,
        rng: &mut Rng,
    ) -> Vec<usize> {
        let border = seeders as u32;
        let shape = Shape { len: peers.len() as u32, seeders: border, uploaders: border };
        let candidates = Candidates::new(List::of(peers, shape), role, me);
        let count = want.min(candidates.len());
        let mut drawn = Vec::new();
        candidates.draw(count, rng, |peers| drawn.extend_from_slice(peers));
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), count, "a peer came twice: {drawn:?}");
        assert_eq!(drawn.len(), count);
        drawn
    }

    #[test]
    fn small_swarms_are_given_whole_without_oneself() {
        let mut rng = Rng::new([1, 1]);
        for total in 0..8 {
            let all = peers(total);
            for seeders in 0..=total {
                for me in (0..total).map(Some).chain([None]) {
                    let expected =
                        |first: usize| (first..total).filter(|&i| Some(i) != me).collect::<HashSet<_>>();
                    let given =
                        |role, rng: &mut Rng| draw(&all, seeders, role, me, 50, rng).into_iter().collect();
                    assert_eq!(expected(0), given(Role::Leecher, &mut rng));
                    assert_eq!(expected(seeders), given(Role::Seeder, &mut rng));
                }
            }
        }
    }

    #[test]
    fn as_many_as_wanted_come_where_there_are_enough() {
        let mut rng = Rng::new([2, 2]);
        let all = peers(40);
        for want in 0..60 {
            assert_eq!(draw(&all, 30, Role::Leecher, Some(35), want, &mut rng).len(), want.min(39));
            assert_eq!(draw(&all, 30, Role::Seeder, Some(3), want, &mut rng).len(), want.min(10));
        }
    }

    /// Each other peer is drawn with the same probability, whoever asks.
    #[test]
    fn every_peer_has_the_same_chance() {
        let mut rng = Rng::new([3, 3]);
        for (total, seeders, want) in [(100, 75, 30), (100, 3, 30), (40, 20, 39), (11, 1, 3), (200, 0, 50)] {
            let all = peers(total);
            for me in [None, Some(0), Some(seeders), Some(total - 1), Some(total / 2)] {
                let rounds = 4000;
                let mut seen = vec![0_u32; total];
                for _ in 0..rounds {
                    for i in draw(&all, seeders, Role::Leecher, me, want, &mut rng) {
                        seen[i] += 1;
                    }
                }
                let others = total - usize::from(me.is_some());
                let p = want.min(others) as f64 / others as f64;
                let (mean, deviation) = (f64::from(rounds) * p, (f64::from(rounds) * p * (1.0 - p)).sqrt());
                for (i, &count) in seen.iter().enumerate() {
                    if Some(i) == me {
                        assert_eq!(count, 0);
                    } else {
                        let off = (f64::from(count) - mean).abs();
                        assert!(
                            off <= 5.0 * deviation + 0.5,
                            "{total}/{seeders}, me {me:?}: {i} came {count}, not {mean}"
                        );
                    }
                }
            }
        }
    }
}
