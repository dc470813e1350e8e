//! Peers of one network as a dense array: seeders first, then leechers.

use super::{hash::HashKey, index::Index, peer::Peer};
use crate::model::Role;

/// The peers of one network, to be read.
#[derive(Debug)]
pub(super) struct List<'a, P> {
    /// Seeders, then leechers.
    pub(super) peers: &'a [P],
    /// How many are seeders.
    pub(super) seeders: usize,
}

impl<P> Clone for List<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for List<'_, P> {}

impl<P> List<'_, P> {
    pub(super) const fn role(&self, position: usize) -> Role {
        if position < self.seeders { Role::Seeder } else { Role::Leecher }
    }

    /// Seeders and leechers.
    pub(super) const fn counts(&self) -> [usize; 2] {
        [self.seeders, self.peers.len() - self.seeders]
    }
}

/// Is told when peers change their positions.
pub(super) trait Moves<P> {
    /// `peer` went from one position to another that was free.
    fn moved(&mut self, peer: &P, from: usize, to: usize);
    /// Two peers changed places.
    fn swapped(&mut self, a: (&P, usize), b: (&P, usize));
}

/// Nobody needs to know.
pub(super) struct Untracked;

impl<P> Moves<P> for Untracked {
    fn moved(&mut self, _: &P, _: usize, _: usize) {}
    fn swapped(&mut self, _: (&P, usize), _: (&P, usize)) {}
}

/// An index is kept right.
struct Tracked<'a> {
    index: &'a mut Index,
    key: HashKey,
}

impl<P: Peer> Moves<P> for Tracked<'_> {
    fn moved(&mut self, peer: &P, from: usize, to: usize) {
        self.index.relocate(peer.hash(self.key), from, to);
    }

    fn swapped(&mut self, a: (&P, usize), b: (&P, usize)) {
        self.index.exchange((a.0.hash(self.key), a.1), (b.0.hash(self.key), b.1));
    }
}

/// How many of an array's slots are taken, and how many of these by seeders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) len: usize,
    pub(super) seeders: usize,
}

impl Shape {
    /// Adds a peer where `slots` has a free slot behind the taken ones, and returns its position.
    pub(super) fn insert<P: Peer>(
        &mut self,
        slots: &mut [P],
        peer: P,
        role: Role,
        moves: &mut impl Moves<P>,
    ) -> usize {
        let end = self.len;
        self.len += 1;
        match role {
            Role::Leecher => {
                slots[end] = peer;
                end
            }
            Role::Seeder => {
                let border = self.seeders;
                if border != end {
                    slots[end] = slots[border];
                    moves.moved(&slots[end], border, end);
                }
                slots[border] = peer;
                self.seeders += 1;
                border
            }
        }
    }

    /// Removes the peer at `hole`; the last slot becomes free.
    pub(super) fn remove<P: Peer>(&mut self, slots: &mut [P], mut hole: usize, moves: &mut impl Moves<P>) {
        if hole < self.seeders {
            self.seeders -= 1;
            fill(slots, self.seeders, hole, moves);
            hole = self.seeders;
        }
        self.len -= 1;
        fill(slots, self.len, hole, moves);
    }

    /// Gives the peer at `position` a role and returns its new position.
    pub(super) fn set_role<P: Peer>(
        &mut self,
        slots: &mut [P],
        position: usize,
        role: Role,
        moves: &mut impl Moves<P>,
    ) -> usize {
        let target = match (position < self.seeders, role) {
            (true, Role::Seeder) | (false, Role::Leecher) => return position,
            (false, Role::Seeder) => {
                self.seeders += 1;
                self.seeders - 1
            }
            (true, Role::Leecher) => {
                self.seeders -= 1;
                self.seeders
            }
        };
        if target != position {
            moves.swapped((&slots[position], position), (&slots[target], target));
            slots.swap(position, target);
        }
        target
    }
}

fn fill<P: Peer>(slots: &mut [P], from: usize, hole: usize, moves: &mut impl Moves<P>) {
    if from != hole {
        slots[hole] = slots[from];
        moves.moved(&slots[hole], from, hole);
    }
}

/// Any number of peers, with an index where they are many.
#[derive(Debug)]
pub(super) struct Members<P> {
    peers: Vec<P>,
    seeders: usize,
    index: Index,
}

/// More peers than this are found through an index. It goes when half of them are left.
const INDEX_FROM: usize = 32;

impl<P> Default for Members<P> {
    fn default() -> Self {
        Self { peers: Vec::new(), seeders: 0, index: Index::none() }
    }
}

impl<P: Peer> Members<P> {
    /// An array grows by at least so many slots: eight, or fewer where these are large.
    const GROWTH: usize = {
        let few = 160 / size_of::<P>();
        if few < 8 { few } else { 8 }
    };

    /// Takes over a list that is short.
    pub(super) fn from_list(list: List<'_, P>) -> Self {
        Self { peers: list.peers.to_vec(), seeders: list.seeders, index: Index::none() }
    }

    pub(super) fn list(&self) -> List<'_, P> {
        List { peers: &self.peers, seeders: self.seeders }
    }

    pub(super) fn peer_mut(&mut self, position: usize) -> Option<&mut P> {
        self.peers.get_mut(position)
    }

    /// Where the search for a peer with this hash begins in memory.
    #[inline]
    pub(super) fn slot_address(&self, hash: u64) -> Option<*const u8> {
        self.index.address(hash)
    }

    /// Where the peer with this hash most likely is.
    #[inline]
    pub(super) fn peer_address(&self, hash: u64) -> Option<*const u8> {
        let position = self.index.find(hash, |_| true)?;
        self.peers.get(position).map(|peer| std::ptr::from_ref(peer).cast())
    }

    #[inline]
    pub(super) fn find(&self, peer: &P, key: HashKey) -> Option<usize> {
        if self.index.capacity() == 0 {
            return self.peers.iter().position(|other| other.is(peer));
        }
        self.index
            .find(peer.hash(key), |position| self.peers.get(position).is_some_and(|other| other.is(peer)))
    }

    pub(super) fn insert(&mut self, peer: P, role: Role, key: HashKey) -> usize {
        if self.peers.len() == self.peers.capacity() {
            self.peers.reserve_exact(Self::GROWTH.max(self.peers.len() / 8));
        }
        let most = if self.index.capacity() == 0 { INDEX_FROM } else { self.index.capacity() };
        if self.peers.len() >= most {
            self.rebuild_index(key);
        }
        self.peers.push(peer);
        let mut shape = self.shape();
        shape.len -= 1;
        let position = if self.index.capacity() == 0 {
            shape.insert(&mut self.peers, peer, role, &mut Untracked)
        } else {
            let position =
                shape.insert(&mut self.peers, peer, role, &mut Tracked { index: &mut self.index, key });
            self.index.insert(peer.hash(key), position);
            position
        };
        self.seeders = shape.seeders;
        position
    }

    pub(super) fn remove(&mut self, position: usize, key: HashKey) {
        let mut shape = self.shape();
        if self.index.capacity() == 0 {
            shape.remove(&mut self.peers, position, &mut Untracked);
        } else {
            let peers = &self.peers;
            self.index.remove(peers[position].hash(key), position, |other| peers[other].hash(key));
            shape.remove(&mut self.peers, position, &mut Tracked { index: &mut self.index, key });
        }
        self.seeders = shape.seeders;
        self.peers.truncate(shape.len);
        self.shrink(key);
    }

    pub(super) fn set_role(&mut self, position: usize, role: Role, key: HashKey) -> usize {
        let mut shape = self.shape();
        let target = if self.index.capacity() == 0 {
            shape.set_role(&mut self.peers, position, role, &mut Untracked)
        } else {
            shape.set_role(&mut self.peers, position, role, &mut Tracked { index: &mut self.index, key })
        };
        self.seeders = shape.seeders;
        target
    }

    fn shape(&self) -> Shape {
        Shape { len: self.peers.len(), seeders: self.seeders }
    }

    /// Gives back memory once less than half is used.
    fn shrink(&mut self, key: HashKey) {
        let length = self.peers.len();
        if length < self.peers.capacity() / 2 {
            self.peers.shrink_to(length + length / 8);
            if length < INDEX_FROM / 2 {
                self.index = Index::none();
            } else if self.index.capacity() != 0 {
                self.rebuild_index(key);
            }
        }
    }

    /// As large as the array, so that both grow together.
    fn rebuild_index(&mut self, key: HashKey) {
        // Frees the old one before there is a new one.
        self.index = Index::none();
        self.index =
            Index::with_capacity(self.peers.capacity(), self.peers.iter().map(|peer| peer.hash(key)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::peer::{Contact as _, Peer4, Stamp},
        rng::Rng,
    };
    use std::collections::HashMap;
    use tracker_common::address::Address;

    const KEY: HashKey = HashKey::new([5, 6]);

    fn peer(n: usize) -> Peer4 {
        Peer4::new(&Address::from_ipv4([10, 0, 0, 1]), n as u16, Stamp::new(0, false))
    }

    #[test]
    fn a_peer_is_fetched_from_where_it_is() {
        let mut members = Members::from_list(List { peers: &[], seeders: 0 });
        for n in 0..20 {
            members.insert(peer(n), Role::Leecher, KEY);
        }
        let hash = |n| peer(n).hash(KEY);
        assert_eq!((members.slot_address(hash(1)), members.peer_address(hash(1))), (None, None), "no index");
        for n in 20..1000 {
            members.insert(peer(n), Role::ALL[n % 2], KEY);
        }
        let right = |n: &usize| {
            let position = members.find(&peer(*n), KEY).unwrap();
            members.peer_address(hash(*n)) == Some(std::ptr::from_ref(&members.list().peers[position]).cast())
        };
        assert!((0..1000).all(|n| members.slot_address(hash(n)).is_some()));
        // Some parts of hashes are alike.
        assert!((0..1000).filter(right).count() > 900);
    }

    /// Random operations beside a map from peer to role, through the sizes at which the index comes and goes.
    #[test]
    fn behaves_as_a_map_from_peer_to_role() {
        for most in [5, 40, 300, 6000] {
            let mut rng = Rng::new([most as u64, 0]);
            let mut members = Members::from_list(List { peers: &[], seeders: 0 });
            let mut naive: HashMap<usize, Role> = HashMap::new();
            for step in 0..6 * most {
                let n = rng.below(most);
                let role = Role::ALL[rng.below(2)];
                // Grows, then shrinks.
                let leaving = rng.below(10) < if step < 3 * most { 2 } else { 7 };
                match (members.find(&peer(n), KEY), leaving) {
                    (Some(position), true) => {
                        members.remove(position, KEY);
                        assert!(naive.remove(&n).is_some());
                    }
                    (Some(position), false) => {
                        let target = members.set_role(position, role, KEY);
                        assert!(members.list().peers[target].is(&peer(n)));
                        assert!(naive.insert(n, role).is_some());
                    }
                    (None, true) => assert!(!naive.contains_key(&n)),
                    (None, false) => {
                        let position = members.insert(peer(n), role, KEY);
                        assert!(members.list().peers[position].is(&peer(n)));
                        assert!(naive.insert(n, role).is_none());
                    }
                }
                let seeders = naive.values().filter(|&&role| role == Role::Seeder).count();
                assert_eq!(members.list().counts(), [seeders, naive.len() - seeders]);
                if step % 61 == 0 {
                    for (&n, &role) in &naive {
                        let position = members.find(&peer(n), KEY).unwrap();
                        assert_eq!(members.list().role(position), role);
                    }
                }
            }
        }
    }

    /// An index that has shrunk below the size at which one is made has to grow again.
    #[test]
    fn a_swarm_may_shrink_and_grow_around_the_size_of_an_index() {
        for top in 33..110 {
            for low in 14..33 {
                let mut members = Members::from_list(List { peers: &[], seeders: 0 });
                (0..top).for_each(|n| _ = members.insert(peer(n), Role::Seeder, KEY));
                for n in low..top {
                    let position = members.find(&peer(n), KEY).unwrap();
                    members.remove(position, KEY);
                }
                for n in low..40 {
                    members.insert(peer(n), Role::Leecher, KEY);
                    let capacity = members.index.capacity();
                    assert!(capacity == 0 || capacity > n, "{top}, {low}: {n} and one, room for {capacity}");
                }
                assert!((0..40).all(|n| members.find(&peer(n), KEY).is_some()));
                assert!(members.find(&peer(40), KEY).is_none());
            }
        }
    }

    #[test]
    fn memory_is_given_back() {
        let mut members = Members::from_list(List { peers: &[], seeders: 0 });
        for n in 0..5000 {
            members.insert(peer(n), Role::Leecher, KEY);
        }
        assert!(members.peers.capacity() <= 5000 + 5000 / 8 + 8);
        for n in 0..4990 {
            let position = members.find(&peer(n), KEY).unwrap();
            members.remove(position, KEY);
        }
        assert!(members.peers.capacity() <= 22, "{}", members.peers.capacity());
        assert_eq!(members.index.capacity(), 0);
        for n in 4990..5000 {
            assert!(members.find(&peer(n), KEY).is_some());
        }
    }
}
