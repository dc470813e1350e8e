//! The one format in which swarms leave the process: torrents with their peers, each with role and age.
//!
//! It is what a walk writes down, and what a journal of changes writes down. Ages are told, not times: the clocks of two
//! processes need not agree. Of two records of one peer the newer holds, and at equal age the one that ranks higher:
//! gone, then seeder, partial seed, leecher. So records may come twice, late and out of order; whoever takes them in out of
//! order listens, too, to know who went. Seconds are all that is told: who stops and starts within one is gone until it
//! announces again.
//!
//! Of the downloads of a torrent each node of a cluster has its own count, which only grows, and a record tells the count of one
//! node: of the one that wrote it down, or of the one that is named beside the records. Of two counts of one node the higher
//! holds, whatever comes twice, late or out of order; clients are told the sum over all nodes.
//!
//! A stream of records is torrents, one behind the other:
//!
//! | field | bytes |
//! | --- | --- |
//! | info hash | 20 |
//! | `downloaded`, what one node counted of the torrent's downloads | varint |
//! | age in seconds of that count, where the torrent has no peers; otherwise 0 | varint |
//! | number of IPv4 peers, number of IPv6 peers | varint each |
//! | the IPv4 peers: address (4), port (2), state | 6 + varint |
//! | the IPv6 peers: address (16), port (2), state | 18 + varint |
//!
//! Addresses and ports are in network order. A state is `age << 3 | kind`, the age in seconds; the kind is 1 for a peer
//! that is gone, else 2 for a leecher, 4 for a partial seed, 6 for a seeder, and one more if its download is
//! counted. A varint is little-endian, seven bits a byte, the high bit set in all but the last (LEB128), in as few bytes as do.
//! A large torrent may come in several pieces with the same info hash.
//!
//! WebRTC peers are none of these: they end with the process that holds their connections. Nodes of a cluster tell each
//! other of them in records of their own, [`WebrtcWriter`] and [`WebrtcReader`].

mod named;
mod read;
mod webrtc;
mod write;

#[cfg(test)]
mod tests;

pub use named::{split_name, with_name};
pub use read::{Malformed, Reader, Record};
pub use webrtc::{WebrtcItem, WebrtcReader, WebrtcRecord, WebrtcWalkWriter, WebrtcWriter};
pub use write::{RecordWriter, WalkWriter};

use crate::model::{InfoHash, Role, Seconds};
use tracker_common::address::Address;

/// A torrent, whose peers follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TorrentRecord {
    /// Which.
    pub info_hash: InfoHash,
    /// What one node counted of its downloads: the one that tells, or another one that is named beside the record.
    pub downloaded: u32,
    /// For how long that has been kept without peers; 0 if there are any.
    pub age: Seconds,
}

/// A peer of the torrent before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    /// Where it is.
    pub address: Address,
    /// Its port, host byte order.
    pub port: u16,
    /// What it was when it was last heard of.
    pub state: State,
    /// How long ago that was.
    pub age: Seconds,
}

/// What a record says of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// It is there.
    Here {
        /// What it has and wants.
        role: Role,
        /// Its download is in some node's count.
        counted: bool,
    },
    /// It went.
    Gone,
}

impl State {
    const fn kind(self) -> u64 {
        match self {
            Self::Gone => 1,
            Self::Here { role, counted } => 2 * (role as u64 + 1) + counted as u64,
        }
    }

    const fn of_kind(kind: u64) -> Option<Self> {
        let counted = kind & 1 == 1;
        let role = match kind {
            1 => return Some(Self::Gone),
            2 | 3 => Role::Leecher,
            4 | 5 => Role::PartialSeed,
            6 | 7 => Role::Seeder,
            _ => return None,
        };
        Some(Self::Here { role, counted })
    }
}
