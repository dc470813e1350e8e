//! Finds the position of an entry in a dense array by its hash: open addressing, with two or four bytes a slot.
//!
//! A slot holds a position and, in the bits that positions leave free, a part of the hash, so that most entries that
//! are not the one looked for are passed over without touching them. The entries themselves, and their hashes, stay
//! with the caller.

/// A slot's width. Zero is an empty slot.
trait Slot: Copy + Default {
    const BITS: u32;
    fn get(self) -> u32;
    fn of(value: u32) -> Self;
}

impl Slot for u16 {
    const BITS: u32 = 16;
    #[inline(always)]
    fn get(self) -> u32 {
        u32::from(self)
    }
    #[inline(always)]
    fn of(value: u32) -> Self {
        value as Self
    }
}

impl Slot for u32 {
    const BITS: u32 = 32;
    #[inline(always)]
    fn get(self) -> u32 {
        self
    }
    #[inline(always)]
    fn of(value: u32) -> Self {
        value
    }
}

/// The slots of an index.
#[derive(Debug)]
pub(super) enum Index {
    /// Positions of at most [`NARROW_POSITION_BITS`] bits.
    Narrow(Box<[u16]>),
    /// Any others.
    Wide(Box<[u32]>),
}

/// Leaves four bits and more for a part of the hash.
const NARROW_POSITION_BITS: u32 = 12;
/// The low bits of a hash choose the shard and are the same for all entries of a table.
const TAG_SHIFT: u32 = 12;

macro_rules! dispatch {
    ($index:expr, $slots:ident => $body:expr) => {
        match $index {
            Index::Narrow($slots) => $body,
            Index::Wide($slots) => $body,
        }
    };
}

impl Index {
    /// An index without any slot.
    pub(super) fn none() -> Self {
        Self::Narrow(Box::default())
    }

    /// An index for up to `capacity` entries (below 2^30): four in five slots are then taken.
    pub(super) fn with_capacity(capacity: usize, hashes: impl Iterator<Item = u64>) -> Self {
        let length = capacity + capacity.div_ceil(4) + 1;
        let mut index = if position_bits(length) <= NARROW_POSITION_BITS {
            Self::Narrow(vec![0; length].into_boxed_slice())
        } else {
            Self::Wide(vec![0; length].into_boxed_slice())
        };
        for (position, hash) in hashes.enumerate() {
            index.insert(hash, position);
        }
        index
    }

    /// How many entries fit.
    pub(super) fn capacity(&self) -> usize {
        let length = dispatch!(self, slots => slots.len());
        // The inverse of the above: at least one slot stays empty, where every search ends.
        if length == 0 { 0 } else { (length - 1) * 4 / 5 }
    }

    /// The position with this hash for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl FnMut(usize) -> bool) -> Option<usize> {
        dispatch!(self, slots => find(slots, hash, is_it))
    }

    /// Adds a position. There must be room.
    pub(super) fn insert(&mut self, hash: u64, position: usize) {
        dispatch!(self, slots => insert(slots, hash, position));
    }

    /// Removes a position that is there. `hash_of` gives the hash at any other position that is there.
    pub(super) fn remove(&mut self, hash: u64, position: usize, hash_of: impl Fn(usize) -> u64) {
        dispatch!(self, slots => remove(slots, hash, position, hash_of));
    }

    /// The entry with this hash at `from` moves to `to`, where none is.
    pub(super) fn relocate(&mut self, hash: u64, from: usize, to: usize) {
        dispatch!(self, slots => {
            if let Some(at) = slot_of(slots, hash, from) {
                put(slots, at, hash, to);
            }
        });
    }

    /// Two entries change places.
    pub(super) fn exchange(&mut self, a: (u64, usize), b: (u64, usize)) {
        dispatch!(self, slots => {
            if let (Some(at_a), Some(at_b)) = (slot_of(slots, a.0, a.1), slot_of(slots, b.0, b.1)) {
                put(slots, at_a, a.0, b.1);
                put(slots, at_b, b.0, a.1);
            }
        });
    }

    /// Where the search for a hash begins in memory.
    #[inline]
    pub(super) fn address(&self, hash: u64) -> Option<*const u8> {
        dispatch!(self, slots => slots.get(home(hash, slots.len())).map(|slot| std::ptr::from_ref(slot).cast()))
    }
}

/// How many bits the positions of an index of this length take, counted from one.
#[inline(always)]
const fn position_bits(length: usize) -> u32 {
    usize::BITS - length.leading_zeros()
}

/// Where a hash belongs: its high half, scaled to the length.
#[inline(always)]
const fn home(hash: u64, length: usize) -> usize {
    (((hash >> 32) * length as u64) >> 32) as usize
}

/// The part of the hash that stands above the position in a slot.
#[inline(always)]
fn tag<S: Slot>(hash: u64, bits: u32) -> u32 {
    S::of(((hash >> TAG_SHIFT) as u32) << bits).get()
}

#[inline(always)]
const fn after(at: usize, length: usize) -> usize {
    if at + 1 == length { 0 } else { at + 1 }
}

#[inline(always)]
fn find<S: Slot>(slots: &[S], hash: u64, mut is_it: impl FnMut(usize) -> bool) -> Option<usize> {
    let bits = position_bits(slots.len());
    let mask = (1_u32 << bits) - 1;
    let tag = tag::<S>(hash, bits);
    let mut at = home(hash, slots.len());
    loop {
        let value = slots.get(at)?.get();
        if value == 0 {
            return None;
        }
        if value & !mask == tag {
            let position = (value & mask) as usize - 1;
            if is_it(position) {
                return Some(position);
            }
        }
        at = after(at, slots.len());
    }
}

fn put<S: Slot>(slots: &mut [S], at: usize, hash: u64, position: usize) {
    let bits = position_bits(slots.len());
    debug_assert!(bits < S::BITS && position < slots.len());
    slots[at] = S::of(tag::<S>(hash, bits) | (position as u32 + 1));
}

fn insert<S: Slot>(slots: &mut [S], hash: u64, position: usize) {
    let mut at = home(hash, slots.len());
    while slots[at].get() != 0 {
        at = after(at, slots.len());
    }
    put(slots, at, hash, position);
}

/// The slot that holds a position.
fn slot_of<S: Slot>(slots: &[S], hash: u64, position: usize) -> Option<usize> {
    let mask = (1_u32 << position_bits(slots.len())) - 1;
    let mut at = home(hash, slots.len());
    loop {
        let value = slots.get(at)?.get();
        if value == 0 {
            return None;
        }
        if value & mask == position as u32 + 1 {
            return Some(at);
        }
        at = after(at, slots.len());
    }
}

/// Closes the gap behind the removed slot, so that there are no tombstones and searches stay short.
fn remove<S: Slot>(slots: &mut [S], hash: u64, position: usize, hash_of: impl Fn(usize) -> u64) {
    let Some(mut hole) = slot_of(slots, hash, position) else { return };
    let length = slots.len();
    let mask = (1_u32 << position_bits(length)) - 1;
    let distance = |from: usize, to: usize| if to >= from { to - from } else { to + length - from };
    let mut at = after(hole, length);
    loop {
        let value = slots[at].get();
        if value == 0 {
            break;
        }
        let home = home(hash_of((value & mask) as usize - 1), length);
        if distance(home, at) >= distance(hole, at) {
            slots[hole] = slots[at];
            hole = at;
        }
        at = after(at, length);
    }
    slots[hole] = S::default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Drives an index beside a plain array of keys; few distinct hashes make long runs of taken slots.
    fn drive(capacity: usize, distinct: u64, steps: usize) {
        let hash_of = |key: u64| (key % distinct).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut rng = Rng::new([capacity as u64, distinct]);
        let mut index = Index::with_capacity(capacity, std::iter::empty());
        let mut keys: Vec<u64> = Vec::new();
        for step in 0..steps {
            match rng.below(5) {
                0..=2 if keys.len() < capacity => {
                    let key = rng.next_u64();
                    index.insert(hash_of(key), keys.len());
                    keys.push(key);
                }
                3 if !keys.is_empty() => {
                    let (i, last) = (rng.below(keys.len()), keys.len() - 1);
                    index.remove(hash_of(keys[i]), i, |position| hash_of(keys[position]));
                    if i != last {
                        index.relocate(hash_of(keys[last]), last, i);
                    }
                    keys.swap_remove(i);
                }
                4 if keys.len() > 1 => {
                    let (i, j) = (rng.below(keys.len()), rng.below(keys.len()));
                    index.exchange((hash_of(keys[i]), i), (hash_of(keys[j]), j));
                    keys.swap(i, j);
                }
                _ => {}
            }
            if step % 16 == 0 {
                for (i, &key) in keys.iter().enumerate() {
                    assert_eq!(index.find(hash_of(key), |position| keys[position] == key), Some(i));
                }
                let stranger = rng.next_u64();
                assert_eq!(index.find(hash_of(stranger), |position| keys[position] == stranger), None);
            }
        }
    }

    #[test]
    fn finds_what_a_plain_array_holds() {
        drive(1, 1, 200);
        drive(4, 2, 500);
        drive(100, 1 << 40, 5000);
        drive(100, 3, 5000);
        drive(100, 1, 2000);
    }

    #[test]
    fn narrow_and_wide_behave_alike_around_the_change() {
        for capacity in [3274, 3275, 3276, 3277, 5000, 70_000] {
            let hashes: Vec<u64> =
                (1..=capacity as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            let index = Index::with_capacity(capacity, hashes.iter().copied());
            assert!(index.capacity() >= capacity, "{capacity}: {}", index.capacity());
            for (i, &hash) in hashes.iter().enumerate() {
                assert_eq!(index.find(hash, |position| hashes[position] == hash), Some(i));
            }
        }
        assert!(matches!(Index::with_capacity(3275, std::iter::empty()), Index::Narrow(_)));
        assert!(matches!(Index::with_capacity(3277, std::iter::empty()), Index::Wide(_)));
    }

    #[test]
    fn the_capacity_asked_for_is_there_and_a_slot_stays_empty() {
        for capacity in 0..10_000 {
            let index = Index::with_capacity(capacity, std::iter::empty());
            let slots = dispatch!(&index, slots => slots.len());
            assert!(index.capacity() >= capacity && index.capacity() < slots, "{capacity}");
        }
    }

    #[test]
    fn nothing_is_found_without_slots() {
        assert_eq!(Index::none().find(7, |_| true), None);
        assert_eq!(Index::none().capacity(), 0);
    }
}
