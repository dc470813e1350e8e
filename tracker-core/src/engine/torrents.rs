//! A dense array of torrents in pieces of equal size, so that growing copies nothing and leaves no holes in memory.

use super::swarm::Swarm;
use crate::model::{Counts, InfoHash};

/// A torrent that has peers.
#[derive(Debug)]
pub(super) struct Torrent {
    pub(super) info_hash: InfoHash,
    pub(super) downloaded: u32,
    pub(super) swarm: Swarm,
}
const _: () = assert!(size_of::<Torrent>() == 48);

impl Torrent {
    pub(super) fn counts(&self) -> Counts {
        let [complete, incomplete] = self.swarm.counts().map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        Counts { complete, incomplete, downloaded: self.downloaded }
    }
}

/// The torrents of a shard, numbered from zero without gaps.
#[derive(Debug, Default)]
pub(super) struct Torrents {
    pieces: Vec<Vec<Torrent>>,
}

/// Torrents in a piece: 3 KiB.
const PIECE: usize = 64;

impl Torrents {
    pub(super) fn len(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len())
    }

    #[inline]
    pub(super) fn get(&self, position: usize) -> Option<&Torrent> {
        self.pieces.get(position / PIECE)?.get(position % PIECE)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, position: usize) -> Option<&mut Torrent> {
        self.pieces.get_mut(position / PIECE)?.get_mut(position % PIECE)
    }

    /// Adds a torrent behind all others and returns its position.
    pub(super) fn push(&mut self, torrent: Torrent) -> usize {
        let position = self.len();
        match self.pieces.last_mut() {
            Some(last) if last.len() < PIECE => last.push(torrent),
            _ => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(torrent);
                if self.pieces.len() == self.pieces.capacity() {
                    self.pieces.reserve_exact(4.max(self.pieces.len() / 4));
                }
                self.pieces.push(piece);
            }
        }
        position
    }

    /// Removes a torrent; the last one takes its position.
    pub(super) fn swap_remove(&mut self, position: usize) -> Option<Torrent> {
        let last = self.pieces.last_mut()?;
        let moved = last.pop()?;
        if last.is_empty() {
            self.pieces.pop();
            if self.pieces.len() < self.pieces.capacity() / 2 {
                self.pieces.shrink_to(self.pieces.len() + self.pieces.len() / 4);
            }
        }
        match self.get_mut(position) {
            Some(hole) => Some(std::mem::replace(hole, moved)),
            None => Some(moved),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Torrent> {
        self.pieces.iter().flatten()
    }
}
