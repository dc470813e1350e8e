//! The words of the domain: torrents, events, roles, counts.

use std::fmt;
use tracker_common::{address::Family, hex::Hex, labelled};

/// Protocol time in whole seconds: monotonic, and continued across a restart.
pub type Seconds = u32;

/// Names a torrent: a SHA-1 (BEP 3), or the first 20 bytes of a SHA-256 (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct InfoHash(pub [u8; 20]);

impl InfoHash {
    /// Bytes in an info hash.
    pub const LEN: usize = 20;
}

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names a client, as long as it runs (BEP 3). Every peer sees those of the others, so it proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct PeerId(pub [u8; 20]);

impl PeerId {
    /// Bytes in a peer ID.
    pub const LEN: usize = 20;
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

labelled! {
    /// How the peers of a swarm reach each other.
    #[repr(u8)]
    pub enum Network {
        /// By IPv4 address and port.
        Ipv4 = "ipv4",
        /// By IPv6 address and port.
        Ipv6 = "ipv6",
        /// By offers and answers that the tracker relays.
        Webrtc = "webrtc",
    }
}

impl From<Family> for Network {
    fn from(family: Family) -> Self {
        match family {
            Family::Ipv4 => Self::Ipv4,
            Family::Ipv6 => Self::Ipv6,
        }
    }
}

/// Why a peer announces. Whatever a client sends that is none of these is [`Event::None`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Event {
    /// A regular announce.
    #[default]
    None,
    /// The first one.
    Started,
    /// The download has just become whole.
    Completed,
    /// The last one.
    Stopped,
    /// A partial seed: not whole, and not downloading (BEP 21).
    Paused,
}

/// What a peer has of the torrent, and whether it wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Role {
    /// It wants all of what it lacks.
    Leecher = 0,
    /// It lacks something and wants nothing (BEP 21). Counted among the incomplete, but of no use to who has all it
    /// wants.
    PartialSeed = 1,
    /// It has everything.
    Seeder = 2,
}

impl Role {
    /// Every role, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Leecher, Self::PartialSeed, Self::Seeder];

    /// Of a peer that announces this. A partial seed is no seeder, whatever it says is left.
    #[must_use]
    pub const fn of(event: Event, left: u64) -> Self {
        match (event, left) {
            (Event::Paused, _) => Self::PartialSeed,
            (_, 0) => Self::Seeder,
            _ => Self::Leecher,
        }
    }
}

/// What a tracker says of a whole swarm, all networks together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Peers that have the whole torrent.
    pub complete: u32,
    /// Peers that do not, partial seeds among them.
    pub incomplete: u32,
    /// Those of the incomplete that want something: all but partial seeds (BEP 21).
    pub downloaders: u32,
    /// How often a peer told that it had become complete.
    pub downloaded: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_hashes_and_peer_ids_read_as_hex() {
        let bytes = std::array::from_fn(|i| (i * 13) as u8);
        assert_eq!(InfoHash(bytes).to_string(), "000d1a2734414e5b6875828f9ca9b6c3d0ddeaf7");
        assert_eq!(PeerId(bytes).to_string(), "000d1a2734414e5b6875828f9ca9b6c3d0ddeaf7");
    }

    #[test]
    fn the_number_of_a_network_is_its_place() {
        assert_eq!(Network::ALL.map(|network| network as usize), [0, 1, 2]);
        assert_eq!(Network::ALL.map(Network::label), ["ipv4", "ipv6", "webrtc"]);
        assert_eq!(Family::ALL.map(|family| Network::from(family).label()), Family::ALL.map(Family::label));
    }
}
