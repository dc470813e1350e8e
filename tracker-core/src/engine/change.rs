//! What becomes of peers, as values: a journal of it for those who keep a copy of the swarms.

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

/// Who follows the changes. Each has its own queue, and neither minds the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// A process that takes over: it hears of every change.
    Successor,
    /// The other nodes of a cluster: they hear of news only, which is what a client of this node did to join, to stop, to
    /// change its role or to complete. A peer that merely stays is news again once in a third of
    /// [`super::Engine::peer_timeout`].
    Cluster,
}

impl Listener {
    /// How many there are.
    pub(super) const COUNT: usize = 2;
}

/// A peer came, was heard of again, or went. That a record alone raised a count of downloads is no change: who wants to
/// know of that, too, walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of which torrent.
    pub info_hash: InfoHash,
    /// What this node has counted of the torrent's downloads, after it.
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
    /// There were more than the queue holds: only a walk over the shard tells now what is in it.
    pub overflowed: bool,
}

/// The changes of a shard that a listener has not taken yet, and the peers that went lately, whoever listens.
#[derive(Debug)]
pub(super) struct Journal {
    queues: [Option<Queue>; Listener::COUNT],
    gone: Gone,
}

/// The changes that a listener has not taken yet.
#[derive(Debug)]
struct Queue {
    changes: Vec<Change>,
    capacity: usize,
    overflowed: bool,
}

impl Queue {
    /// Whether it is the first that is not taken.
    fn note(&mut self, change: Change) -> bool {
        let is_first = self.changes.is_empty();
        if self.changes.len() >= self.capacity {
            self.overflowed = true;
        } else {
            self.changes.push(change);
        }
        is_first
    }
}

impl Journal {
    /// Nobody listens yet.
    pub(super) fn new() -> Self {
        Self { queues: [None, None], gone: Gone::new(0) }
    }

    /// Keeps up to so many changes for a listener from now on, and knows as many peers that went; with 0 no longer. What it
    /// has not taken so far is lost.
    pub(super) fn listen(&mut self, listener: Listener, capacity: usize) {
        let queue = || Queue { changes: Vec::new(), capacity, overflowed: false };
        self.queues[listener as usize] = (capacity > 0).then(queue);
        self.gone.bound(self.queues.iter().flatten().map(|queue| queue.capacity).max().unwrap_or_default());
    }

    /// Whether anybody listens.
    pub(super) fn is_heard(&self) -> bool {
        self.queues.iter().any(Option::is_some)
    }

    pub(super) const fn is_heard_by(&self, listener: Listener) -> bool {
        self.queues[listener as usize].is_some()
    }

    /// Notes a change for a listener, if it is one. Whether it is the first that it has not taken.
    pub(super) fn note(&mut self, listener: Listener, change: Change) -> bool {
        self.queues[listener as usize].as_mut().is_some_and(|queue| queue.note(change))
    }

    /// Gives all changes for a listener in exchange for an empty list, whose room the next ones get. Whether there were more.
    pub(super) fn take(&mut self, listener: Listener, empty: &mut Vec<Change>) -> bool {
        self.queues[listener as usize].as_mut().is_some_and(|queue| {
            std::mem::swap(&mut queue.changes, empty);
            std::mem::take(&mut queue.overflowed)
        })
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

    /// Holds so many from now on.
    fn bound(&mut self, capacity: usize) {
        self.capacity = capacity;
        while self.entries.len() > capacity {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((oldest, _)) = self.entries.pop_front() {
            let number = self.first;
            self.first += 1;
            if let Ok(found) = self.numbers.find_entry(oldest, |&other| other == number) {
                found.remove();
            }
        }
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
        if self.entries.len() >= self.capacity {
            self.forget_oldest();
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
        gone.bound(1);
        assert_eq!((gone.when(999), gone.when(998), gone.numbers.len()), (Some(1), None, 1));
        gone.bound(2);
        gone.note(1000, 2);
        assert_eq!([999, 1000].map(|peer| gone.when(peer)), [Some(1), Some(2)]);
    }
}
