//! Why peers are not kept, as operators count it.

use super::{Membership, Rejected};
use tracker_common::labelled;

labelled! {
    /// Why an announcer was not kept, though it might have been.
    pub enum NotKept {
        /// There is no room for peers any more: [`crate::policy::Policy::max_peers`].
        Memory = "memory",
        /// The torrent holds all it may: [`crate::policy::Policy::max_peers_per_torrent`].
        TorrentFull = "torrent_full",
        /// Its network has all it may have in the torrent: [`crate::policy::Policy::peers_per_address`].
        AddressFull = "address_full",
        /// The torrent is new, and there are all that may be: [`crate::policy::Policy::max_torrents`].
        Torrents = "torrents",
        /// Its software is not served: [`crate::admission::Admission::denied_clients`].
        Client = "client",
        /// It has no key of those that are served: [`crate::admission::Admission::keys`].
        Key = "key",
    }
}

impl Membership {
    /// Why the announcer was answered and not kept, if it was to be.
    #[must_use]
    pub const fn not_kept(self) -> Option<NotKept> {
        match self {
            Self::TorrentFull => Some(NotKept::TorrentFull),
            Self::AddressFull => Some(NotKept::AddressFull),
            Self::MemoryFull => Some(NotKept::Memory),
            Self::Added | Self::Refreshed | Self::Removed | Self::Absent => None,
        }
    }
}

impl Rejected {
    /// What the announce was refused for, if operators count it.
    #[must_use]
    pub const fn not_kept(self) -> Option<NotKept> {
        match self {
            Self::TooManyTorrents => Some(NotKept::Torrents),
            Self::MemoryFull => Some(NotKept::Memory),
            Self::ClientDenied => Some(NotKept::Client),
            Self::KeyMissing | Self::KeyUnknown => Some(NotKept::Key),
            Self::NotPermitted
            | Self::Banned
            | Self::PeerIdTaken
            | Self::TooManyMemberships
            | Self::RateLimited => None,
        }
    }
}
