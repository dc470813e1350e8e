//! The memory that AF_XDP frames live in: one anonymous mapping, cut into frames of equal size.
#![allow(unsafe_code, reason = "the mapping is shared with the kernel and reached through raw pointers")]

use super::frame::{FRAME_LEN, Frame, Frames};
use std::{io, ptr::NonNull};

/// A private mapping that unmaps itself.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is plain memory, owned by this value and freed with it; who may touch which part of it is up to
// the owners of the rings and frames in it.
unsafe impl Send for Mapping {}
// SAFETY: as above; this type itself only hands out its address.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Anonymous memory, zeroed and populated.
    ///
    /// # Errors
    /// When the kernel has no memory.
    pub fn anonymous(len: usize) -> io::Result<Self> {
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
        unsafe { Self::map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE, -1, 0) }
    }

    /// A ring of an AF_XDP socket.
    ///
    /// # Errors
    /// When `fd` is no such socket, or the ring was not set up.
    pub fn ring(fd: i32, offset: i64, len: usize) -> io::Result<Self> {
        // SAFETY: a mapping at an address of the kernel's choice touches nothing that exists.
        unsafe { Self::map(len, libc::MAP_SHARED | libc::MAP_POPULATE, fd, offset) }
    }

    /// # Safety
    /// `flags` must not ask for a fixed address.
    unsafe fn map(len: usize, flags: i32, fd: i32, offset: i64) -> io::Result<Self> {
        // SAFETY: by this function's contract the kernel chooses an unused address.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, fd, offset)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start =
            NonNull::new(start.cast()).ok_or_else(|| io::Error::other("a mapping at address zero"))?;
        Ok(Self { start, len })
    }

    /// Where it begins.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes; never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `map` got, which nothing borrows any longer.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// The frames of one socket.
#[derive(Debug)]
pub struct Umem {
    memory: Mapping,
}

impl Umem {
    /// Memory for this many frames, and the frames.
    ///
    /// # Errors
    /// When the kernel has no memory.
    pub fn new(frames: u32) -> io::Result<(Self, Frames)> {
        let memory = Mapping::anonymous(frames as usize * FRAME_LEN)?;
        Ok((Self { memory }, Frames::all(frames)))
    }

    /// Where it begins, for the kernel.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.memory.start().as_ptr() as u64
    }

    /// Bytes, for the kernel.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.memory.len() as u64
    }

    /// Whether it has no bytes; never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.memory.is_empty()
    }

    /// The bytes of a frame, from where its data begins to its end, or nothing if it lies outside this memory.
    #[inline]
    #[must_use]
    pub fn bytes(&self, frame: &Frame) -> &[u8] {
        let (start, len) = self.range(frame.address());
        // SAFETY: `range` keeps inside the mapping. The kernel writes only into frames that are in its rings, and this
        // one is not: its only value is the caller's.
        unsafe { std::slice::from_raw_parts(self.memory.start().as_ptr().add(start), len) }
    }

    /// As [`Umem::bytes`], to write.
    #[inline]
    pub fn bytes_mut(&mut self, frame: &mut Frame) -> &mut [u8] {
        let (start, len) = self.range(frame.address());
        // SAFETY: as in `bytes`; `&mut self` keeps other borrows of this memory away.
        unsafe { std::slice::from_raw_parts_mut(self.memory.start().as_ptr().add(start), len) }
    }

    #[inline]
    fn range(&self, address: u64) -> (usize, usize) {
        let address = address as usize;
        if address >= self.memory.len() {
            return (0, 0);
        }
        (address, FRAME_LEN - address % FRAME_LEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reaches_to_its_end_and_no_further() {
        let (mut umem, mut frames) = Umem::new(3).unwrap();
        let (first, mut second, third) =
            (frames.pop().unwrap(), frames.pop().unwrap(), frames.pop().unwrap());
        umem.bytes_mut(&mut second).fill(7);
        for (frame, byte) in [(&first, 0), (&second, 7), (&third, 0)] {
            assert_eq!(umem.bytes(frame), [byte; FRAME_LEN]);
        }
        [first, second, third].into_iter().for_each(|frame| frames.push(frame));
    }

    #[test]
    fn what_the_kernel_names_is_bounded_by_the_memory() {
        let (umem, _frames) = Umem::new(4).unwrap();
        let frame = FRAME_LEN as u64;
        assert_eq!(umem.range(frame + 256), (FRAME_LEN + 256, FRAME_LEN - 256));
        assert_eq!(umem.range(4 * frame - 2), (4 * FRAME_LEN - 2, 2));
        assert_eq!(umem.range(4 * frame), (0, 0));
        assert_eq!(umem.range(u64::MAX), (0, 0));
    }
}
