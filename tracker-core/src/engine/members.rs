//! Peers of one network in any number, with an index where they are many.

use super::{
    hash::HashKey,
    index::Index,
    peer::Peer,
    pieces::Pieces,
    shape::{List, Moves, PIECE, Shape, Slots as _, Untracked},
};
use crate::{model::Role, policy::Policy};
use tracker_common::address::Address;

/// How the tables of an engine are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables {
    pub(super) key: HashKey,
    /// Whether large swarms find their peers by client network too, to count those of one.
    pub(super) by_network: bool,
}

/// Indexes are kept right.
struct Tracked<'a> {
    index: &'a mut Index,
    networks: Option<&'a mut Index>,
    key: HashKey,
}

impl<P: Peer> Moves<P> for Tracked<'_> {
    fn moved(&mut self, peer: &P, from: usize, to: usize) {
        self.index.relocate(peer.hash(self.key), from, to);
        if let Some(networks) = &mut self.networks {
            networks.relocate(network_hash(peer, self.key), from, to);
        }
    }

    fn swapped(&mut self, a: (&P, usize), b: (&P, usize)) {
        self.index.exchange((a.0.hash(self.key), a.1), (b.0.hash(self.key), b.1));
        if let Some(networks) = &mut self.networks {
            networks.exchange((network_hash(a.0, self.key), a.1), (network_hash(b.0, self.key), b.1));
        }
    }
}

fn network_hash<P: Peer>(peer: &P, key: HashKey) -> u64 {
    key.network(&peer.address())
}

/// Any number of peers, with an index where they are many.
#[derive(Debug)]
pub(super) struct Members<P> {
    peers: Pieces<P, PIECE>,
    shape: Shape,
    index: Index,
    /// By client network, where [`Tables::by_network`] says so and there is an index. Of each network it has no more than
    /// [`Policy::MAX_PEERS_PER_ADDRESS`], since entries with the same hash are looked for one by one.
    networks: Option<Box<Index>>,
}

/// More peers than this are found through an index. It goes when half of them are left.
const INDEX_FROM: usize = 32;

impl<P: Peer> Default for Members<P> {
    fn default() -> Self {
        Self { peers: Pieces::default(), shape: Shape::default(), index: Index::none(), networks: None }
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
        Self { peers: Pieces::from_vec(exactly(list)), shape: list.shape, ..Self::default() }
    }

    #[inline]
    pub(super) fn list(&self) -> List<'_, P> {
        List::in_pieces(&self.peers, self.shape)
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
        if self.index.is_none() {
            return self.peers.view().iter().position(|other| other.is(peer));
        }
        self.index
            .find(peer.hash(key), |position| self.peers.get(position).is_some_and(|other| other.is(peer)))
    }

    /// How many peers share the client network of an address, counted up to a limit.
    pub(super) fn sharing(&self, address: &Address, limit: usize, key: HashKey) -> usize {
        let Some(networks) = &self.networks else {
            return self.peers.view().iter().filter(|peer| peer.shares_network(address)).take(limit).count();
        };
        sharing_in(networks, &self.peers, address, limit, key)
    }

    pub(super) fn insert(&mut self, peer: P, role: Role, tables: Tables) -> usize {
        if self.index.is_none() && self.len() >= INDEX_FROM {
            self.make_indexes(tables);
        }
        self.peers.push(peer, Self::GROWTH.max(self.len() / 8));
        let Self { peers, shape, index, networks } = self;
        if index.is_none() {
            return shape.insert(peers, peer, role, &mut Untracked);
        }
        let key = tables.key;
        let mut networks = networks.as_deref_mut();
        let tracked = &mut Tracked { index, networks: networks.as_deref_mut(), key };
        let position = shape.insert(peers, peer, role, tracked);
        index.insert(peer.hash(key), position, |at| peers.at(at).hash(key));
        if let Some(networks) = networks {
            add_to_network(networks, peers, position, key);
        }
        position
    }

    /// For a list that has just become long.
    fn make_indexes(&mut self, tables: Tables) {
        let Self { peers, index, networks, .. } = self;
        let hashes: Vec<u64> = peers.view().iter().map(|peer| peer.hash(tables.key)).collect();
        *index = Index::of(hashes.into_iter());
        if tables.by_network {
            let mut by_network = Box::new(Index::sparse());
            (0..peers.len()).for_each(|at| add_to_network(&mut by_network, peers, at, tables.key));
            *networks = Some(by_network);
        }
    }

    pub(super) fn remove(&mut self, position: usize, key: HashKey) {
        let Self { peers, shape, index, networks } = self;
        if index.is_none() {
            shape.remove(peers, position, &mut Untracked);
        } else {
            let peer = peers.at(position);
            index.remove(peer.hash(key), position, |at| peers.at(at).hash(key));
            let mut networks = networks.as_deref_mut();
            if let Some(networks) = &mut networks {
                let hash = network_hash(&peer, key);
                networks.remove(hash, position, |at| network_hash(&peers.at(at), key));
            }
            shape.remove(peers, position, &mut Tracked { index, networks, key });
        }
        peers.pop(shape.len as usize / 8);
        if shape.len < INDEX_FROM as u32 / 2 {
            (self.index, self.networks) = (Index::none(), None);
        }
    }

    pub(super) fn set_role(&mut self, position: usize, role: Role, key: HashKey) -> usize {
        let Self { peers, shape, index, networks } = self;
        if index.is_none() {
            return shape.set_role(peers, position, role, &mut Untracked);
        }
        let networks = networks.as_deref_mut();
        shape.set_role(peers, position, role, &mut Tracked { index, networks, key })
    }

    /// One stage of a pass over all peers, as [`Index::visit`]: small swarms whole, larger ones a part at a time.
    pub(super) fn visit(&self, from: u64, mut visit: impl FnMut(usize)) -> Option<u64> {
        if self.index.is_none() {
            (0..self.len()).for_each(visit);
            return None;
        }
        self.index.visit(from, &mut visit)
    }

    const fn len(&self) -> usize {
        self.shape.len as usize
    }
}

/// How many of the peers that an index has are in the client network of an address, counted up to a limit.
fn sharing_in<P: Peer>(
    networks: &Index,
    peers: &Pieces<P, PIECE>,
    address: &Address,
    limit: usize,
    key: HashKey,
) -> usize {
    let mut count = 0;
    networks.find(key.network(address), |position| {
        count += usize::from(peers.get(position).is_some_and(|peer| peer.shares_network(address)));
        count >= limit
    });
    count
}

/// The peers of a list, in no more room than they take.
fn exactly<P: Copy>(list: List<'_, P>) -> Vec<P> {
    let mut peers = Vec::with_capacity(list.len());
    peers.extend(list.iter().copied());
    peers
}

/// Adds a peer to its network, unless that is not known or has as many as count.
fn add_to_network<P: Peer>(networks: &mut Index, peers: &Pieces<P, PIECE>, position: usize, key: HashKey) {
    let (peer, most) = (peers.at(position), Policy::MAX_PEERS_PER_ADDRESS as usize);
    if peer.node().is_none() && sharing_in(networks, peers, &peer.address(), most, key) < most {
        networks.insert(network_hash(&peer, key), position, |at| network_hash(&peers.at(at), key));
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

    const KEY: HashKey = HashKey::new([5, 6]);
    const TABLES: Tables = Tables { key: KEY, by_network: true };

    fn nobody() -> Members<Peer4> {
        Members::default()
    }

    fn peer(n: usize) -> Peer4 {
        Peer4::new(&Address::from_ipv4([10, 0, 0, 1]), n as u16, Stamp::new(0, false))
    }

    #[test]
    fn a_peer_is_fetched_from_where_it_is() {
        let mut members = nobody();
        for n in 0..20 {
            members.insert(peer(n), Role::Leecher, TABLES);
        }
        let hash = |n| peer(n).hash(KEY);
        assert_eq!((members.slot_address(hash(1)), members.peer_address(hash(1))), (None, None), "no index");
        for n in 20..1000 {
            members.insert(peer(n), Role::ALL[n % 3], TABLES);
        }
        let right = |n: &usize| {
            let position = members.find(&peer(*n), KEY).unwrap();
            members.peer_address(hash(*n))
                == Some(std::ptr::from_ref(members.list().get(position).unwrap()).cast())
        };
        assert!((0..1000).all(|n| members.slot_address(hash(n)).is_some()));
        // Some parts of hashes are alike.
        assert!((0..1000).filter(right).count() > 900);
    }

    /// Random operations beside a map from peer to role, through the sizes at which the index comes and goes.
    #[test]
    fn behaves_as_a_map_from_peer_to_role() {
        for most in [5, 40, 300, 4500] {
            let mut rng = Rng::new([most as u64, 0]);
            let mut members = nobody();
            let mut naive: HashMap<usize, Role> = HashMap::new();
            for step in 0..6 * most {
                let n = rng.below(most);
                let role = Role::ALL[rng.below(3)];
                // Grows, then shrinks.
                let leaving = rng.below(10) < if step < 3 * most { 1 } else { 7 };
                match (members.find(&peer(n), KEY), leaving) {
                    (Some(position), true) => {
                        members.remove(position, KEY);
                        assert!(naive.remove(&n).is_some());
                    }
                    (Some(position), false) => {
                        let target = members.set_role(position, role, KEY);
                        assert!(members.list().get(target).unwrap().is(&peer(n)));
                        assert!(naive.insert(n, role).is_some());
                    }
                    (None, true) => assert!(!naive.contains_key(&n)),
                    (None, false) => {
                        let position = members.insert(peer(n), role, TABLES);
                        assert!(members.list().get(position).unwrap().is(&peer(n)));
                        assert!(naive.insert(n, role).is_none());
                    }
                }
                let of = |role| naive.values().filter(|&&other| other == role).count();
                assert_eq!(members.list().shape.counts(), Role::ALL.map(of));
                if step % (61 + most / 4) == 0 {
                    for (&n, &role) in &naive {
                        let position = members.find(&peer(n), KEY).unwrap();
                        assert_eq!(members.list().role(position), role);
                    }
                }
            }
        }
    }

    /// Whoever has many ports must not make others wait: entries with the same hash are looked for one by one.
    #[test]
    fn peers_of_one_network_are_counted_as_far_as_a_limit_goes() {
        let mut members = nobody();
        let elsewhere = Peer4::new(&Address::from_ipv4([10, 0, 0, 2]), 1, Stamp::default());
        members.insert(elsewhere, Role::Leecher, TABLES);
        let most = Policy::MAX_PEERS_PER_ADDRESS as usize;
        for n in 0..most + 100 {
            let sharing = members.sharing(&peer(0).address(), most, KEY);
            assert_eq!(sharing, n.min(most));
            members.insert(peer(n), Role::ALL[n % 3], TABLES);
        }
        assert_eq!(members.sharing(&elsewhere.address(), 9, KEY), 1);
        for n in 0..most + 99 {
            let position = members.find(&peer(n), KEY).unwrap();
            members.remove(position, KEY);
        }
        assert_eq!(members.sharing(&peer(0).address(), 9, KEY), 1);
    }

    /// An index that has shrunk below the size at which one is made has to grow again.
    #[test]
    fn a_swarm_may_shrink_and_grow_around_the_size_of_an_index() {
        for top in 33..110 {
            for low in 14..33 {
                let mut members = nobody();
                (0..top).for_each(|n| _ = members.insert(peer(n), Role::Seeder, TABLES));
                for n in low..top {
                    let position = members.find(&peer(n), KEY).unwrap();
                    members.remove(position, KEY);
                }
                for n in low..40 {
                    members.insert(peer(n), Role::Leecher, TABLES);
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
        let mut members = nobody();
        for n in 0..5000 {
            members.insert(peer(n), Role::Leecher, TABLES);
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
