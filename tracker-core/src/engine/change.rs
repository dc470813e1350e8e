//! What becomes of peers, as values: a journal of it for whoever keeps a copy of the swarms.

use super::{
    hash::HashKey,
    report::{Known, Place},
};
use crate::model::{InfoHash, Seconds};
use hashbrown::HashTable;
use std::collections::VecDeque;

/// Why a peer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It announced itself, or stopped, or its connection ended.
    Announce,
    /// A record told of it.
    Record,
    /// It was not heard of for too long. Whoever keeps a copy finds that out alone.
    Expiry,
    /// The access list does not permit its torrent.
    Purge,
}

/// A peer came, was heard of again, or went. That a record alone raised a count of downloads is no change: who wants to
/// know of that, too, walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of which torrent.
    pub info_hash: InfoHash,
    /// The torrent's count of downloads after it.
    pub downloaded: u32,
    /// Which peer.
    pub peer: Place,
    /// What was known of it; nothing if it is new.
    pub before: Option<Known>,
    /// What is known now; nothing if it is gone.
    pub after: Option<Known>,
    /// When it happened. The ages are those of then.
    pub at: Seconds,
    /// Why.
    pub cause: Cause,
}

/// What [`super::Engine::take_changes`] took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// How many changes.
    pub changes: usize,
    /// There were more than the journal holds: only a walk over the shard tells now what is in it.
    pub overflowed: bool,
}

/// The changes of a shard that nobody has taken yet, and those that went lately.
#[derive(Debug)]
pub(super) struct Journal {
    changes: VecDeque<Change>,
    capacity: usize,
    overflowed: bool,
    gone: Gone,
}

impl Journal {
    /// Keeps up to so many changes, and knows as many peers that went.
    pub(super) fn new(capacity: usize) -> Self {
        Self { changes: VecDeque::new(), capacity, overflowed: false, gone: Gone::new(capacity) }
    }

    pub(super) fn note(&mut self, change: Change) {
        if self.changes.len() >= self.capacity {
            self.overflowed = true;
        } else {
            self.changes.push_back(change);
        }
    }

    /// Gives all changes away, and whether there were more.
    pub(super) fn take(&mut self) -> (VecDeque<Change>, bool) {
        (std::mem::take(&mut self.changes), std::mem::take(&mut self.overflowed))
    }

    /// Notes that a peer went that was last heard of then.
    pub(super) fn went(&mut self, peer: u64, heard: Seconds) {
        self.gone.note(peer, heard);
    }

    /// Whether a peer went that was heard of at this time or later.
    pub(super) fn has_gone_since(&self, peer: u64, heard: Seconds) -> bool {
        self.gone.when(peer).is_some_and(|gone| !is_before(gone, heard))
    }
}

/// Whether a time is before another, of which the clock may have wrapped in between.
const fn is_before(time: Seconds, other: Seconds) -> bool {
    time.wrapping_sub(other) > Seconds::MAX / 2
}

/// Names a peer among those of all torrents.
pub(super) fn peer_hash(torrent: u64, peer: u64, key: HashKey) -> u64 {
    key.hash([torrent, peer, 16 << 56])
}

/// When peers went, so that a record that comes late does not bring one back. The oldest are forgotten first.
#[derive(Debug)]
struct Gone {
    entries: VecDeque<(u64, Seconds)>,
    /// The number of the first entry; the others follow.
    first: u64,
    numbers: HashTable<u64>,
    capacity: usize,
}

impl Gone {
    fn new(capacity: usize) -> Self {
        Self { entries: VecDeque::new(), first: 0, numbers: HashTable::new(), capacity }
    }

    fn number(&self, peer: u64) -> Option<u64> {
        let is =
            |&number: &u64| self.entries.get((number - self.first) as usize).is_some_and(|at| at.0 == peer);
        self.numbers.find(peer, is).copied()
    }

    fn when(&self, peer: u64) -> Option<Seconds> {
        self.entries.get((self.number(peer)? - self.first) as usize).map(|entry| entry.1)
    }

    fn note(&mut self, peer: u64, heard: Seconds) {
        if let Some(number) = self.number(peer) {
            if let Some(entry) = self.entries.get_mut((number - self.first) as usize)
                && is_before(entry.1, heard)
            {
                entry.1 = heard;
            }
            return;
        }
        if self.entries.len() >= self.capacity
            && let Some((oldest, _)) = self.entries.pop_front()
        {
            let number = self.first;
            self.first += 1;
            if let Ok(found) = self.numbers.find_entry(oldest, |&other| other == number) {
                found.remove();
            }
        }
        if self.capacity > 0 {
            let (entries, first) = (&self.entries, self.first);
            let hash_of = |&number: &u64| entries.get((number - first) as usize).map_or(0, |entry| entry.0);
            self.numbers.insert_unique(peer, first + entries.len() as u64, hash_of);
            self.entries.push_back((peer, heard));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_went_is_known_until_others_take_the_room() {
        let mut gone = Gone::new(3);
        for peer in 1..=3 {
            gone.note(peer, 10 * peer as u32);
        }
        gone.note(2, 15);
        assert_eq!([1, 2, 3, 4].map(|peer| gone.when(peer)), [Some(10), Some(20), Some(30), None]);
        gone.note(2, 25);
        gone.note(4, 40);
        assert_eq!([1, 2, 3, 4].map(|peer| gone.when(peer)), [None, Some(25), Some(30), Some(40)]);
        for peer in 5..1000 {
            gone.note(peer, 1);
        }
        assert_eq!((gone.entries.len(), gone.numbers.len()), (3, 3));
        assert_eq!((gone.when(999), gone.when(996)), (Some(1), None));
    }
}
