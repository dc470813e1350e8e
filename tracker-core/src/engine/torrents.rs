//! A torrent and the array in which a shard has its own.

use super::{pieces::Pieces, swarm::Swarm};
use crate::model::{Counts, InfoHash, Role};

/// A torrent that has peers.
#[derive(Debug)]
pub(super) struct Torrent {
    pub(super) info_hash: InfoHash,
    pub(super) downloaded: u32,
    pub(super) swarm: Swarm,
}
const _: () = assert!(size_of::<Torrent>() == 48);

impl Torrent {
    #[inline]
    pub(super) fn counts(&self) -> Counts {
        let of = self.swarm.counts().map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let (leechers, partial) = (of[Role::Leecher as usize], of[Role::PartialSeed as usize]);
        Counts {
            complete: of[Role::Seeder as usize],
            incomplete: leechers.saturating_add(partial),
            downloaders: leechers,
            downloaded: self.downloaded,
        }
    }
}

/// Torrents in a piece: 3 KiB.
const PIECE: usize = 64;

/// The torrents of a shard, numbered from zero without gaps.
pub(super) type Torrents = Pieces<Torrent, PIECE>;

/// For how many torrents more there is to be room, of a shard that has so many: most shards of a small tracker hold a few.
pub(super) const fn room(torrents: usize) -> usize {
    if torrents >= PIECE {
        PIECE
    } else if torrents < 4 {
        4
    } else {
        torrents
    }
}
