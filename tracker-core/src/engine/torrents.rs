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
/// Torrents for which the first piece has room at first.
const FIRST: usize = 4;
const _: () = assert!(PIECE.is_multiple_of(FIRST) && (PIECE / FIRST).is_power_of_two());

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
                // The first one doubles up to its size: most shards of a small tracker hold a few torrents.
                let mut piece = Vec::with_capacity(if position == 0 { FIRST } else { PIECE });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn torrent(n: u32) -> Torrent {
        Torrent { info_hash: InfoHash([0; 20]), downloaded: n, swarm: Swarm::Empty }
    }

    #[test]
    fn positions_stay_dense_and_pieces_keep_their_size() {
        let mut torrents = Torrents::default();
        let mut plain = Vec::new();
        for n in 0..1000 {
            assert_eq!(torrents.push(torrent(n)), plain.len());
            plain.push(n);
        }
        assert!(torrents.pieces.iter().all(|piece| piece.capacity() == PIECE));
        for i in (0..1000).map(|i: usize| i * 7919) {
            let at = i % plain.len();
            assert_eq!(
                torrents.swap_remove(at).map(|torrent| torrent.downloaded),
                Some(plain.swap_remove(at))
            );
            assert_eq!(torrents.len(), plain.len());
            assert!(torrents.iter().map(|torrent| torrent.downloaded).eq(plain.iter().copied()));
            assert!(torrents.get(plain.len()).is_none());
        }
        assert_eq!(torrents.pieces.len(), 0);
        assert!(torrents.swap_remove(0).is_none());
    }
}
