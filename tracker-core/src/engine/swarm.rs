//! The peers of one torrent, in 24 bytes and an allocation only where there are several.
//!
//! Nearly all torrents have one or two peers, of one network. A swarm starts in place, goes to an array of its own,
//! and only as a large or mixed one gets the full structure with an index.

use super::{
    hash::HashKey,
    members::{List, Members, Shape, Untracked},
    peer::{Peer, Peer4, Peer6},
    webrtc::WebrtcPeer,
};
use crate::model::{Network, Role, Seconds};
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

/// A [`Shape`] in two bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SmallShape {
    len: u8,
    seeders: u8,
}

impl SmallShape {
    fn of(shape: Shape) -> Self {
        debug_assert!(shape.len <= SMALL_MAX);
        Self { len: shape.len as u8, seeders: shape.seeders as u8 }
    }

    fn shape(self) -> Shape {
        Shape { len: usize::from(self.len), seeders: usize::from(self.seeders) }
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
pub(super) type PeerCounts = [[usize; 2]; Network::ALL.len()];

/// How far a pass over a swarm's peers has come: those at `below` and above are done, and all of the families before.
/// WebRTC peers are not looked at: they live as long as their connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resume {
    family: Family,
    below: usize,
}

impl Resume {
    /// A pass that begins.
    pub(super) const START: Self = Self { family: Family::Ipv4, below: usize::MAX };
}

/// What a part of a pass did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expired {
    /// Peers looked at.
    pub(super) visited: usize,
    /// Peers removed.
    pub(super) gone: PeerCounts,
    /// Where to go on, unless this was the end.
    pub(super) resume: Option<Resume>,
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
            let Shape { len, seeders } = shape.shape();
            return List { peers: slots.get(..len).unwrap_or_default(), seeders };
        }
        let members = if let Self::Full(full) = self { P::members(full) } else { None };
        members.map_or(List { peers: &[], seeders: 0 }, Members::list)
    }

    /// Peers of all networks.
    pub(super) fn len(&self) -> usize {
        self.counts().iter().sum()
    }

    pub(super) const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Seeders and leechers of all networks.
    #[inline]
    pub(super) fn counts(&self) -> [usize; 2] {
        let [v4, v6, webrtc] = self.peers();
        [v4[0] + v6[0] + webrtc[0], v4[1] + v6[1] + webrtc[1]]
    }

    #[inline]
    pub(super) fn peers(&self) -> PeerCounts {
        [self.list::<Peer4>().counts(), self.list::<Peer6>().counts(), self.list::<WebrtcPeer>().counts()]
    }

    /// How many peers of any network are at an address, counted up to a limit.
    pub(super) fn sharing(&self, address: &Address, limit: usize) -> usize {
        fn at<P: Placed>(swarm: &Swarm, address: &Address, limit: usize) -> usize {
            let peers = swarm.list::<P>().peers.iter();
            peers.filter(|peer| peer.address() == *address).take(limit).count()
        }
        let direct = match address.family() {
            Family::Ipv4 => at::<Peer4>(self, address, limit),
            Family::Ipv6 => at::<Peer6>(self, address, limit),
        };
        direct + at::<WebrtcPeer>(self, address, limit - direct)
    }

    /// The position of a peer.
    #[inline]
    pub(super) fn find<P: Placed>(&self, peer: &P, key: HashKey) -> Option<usize> {
        match self {
            Self::Full(full) => P::members(full)?.find(peer, key),
            _ => self.list::<P>().peers.iter().position(|other| other.is(peer)),
        }
    }

    pub(super) fn peer_mut<P: Placed>(&mut self, position: usize) -> Option<&mut P> {
        match self {
            Self::Full(full) => P::members_mut(full).peer_mut(position),
            _ => P::small_mut(self)?.0.get_mut(position),
        }
    }

    /// Adds a peer that is not there and returns its position.
    pub(super) fn insert<P: Placed>(&mut self, peer: P, role: Role, key: HashKey) -> usize {
        if let Self::Full(full) = self {
            return P::members_mut(full).insert(peer, role, key);
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
                .filter(|list| !list.peers.is_empty())
                .map(|list| Box::new(Members::from_list(list))),
        });
        let position = P::members_mut(&mut full).insert(peer, role, key);
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

    /// Removes peers that are at least `timeout` old, from `resume` on, looking at no more than `budget` of them.
    pub(super) fn expire(
        &mut self,
        resume: Resume,
        now: Seconds,
        timeout: Seconds,
        budget: usize,
        key: HashKey,
    ) -> Expired {
        let mut expired = Expired::default();
        if resume.family == Family::Ipv4 {
            let below = self.expire_family::<Peer4>(resume.below, now, timeout, budget, key, &mut expired);
            if below > 0 {
                expired.resume = Some(Resume { family: Family::Ipv4, below });
                return expired;
            }
        }
        let below = if resume.family == Family::Ipv6 { resume.below } else { usize::MAX };
        let rest = budget - expired.visited;
        let below = self.expire_family::<Peer6>(below, now, timeout, rest, key, &mut expired);
        expired.resume = (below > 0).then_some(Resume { family: Family::Ipv6, below });
        expired
    }

    /// Goes down from `below`: what moves into the place of a removed peer has been looked at. Returns where it
    /// stopped.
    fn expire_family<P: Placed>(
        &mut self,
        below: usize,
        now: Seconds,
        timeout: Seconds,
        budget: usize,
        key: HashKey,
        expired: &mut Expired,
    ) -> usize {
        let mut at = below.min(self.list::<P>().peers.len());
        let mut visited = 0;
        while at > 0 && visited < budget {
            at -= 1;
            visited += 1;
            let list = self.list::<P>();
            if list.peers.get(at).is_some_and(|peer| peer.stamp().is_older(now, timeout)) {
                expired.gone[P::NETWORK as usize][list.role(at) as usize] += 1;
                self.remove::<P>(at, key);
            }
        }
        expired.visited += visited;
        at
    }

    /// Takes the smallest form again, with some slack so that a peer that comes and goes costs nothing.
    fn shrink(&mut self) {
        if let Self::Full(full) = self
            && full.webrtc.as_ref().is_some_and(|members| members.list().peers.is_empty())
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
        if list.peers.len() != length {
            return;
        }
        let small = SmallShape::of(Shape { len: length, seeders: list.seeders });
        let slack = match P::small(self) {
            Some((slots, _)) => slots.len() > P::INLINE && length <= slots.len() / 2,
            None => true,
        };
        if length <= P::INLINE && (slack || P::INLINE == 1) {
            *self = P::small_with(small, list.peers, length);
        } else if slack {
            *self = P::small_with(small, list.peers, room_for::<P>(length + length / 4));
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

    fn peer4(n: u16) -> Peer4 {
        Peer4::new(&Address::from_ipv4([10, 0, 0, 1]), n, Stamp::default())
    }

    fn lengths(swarm: &Swarm) -> [usize; 3] {
        swarm.peers().map(|counts| counts.iter().sum())
    }

    #[test]
    fn a_swarm_takes_the_smallest_form_again() {
        let mut swarm = Swarm::Empty;
        swarm.insert(WebrtcPeer::default(), Role::Seeder, KEY);
        assert!(matches!(&swarm, Swarm::HeapWebrtc(_, slots) if slots.len() == 1));
        swarm.insert(peer4(1), Role::Leecher, KEY);
        assert!(matches!(swarm, Swarm::Full(_)));
        assert_eq!((lengths(&swarm), swarm.counts(), swarm.len()), ([1, 0, 1], [1, 1], 2));
        swarm.remove::<Peer4>(0, KEY);
        assert!(matches!(&swarm, Swarm::HeapWebrtc(_, slots) if slots.len() == 1));
        swarm.insert(peer4(1), Role::Leecher, KEY);
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
            swarm.insert(peer4(n), Role::Leecher, KEY);
        }
        assert!(matches!(swarm, Swarm::Full(_)) && !has_room(&swarm));
        swarm.insert(WebrtcPeer::default(), Role::Leecher, KEY);
        assert!(has_room(&swarm));
        swarm.remove::<WebrtcPeer>(0, KEY);
        assert!(!has_room(&swarm));
        assert_eq!(lengths(&swarm), [100, 0, 0]);
    }
}
