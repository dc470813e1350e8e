//! The `downloaded` counts of torrents that have no peers any more: a bounded memory that forgets the oldest first.
//!
//! Each shard keeps its own counts. The order in which all of them came is kept apart, under a lock of its own that
//! is never held together with a shard's.

use super::{hash::HashKey, report::Verdict, shares::Shares};
use crate::model::{InfoHash, Seconds};
use hashbrown::HashTable;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// The counts of a shard, oldest first.
#[derive(Debug, Default)]
pub(super) struct Retained {
    /// By their numbers, which wrap.
    entries: VecDeque<Entry>,
    /// The number of the next one.
    next: u32,
    /// Of the entries that count.
    numbers: HashTable<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u32,
    info_hash: InfoHash,
    /// Zero: taken back by a torrent that has peers again.
    downloaded: u32,
    since: Seconds,
}

/// So many entries that were taken back may stand among those that count, and as many more as there are of these.
const IDLE_ENTRIES: usize = 64;

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

/// Where an entry is, or would be.
fn place(entries: &VecDeque<Entry>, number: u32) -> usize {
    let first = entries.front().map_or(number, |entry| entry.number);
    let distance = number.wrapping_sub(first);
    // One that is gone, if it lies before the first.
    if distance > u32::MAX / 2 {
        return 0;
    }
    entries.partition_point(|entry| entry.number.wrapping_sub(first) < distance)
}

fn entry(entries: &VecDeque<Entry>, number: u32) -> Option<&Entry> {
    entries.get(place(entries, number)).filter(|entry| entry.number == number)
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
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.entries.push_back(Entry { number, info_hash, downloaded, since: now });
        let entries = &self.entries;
        self.numbers.insert_unique(table_hash(hash), number, |&number| {
            entry(entries, number).map_or(0, |entry| table_hash(key.torrent(&entry.info_hash)))
        });
        Ticket { shard, number, since: now }
    }

    /// The count that is kept of a torrent, or zero.
    pub(super) fn get(&self, info_hash: &InfoHash, hash: u64) -> u32 {
        let is_it =
            |&number: &u32| entry(&self.entries, number).is_some_and(|entry| entry.info_hash == *info_hash);
        let number = self.numbers.find(table_hash(hash), is_it);
        number.and_then(|&number| entry(&self.entries, number)).map_or(0, |entry| entry.downloaded)
    }

    /// As [`Retained::get`], and keeps it no longer.
    pub(super) fn take(&mut self, info_hash: &InfoHash, hash: u64) -> u32 {
        let entries = &mut self.entries;
        let is_it = |&number: &u32| entry(entries, number).is_some_and(|entry| entry.info_hash == *info_hash);
        let Ok(found) = self.numbers.find_entry(table_hash(hash), is_it) else { return 0 };
        let (number, _) = found.remove();
        let at = place(entries, number);
        let downloaded = entries.get_mut(at).map_or(0, |entry| std::mem::take(&mut entry.downloaded));
        self.tidy();
        downloaded
    }

    /// Raises a count that is kept, if that is to be so for no longer than it is anyway, and says whether it was.
    pub(super) fn raise(&mut self, info_hash: &InfoHash, hash: u64, downloaded: u32, since: Seconds) -> bool {
        let is_it =
            |&number: &u32| entry(&self.entries, number).is_some_and(|entry| entry.info_hash == *info_hash);
        let Some(&number) = self.numbers.find(table_hash(hash), is_it) else { return false };
        let at = place(&self.entries, number);
        let held = self.entries.get_mut(at).filter(|entry| entry.since >= since);
        held.is_some_and(|entry| {
            entry.downloaded = entry.downloaded.max(downloaded);
            true
        })
    }

    /// Forgets the entry of a ticket and all that are older, with their shares.
    pub(super) fn forget(&mut self, ticket: Ticket, key: HashKey, shares: &mut Shares) {
        while let Some(front) = self.entries.front().copied()
            && ticket.number.wrapping_sub(front.number) <= u32::MAX / 2
        {
            self.take_back(front.number, &front.info_hash, key, shares);
            self.entries.pop_front();
        }
        self.tidy();
    }

    /// Shows counts to `visit`, oldest first, from the number `from` on (the oldest if that is gone), and forgets those it is
    /// told to, with their shares. Each is an item, and as many more as `visit` says; there is an end at `budget` of them.
    /// Returns how many were looked at and where to go on, unless this was the end.
    pub(super) fn visit(
        &mut self,
        from: Option<u32>,
        budget: usize,
        key: HashKey,
        shares: &mut Shares,
        mut visit: impl FnMut(&Shares, &InfoHash, u32, Seconds) -> (Verdict, usize),
    ) -> (usize, Option<u32>) {
        let mut at = from.map_or(0, |from| place(&self.entries, from));
        let (mut looked, mut next) = (0, None);
        while let Some(Entry { number, info_hash, downloaded, since }) = self.entries.get(at).copied() {
            if looked >= budget {
                next = Some(number);
                break;
            }
            let (verdict, more) = match downloaded {
                0 => (Verdict::Keep, 0),
                _ => visit(shares, &info_hash, downloaded, since),
            };
            (at, looked) = (at + 1, looked + 1 + more);
            match verdict {
                Verdict::Keep => {}
                Verdict::Remove => self.take_back(number, &info_hash, key, shares),
                Verdict::Enough => break,
            }
        }
        self.tidy();
        (looked, next)
    }

    fn take_back(&mut self, number: u32, info_hash: &InfoHash, key: HashKey, shares: &mut Shares) {
        let hash = key.torrent(info_hash);
        if let Ok(found) = self.numbers.find_entry(table_hash(hash), |&other| other == number) {
            found.remove();
            shares.forget(hash);
        }
        let at = place(&self.entries, number);
        if let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.number == number) {
            entry.downloaded = 0;
        }
    }

    /// Drops entries that were taken back, in front or where they are many, and gives back memory that is hardly used.
    fn tidy(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.downloaded == 0) {
            self.entries.pop_front();
        }
        if self.entries.len() > 2 * self.numbers.len() + IDLE_ENTRIES {
            self.entries.retain(|entry| entry.downloaded > 0);
        }
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(2 * self.entries.len());
        }
        if self.numbers.is_empty() {
            self.numbers = HashTable::new();
        }
    }
}

pub(super) const fn is_old(since: Seconds, now: Seconds, retention: Seconds) -> bool {
    now.saturating_sub(since) >= retention
}

/// All shards' entries in the order they came, some of which may be gone by now.
#[derive(Debug, Default)]
pub(super) struct Order {
    tickets: Mutex<Queue>,
}

/// Tickets in a row of chunks, so that a long queue never moves whole.
#[derive(Debug, Default)]
struct Queue {
    chunks: VecDeque<VecDeque<Ticket>>,
    len: usize,
}

/// Tickets of a chunk.
const CHUNK: usize = 1024;

impl Queue {
    fn push(&mut self, ticket: Ticket) {
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push_back(VecDeque::new());
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.push_back(ticket);
            self.len += 1;
        }
    }

    fn front(&self) -> Option<&Ticket> {
        self.chunks.front()?.front()
    }

    fn pop(&mut self) -> Option<Ticket> {
        let ticket = self.chunks.front_mut()?.pop_front();
        self.len -= usize::from(ticket.is_some());
        if self.chunks.front().is_some_and(VecDeque::is_empty) {
            self.chunks.pop_front();
        }
        ticket
    }
}

impl Order {
    /// Notes a new entry. Returns a ticket whose entry has to go, so that no more than `limit` stay; more may be
    /// asked for with [`Order::excess`].
    pub(super) fn push(&self, ticket: Ticket, limit: usize) -> Option<Ticket> {
        let mut tickets = self.tickets.lock();
        tickets.push(ticket);
        if tickets.len > limit { tickets.pop() } else { None }
    }

    /// A ticket beyond `limit`, or one that is at least `retention` old, taken out.
    pub(super) fn excess(&self, limit: usize, now: Seconds, retention: Seconds) -> Option<Ticket> {
        let mut tickets = self.tickets.lock();
        let front = tickets.front()?;
        if tickets.len <= limit && !is_old(front.since, now, retention) {
            return None;
        }
        tickets.pop()
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

    fn expire(retained: &mut Retained, now: Seconds) -> usize {
        let old = |_: &Shares, _: &InfoHash, _, since| match is_old(since, now, 100) {
            true => (Verdict::Remove, 0),
            false => (Verdict::Enough, 0),
        };
        retained.visit(None, 1000, KEY, &mut Shares::default(), old).0
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
        assert_eq!(expire(&mut retained, 104), 5, "the first that is young ends it");
        assert_eq!((1..=10).filter(|&n| get(&retained, n) == 1).collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10]);
        expire(&mut retained, 1000);
        assert_eq!((retained.len(), retained.entries.len(), retained.entries.capacity()), (0, 0, 0));
    }

    #[test]
    fn a_ticket_ends_its_entry_and_those_before_but_none_after() {
        let mut retained = Retained { next: u32::MAX - 3, ..Retained::default() };
        let tickets: Vec<_> = (1..=10).map(|n| retained.keep(0, at(n), 1, 0, KEY)).collect();
        retained.forget(tickets[6], KEY, &mut Shares::default());
        assert_eq!((1..=10).filter(|&n| get(&retained, n) == 1).collect::<Vec<_>>(), [8, 9, 10]);
        // Its entry is gone already: nothing else goes.
        retained.forget(tickets[2], KEY, &mut Shares::default());
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
    fn some_in_the_middle_are_forgotten_a_few_at_a_time() {
        let mut retained = Retained::default();
        for n in 1..=10 {
            retained.keep(0, at(n), u32::from(n), 0, KEY);
        }
        let (mut from, mut seen) = (None, Vec::new());
        loop {
            let (looked, next) =
                retained.visit(from, 4, KEY, &mut Shares::default(), |_, hash, downloaded, _| {
                    seen.push(downloaded);
                    // Each counts for two.
                    (if hash.0[0] % 2 == 0 { Verdict::Keep } else { Verdict::Remove }, 1)
                });
            assert_eq!(looked, 4);
            if next.is_none() {
                break;
            }
            from = next;
        }
        assert_eq!(seen, (1..=10).collect::<Vec<_>>());
        assert_eq!((1..=10).filter(|&n| get(&retained, n) > 0).collect::<Vec<_>>(), [2, 4, 6, 8, 10]);
        assert_eq!(retained.len(), 5);
    }

    #[test]
    fn a_count_is_raised_where_it_stands_unless_it_is_to_be_kept_for_longer() {
        let mut retained = Retained::default();
        let tickets = [1, 2].map(|n| retained.keep(0, at(n), 5, 100, KEY));
        let mut raise = |n: u8, downloaded, since| retained.raise(&at(n).0, at(n).1, downloaded, since);
        assert_eq!(
            [raise(1, 7, 100), raise(1, 6, 90), raise(1, 9, 101), raise(3, 1, 0)],
            [true, true, false, false]
        );
        assert_eq!([1, 2, 3].map(|n| get(&retained, n)), [7, 5, 0]);
        retained.forget(tickets[0], KEY, &mut Shares::default());
        assert_eq!([1, 2].map(|n| get(&retained, n)), [0, 5]);
    }

    /// Torrents that come and go leave no heap of entries behind one that stays.
    #[test]
    fn entries_that_were_taken_back_are_few() {
        let mut retained = Retained { next: u32::MAX - 1000, ..Retained::default() };
        retained.keep(0, at(1), 1, 0, KEY);
        for round in 0..5000 {
            retained.keep(0, at(2), 2, round, KEY);
            retained.keep(0, at(3), 3, round, KEY);
            assert_eq!([2, 3].map(|n| retained.take(&at(n).0, at(n).1)), [2, 3]);
            assert!(retained.entries.len() <= IDLE_ENTRIES + 6, "{}", retained.entries.len());
        }
        assert_eq!([1, 2, 3].map(|n| get(&retained, n)), [1, 0, 0]);
    }

    #[test]
    fn a_long_order_lets_go_in_turn() {
        let order = Order::default();
        for number in 0..5000 {
            assert!(order.push(Ticket { shard: 0, number, since: 0 }, 10_000).is_none());
        }
        for number in 0..5000 {
            assert_eq!(order.excess(0, 0, 1).unwrap().number, number);
        }
        assert!(order.excess(0, 0, 1).is_none());
    }
}
