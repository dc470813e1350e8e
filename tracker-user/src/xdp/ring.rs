//! The single-producer, single-consumer rings that user space and the kernel share (AF_XDP in the kernel's
//! documentation, "Rings").
#![allow(unsafe_code, reason = "ring entries and indices lie in memory shared with the kernel")]

use super::{frame::Frame, umem::Mapping};
use std::{
    marker::PhantomData,
    mem::offset_of,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// Where the parts of a ring lie in its mapping; the same for all four kinds.
#[derive(Clone, Copy, Debug)]
pub struct Offsets {
    /// The producer index.
    pub producer: u64,
    /// The consumer index.
    pub consumer: u64,
    /// The entries.
    pub descriptors: u64,
    /// The flags.
    pub flags: u64,
}

/// What a ring carries. An entry that is pushed is moved to the kernel; one that is popped comes from it.
///
/// # Safety
/// The type is laid out as the kernel's, and all bits are a value of it.
pub unsafe trait Entry {}
// SAFETY: the kernel's `__u64`.
unsafe impl Entry for Frame {}
// SAFETY: as `struct xdp_desc`, which is checked below it.
unsafe impl Entry for Descriptor {}

/// What the rx and tx rings carry (`struct xdp_desc`): a frame, and how many bytes of it are data.
#[derive(Debug)]
#[repr(C)]
pub struct Descriptor {
    /// The frame.
    pub frame: Frame,
    /// Bytes of data.
    pub len: u32,
    /// Flags; none is used here.
    pub options: u32,
}
const _: () = assert!(
    size_of::<Descriptor>() == size_of::<libc::xdp_desc>()
        && offset_of!(Descriptor, frame) == offset_of!(libc::xdp_desc, addr)
        && offset_of!(Descriptor, len) == offset_of!(libc::xdp_desc, len)
        && offset_of!(Descriptor, options) == offset_of!(libc::xdp_desc, options)
);

/// What both ends share: the mapping, its indices and its size.
#[derive(Clone, Debug)]
struct Shared {
    mapping: Arc<Mapping>,
    offsets: Offsets,
    mask: u32,
}

impl Shared {
    /// A ring of `size` entries (a power of two) of type `T`, or `None` if the mapping cannot hold it.
    fn new<T: Entry>(mapping: Mapping, offsets: Offsets, size: u32) -> Option<Self> {
        let index = size_of::<AtomicU32>() as u64;
        let fits = [
            (offsets.producer, index, index),
            (offsets.consumer, index, index),
            (offsets.flags, index, index),
            (offsets.descriptors, u64::from(size) * size_of::<T>() as u64, align_of::<T>() as u64),
        ]
        .iter()
        .all(|(offset, len, align)| {
            offset.checked_add(*len).is_some_and(|end| end <= mapping.len() as u64) && offset % align == 0
        });
        (size.is_power_of_two() && fits).then(|| Self { mapping: Arc::new(mapping), offsets, mask: size - 1 })
    }

    fn index(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: `new` has checked that an aligned u32 lies there; the mapping lives as long as `self`; the kernel
        // too treats it as an atomic.
        unsafe { AtomicU32::from_ptr(self.mapping.start().as_ptr().add(offset as usize).cast()) }
    }

    fn producer(&self) -> &AtomicU32 {
        self.index(self.offsets.producer)
    }

    fn consumer(&self) -> &AtomicU32 {
        self.index(self.offsets.consumer)
    }

    fn entry<T: Entry>(&self, index: u32) -> *mut T {
        let place = self.offsets.descriptors as usize + (index & self.mask) as usize * size_of::<T>();
        // SAFETY: `new` has checked that `mask + 1` entries lie in the mapping.
        unsafe { self.mapping.start().as_ptr().add(place).cast() }
    }

    fn level(&self) -> u32 {
        self.producer().load(Ordering::Acquire).wrapping_sub(self.consumer().load(Ordering::Acquire))
    }

    fn needs_wakeup(&self) -> bool {
        self.index(self.offsets.flags).load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// What any thread may read of a ring.
#[derive(Clone, Debug)]
pub struct Gauge(Shared);

impl Gauge {
    /// How many entries wait for the consumer.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.0.level()
    }
}

/// The end that user space writes: fill and tx.
#[derive(Debug)]
pub struct Producer<T> {
    shared: Shared,
    next: u32,
    consumer_seen: u32,
    entry: PhantomData<T>,
}

impl<T: Entry> Producer<T> {
    /// The producing end of a ring of `size` entries (a power of two), or `None` if the mapping cannot hold it.
    #[must_use]
    pub fn new(mapping: Mapping, offsets: Offsets, size: u32) -> Option<Self> {
        Shared::new::<T>(mapping, offsets, size).map(Self::over)
    }

    fn over(shared: Shared) -> Self {
        let next = shared.producer().load(Ordering::Relaxed);
        let consumer_seen = shared.consumer().load(Ordering::Acquire);
        Self { shared, next, consumer_seen, entry: PhantomData }
    }

    /// How many entries may be pushed, at least `wanted` if there is room for them.
    #[inline]
    pub fn room(&mut self, wanted: u32) -> u32 {
        let size = self.shared.mask + 1;
        let room = size - self.next.wrapping_sub(self.consumer_seen);
        if room >= wanted {
            return room;
        }
        self.consumer_seen = self.shared.consumer().load(Ordering::Acquire);
        size - self.next.wrapping_sub(self.consumer_seen)
    }

    /// Moves the next entry in, invisible to the kernel until [`Producer::submit`].
    ///
    /// # Errors
    /// Without room the entry comes back.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        if self.room(1) == 0 {
            return Err(value);
        }
        // SAFETY: between consumer and producer index plus size, the slot is ours; the kernel reads it only after
        // `submit` has moved the producer index past it.
        unsafe { self.shared.entry::<T>(self.next).write(value) };
        self.next = self.next.wrapping_add(1);
        Ok(())
    }

    /// Shows the kernel all that was pushed.
    #[inline]
    pub fn submit(&self) {
        self.shared.producer().store(self.next, Ordering::Release);
    }

    /// How many entries wait for the kernel.
    #[inline]
    #[must_use]
    pub fn level(&self) -> u32 {
        self.shared.level()
    }

    /// Whether the kernel wants to be woken to go on with this ring (`XDP_RING_NEED_WAKEUP`).
    #[inline]
    #[must_use]
    pub fn needs_wakeup(&self) -> bool {
        self.shared.needs_wakeup()
    }

    /// What any thread may read.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        Gauge(self.shared.clone())
    }
}

/// The end that user space reads: rx and completion.
#[derive(Debug)]
pub struct Consumer<T> {
    shared: Shared,
    next: u32,
    producer_seen: u32,
    entry: PhantomData<T>,
}

impl<T: Entry> Consumer<T> {
    /// The consuming end of a ring of `size` entries (a power of two), or `None` if the mapping cannot hold it.
    #[must_use]
    pub fn new(mapping: Mapping, offsets: Offsets, size: u32) -> Option<Self> {
        Shared::new::<T>(mapping, offsets, size).map(Self::over)
    }

    fn over(shared: Shared) -> Self {
        let next = shared.consumer().load(Ordering::Relaxed);
        Self { shared, next, producer_seen: next, entry: PhantomData }
    }

    /// Moves the next entry out, if there is any. Its slot stays ours until [`Consumer::release`].
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.next == self.producer_seen {
            self.producer_seen = self.shared.producer().load(Ordering::Acquire);
            if self.next == self.producer_seen {
                return None;
            }
        }
        // SAFETY: between consumer and producer index the slot holds an entry that the kernel finished before it
        // moved the producer index, and will not touch before `release`. It is read once: `next` goes on.
        let value = unsafe { self.shared.entry::<T>(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(value)
    }

    /// Gives the slots of all that was popped back to the kernel.
    #[inline]
    pub fn release(&self) {
        self.shared.consumer().store(self.next, Ordering::Release);
    }

    /// What any thread may read.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        Gauge(self.shared.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    const SIZE: u32 = 8;
    // SAFETY: numbers stand for frames here.
    unsafe impl Entry for u64 {}

    const OFFSETS: Offsets = Offsets { producer: 0, consumer: 64, flags: 128, descriptors: 192 };

    /// A ring whose indices begin at `start`, with both ends in this process.
    fn ring(start: u32) -> (Producer<u64>, Consumer<u64>) {
        let shared = Shared::new::<u64>(Mapping::anonymous(4096).unwrap(), OFFSETS, SIZE).unwrap();
        shared.producer().store(start, Ordering::Relaxed);
        shared.consumer().store(start, Ordering::Relaxed);
        (Producer::over(shared.clone()), Consumer::over(shared))
    }

    #[test]
    fn behaves_like_a_queue_across_the_wrap_of_slots_and_of_indices() {
        for start in [0, 5, u32::MAX - 20, u32::MAX] {
            let (mut producer, mut consumer) = ring(start);
            let mut model = VecDeque::new();
            let mut next = 0;
            for step in 0_u32..200 {
                for _ in 0..step % 11 {
                    let pushed = producer.push(next);
                    assert_eq!(pushed, if model.len() < SIZE as usize { Ok(()) } else { Err(next) });
                    if pushed.is_ok() {
                        model.push_back(next);
                        next += 1;
                    }
                }
                producer.submit();
                assert_eq!(producer.level(), model.len() as u32);
                for _ in 0..(step * 7) % 5 {
                    assert_eq!(consumer.pop(), model.pop_front());
                }
                consumer.release();
            }
            assert!(next > 100);
        }
    }

    #[test]
    fn nothing_is_seen_before_submit_and_nothing_is_reused_before_release() {
        let (mut producer, mut consumer) = ring(0);
        assert_eq!(producer.push(1), Ok(()));
        assert_eq!(consumer.pop(), None);
        producer.submit();
        for value in 2..=u64::from(SIZE) {
            assert_eq!(producer.push(value), Ok(()));
        }
        assert_eq!(consumer.pop(), Some(1));
        assert_eq!(producer.push(9), Err(9), "the slot of an unreleased entry was given out");
        consumer.release();
        assert_eq!(producer.push(9), Ok(()));
        assert_eq!(producer.room(1), 0);
    }

    #[test]
    fn a_mapping_that_is_too_small_is_refused() {
        for (offsets, size) in [
            (OFFSETS, 7),
            (OFFSETS, 1024),
            (Offsets { producer: 4094, ..OFFSETS }, SIZE),
            (Offsets { descriptors: 196, ..OFFSETS }, SIZE),
            (Offsets { flags: u64::MAX, ..OFFSETS }, SIZE),
        ] {
            let mapping = Mapping::anonymous(4096).unwrap();
            assert!(Producer::<u64>::new(mapping, offsets, size).is_none(), "{offsets:?} {size}");
        }
    }
}
