//! What the operator decides about swarms: one immutable snapshot, swapped whole.

use crate::{admission::Admission, model::Seconds};

/// What clients get and how much is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What clients get.
    pub admission: Admission,
    /// A peer not heard of for this long is forgotten; at most [`Policy::MAX_PEER_TIMEOUT`], more counts as that.
    pub peer_timeout: Seconds,
    /// Whether peers at private addresses are given to announcers at private addresses alone.
    pub hide_private: bool,
    /// A torrent that holds this many peers answers new ones without storing them.
    pub max_peers_per_torrent: usize,
    /// With this many torrents stored, an announce for a new one is refused.
    pub max_torrents: usize,
    /// With this many peers stored in all, new ones are answered without being stored, and new torrents are refused a
    /// little before.
    pub max_peers: usize,
    /// How many peers of one torrent may share a client network (an IPv4 address, an IPv6 /64); `None` for any number.
    /// Large swarms find peers by network only in an engine that was made with a limit; in others a limit set later
    /// costs each new peer a pass over its torrent's peers.
    pub peers_per_address: Option<u32>,
    /// How long the `downloaded` count of a torrent without peers is kept.
    pub downloaded_retention: Seconds,
    /// How many such counts are kept at most; the oldest go first.
    pub downloaded_entries: usize,
}

impl Policy {
    /// More peers of one torrent cannot be numbered; a higher limit counts as this.
    pub const MAX_PEERS_PER_TORRENT: usize = 16_000_000;

    /// How many counts of downloads of other nodes are kept at most, one for each torrent and node that counted some: one for two peers
    /// that there may be, and one for each count that is kept without peers. Further ones are not taken in.
    #[must_use]
    pub const fn max_shares(&self) -> usize {
        (self.max_peers / 2).saturating_add(self.downloaded_entries)
    }

    /// The highest limit on the peers of one client network; a higher one counts as this.
    pub const MAX_PEERS_PER_ADDRESS: u32 = 500;

    /// Four hours. A peer's last sign of life is kept as 15 bits of seconds, which wrap after nine: the rest is the
    /// time a full cycle of sweeps may take.
    pub const MAX_PEER_TIMEOUT: Seconds = 4 * 3600;
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            admission: Admission::default(),
            peer_timeout: 45 * 60,
            hide_private: false,
            max_peers_per_torrent: 1_000_000,
            max_torrents: 20_000_000,
            max_peers: usize::MAX,
            peers_per_address: None,
            downloaded_retention: 7 * 24 * 3600,
            downloaded_entries: 1_000_000,
        }
    }
}
