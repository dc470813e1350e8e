//! Bounds-checked access to the frame behind an XDP context. One of the two rooms with `unsafe`.
//!
//! Words are loaded and stored by single instructions, written out: a frame's fields have no alignment that the
//! language could rely on, so the compiler would take every word apart into bytes, and the verifier count them.
//! The hardware that eBPF runs on, and the verifier for it, allow unaligned access to packet data.
#![allow(unsafe_code, reason = "the frame is reached through the raw pointers of the XDP context")]

use aya_ebpf::{helpers::bpf_xdp_adjust_tail, programs::XdpContext};
use core::arch::asm;
use tracker_common::packet::{Bytes, MAX_PAYLOAD_OFFSET};

/// No access begins beyond this offset: the verifier needs a bound on variable offsets to prove that the pointer
/// arithmetic cannot wrap.
const MAX_OFFSET: usize = MAX_PAYLOAD_OFFSET + 128;

/// The frame being judged.
pub(crate) struct Frame<'a>(pub(crate) &'a XdpContext);

impl Frame<'_> {
    /// The address of `len` bytes at `offset`, if they lie in the frame.
    #[inline(always)]
    fn place(&self, offset: usize, len: usize) -> Option<usize> {
        if offset > MAX_OFFSET {
            return None;
        }
        let start = self.0.data() + offset;
        if start + len > self.0.data_end() { None } else { Some(start) }
    }

    /// Overwrites words of four bytes that follow each other, given in memory order.
    #[inline(always)]
    pub(crate) fn set_words<const N: usize>(&self, offset: usize, words: [u32; N]) -> Option<()> {
        let place = self.place(offset, 4 * N)?;
        for (i, word) in words.into_iter().enumerate() {
            // SAFETY: `place` has checked that the bytes lie between data and data_end, and the frame is this program's
            // alone while it runs.
            unsafe { asm!("*(u32 *)({0} + 0) = {1}", in(reg) place + 4 * i, in(reg) u64::from(word)) };
        }
        Some(())
    }

    /// Overwrites words of eight bytes that follow each other, given in memory order.
    #[inline(always)]
    pub(crate) fn set_long_words<const N: usize>(&self, offset: usize, words: [u64; N]) -> Option<()> {
        let place = self.place(offset, 8 * N)?;
        for (i, word) in words.into_iter().enumerate() {
            // SAFETY: as in `set_words`.
            unsafe { asm!("*(u64 *)({0} + 0) = {1}", in(reg) place + 8 * i, in(reg) word) };
        }
        Some(())
    }

    /// Shortens the frame to `len` bytes. All places must be looked up anew afterwards.
    #[inline(always)]
    pub(crate) fn truncate(&self, len: usize) -> Option<()> {
        let delta = len as i32 - self.len() as i32;
        // SAFETY: the context is the one this program was called with.
        let result = unsafe { bpf_xdp_adjust_tail(self.0.ctx, delta) };
        if result == 0 { Some(()) } else { None }
    }
}

impl Bytes for Frame<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        let mut len = self.0.data_end();
        // SAFETY: a subtraction. Written out, because the verifier takes the difference of the two pointers only as
        // it stands, and the compiler would mix it into whatever the length is used for.
        unsafe { asm!("{0} -= {1}", inout(reg) len, in(reg) self.0.data(), options(pure, nomem, nostack)) };
        len
    }

    #[inline(always)]
    fn u16(&self, offset: usize) -> Option<u16> {
        let place = self.place(offset, 2)?;
        let word: u64;
        // SAFETY: `place` has checked that the bytes lie between data and data_end.
        unsafe { asm!("{0} = *(u16 *)({1} + 0)", out(reg) word, in(reg) place, options(readonly, nostack)) };
        Some(word as u16)
    }

    #[inline(always)]
    fn u32(&self, offset: usize) -> Option<u32> {
        let place = self.place(offset, 4)?;
        let word: u64;
        // SAFETY: as in `u16`.
        unsafe { asm!("{0} = *(u32 *)({1} + 0)", out(reg) word, in(reg) place, options(readonly, nostack)) };
        Some(word as u32)
    }

    #[inline(always)]
    fn u64(&self, offset: usize) -> Option<u64> {
        let place = self.place(offset, 8)?;
        let word: u64;
        // SAFETY: as in `u16`.
        unsafe { asm!("{0} = *(u64 *)({1} + 0)", out(reg) word, in(reg) place, options(readonly, nostack)) };
        Some(word)
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        let place = self.place(offset, 4 * N)?;
        let mut words = [0; N];
        for (i, word) in words.iter_mut().enumerate() {
            let wide: u64;
            // SAFETY: as in `u16`.
            unsafe {
                asm!("{0} = *(u32 *)({1} + 0)", out(reg) wide, in(reg) place + 4 * i, options(readonly, nostack));
            }
            *word = wide as u32;
        }
        Some(words)
    }
}
