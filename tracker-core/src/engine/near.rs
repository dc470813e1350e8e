//! Partners for a WebRTC peer where other nodes hold some: those of this node first, whom a message reaches without a detour.

use super::{Partner, peer::WebrtcPeer, sample::Candidates};
use crate::rng::Rng;

/// Candidates looked at for one announce: some ten kilobytes. Of a larger swarm they are a random part.
const LOOKED_AT: usize = 256;

/// Fills `partners`, which is empty, with up to `want` of the candidates: of those looked at any of this node, then any of
/// others, each with the same chance among its like.
pub(super) fn draw_near_first(
    candidates: &Candidates<'_, WebrtcPeer>,
    want: usize,
    rng: &mut Rng,
    partners: &mut Vec<Partner>,
) {
    let want = want.min(candidates.len());
    let mut drawn = Drawn { partners, want, near: 0, seen_near: 0, seen_far: 0 };
    let mut second = Rng::new([rng.next_u64(), rng.next_u64()]);
    candidates.draw(candidates.len().min(LOOKED_AT.max(want)), rng, |peers| {
        peers.iter().for_each(|peer| drawn.see(peer.partner(), &mut second));
    });
}

/// Two samples in one array, neither of which is larger than it has to be: as many of this node as there is room for, and
/// behind them, in what room is left, some of others.
struct Drawn<'a> {
    partners: &'a mut Vec<Partner>,
    want: usize,
    /// How many are of this node.
    near: usize,
    seen_near: usize,
    seen_far: usize,
}

impl Drawn<'_> {
    /// Takes a candidate in, or not, so that all of its like that were seen have the same chance (reservoir sampling).
    fn see(&mut self, partner: Partner, rng: &mut Rng) {
        let Self { partners, want, near, seen_near, seen_far } = self;
        let is_full = partners.len() >= *want;
        if partner.connection.node().is_some() {
            *seen_far += 1;
            let place = *near + rng.below(*seen_far);
            match partners.get_mut(place) {
                Some(place) if is_full => *place = partner,
                _ if is_full => {}
                _ => partners.push(partner),
            }
            return;
        }
        *seen_near += 1;
        if *near >= *want {
            if let Some(place) = partners.get_mut(rng.below(*seen_near)) {
                *place = partner;
            }
            return;
        }
        // Into the place of the first of the others, which takes that of an unlucky one, or a new one.
        let place = if is_full { *near + rng.below(*want - *near) } else { partners.len() };
        match partners.get_mut(place) {
            Some(unlucky) => *unlucky = partner,
            None => partners.push(partner),
        }
        partners.swap(*near, place);
        *near += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{
            ConnectionKey,
            shape::{List, Shape},
        },
        model::{PeerId, Role},
        nodes::NodeNumber,
    };
    use std::collections::HashSet;

    /// Leechers of which every `each`-th is one of this node; each is its number.
    fn peers(count: u32, each: u32) -> Vec<WebrtcPeer> {
        let peer = |number: u32| {
            let mut id = [0; 20];
            id[..4].copy_from_slice(&number.to_be_bytes());
            let node = NodeNumber::new((number % 5) as u16).unwrap();
            let here = number.is_multiple_of(each);
            let connection =
                if here { ConnectionKey(u64::from(number) + 1) } else { ConnectionKey::of_node(node) };
            WebrtcPeer { connection, ..WebrtcPeer::named(&PeerId(id)) }
        };
        (0..count).map(peer).collect()
    }

    /// Numbers of those drawn by a leecher at position `me`.
    fn draw(peers: &[WebrtcPeer], me: Option<usize>, want: usize, rng: &mut Rng) -> Vec<(usize, bool)> {
        let shape = Shape { len: peers.len() as u32, seeders: 0, uploaders: 0 };
        let candidates = Candidates::new(List::of(peers, shape), Role::Leecher, me);
        let mut partners = Vec::new();
        draw_near_first(&candidates, want, rng, &mut partners);
        let number = |partner: &Partner| {
            let [a, b, c, d, ..] = partner.peer_id.0;
            (u32::from_be_bytes([a, b, c, d]) as usize, partner.connection.node().is_none())
        };
        let drawn: Vec<_> = partners.iter().map(number).collect();
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), drawn.len(), "a peer came twice: {drawn:?}");
        assert_eq!(drawn.len(), want.min(candidates.len()));
        assert!(drawn.iter().all(|(number, _)| Some(*number) != me));
        drawn
    }

    #[test]
    fn those_of_this_node_come_first_and_the_others_where_they_are_too_few() {
        let mut rng = Rng::new([1, 1]);
        for (count, each) in [(0, 1), (1, 1), (1, 2), (10, 1), (40, 4), (40, 50), (200, 30), (256, 3)] {
            let all = peers(count, each);
            let here = count.div_ceil(each) as usize;
            for want in [0, 1, 2, 5, 9, 10, 11, 60] {
                let drawn = draw(&all, None, want, &mut rng);
                let near = drawn.iter().filter(|(_, near)| *near).count();
                assert_eq!(near, here.min(want), "{want} of {count}, every {each}");
                assert!(drawn[..near].iter().all(|(_, near)| *near), "they come in front");
            }
        }
    }

    #[test]
    fn each_has_the_same_chance_among_its_like() {
        let mut rng = Rng::new([2, 2]);
        for (count, each, want, me) in
            [(40, 4, 5, None), (40, 20, 9, Some(7)), (100, 10, 12, Some(10)), (9, 3, 7, None)]
        {
            let all = peers(count, each);
            let others = |near: bool| {
                (0..count as usize)
                    .filter(|&n| Some(n) != me && n.is_multiple_of(each as usize) == near)
                    .count()
            };
            let near = want.min(others(true));
            let chances = [(want - near) as f64 / others(false) as f64, near as f64 / others(true) as f64];
            let rounds = 5000;
            let mut seen = vec![0_u32; count as usize];
            for _ in 0..rounds {
                draw(&all, me, want, &mut rng).iter().for_each(|(number, _)| seen[*number] += 1);
            }
            for (number, &count) in seen.iter().enumerate().filter(|(number, _)| Some(*number) != me) {
                let p = chances[usize::from(number.is_multiple_of(each as usize))];
                let (mean, deviation) = (f64::from(rounds) * p, (f64::from(rounds) * p * (1.0 - p)).sqrt());
                let off = (f64::from(count) - mean).abs();
                assert!(off <= 5.0 * deviation + 0.5, "{number} came {count}, not {mean}");
            }
        }
    }

    /// The work for one announce is bounded, however large the swarm.
    #[test]
    fn of_a_large_swarm_a_random_part_is_looked_at() {
        let mut rng = Rng::new([3, 3]);
        let all = peers(20_000, 100);
        let near = |rng: &mut Rng| draw(&all, None, 10, rng).iter().filter(|(_, near)| *near).count();
        let found: Vec<usize> = (0..500).map(|_| near(&mut rng)).collect();
        // Every 100th of 256.
        assert!(found.iter().all(|near| (2..=3).contains(near)), "{found:?}");
        assert!(draw(&all, None, 1000, &mut rng).len() == 1000);
    }
}
