//! How many frames have come to each receive queue, as the program counts them.
#![allow(unsafe_code, reason = "the counters lie in memory that the program writes")]

use super::umem::Mapping;
use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
    sync::atomic::{AtomicU64, Ordering},
};
use tracker_common::maps::MAX_QUEUES;

/// The program's counters, readable without a system call.
#[derive(Debug)]
pub struct Arrivals(Mapping);

impl Arrivals {
    /// Maps the array of the program.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn map(array: BorrowedFd<'_>) -> io::Result<Self> {
        Mapping::ring(array.as_raw_fd(), 0, MAX_QUEUES as usize * size_of::<u64>()).map(Self)
    }

    /// Frames of one queue so far, the ones that passed included. It may count a few less where two processors receive
    /// from one queue.
    #[inline]
    #[must_use]
    pub fn of(&self, queue: u32) -> u64 {
        let queue = queue.min(MAX_QUEUES - 1) as usize;
        // SAFETY: the mapping starts on a page and holds MAX_QUEUES of these, and `queue` is below that. The program
        // writes each as a whole.
        unsafe { self.0.start().cast::<AtomicU64>().add(queue).as_ref() }.load(Ordering::Relaxed)
    }
}
