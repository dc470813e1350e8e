//! The `downloaded` counts of torrents that have no peers any more: a bounded memory that forgets the oldest first.
//!
//! Each shard keeps its own counts. The order in which all of them came is kept apart, under a lock of its own that
//! is never held together with a shard's.

use super::hash::HashKey;
use crate::model::{InfoHash, Seconds};
use hashbrown::HashTable;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// The counts of a shard, oldest first.
#[derive(Debug, Default)]
pub(super) struct Retained {
    entries: VecDeque<Entry>,
    /// The number of the first entry; the others follow. Wraps.
    first: u32,
    numbers: HashTable<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    info_hash: InfoHash,
    /// Zero: taken back by a torrent that has peers again.
    downloaded: u32,
    since: Seconds,
}

/// An entry of some shard, as the common order knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) shard: u16,
    number: u32,
    since: Seconds,
}

/// The low bits of a hash are the same in all of a shard, and the table uses them.
const fn table_hash(hash: u64) -> u64 {
    hash.rotate_right(32)
}

impl Retained {
    /// Counts that are kept.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Keeps the count of a torrent that none is kept of.
    pub(super) fn keep(
        &mut self,
        shard: u16,
        at: (InfoHash, u64),
        downloaded: u32,
        now: Seconds,
        key: HashKey,
    ) -> Ticket {
        let (info_hash, hash) = at;
        let number = self.first.wrapping_add(self.entries.len() as u32);
        self.entries.push_back(Entry { info_hash, downloaded, since: now });
        let (entries, first) = (&self.entries, self.first);
        self.numbers.insert_unique(table_hash(hash), number, |&number| {
            let entry = entries.get(number.wrapping_sub(first) as usize);
            entry.map_or(0, |entry| table_hash(key.torrent(&entry.info_hash)))
        });
        Ticket { shard, number, since: now }
    }

    /// The count that is kept of a torrent, or zero.
    pub(super) fn get(&self, info_hash: &InfoHash, hash: u64) -> u32 {
        let number = self.numbers.find(table_hash(hash), |&number| self.is(number, info_hash));
        number.and_then(|&number| self.entry(number)).map_or(0, |entry| entry.downloaded)
    }

    /// As [`Retained::get`], and keeps it no longer.
    pub(super) fn take(&mut self, info_hash: &InfoHash, hash: u64) -> u32 {
        let (entries, first) = (&self.entries, self.first);
        let found = self.numbers.find_entry(table_hash(hash), |&number| {
            entries
                .get(number.wrapping_sub(first) as usize)
                .is_some_and(|entry| entry.info_hash == *info_hash)
        });
        let Ok(found) = found else { return 0 };
        let (number, _) = found.remove();
        let downloaded = self
            .entries
            .get_mut(number.wrapping_sub(self.first) as usize)
            .map_or(0, |entry| std::mem::take(&mut entry.downloaded));
        self.tidy();
        downloaded
    }

    /// Forgets the entry of a ticket and all that are older.
    pub(super) fn forget(&mut self, ticket: Ticket, key: HashKey) {
        while !self.entries.is_empty() && ticket.number.wrapping_sub(self.first) < 1 << 31 {
            self.pop(key);
        }
        self.tidy();
    }

    /// Forgets what is at least `retention` old and returns how many entries were looked at.
    pub(super) fn expire(&mut self, now: Seconds, retention: Seconds, key: HashKey) -> usize {
        let before = self.entries.len();
        while self.entries.front().is_some_and(|entry| is_old(entry.since, now, retention)) {
            self.pop(key);
        }
        self.tidy();
        before - self.entries.len()
    }

    /// Forgets the torrents for which `keep` does not hold.
    pub(super) fn retain(&mut self, keep: impl Fn(&InfoHash) -> bool) {
        let (entries, first) = (&mut self.entries, self.first);
        self.numbers.retain(|&mut number| match entries.get_mut(number.wrapping_sub(first) as usize) {
            Some(entry) if !keep(&entry.info_hash) => {
                entry.downloaded = 0;
                false
            }
            _ => true,
        });
        self.tidy();
    }

    fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries.get(number.wrapping_sub(self.first) as usize)
    }

    fn is(&self, number: u32, info_hash: &InfoHash) -> bool {
        self.entry(number).is_some_and(|entry| entry.info_hash == *info_hash)
    }

    fn pop(&mut self, key: HashKey) {
        let number = self.first;
        if let Some(entry) = self.entries.pop_front() {
            self.first = number.wrapping_add(1);
            let hash = table_hash(key.torrent(&entry.info_hash));
            if let Ok(found) = self.numbers.find_entry(hash, |&other| other == number) {
                found.remove();
            }
        }
    }

    /// Drops entries in front that were taken back, and gives back memory that is hardly used.
    fn tidy(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.downloaded == 0) {
            self.entries.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(2 * self.entries.len());
        }
        if self.numbers.is_empty() {
            self.numbers = HashTable::new();
        }
    }
}

const fn is_old(since: Seconds, now: Seconds, retention: Seconds) -> bool {
    now.saturating_sub(since) >= retention
}

/// All shards' entries in the order they came, some of which may be gone by now.
#[derive(Debug, Default)]
pub(super) struct Order {
    tickets: Mutex<VecDeque<Ticket>>,
}

impl Order {
    /// Notes a new entry. Returns a ticket whose entry has to go, so that no more than `limit` stay; more may be
    /// asked for with [`Order::excess`].
    pub(super) fn push(&self, ticket: Ticket, limit: usize) -> Option<Ticket> {
        let mut tickets = self.tickets.lock();
        tickets.push_back(ticket);
        if tickets.len() > limit { tickets.pop_front() } else { None }
    }

    /// A ticket beyond `limit`, or one that is at least `retention` old, taken out.
    pub(super) fn excess(&self, limit: usize, now: Seconds, retention: Seconds) -> Option<Ticket> {
        let mut tickets = self.tickets.lock();
        let front = tickets.front()?;
        if tickets.len() <= limit && !is_old(front.since, now, retention) {
            return None;
        }
        let front = tickets.pop_front();
        if tickets.len() < tickets.capacity() / 4 {
            let length = tickets.len();
            tickets.shrink_to(2 * length);
        }
        front
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HashKey = HashKey::new([1, 2]);

    fn at(n: u8) -> (InfoHash, u64) {
        let hash = InfoHash([n; 20]);
        (hash, KEY.torrent(&hash))
    }

    fn get(retained: &Retained, n: u8) -> u32 {
        retained.get(&at(n).0, at(n).1)
    }

    #[test]
    fn a_count_is_kept_until_it_is_taken() {
        let mut retained = Retained::default();
        for n in 1..=100 {
            retained.keep(0, at(n), u32::from(n), 10, KEY);
        }
        assert_eq!((1..=100).map(|n| get(&retained, n)).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
        for n in [50, 1, 100, 2, 3] {
            assert_eq!(retained.take(&at(n).0, at(n).1), u32::from(n));
            assert_eq!(retained.take(&at(n).0, at(n).1), 0);
            assert_eq!(get(&retained, n), 0);
        }
        assert_eq!(retained.len(), 95);
        retained.keep(0, at(50), 7, 11, KEY);
        assert_eq!(get(&retained, 50), 7);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut retained = Retained::default();
        for n in 1..=10 {
            retained.keep(0, at(n), 1, u32::from(n), KEY);
        }
        assert_eq!(retained.expire(104, 100, KEY), 4);
        assert_eq!((1..=10).filter(|&n| get(&retained, n) == 1).collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10]);
        retained.expire(1000, 100, KEY);
        assert_eq!((retained.len(), retained.entries.len(), retained.entries.capacity()), (0, 0, 0));
    }

    #[test]
    fn a_ticket_ends_its_entry_and_those_before_but_none_after() {
        let mut retained = Retained { first: u32::MAX - 3, ..Retained::default() };
        let tickets: Vec<_> = (1..=10).map(|n| retained.keep(0, at(n), 1, 0, KEY)).collect();
        retained.forget(tickets[6], KEY);
        assert_eq!((1..=10).filter(|&n| get(&retained, n) == 1).collect::<Vec<_>>(), [8, 9, 10]);
        // Its entry is gone already: nothing else goes.
        retained.forget(tickets[2], KEY);
        assert_eq!(retained.len(), 3);
    }

    #[test]
    fn the_order_lets_go_of_the_first() {
        let order = Order::default();
        let ticket = |number| Ticket { shard: 1, number, since: number };
        assert!(order.push(ticket(1), 2).is_none());
        assert!(order.push(ticket(2), 2).is_none());
        assert_eq!(order.push(ticket(3), 2).unwrap().number, 1);
        assert_eq!(order.push(ticket(4), 0).unwrap().number, 2);
        assert!(order.excess(2, 10, 100).is_none());
        assert_eq!(order.excess(1, 10, 100).unwrap().number, 3);
        assert_eq!(order.excess(1, 104, 100).unwrap().number, 4);
        assert!(order.excess(0, 104, 100).is_none());
    }

    #[test]
    fn refused_torrents_are_forgotten() {
        let mut retained = Retained::default();
        for n in 1..=10 {
            retained.keep(0, at(n), 1, 0, KEY);
        }
        retained.retain(|hash| hash.0[0] % 2 == 0);
        assert_eq!((1..=10).filter(|&n| get(&retained, n) == 1).collect::<Vec<_>>(), [2, 4, 6, 8, 10]);
    }
}
