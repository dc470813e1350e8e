//! What goes into the engine and what comes out of it.

use crate::{
    model::{Counts, Event, InfoHash, Network, PeerId, Role, Seconds},
    nodes::NodeNumber,
};
use tracker_common::address::{Address, Family};

/// Which peers an announcer is given, and how many at most; the room in [`Lists`] may cap it further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// So many of its own family, as UDP carries them (BEP 15).
    Own(usize),
    /// So many of both families together, as HTTP does (BEP 7). Its own comes first, but a quarter of the places,
    /// rounded up, is for the other one, except for the first place. What one cannot fill goes to the other.
    Both(usize),
}

impl Want {
    /// How many peers of each family to give, where there are `most` of each.
    #[inline]
    pub(super) fn share(self, own: Family, most: [usize; 2]) -> [usize; 2] {
        let [mine, theirs] = match own {
            Family::Ipv4 => most,
            Family::Ipv6 => [most[1], most[0]],
        };
        let (mine, theirs) = match self {
            Self::Own(want) => (want.min(mine), 0),
            Self::Both(want) => {
                let kept = want.div_ceil(4).min(want.saturating_sub(1)).min(theirs);
                let given = (want - kept).min(mine);
                (given, (want - given).min(theirs))
            }
        };
        match own {
            Family::Ipv4 => [mine, theirs],
            Family::Ipv6 => [theirs, mine],
        }
    }
}

/// A peer tells of itself and asks for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Where the peer is. Together with the port this is who it is.
    pub address: Address,
    /// Where it listens, host byte order; not zero.
    pub port: u16,
    /// Why it announces.
    pub event: Event,
    /// Bytes it still has to get; zero makes a seeder.
    pub left: u64,
    /// Which peers it asks for.
    pub want: Want,
}

/// Where the peers go, in the compact form of BEP 23 and BEP 7: address, then port, in network order.
#[derive(Debug, Default)]
pub struct Lists<'a> {
    /// Room for entries of 6 bytes.
    pub ipv4: &'a mut [u8],
    /// Room for entries of 18 bytes.
    pub ipv6: &'a mut [u8],
}

/// The answer to an announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The whole swarm, the announcer included where it is stored.
    pub counts: Counts,
    /// Entries written to [`Lists::ipv4`].
    pub ipv4_peers: usize,
    /// Entries written to [`Lists::ipv6`].
    pub ipv6_peers: usize,
    /// What became of the announcer.
    pub membership: Membership,
}

/// Names a connection: unique for the life of the process. Those of this node have numbers below 2⁶³; what is above stands
/// for whatever connection another node reaches a peer by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey(pub u64);

impl ConnectionKey {
    const ELSEWHERE: u64 = 1 << 63;

    /// Of all peers that another node holds.
    #[must_use]
    pub const fn of_node(node: NodeNumber) -> Self {
        Self(Self::ELSEWHERE | node.get() as u64)
    }

    /// The node that holds the peer, if it is another one.
    #[must_use]
    pub const fn node(self) -> Option<NodeNumber> {
        if self.0 & Self::ELSEWHERE == 0 { None } else { NodeNumber::new(self.0 as u16) }
    }
}

/// A WebRTC peer tells of itself and asks for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebrtcAnnounce {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who the peer is, among the torrent's WebRTC peers.
    pub peer_id: PeerId,
    /// Through which it is reached.
    pub connection: ConnectionKey,
    /// The client's. Only from there may another connection of this node take the peer over.
    pub address: Address,
    /// Why it announces.
    pub event: Event,
    /// Bytes it still has to get; zero makes a seeder.
    pub left: u64,
    /// How many others it may be given.
    pub partners: usize,
}

/// A WebRTC peer that an announcer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Partner {
    /// Who it is.
    pub peer_id: PeerId,
    /// Through which it is reached.
    pub connection: ConnectionKey,
}

/// The answer to an announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebrtcAnnounced {
    /// The whole swarm, the announcer included where it is stored.
    pub counts: Counts,
    /// What became of the announcer.
    pub membership: Membership,
    /// The connection that held the peer ID before, if it was another one; it may be one of another node.
    pub displaced: Option<ConnectionKey>,
}

/// What an announce made of the announcer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It was not known in this torrent and now is.
    Added,
    /// It was known, and may have changed its role.
    Refreshed,
    /// It was known and has stopped.
    Removed,
    /// It stopped without having been known.
    Absent,
    /// It was answered but not stored: [`crate::policy::Policy::max_peers_per_torrent`] is reached.
    TorrentFull,
    /// It was answered but not stored: [`crate::policy::Policy::peers_per_address`] is reached.
    AddressFull,
    /// It was answered but not stored: [`crate::policy::Policy::max_peers`] is reached.
    MemoryFull,
}

/// How much the engine holds, exact at some moment for each shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Torrents with at least one peer.
    pub torrents: usize,
    /// By network, then by role, both in the order of their numbers.
    pub peers: [[usize; Role::ALL.len()]; Network::ALL.len()],
    /// `downloaded` counts kept of torrents without peers.
    pub retained: usize,
}

impl Totals {
    /// Peers of one network and role.
    #[must_use]
    pub const fn peers_of(&self, network: Network, role: Role) -> usize {
        self.peers[network as usize][role as usize]
    }

    /// Peers of one network that have everything.
    #[must_use]
    pub const fn complete(&self, network: Network) -> usize {
        self.peers_of(network, Role::Seeder)
    }

    /// Peers of one network that have not: leechers and partial seeds.
    #[must_use]
    pub const fn incomplete(&self, network: Network) -> usize {
        self.peers_of(network, Role::Leecher) + self.peers_of(network, Role::PartialSeed)
    }
}

/// What tells a peer from all others of its torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Its address, and its port in host byte order.
    At(Address, u16),
    /// The peer ID of a WebRTC peer.
    Named(PeerId),
}

/// What is known of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// What it has and wants.
    pub role: Role,
    /// Its download is in the torrent's `downloaded` count.
    pub counted: bool,
    /// How long ago it was last heard of.
    pub age: Seconds,
}

/// What is to become of what was visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep,
    /// It goes.
    Remove,
    /// It stays, and so do all the others of this torrent, or of this shard's kept counts: they need not be visited.
    Enough,
}

/// How many torrents have how many peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwarmSizes {
    /// Torrents with at most [`SwarmSizes::BOUNDS`] peers and more than the bound before; the last one has no bound.
    pub torrents: [u64; Self::BUCKETS],
    /// Peers in all of them.
    pub peers: u64,
}

impl SwarmSizes {
    /// Buckets, the one without a bound included.
    pub const BUCKETS: usize = Self::BOUNDS.len() + 1;
    /// The upper bounds of the buckets, inclusive.
    pub const BOUNDS: [u32; 18] = [
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000,
        500_000,
    ];
}

/// What a slice of sweeping did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Torrents, peers and retained counts looked at.
    pub visited: usize,
    /// Peers that had not been heard of for the timeout and are gone.
    pub expired: usize,
    /// The slice reached the end of a cycle and stopped there: whoever had expired is gone.
    pub cycle_ended: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_shared_between_the_families() {
        let cases = [
            // Want, peers of its own family and of the other one, given of each.
            (Want::Own(5), [9, 9], [5, 0]),
            (Want::Own(5), [3, 9], [3, 0]),
            (Want::Own(0), [9, 9], [0, 0]),
            (Want::Both(0), [9, 9], [0, 0]),
            (Want::Both(1), [9, 9], [1, 0]),
            (Want::Both(1), [0, 9], [0, 1]),
            (Want::Both(2), [9, 9], [1, 1]),
            (Want::Both(3), [9, 9], [2, 1]),
            (Want::Both(4), [9, 9], [3, 1]),
            (Want::Both(5), [9, 9], [3, 2]),
            (Want::Both(8), [9, 9], [6, 2]),
            (Want::Both(8), [9, 1], [7, 1]),
            (Want::Both(8), [9, 0], [8, 0]),
            (Want::Both(8), [4, 9], [4, 4]),
            (Want::Both(8), [0, 9], [0, 8]),
            (Want::Both(8), [2, 3], [2, 3]),
            (Want::Both(50), [100, 100], [37, 13]),
            (Want::Both(usize::MAX), [2, 3], [2, 3]),
        ];
        for (want, most, given) in cases {
            assert_eq!(want.share(Family::Ipv4, most), given, "{want:?} of {most:?}");
            let [mine, theirs] = most;
            let [own, other] = given;
            assert_eq!(want.share(Family::Ipv6, [theirs, mine]), [other, own], "{want:?} of {most:?}");
        }
    }
}
