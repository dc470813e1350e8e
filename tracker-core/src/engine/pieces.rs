//! A dense array in pieces, so that growing it never copies more than one piece.

/// Entries numbered from zero without gaps, `PIECE` of them to a piece. All pieces but the last one are full.
#[derive(Debug)]
pub(super) struct Pieces<T, const PIECE: usize> {
    /// Most arrays are no longer than this: reading it takes no step through a table of pieces.
    first: Vec<T>,
    #[expect(
        clippy::box_collection,
        reason = "a swarm with two networks has several of these, and seldom uses it"
    )]
    more: Option<Box<Vec<Vec<T>>>>,
}

impl<T, const PIECE: usize> Default for Pieces<T, PIECE> {
    fn default() -> Self {
        Self { first: Vec::new(), more: None }
    }
}

impl<T, const PIECE: usize> Pieces<T, PIECE> {
    pub(super) fn from_vec(first: Vec<T>) -> Self {
        debug_assert!(first.len() <= PIECE);
        Self { first, more: None }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match &self.more {
            None => self.first.len(),
            Some(more) => PIECE * more.len() + more.last().map_or(0, Vec::len),
        }
    }

    /// The pieces after the first.
    #[inline]
    fn more(&self) -> &[Vec<T>] {
        self.more.as_ref().map_or(&[], |more| more)
    }

    /// To be read.
    #[inline]
    pub(super) fn view(&self) -> View<'_, T, PIECE> {
        View { first: &self.first, more: self.more() }
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.view().get(at)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        match at.checked_sub(PIECE) {
            None => self.first.get_mut(at),
            Some(at) => self.more.as_mut()?.get_mut(at / PIECE)?.get_mut(at % PIECE),
        }
    }

    /// The piece with the highest entries.
    fn last_piece(&mut self) -> &mut Vec<T> {
        match self.more.as_mut().and_then(|more| more.last_mut()) {
            Some(last) => last,
            None => &mut self.first,
        }
    }

    /// Adds an entry behind all others. Where the piece it goes to is out of room, that gets room for `room` entries
    /// more, as far as a piece goes.
    pub(super) fn push(&mut self, entry: T, room: usize) {
        if self.last_piece().len() == PIECE {
            let more = self.more.get_or_insert_default();
            if more.len() == more.capacity() {
                more.reserve_exact(4.max(more.len() / 4));
            }
            more.push(Vec::new());
        }
        let last = self.last_piece();
        if last.len() == last.capacity() {
            last.reserve_exact(room.clamp(1, PIECE - last.len()));
        }
        last.push(entry);
    }

    /// Takes out the last entry. Memory is given back where less than half of a piece is used, down to room for
    /// `slack` entries more than there are.
    pub(super) fn pop(&mut self, slack: usize) -> Option<T> {
        let last = self.last_piece();
        let entry = last.pop()?;
        if last.len() < last.capacity() / 2 {
            last.shrink_to(last.len() + slack);
        }
        if let Some(more) = &mut self.more
            && more.last().is_some_and(Vec::is_empty)
        {
            more.pop();
            if more.is_empty() {
                self.more = None;
            } else if more.len() < more.capacity() / 2 {
                more.shrink_to(more.len() + more.len() / 4);
            }
        }
        Some(entry)
    }

    /// Removes an entry; the last one takes its place.
    pub(super) fn swap_remove(&mut self, at: usize, slack: usize) -> Option<T> {
        let moved = self.pop(slack)?;
        match self.get_mut(at) {
            Some(hole) => Some(std::mem::replace(hole, moved)),
            None => Some(moved),
        }
    }

    /// How many entries there is room for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.first.capacity() + self.more().iter().map(Vec::capacity).sum::<usize>()
    }
}

/// A dense array, to be read.
#[derive(Debug)]
pub(super) struct View<'a, T, const PIECE: usize> {
    first: &'a [T],
    more: &'a [Vec<T>],
}

impl<T, const PIECE: usize> Clone for View<'_, T, PIECE> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, const PIECE: usize> Copy for View<'_, T, PIECE> {}

impl<'a, T, const PIECE: usize> View<'a, T, PIECE> {
    /// Entries that lie in one piece.
    #[inline]
    pub(super) const fn of(first: &'a [T]) -> Self {
        Self { first, more: &[] }
    }

    #[inline]
    pub(super) fn get(self, at: usize) -> Option<&'a T> {
        match at.checked_sub(PIECE) {
            None => self.first.get(at),
            Some(at) => self.more.get(at / PIECE)?.get(at % PIECE),
        }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = &'a T> {
        self.first.iter().chain(self.more.iter().flatten())
    }

    /// Passes the entries from `start` to `end`, without that one, to `give`, in as many slices as they lie in.
    #[inline]
    pub(super) fn range(self, start: usize, end: usize, give: &mut impl FnMut(&[T])) {
        let first = start.min(self.first.len())..end.min(self.first.len());
        if !first.is_empty() {
            give(&self.first[first]);
        }
        if end > PIECE {
            self.range_in_more(start.max(PIECE) - PIECE, end - PIECE, give);
        }
    }

    fn range_in_more(self, mut start: usize, end: usize, give: &mut impl FnMut(&[T])) {
        while start < end {
            let Some(piece) = self.more.get(start / PIECE) else { return };
            let until = end.min((start / PIECE + 1) * PIECE);
            let within = start % PIECE..(start % PIECE + until - start).min(piece.len());
            give(piece.get(within).unwrap_or_default());
            start = until;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    type Small = Pieces<u32, 16>;

    fn all(pieces: &Small) -> Vec<u32> {
        pieces.view().iter().copied().collect()
    }

    #[test]
    fn entries_stay_dense_and_only_the_last_piece_is_not_full() {
        let (mut pieces, mut plain, mut rng) = (Small::default(), Vec::new(), Rng::new([1, 2]));
        for step in 0..20_000_u32 {
            if rng.below(100) < if step < 10_000 { 60 } else { 35 } {
                pieces.push(step, 4);
                plain.push(step);
            } else if !plain.is_empty() {
                let at = rng.below(plain.len());
                assert_eq!(pieces.swap_remove(at, 2), Some(plain.swap_remove(at)));
            }
            assert_eq!(pieces.len(), plain.len());
            if step % 97 == 0 {
                assert_eq!(all(&pieces), plain);
                assert!(pieces.capacity() <= plain.len() + 16 + 4);
            }
        }
        while let Some(entry) = pieces.pop(0) {
            assert_eq!(Some(entry), plain.pop());
        }
        assert_eq!((pieces.len(), plain.len()), (0, 0));
        assert!(pieces.capacity() <= 2, "{}", pieces.capacity());
        assert!(pieces.more.is_none() && pieces.get(0).is_none());
    }

    #[test]
    fn a_range_comes_in_order_whatever_pieces_it_lies_in() {
        let mut pieces = Small::default();
        (0..100).for_each(|n| pieces.push(n, 1));
        for start in 0..100 {
            for end in start..=100 {
                let mut given = Vec::new();
                pieces
                    .view()
                    .range(start as usize, end as usize, &mut |slice| given.extend_from_slice(slice));
                assert_eq!(given, (start..end).collect::<Vec<u32>>());
            }
        }
        assert_eq!((pieces.get(99), pieces.get(100)), (Some(&99), None));
    }
}
