//! What other nodes counted of torrents' downloads.
//!
//! Each node's count is its own and only grows: whatever is told twice, late or out of order, the highest holds. A torrent has
//! the sum of all, which clients are told; what is left of it without the shares here is what this node counted.
//!
//! There are no more of them in an engine than [`Policy::max_shares`](crate::policy::Policy::max_shares) permits, whatever nodes tell: one
//! too many is not taken in, and the total does not rise by it.

use crate::nodes::NodeNumber;
use hashbrown::HashTable;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Whose count of downloads a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedBy {
    /// This node's: what it wrote down itself, or the process that it takes over from.
    Own,
    /// Another node's.
    Node(NodeNumber),
}

/// What another node counted of a torrent's downloads.
pub type Share = (NodeNumber, u32);

/// The shares of a shard's torrents, with peers and without. Nothing where there is no other node.
#[derive(Debug, Default)]
pub(super) struct Shares {
    table: Option<Box<HashTable<Entry>>>,
    /// How many there are in all shards.
    taken: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Entry {
    /// The torrent's keyed hash, which stands for it.
    torrent: u64,
    /// None is zero, and no node has two.
    shares: Box<[Share]>,
}

/// The low bits of a hash are the same in all of a shard, and the table uses them.
const fn table_hash(torrent: u64) -> u64 {
    torrent.rotate_right(32)
}

impl Shares {
    /// None, of which `taken` counts how many there are, here and in other shards.
    pub(super) const fn new(taken: Arc<AtomicUsize>) -> Self {
        Self { table: None, taken }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.table.is_none()
    }

    /// What others counted of a torrent.
    pub(super) fn of(&self, torrent: u64) -> &[Share] {
        let table = self.table.as_deref();
        let entry = table.and_then(|table| table.find(table_hash(torrent), |entry| entry.torrent == torrent));
        entry.map_or(&[], |entry| &*entry.shares)
    }

    /// What this node counted of a torrent, of which all together counted `total`.
    pub(super) fn own(&self, torrent: u64, total: u32) -> u32 {
        own(total, self.of(torrent))
    }

    /// What all together counted of a torrent, if it was `total` so far and one of them counted so many. There may be `most` shares in all
    /// shards.
    pub(super) fn raised(
        &mut self,
        torrent: u64,
        total: u32,
        (downloaded, by): (u32, CountedBy),
        most: usize,
    ) -> u32 {
        let before = match by {
            CountedBy::Own => Some(self.own(torrent, total)),
            CountedBy::Node(node) => self.raise(torrent, node, downloaded, most),
        };
        before.map_or(total, |before| total.saturating_add(downloaded.saturating_sub(before)))
    }

    /// Raises a node's share to at least this, and says what it was; `None` if there is no room for it.
    fn raise(&mut self, torrent: u64, node: NodeNumber, downloaded: u32, most: usize) -> Option<u32> {
        if downloaded == 0 {
            return Some(0);
        }
        let is_known = self.of(torrent).iter().any(|(other, _)| *other == node);
        if !is_known && self.taken.fetch_add(1, Ordering::Relaxed) >= most {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let table = self.table.get_or_insert_default();
        let entry = table.entry(
            table_hash(torrent),
            |entry| entry.torrent == torrent,
            |entry| table_hash(entry.torrent),
        );
        let mut entry = entry.or_insert_with(|| Entry { torrent, shares: Box::default() });
        let entry = entry.get_mut();
        if let Some((_, share)) = entry.shares.iter_mut().find(|(other, _)| *other == node) {
            let before = *share;
            *share = before.max(downloaded);
            return Some(before);
        }
        let mut shares = std::mem::take(&mut entry.shares).into_vec();
        shares.reserve_exact(1);
        shares.push((node, downloaded));
        entry.shares = shares.into_boxed_slice();
        Some(0)
    }

    /// Forgets what others counted of a torrent whose count is kept no longer.
    pub(super) fn forget(&mut self, torrent: u64) {
        let Some(table) = &mut self.table else { return };
        if let Ok(entry) = table.find_entry(table_hash(torrent), |entry| entry.torrent == torrent) {
            self.taken.fetch_sub(entry.remove().0.shares.len(), Ordering::Relaxed);
        }
        if table.is_empty() {
            self.table = None;
        }
    }
}

/// What is left of a total without what others counted.
#[must_use]
pub fn own(total: u32, shares: &[Share]) -> u32 {
    shares.iter().fold(total, |rest, (_, share)| rest.saturating_sub(*share))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u16) -> NodeNumber {
        NodeNumber::new(number).unwrap()
    }

    #[test]
    fn the_highest_that_a_node_told_counts_once() {
        let mut shares = Shares::default();
        let mut total = 0;
        for (downloaded, by, expected) in [
            (3, CountedBy::Own, 3),
            (5, CountedBy::Node(node(1)), 8),
            (5, CountedBy::Node(node(1)), 8),
            (4, CountedBy::Node(node(1)), 8),
            (2, CountedBy::Own, 8),
            (7, CountedBy::Node(node(0)), 15),
            (6, CountedBy::Node(node(1)), 16),
            (0, CountedBy::Node(node(9)), 16),
            (4, CountedBy::Own, 17),
        ] {
            total = shares.raised(77, total, (downloaded, by), 2);
            assert_eq!(total, expected, "{downloaded} {by:?}");
        }
        assert_eq!(shares.of(77), [(node(1), 6), (node(0), 7)]);
        assert_eq!((shares.own(77, total), shares.of(78)), (4, &[][..]));
    }

    #[test]
    fn a_count_at_its_end_stays_there() {
        let mut shares = Shares::default();
        let mut total = 9;
        for by in
            [CountedBy::Node(node(1)), CountedBy::Node(node(2)), CountedBy::Own, CountedBy::Node(node(1))]
        {
            total = shares.raised(1, total, (u32::MAX, by), 2);
            assert_eq!(total, u32::MAX);
        }
        assert_eq!(shares.own(1, total), 0);
    }

    #[test]
    fn what_is_forgotten_leaves_nothing() {
        let mut shares = Shares::default();
        for torrent in 0..100 {
            shares.raised(torrent << 20, 0, (1, CountedBy::Node(node(torrent as u16))), 100);
        }
        shares.raised(1 << 50, 0, (0, CountedBy::Node(node(1))), 100);
        for torrent in 0..100 {
            assert_eq!(shares.of(torrent << 20).len(), 1);
            shares.forget(torrent << 20);
            shares.forget(torrent << 20);
            assert_eq!(shares.of(torrent << 20).len(), 0);
            assert_eq!(shares.is_empty(), torrent == 99);
        }
        assert_eq!(shares.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn there_are_no_more_in_all_than_may_be() {
        let taken = Arc::<AtomicUsize>::default();
        let mut shards = [(); 2].map(|()| Shares::new(taken.clone()));
        let by = |number| (5, CountedBy::Node(node(number)));
        assert_eq!(shards[0].raised(1, 0, by(0), 3), 5);
        assert_eq!(shards[0].raised(1, 5, by(1), 3), 10);
        assert_eq!(shards[1].raised(2, 0, by(0), 3), 5);
        // No room, of a torrent that has some and of another one: the total is as before.
        assert_eq!((shards[0].raised(1, 10, by(2), 3), shards[0].of(1).len()), (10, 2));
        assert_eq!((shards[1].raised(3, 7, by(0), 3), shards[1].of(3).len()), (7, 0));
        // What is there rises, and what this node counts needs no room.
        assert_eq!(shards[0].raised(1, 10, (6, CountedBy::Node(node(1))), 3), 11);
        assert_eq!(shards[0].raised(1, 11, (2, CountedBy::Own), 3), 13);
        shards[0].forget(1);
        assert_eq!(shards[1].raised(3, 7, by(0), 3), 12);
        assert_eq!(taken.load(Ordering::Relaxed), 2);
    }
}
