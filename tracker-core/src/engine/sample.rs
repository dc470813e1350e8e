//! Chooses the peers that an announcer is given: a random window of the seeders and one of the leechers.

use super::{members::List, peer::Peer};
use crate::{model::Role, rng::Rng};

/// Writes up to `want` peers of `list` in compact form and returns how many. A seeder is given leechers only, a
/// leecher both in proportion to their numbers. The peer at position `me` is left out, none comes twice, and each has
/// the same chance.
pub(super) fn sample<P: Peer>(
    list: List<'_, P>,
    role: Role,
    me: Option<usize>,
    want: usize,
    rng: &mut Rng,
    out: &mut [u8],
) -> usize {
    let (seeders, leechers) = list.peers.split_at(list.seeders);
    let leechers = Ring::new(leechers, me.and_then(|position| position.checked_sub(list.seeders)));
    let seeders = match role {
        Role::Seeder => Ring::new(&[], None),
        Role::Leecher => Ring::new(seeders, me.filter(|&position| position < list.seeders)),
    };
    let total = seeders.len() + leechers.len();
    let count = want.min(out.len() / P::COMPACT).min(total);
    if count == 0 {
        return 0;
    }
    let share = count * seeders.len();
    // Rounded at random, so that the expected share is exact. Neither part exceeds what there is: a share of at most
    // all, rounded up or down, is at most all.
    let from_seeders = share / total + usize::from(rng.below(total) < share % total);
    let (first, second) = out.split_at_mut(from_seeders * P::COMPACT);
    seeders.write_window(from_seeders, rng, first);
    leechers.write_window(count - from_seeders, rng, second);
    count
}

/// Peers in a circle, one of them left out.
struct Ring<'a, P> {
    before: &'a [P],
    after: &'a [P],
}

impl<'a, P: Peer> Ring<'a, P> {
    fn new(peers: &'a [P], without: Option<usize>) -> Self {
        match without {
            Some(i) if i < peers.len() => Self { before: &peers[..i], after: &peers[i + 1..] },
            _ => Self { before: peers, after: &[] },
        }
    }

    const fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// Writes `count` peers from a random place on; there are that many.
    fn write_window(&self, count: usize, rng: &mut Rng, out: &mut [u8]) {
        let start = if count < self.len() { rng.below(self.len()) } else { 0 };
        let until_end = count.min(self.len() - start);
        let (first, second) = out.split_at_mut(until_end * P::COMPACT);
        self.write_range(start, until_end, first);
        self.write_range(0, count - until_end, second);
    }

    fn write_range(&self, start: usize, count: usize, out: &mut [u8]) {
        let border = self.before.len();
        let (from, to) = (start.min(border), (start + count).min(border));
        let (first, second) = out.split_at_mut((to - from) * P::COMPACT);
        P::write(&self.before[from..to], first);
        let (from, to) = (start.max(border) - border, (start + count).max(border) - border);
        P::write(&self.after[from..to], second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::peer::{Peer4, Stamp};
    use std::collections::HashSet;
    use tracker_common::address::Address;

    /// Peers whose port is their position.
    fn peers(count: usize) -> Vec<Peer4> {
        let stamp = Stamp::new(0, false);
        (0..count).map(|i| Peer4::new(&Address::from_ipv4([10, 0, 0, 1]), i as u16, stamp)).collect()
    }

    fn draw(
        peers: &[Peer4],
        seeders: usize,
        role: Role,
        me: Option<usize>,
        want: usize,
        rng: &mut Rng,
    ) -> Vec<usize> {
        let mut out = vec![0; 6 * want];
        let count = sample(List { peers, seeders }, role, me, want, rng, &mut out);
        let drawn: Vec<_> = out[..6 * count]
            .chunks(6)
            .map(|entry| usize::from(u16::from_be_bytes([entry[4], entry[5]])))
            .collect();
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), count, "a peer came twice: {drawn:?}");
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

    #[test]
    fn the_buffer_is_a_limit_too() {
        let mut out = [0; 6 * 3 + 5];
        let all = peers(40);
        let list = List { peers: &all[..], seeders: 0 };
        assert_eq!(sample(list, Role::Seeder, None, 50, &mut Rng::new([0, 0]), &mut out), 3);
        assert_eq!(out[18..], [0; 5]);
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
