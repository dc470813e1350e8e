//! Open addressing: positions in slots of two or four bytes, found by hash.
//!
//! A slot holds a position and, in the bits above, a part of the hash, so that most entries that are not the one
//! looked for are passed over without touching them. Zero is an empty slot, and at least one slot is empty, where
//! every search ends.

/// A slot's width.
pub(super) trait Slot: Copy + Default {
    /// How many low bits hold the position, counted from one, where there are `length` slots.
    fn position_bits(length: usize) -> u32;
    fn get(self) -> u32;
    fn of(value: u32) -> Self;
}

impl Slot for u16 {
    /// As few as do: such a table is rebuilt whole.
    #[inline(always)]
    fn position_bits(length: usize) -> u32 {
        usize::BITS - length.leading_zeros()
    }
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
    /// The same in all parts of an index, so that entries go from one to another as they are.
    #[inline(always)]
    fn position_bits(_: usize) -> u32 {
        WIDE_POSITION_BITS
    }
    #[inline(always)]
    fn get(self) -> u32 {
        self
    }
    #[inline(always)]
    fn of(value: u32) -> Self {
        value
    }
}

const WIDE_POSITION_BITS: u32 = 24;
/// More entries than this cannot be numbered.
pub(super) const MAX_ENTRIES: usize = (1 << WIDE_POSITION_BITS) - 1;

/// The lower bits of a hash choose the shard, and are the same for all torrents of one.
const TAG_SHIFT: u32 = 12;

/// How many slots there are for up to `entries`: four in five are then taken.
#[inline(always)]
pub(super) const fn slots_for(entries: usize) -> usize {
    entries + entries.div_ceil(4) + 1
}

/// How many entries fit into so many slots: the inverse of [`slots_for`].
#[inline(always)]
pub(super) const fn room_in(slots: usize) -> usize {
    if slots == 0 { 0 } else { (slots - 1) * 4 / 5 }
}

/// Room for so many entries.
pub(super) fn empty<S: Slot>(entries: usize) -> Box<[S]> {
    vec![S::default(); slots_for(entries)].into_boxed_slice()
}

/// Where the search for a hash begins: its high half, scaled to the length.
#[inline(always)]
pub(super) const fn home(hash: u64, length: usize) -> usize {
    (((hash >> 32) * length as u64) >> 32) as usize
}

/// The part of the hash that stands above the position in a slot.
#[inline(always)]
fn tag<S: Slot>(hash: u64, bits: u32) -> u32 {
    S::of(((hash >> TAG_SHIFT) as u32) << bits).get()
}

/// Selects the position of a slot.
#[inline(always)]
fn mask<S: Slot>(slots: &[S]) -> u32 {
    (1 << S::position_bits(slots.len())) - 1
}

#[inline(always)]
const fn after(at: usize, length: usize) -> usize {
    if at + 1 == length { 0 } else { at + 1 }
}

/// The position with this hash for which `is_it` holds.
#[inline(always)]
pub(super) fn find<S: Slot>(slots: &[S], hash: u64, mut is_it: impl FnMut(usize) -> bool) -> Option<usize> {
    let bits = S::position_bits(slots.len());
    let (tag, mask) = (tag::<S>(hash, bits), (1 << bits) - 1);
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

#[inline(always)]
pub(super) fn put<S: Slot>(slots: &mut [S], at: usize, hash: u64, position: usize) {
    debug_assert!(position < mask(slots) as usize);
    slots[at] = S::of(tag::<S>(hash, S::position_bits(slots.len())) | (position as u32 + 1));
}

/// Adds a position. There must be room.
#[inline]
pub(super) fn insert<S: Slot>(slots: &mut [S], hash: u64, position: usize) {
    let mut at = home(hash, slots.len());
    while slots[at].get() != 0 {
        at = after(at, slots.len());
    }
    put(slots, at, hash, position);
}

/// The slot that holds a position.
#[inline]
pub(super) fn slot_of<S: Slot>(slots: &[S], hash: u64, position: usize) -> Option<usize> {
    let mask = mask(slots);
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

/// Removes a position and says whether it was there. `hash_of` gives the hash at any other one. Closes the gap, so that
/// there are no tombstones and searches stay short.
pub(super) fn remove<S: Slot>(
    slots: &mut [S],
    hash: u64,
    position: usize,
    hash_of: impl Fn(usize) -> u64,
) -> bool {
    let Some(mut hole) = slot_of(slots, hash, position) else { return false };
    let (length, mask) = (slots.len(), mask(slots));
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
    true
}

/// All positions, in no particular order.
pub(super) fn positions<S: Slot>(slots: &[S]) -> impl Iterator<Item = usize> {
    let mask = mask(slots);
    slots.iter().filter_map(move |slot| (slot.get() & mask).checked_sub(1)).map(|position| position as usize)
}
