//! Finds the position of an entry in a dense array by its hash, and is never rebuilt whole once it is large.
//!
//! A small index is one table with two bytes a slot. A larger one is many small tables, one for each value of some bits
//! of the hash, with four bytes a slot. It grows by linear hashing: one part after the other is split in two, and back.
//! So no operation touches more than a part or two. The entries themselves, and their hashes, stay with the caller.

use super::slots::{self, MAX_ENTRIES, empty, room_in};

/// Positions by hash.
#[derive(Debug)]
pub(super) struct Index {
    form: Form,
    len: u32,
    /// Always in parts, since positions may be higher than there are entries.
    sparse: bool,
}

#[derive(Debug)]
enum Form {
    Flat(Box<[u16]>),
    Parts(Vec<Part>),
}

/// The entries of some values of the hash's bits.
#[derive(Debug, Default)]
struct Part {
    slots: Box<[u32]>,
    len: u32,
}

/// More entries than this are in parts; half as many are not.
const FLAT_MAX: usize = 2048;
const _: () = assert!(usize::BITS - slots::slots_for(FLAT_MAX).leading_zeros() <= 12);
/// Entries of a part, on average over all, when there are to be more parts.
const PART_ENTRIES: usize = 256;
/// Parts at least.
const MIN_PARTS: usize = FLAT_MAX / PART_ENTRIES;
const _: () = assert!(MIN_PARTS.is_power_of_two() && MAX_ENTRIES > 16_000_000);
/// The bits of a hash that choose the part: none that chooses the shard, the tag of a slot or the place in a part.
const PART_SHIFT: u32 = 20;

/// Where a pass over all parts begins.
pub(super) const FIRST: u64 = 1 << 32;

/// The number of the part for a hash, of so many.
#[inline(always)]
const fn part_of(hash: u64, parts: usize) -> usize {
    let bits = (hash >> PART_SHIFT) as u32 as usize;
    let level = parts.ilog2();
    let coarse = bits & ((1 << level) - 1);
    // Those below have been split already.
    if coarse < parts - (1 << level) { bits & ((2 << level) - 1) } else { coarse }
}

impl Index {
    /// An index without any slot.
    pub(super) fn none() -> Self {
        Self { form: Form::Flat(Box::default()), len: 0, sparse: false }
    }

    /// An index that may leave out some of the array's entries.
    pub(super) fn sparse() -> Self {
        let parts = (0..MIN_PARTS).map(|_| Part::default()).collect();
        Self { form: Form::Parts(parts), len: 0, sparse: true }
    }

    /// An index of the entries with these hashes, numbered in this order, no more than a small index holds.
    pub(super) fn of(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        let mut index = Self { form: Form::Flat(empty(with_slack(hashes.len()))), ..Self::none() };
        for (position, hash) in hashes.enumerate() {
            if let Form::Flat(slots) = &mut index.form {
                slots::insert(slots, hash, position);
                index.len += 1;
            }
        }
        index
    }

    /// Whether it has any slot.
    #[inline]
    pub(super) fn is_none(&self) -> bool {
        matches!(&self.form, Form::Flat(slots) if slots.is_empty())
    }

    /// The position with this hash for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl FnMut(usize) -> bool) -> Option<usize> {
        match &self.form {
            Form::Flat(slots) => slots::find(slots, hash, is_it),
            Form::Parts(parts) => slots::find(&parts[part_of(hash, parts.len())].slots, hash, is_it),
        }
    }

    /// Adds a position. `hash_of` gives the hash at any other one.
    pub(super) fn insert(&mut self, hash: u64, position: usize, hash_of: impl Fn(usize) -> u64) {
        self.make_room(hash, &hash_of);
        self.len += 1;
        match &mut self.form {
            Form::Flat(slots) => slots::insert(slots, hash, position),
            Form::Parts(parts) => {
                let number = part_of(hash, parts.len());
                let part = &mut parts[number];
                part.len += 1;
                slots::insert(&mut part.slots, hash, position);
            }
        }
    }

    /// Removes a position. `hash_of` gives the hash at any other one.
    pub(super) fn remove(&mut self, hash: u64, position: usize, hash_of: impl Fn(usize) -> u64) {
        match &mut self.form {
            Form::Flat(slots) => {
                self.len -= u32::from(slots::remove(slots, hash, position, &hash_of));
                if room_in(slots.len()) > 2 * self.len as usize + 32 {
                    self.form = Form::Flat(rebuilt(slots::positions(slots), self.len as usize, &hash_of));
                }
            }
            Form::Parts(parts) => {
                let number = part_of(hash, parts.len());
                let part = &mut parts[number];
                let removed = u32::from(slots::remove(&mut part.slots, hash, position, &hash_of));
                (part.len, self.len) = (part.len - removed, self.len - removed);
                if room_in(part.slots.len()) > 2 * part.len as usize + 32 {
                    part.resize(&hash_of);
                }
                self.give_back(&hash_of);
            }
        }
    }

    /// The entry with this hash at `from` moves to `to`, where none is.
    pub(super) fn relocate(&mut self, hash: u64, from: usize, to: usize) {
        match &mut self.form {
            Form::Flat(slots) => relocate(slots, hash, from, to),
            Form::Parts(parts) => {
                let number = part_of(hash, parts.len());
                relocate(&mut parts[number].slots, hash, from, to);
            }
        }
    }

    /// Two entries change places.
    pub(super) fn exchange(&mut self, a: (u64, usize), b: (u64, usize)) {
        // No entry is at the highest number that a slot holds: both are told apart while one is on its way.
        let aside = match &self.form {
            Form::Flat(slots) => slots.len() - 1,
            Form::Parts(_) => MAX_ENTRIES - 1,
        };
        self.relocate(a.0, a.1, aside);
        self.relocate(b.0, b.1, a.1);
        self.relocate(a.0, aside, b.1);
    }

    /// Where the search for a hash begins in memory.
    #[inline]
    pub(super) fn address(&self, hash: u64) -> Option<*const u8> {
        fn in_slots<S>(slots: &[S], hash: u64) -> Option<*const u8> {
            slots.get(slots::home(hash, slots.len())).map(|slot| std::ptr::from_ref(slot).cast())
        }
        match &self.form {
            Form::Flat(slots) => in_slots(slots, hash),
            Form::Parts(parts) => in_slots(&parts[part_of(hash, parts.len())].slots, hash),
        }
    }

    /// Where a large index tells of the part for a hash: that has to be there before [`Index::address`] can be known.
    #[inline]
    pub(super) fn part_address(&self, hash: u64) -> Option<*const u8> {
        match &self.form {
            Form::Flat(_) => None,
            Form::Parts(parts) => {
                parts.get(part_of(hash, parts.len())).map(|part| std::ptr::from_ref(part).cast())
            }
        }
    }

    /// One stage of a pass over all entries: passes the positions of a part to `visit`, and gives where the next stage
    /// begins, or nothing at the end. A pass meets every entry that is there from its beginning to its end, however the
    /// index grows, shrinks or is reordered meanwhile: parts are taken in the order of their reversed bits, in which
    /// those that one is split into follow each other. It goes down, so that a pass that empties the index comes early by
    /// the parts that are merged first.
    pub(super) fn visit(&self, from: u64, visit: impl FnMut(usize)) -> Option<u64> {
        match &self.form {
            Form::Flat(slots) => {
                slots::positions(slots).for_each(visit);
                None
            }
            Form::Parts(parts) => {
                let last = (from.clamp(1, FIRST) - 1) as u32;
                let number = part_of(u64::from(last.reverse_bits()) << PART_SHIFT, parts.len());
                slots::positions(&parts[number].slots).for_each(visit);
                let next = u64::from((number as u32).reverse_bits());
                (next > 0).then_some(next)
            }
        }
    }

    /// How many entries fit into what there is, without growing.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        match &self.form {
            Form::Flat(slots) => room_in(slots.len()),
            Form::Parts(parts) => parts.iter().map(|part| room_in(part.slots.len())).sum(),
        }
    }

    /// Before an entry with this hash is added.
    fn make_room(&mut self, hash: u64, hash_of: &impl Fn(usize) -> u64) {
        let length = self.len as usize;
        if let Form::Flat(slots) = &self.form {
            if length < room_in(slots.len()) {
                return;
            }
            if length < FLAT_MAX {
                let room = with_slack(length + 1).min(FLAT_MAX);
                self.form = Form::Flat(rebuilt(slots::positions(slots), room, hash_of));
                return;
            }
            self.form = in_parts(slots::positions(slots), hash_of);
        }
        let Form::Parts(parts) = &mut self.form else { return };
        if length >= parts.len() * PART_ENTRIES {
            split_next(parts, hash_of);
        }
        let number = part_of(hash, parts.len());
        let part = &mut parts[number];
        if part.len as usize >= room_in(part.slots.len()) {
            part.resize(hash_of);
        }
    }

    /// After an entry was removed.
    fn give_back(&mut self, hash_of: &impl Fn(usize) -> u64) {
        let length = self.len as usize;
        let Form::Parts(parts) = &mut self.form else { return };
        if length <= FLAT_MAX / 2 && parts.len() <= 4 * MIN_PARTS && !self.sparse {
            let all = parts.iter().flat_map(|part| slots::positions(&part.slots));
            self.form = Form::Flat(rebuilt(all, with_slack(length), hash_of));
        } else if parts.len() > MIN_PARTS {
            merge_last(parts, hash_of);
        }
    }
}

impl Part {
    /// Of entries with their hashes, whose reading costs more than all else.
    fn of(entries: &[(u64, usize)]) -> Self {
        let mut slots = empty(with_slack(entries.len()));
        entries.iter().for_each(|&(hash, position)| slots::insert(&mut slots, hash, position));
        Self { slots, len: entries.len() as u32 }
    }

    /// Its entries with their hashes.
    fn entries(&self, hash_of: &impl Fn(usize) -> u64) -> impl Iterator<Item = (u64, usize)> {
        slots::positions(&self.slots).map(|position| (hash_of(position), position))
    }

    /// To what its entries need, and some more.
    fn resize(&mut self, hash_of: &impl Fn(usize) -> u64) {
        let room = with_slack(self.len as usize + 1);
        self.slots = rebuilt(slots::positions(&self.slots), room, hash_of);
    }
}

/// Room for an eighth more.
const fn with_slack(entries: usize) -> usize {
    let slack = entries / 8;
    entries + if slack < 8 { 8 } else { slack }
}

fn rebuilt<S: slots::Slot>(
    positions: impl Iterator<Item = usize>,
    room: usize,
    hash_of: &impl Fn(usize) -> u64,
) -> Box<[S]> {
    let mut slots = empty(room);
    positions.for_each(|position| slots::insert(&mut slots, hash_of(position), position));
    slots
}

fn in_parts(positions: impl Iterator<Item = usize>, hash_of: &impl Fn(usize) -> u64) -> Form {
    let mut parts: [Vec<(u64, usize)>; MIN_PARTS] = Default::default();
    for position in positions {
        let hash = hash_of(position);
        parts[part_of(hash, MIN_PARTS)].push((hash, position));
    }
    Form::Parts(parts.iter().map(|entries| Part::of(entries)).collect())
}

/// Divides the next part in order between its own number and a new one.
fn split_next(parts: &mut Vec<Part>, hash_of: &impl Fn(usize) -> u64) {
    let number = parts.len() - (1 << parts.len().ilog2());
    if parts.len() == parts.capacity() {
        parts.reserve_exact(4.max(parts.len() / 8));
    }
    let old = std::mem::take(&mut parts[number]);
    let (stay, go): (Vec<_>, Vec<_>) =
        old.entries(hash_of).partition(|&(hash, _)| part_of(hash, parts.len() + 1) == number);
    drop(old);
    parts[number] = Part::of(&stay);
    parts.push(Part::of(&go));
}

/// Undoes the last split, if little is left of what was split. Both halves count, not the average of all parts: expiry
/// empties one part after the other, and must not have what is left gathered in a few.
fn merge_last(parts: &mut Vec<Part>, hash_of: &impl Fn(usize) -> u64) {
    let last = parts.len() - 1;
    let number = last - (1 << last.ilog2());
    if (parts[number].len + parts[last].len) as usize > PART_ENTRIES / 2 {
        return;
    }
    let both = parts[number].entries(hash_of).chain(parts[last].entries(hash_of));
    let all: Vec<_> = both.collect();
    parts[number] = Part::of(&all);
    parts.pop();
    if parts.len() < parts.capacity() / 2 {
        parts.shrink_to(parts.len() + parts.len() / 8);
    }
}

fn relocate<S: slots::Slot>(slots: &mut [S], hash: u64, from: usize, to: usize) {
    if let Some(at) = slots::slot_of(slots, hash, from) {
        slots::put(slots, at, hash, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::collections::HashSet;

    const fn scramble(key: u64) -> u64 {
        let product = (key as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        (product >> 64) as u64 ^ product as u64
    }

    /// An index beside a plain array of keys; few distinct hashes make long runs of taken slots.
    struct Twins {
        index: Index,
        keys: Vec<u64>,
        distinct: u64,
        rng: Rng,
    }

    impl Twins {
        fn new(distinct: u64) -> Self {
            Self { index: Index::none(), keys: Vec::new(), distinct, rng: Rng::new([distinct, 1]) }
        }

        fn insert(&mut self) {
            let (key, distinct) = (self.rng.next_u64(), self.distinct);
            let keys = &self.keys;
            self.index.insert(scramble(key % distinct), keys.len(), |at| scramble(keys[at] % distinct));
            self.keys.push(key);
        }

        fn remove(&mut self) {
            let i = self.rng.below(self.keys.len());
            self.remove_at(i);
        }

        fn remove_at(&mut self, i: usize) {
            let distinct = self.distinct;
            let keys = &self.keys;
            let hash_of = |at: usize| scramble(keys[at] % distinct);
            self.index.remove(hash_of(i), i, hash_of);
            let last = keys.len() - 1;
            if i != last {
                self.index.relocate(hash_of(last), last, i);
            }
            self.keys.swap_remove(i);
        }

        fn exchange(&mut self) {
            let (i, j) = (self.rng.below(self.keys.len()), self.rng.below(self.keys.len()));
            let hash_of = |at: usize| scramble(self.keys[at] % self.distinct);
            self.index.exchange((hash_of(i), i), (hash_of(j), j));
            self.keys.swap(i, j);
        }

        fn check(&mut self) {
            for (i, &key) in self.keys.iter().enumerate() {
                let found = self.index.find(scramble(key % self.distinct), |at| self.keys[at] == key);
                assert_eq!(found, Some(i));
            }
            let stranger = self.rng.next_u64();
            assert_eq!(
                self.index.find(scramble(stranger % self.distinct), |at| self.keys[at] == stranger),
                None
            );
        }
    }

    fn drive(most: usize, distinct: u64, steps: usize) {
        let mut twins = Twins::new(distinct);
        for step in 0..steps {
            // Grows, then shrinks.
            let leaving = if step < steps / 2 { 20 } else { 70 };
            match twins.rng.below(100) {
                roll if roll < leaving && !twins.keys.is_empty() => twins.remove(),
                roll if roll < leaving + 10 && twins.keys.len() > 1 => twins.exchange(),
                _ if twins.keys.len() < most => twins.insert(),
                _ => {}
            }
            if step % (16 + most / 4) == 0 {
                twins.check();
            }
        }
        twins.check();
        assert!(twins.index.capacity() <= 2 * twins.keys.len() + twins.keys.len() / 8 + 64 * MIN_PARTS);
    }

    #[test]
    fn finds_what_a_plain_array_holds() {
        drive(1, 1, 200);
        drive(4, 2, 500);
        drive(100, 1 << 40, 5000);
        drive(100, 3, 5000);
        drive(100, 1, 2000);
        drive(8000, 1 << 40, 30_000);
        drive(5000, 40, 12_000);
    }

    #[test]
    fn an_index_in_parts_becomes_flat_again() {
        let mut twins = Twins::new(1 << 60);
        for most in [2047, 2048, 2049, 3000, 20_000] {
            while twins.keys.len() < most {
                twins.insert();
            }
            assert_eq!(matches!(twins.index.form, Form::Parts(_)), most > FLAT_MAX, "{most}");
            twins.check();
        }
        while twins.keys.len() > FLAT_MAX / 2 {
            assert!(matches!(twins.index.form, Form::Parts(_)));
            twins.remove();
        }
        assert!(matches!(twins.index.form, Form::Flat(_)));
        twins.check();
    }

    #[test]
    fn no_part_is_large() {
        let mut twins = Twins::new(1 << 60);
        for _ in 0..60_000 {
            twins.insert();
        }
        let Form::Parts(parts) = &twins.index.form else { panic!("it is large") };
        assert!(parts.iter().all(|part| part.len < 3 * PART_ENTRIES as u32), "{}", parts.len());
        assert_eq!(parts.iter().map(|part| part.len).sum::<u32>(), 60_000);
    }

    /// As expiry does it: a part is emptied before the next one is looked at.
    #[test]
    fn no_part_grows_while_others_are_emptied() {
        let mut twins = Twins::new(1 << 60);
        (0..30_000).for_each(|_| twins.insert());
        let (mut from, mut most) = (Some(FIRST), 0);
        while let Some(at) = from {
            let mut here = Vec::new();
            from = twins.index.visit(at, |position| here.push(twins.keys[position]));
            for key in here {
                let at = twins.keys.iter().position(|&other| other == key).unwrap();
                twins.remove_at(at);
                let Form::Parts(parts) = &twins.index.form else { continue };
                most = parts.iter().map(|part| part.len).max().unwrap_or(0).max(most);
            }
        }
        assert!(most < 3 * PART_ENTRIES as u32, "{most}");
        assert!(twins.keys.is_empty());
    }

    /// Whatever else comes and goes between two stages.
    #[test]
    fn a_pass_meets_everything_that_stays() {
        for (first, change) in [(20_000, 100), (20_000, -100), (3000, 900), (9000, -1000), (100, 0)] {
            let mut twins = Twins::new(1 << 60);
            (0..first).for_each(|_| twins.insert());
            let mut staying: HashSet<u64> = twins.keys.iter().copied().collect();
            let (mut met, mut from) = (HashSet::new(), Some(FIRST));
            while let Some(at) = from {
                from = twins.index.visit(at, |position| _ = met.insert(twins.keys[position]));
                for _ in 0..i32::abs(change) {
                    match change > 0 {
                        true => twins.insert(),
                        false if twins.keys.len() > 10 => twins.remove(),
                        false => {}
                    }
                    if twins.keys.len() > 1 {
                        twins.exchange();
                    }
                }
                let there: HashSet<u64> = twins.keys.iter().copied().collect();
                staying.retain(|key| there.contains(key));
            }
            assert!(staying.is_subset(&met), "{first} {change}: {} missed", staying.difference(&met).count());
        }
    }

    #[test]
    fn nothing_is_found_without_slots() {
        assert_eq!(Index::none().find(7, |_| true), None);
        assert_eq!(Index::none().capacity(), 0);
        assert_eq!(Index::none().visit(FIRST, |_| panic!("there is nobody")), None);
    }
}
