//! Asks for memory ahead of its use.

/// Starts loading the cache line at `address`, and waits for nothing. Only the address matters, not what is there.
#[inline(always)]
pub(super) fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[expect(
            unsafe_code,
            reason = "there is no safe way to prefetch; among a million torrents it halves the time of an announce"
        )]
        // SAFETY: the instruction needs SSE, which every x86-64 processor has. It reads nothing that the program
        // could see and does not fault, whatever the address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(address.cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
