//! The peers of one torrent, in 24 bytes and an allocation only where there are several.
//!
//! Nearly all torrents have one or two peers, of one network. A swarm starts in place, goes to an array of its own,
//! and only as a large or mixed one gets the full structure with an index.

use super::{
    hash::HashKey,
    index::FIRST,
    members::{Members, Tables},
    peer::{Peer, Peer4, Peer6, WebrtcPeer},
    shape::{List, Shape, Untracked},
};
use crate::model::{Network, Role};
use tracker_common::address::{Address, Family};

/// The peers of a torrent.
#[derive(Debug, Default)]
pub(super) enum Swarm {
    /// Nobody.
    #[default]
    Empty,
    /// A few IPv4 peers, in place.
    Inline4(SmallShape, [Peer4; Peer4::INLINE]),
    /// An IPv6 peer, in place.
    Inline6(SmallShape, [Peer6; Peer6::INLINE]),
    /// Some IPv4 peers.
    Heap4(SmallShape, Box<[Peer4]>),
    /// Some IPv6 peers.
    Heap6(SmallShape, Box<[Peer6]>),
    /// Some WebRTC peers.
    HeapWebrtc(SmallShape, Box<[WebrtcPeer]>),
    /// Many peers, or of several networks.
    Full(Box<Full>),
}
const _: () = assert!(size_of::<Swarm>() == 24);

/// A [`Shape`] in three bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SmallShape {
    len: u8,
    seeders: u8,
    uploaders: u8,
}

impl SmallShape {
    fn of(shape: Shape) -> Self {
        debug_assert!(shape.len as usize <= SMALL_MAX);
        let Shape { len, seeders, uploaders } = shape;
        Self { len: len as u8, seeders: seeders as u8, uploaders: uploaders as u8 }
    }

    fn shape(self) -> Shape {
        let Self { len, seeders, uploaders } = self;
        Shape { len: len.into(), seeders: seeders.into(), uploaders: uploaders.into() }
    }
}

/// All networks. Swarms with WebRTC peers are few, so these take no room in the others.
#[derive(Debug)]
pub(super) struct Full {
    v4: Members<Peer4>,
    v6: Members<Peer6>,
    webrtc: Option<Box<Members<WebrtcPeer>>>,
}

/// Peers by network and role.
pub(super) type PeerCounts = [[usize; Role::ALL.len()]; Network::ALL.len()];

/// Where a pass over a swarm's peers is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) network: Network,
    /// As [`super::index::Index::visit`] counts.
    pub(super) from: u64,
}

impl Stage {
    /// A pass that begins.
    pub(super) const START: Self = Self { network: Network::Ipv4, from: FIRST };

    /// After a stage that ended at `next`.
    pub(super) fn after(self, next: Option<u64>) -> Option<Self> {
        match (next, self.network) {
            (Some(from), network) => Some(Self { network, from }),
            (None, Network::Ipv4) => Some(Self { network: Network::Ipv6, from: FIRST }),
            (None, Network::Ipv6) => Some(Self { network: Network::Webrtc, from: FIRST }),
            (None, Network::Webrtc) => None,
        }
    }
}

/// Beyond this a swarm is full-grown; it becomes small again at half of it.
const SMALL_MAX: usize = 32;

/// A network's places in a [`Swarm`].
pub(super) trait Placed: Peer + Default {
    const NETWORK: Network;
    /// Peers that fit in place.
    const INLINE: usize;
    /// The slots and shape of a small swarm of this network.
    fn small(swarm: &Swarm) -> Option<(&[Self], SmallShape)>;
    /// As [`Placed::small`], to be changed.
    fn small_mut(swarm: &mut Swarm) -> Option<(&mut [Self], &mut SmallShape)>;
    /// A small swarm of these peers with `room` slots, in place where they fit.
    fn small_with(shape: SmallShape, peers: &[Self], room: usize) -> Swarm;
    /// This network's part of a full swarm.
    fn members(full: &Full) -> Option<&Members<Self>>;
    /// As [`Placed::members`], to be changed.
    fn members_mut(full: &mut Full) -> &mut Members<Self>;
}

macro_rules! placed {
    ($peer:ident: $network:ident, $([$inline:ident; $most:literal])? $heap:ident,
     $full:ident => $members:expr, $members_mut:expr) => {
        impl Placed for $peer {
            const NETWORK: Network = Network::$network;
            const INLINE: usize = 0 $(+ $most)?;

            #[inline(always)]
            fn small(swarm: &Swarm) -> Option<(&[Self], SmallShape)> {
                match swarm {
                    $(Swarm::$inline(shape, slots) => Some((slots, *shape)),)?
                    Swarm::$heap(shape, slots) => Some((slots, *shape)),
                    _ => None,
                }
            }

            #[inline(always)]
            fn small_mut(swarm: &mut Swarm) -> Option<(&mut [Self], &mut SmallShape)> {
                match swarm {
                    $(Swarm::$inline(shape, slots) => Some((slots, shape)),)?
                    Swarm::$heap(shape, slots) => Some((slots, shape)),
                    _ => None,
                }
            }

            fn small_with(shape: SmallShape, peers: &[Self], room: usize) -> Swarm {
                $(if room <= $most {
                    let slot = |i| peers.get(i).copied().unwrap_or_default();
                    return Swarm::$inline(shape, std::array::from_fn(slot));
                })?
                let mut slots = Vec::with_capacity(room);
                slots.extend_from_slice(peers);
                slots.resize(room, Self::default());
                Swarm::$heap(shape, slots.into_boxed_slice())
            }

            #[inline(always)]
            fn members($full: &Full) -> Option<&Members<Self>> {
                $members
            }

            #[inline(always)]
            fn members_mut($full: &mut Full) -> &mut Members<Self> {
                $members_mut
            }
        }
    };
}

placed!(Peer4: Ipv4, [Inline4; 2] Heap4, full => Some(&full.v4), &mut full.v4);
placed!(Peer6: Ipv6, [Inline6; 1] Heap6, full => Some(&full.v6), &mut full.v6);
placed!(WebrtcPeer: Webrtc, HeapWebrtc, full => full.webrtc.as_deref(), full.webrtc.get_or_insert_default());

impl Swarm {
    /// The peers of a network.
    #[inline]
    pub(super) fn list<P: Placed>(&self) -> List<'_, P> {
        if let Some((slots, shape)) = P::small(self) {
            let shape = shape.shape();
            return List::of(slots.get(..shape.len as usize).unwrap_or_default(), shape);
        }
        let members = if let Self::Full(full) = self { P::members(full) } else { None };
        members.map_or(List::of(&[], Shape { len: 0, seeders: 0, uploaders: 0 }), Members::list)
    }

    /// Peers of all networks.
    pub(super) fn len(&self) -> usize {
        self.counts().iter().sum()
    }

    pub(super) const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Peers of all networks, by role.
    #[inline]
    pub(super) fn counts(&self) -> [usize; Role::ALL.len()] {
        let [v4, v6, webrtc] = [
            self.list::<Peer4>().shape.counts(),
            self.list::<Peer6>().shape.counts(),
            self.list::<WebrtcPeer>().shape.counts(),
        ];
        std::array::from_fn(|role| v4[role] + v6[role] + webrtc[role])
    }

    /// How many peers of any network share the client network of an address, counted up to a limit.
    pub(super) fn sharing(&self, address: &Address, limit: usize, key: HashKey) -> usize {
        let direct = match address.family() {
            Family::Ipv4 => self.sharing_in::<Peer4>(address, limit, key),
            Family::Ipv6 => self.sharing_in::<Peer6>(address, limit, key),
        };
        direct + self.sharing_in::<WebrtcPeer>(address, limit.saturating_sub(direct), key)
    }

    fn sharing_in<P: Placed>(&self, address: &Address, limit: usize, key: HashKey) -> usize {
        match self.full::<P>() {
            Some(members) => members.sharing(address, limit, key),
            None => self.list::<P>().iter().filter(|peer| peer.shares_network(address)).take(limit).count(),
        }
    }

    /// The position of a peer.
    #[inline]
    pub(super) fn find<P: Placed>(&self, peer: &P, key: HashKey) -> Option<usize> {
        match self {
            Self::Full(full) => P::members(full)?.find(peer, key),
            _ => self.list::<P>().iter().position(|other| other.is(peer)),
        }
    }

    pub(super) fn peer_mut<P: Placed>(&mut self, position: usize) -> Option<&mut P> {
        match self {
            Self::Full(full) => P::members_mut(full).peer_mut(position),
            _ => P::small_mut(self)?.0.get_mut(position),
        }
    }

    /// Adds a peer that is not there and returns its position.
    pub(super) fn insert<P: Placed>(&mut self, peer: P, role: Role, tables: Tables) -> usize {
        if let Self::Full(full) = self {
            return P::members_mut(full).insert(peer, role, tables);
        }
        self.make_room::<P>();
        if let Some((slots, small)) = P::small_mut(self)
            && usize::from(small.len) < slots.len()
        {
            let mut shape = small.shape();
            let position = shape.insert(slots, peer, role, &mut Untracked);
            *small = SmallShape::of(shape);
            return position;
        }
        let mut full = Box::new(Full {
            v4: Members::from_list(self.list::<Peer4>()),
            v6: Members::from_list(self.list::<Peer6>()),
            webrtc: Some(self.list::<WebrtcPeer>())
                .filter(|list| list.len() > 0)
                .map(|list| Box::new(Members::from_list(list))),
        });
        let position = P::members_mut(&mut full).insert(peer, role, tables);
        *self = Self::Full(full);
        position
    }

    /// Removes the peer at a position.
    pub(super) fn remove<P: Placed>(&mut self, position: usize, key: HashKey) {
        if let Self::Full(full) = self {
            P::members_mut(full).remove(position, key);
        } else if let Some((slots, small)) = P::small_mut(self) {
            let mut shape = small.shape();
            shape.remove(slots, position, &mut Untracked);
            *small = SmallShape::of(shape);
        }
        self.shrink();
    }

    /// Gives the peer at a position a role and returns its new position.
    pub(super) fn set_role<P: Placed>(&mut self, position: usize, role: Role, key: HashKey) -> usize {
        if let Self::Full(full) = self {
            return P::members_mut(full).set_role(position, role, key);
        }
        let Some((slots, small)) = P::small_mut(self) else { return position };
        let mut shape = small.shape();
        let target = shape.set_role(slots, position, role, &mut Untracked);
        *small = SmallShape::of(shape);
        target
    }

    /// Makes a free slot for this network, where the swarm may stay small.
    fn make_room<P: Placed>(&mut self) {
        if self.is_empty() {
            *self = P::small_with(SmallShape::default(), &[], P::INLINE.max(1));
        } else if let Some((slots, small)) = P::small(self) {
            let length = usize::from(small.len);
            if length == slots.len() && length < SMALL_MAX {
                *self = P::small_with(small, slots, room_for::<P>(length + 1 + length / 4));
            }
        }
    }

    /// One stage of a pass over the peers of a network, and where the next one begins. Whoever is there from the
    /// beginning of the pass to its end is visited, whatever else comes, goes or changes its role meanwhile.
    pub(super) fn visit<P: Placed>(&self, from: u64, mut visit: impl FnMut(&P, Role)) -> Option<u64> {
        let list = self.list::<P>();
        let mut show = |at| {
            if let Some(peer) = list.get(at) {
                visit(peer, list.role(at));
            }
        };
        match self.full::<P>() {
            Some(members) => members.visit(from, show),
            None => {
                (0..list.len()).for_each(&mut show);
                None
            }
        }
    }

    /// Takes the smallest form again, with some slack so that a peer that comes and goes costs nothing.
    fn shrink(&mut self) {
        if let Self::Full(full) = self
            && full.webrtc.as_ref().is_some_and(|members| members.list().len() == 0)
        {
            full.webrtc = None;
        }
        match self.len() {
            0 => *self = Self::Empty,
            length if length <= SMALL_MAX / 2 => {
                self.shrink_as::<Peer4>(length);
                self.shrink_as::<Peer6>(length);
                self.shrink_as::<WebrtcPeer>(length);
            }
            _ => {}
        }
    }

    fn shrink_as<P: Placed>(&mut self, length: usize) {
        let list = self.list::<P>();
        if list.len() != length {
            return;
        }
        let slack = match P::small(self) {
            Some((slots, _)) => slots.len() > P::INLINE && length <= slots.len() / 2,
            None => true,
        };
        let in_place = length <= P::INLINE && (slack || P::INLINE == 1);
        if in_place || slack {
            let room = if in_place { length } else { room_for::<P>(length + length / 4) };
            let peers: Vec<P> = list.iter().copied().collect();
            *self = P::small_with(SmallShape::of(list.shape), &peers, room);
        }
    }

    /// Whether it is large, or of several networks.
    pub(super) const fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// A network's part, if it is.
    pub(super) fn full<P: Placed>(&self) -> Option<&Members<P>> {
        match self {
            Self::Full(full) => P::members(full),
            _ => None,
        }
    }

    /// Where the peers are, if not in place.
    pub(super) fn address(&self) -> Option<*const u8> {
        match self {
            Self::Empty | Self::Inline4(..) | Self::Inline6(..) => None,
            Self::Heap4(_, slots) => Some(slots.as_ptr().cast()),
            Self::Heap6(_, slots) => Some(slots.as_ptr().cast()),
            Self::HeapWebrtc(_, slots) => Some(slots.as_ptr().cast()),
            Self::Full(full) => Some(std::ptr::from_ref(&**full).cast()),
        }
    }
}

/// So many slots that the allocation wastes nothing: allocators give multiples of 16 bytes, less 8 of their own.
const fn room_for<P>(slots: usize) -> usize {
    let bytes = (slots * size_of::<P>() + 8).next_multiple_of(16) - 8;
    let room = bytes / size_of::<P>();
    if room > SMALL_MAX { SMALL_MAX } else { room }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::peer::{Contact as _, Stamp};

    const KEY: HashKey = HashKey::new([5, 6]);
    const TABLES: Tables = Tables { key: KEY, by_network: false };

    fn peer4(n: u16) -> Peer4 {
        Peer4::new(&Address::from_ipv4([10, 0, 0, 1]), n, Stamp::default())
    }

    fn lengths(swarm: &Swarm) -> [usize; 3] {
        [swarm.list::<Peer4>().len(), swarm.list::<Peer6>().len(), swarm.list::<WebrtcPeer>().len()]
    }

    #[test]
    fn a_swarm_takes_the_smallest_form_again() {
        let mut swarm = Swarm::Empty;
        swarm.insert(WebrtcPeer::default(), Role::Seeder, TABLES);
        assert!(matches!(&swarm, Swarm::HeapWebrtc(_, slots) if slots.len() == 1));
        swarm.insert(peer4(1), Role::Leecher, TABLES);
        assert!(matches!(swarm, Swarm::Full(_)));
        assert_eq!((lengths(&swarm), swarm.counts(), swarm.len()), ([1, 0, 1], [1, 0, 1], 2));
        swarm.remove::<Peer4>(0, KEY);
        assert!(matches!(&swarm, Swarm::HeapWebrtc(_, slots) if slots.len() == 1));
        swarm.insert(peer4(1), Role::Leecher, TABLES);
        swarm.remove::<WebrtcPeer>(0, KEY);
        assert!(matches!(swarm, Swarm::Inline4(..)));
        swarm.remove::<Peer4>(0, KEY);
        assert!(swarm.is_empty());
    }

    #[test]
    fn a_large_swarm_has_room_for_webrtc_peers_while_it_has_some() {
        let has_room = |swarm: &Swarm| matches!(swarm, Swarm::Full(full) if full.webrtc.is_some());
        let mut swarm = Swarm::Empty;
        for n in 0..100 {
            swarm.insert(peer4(n), Role::Leecher, TABLES);
        }
        assert!(matches!(swarm, Swarm::Full(_)) && !has_room(&swarm));
        swarm.insert(WebrtcPeer::default(), Role::Leecher, TABLES);
        assert!(has_room(&swarm));
        swarm.remove::<WebrtcPeer>(0, KEY);
        assert!(!has_room(&swarm));
        assert_eq!(lengths(&swarm), [100, 0, 0]);
    }
}
