//! How often a client network may ask: the generic cell rate algorithm (ITU-T I.371, annex A) over tables of fixed size.
//!
//! A bucket is one word: the time at which the next request would be exactly in time. Tables have [`BUCKETS`] of them,
//! found by a keyed hash, so that nobody can choose whom to share one with, and nothing is ever evicted. Networks that
//! share a bucket share what it admits; so each has a bucket in two tables, and a request is refused only when it is too
//! early by both. Of innocents, a share of (A / [`BUCKETS`])² is hit while A networks are over their rate, however many
//! others there are: at a thousand, 0.02 %; with one table it would be 1.5 %.
//!
//! Buckets are read and written plainly: processors that race for one lose a request of its count, which makes the limit
//! inexact, never a deadlock or a lock.

use crate::{
    address::Address,
    siphash::{Key, SipHash13},
};
use bytemuck::{Pod, Zeroable};
use core::sync::atomic::{AtomicU64, Ordering};

/// Buckets of one table, a power of two: half a megabyte.
pub const BUCKETS: usize = 1 << 16;
/// Tables in which each network has a bucket.
pub const ROWS: usize = 2;
/// Buckets for one [`Kind`] of request.
pub const BUCKETS_PER_KIND: usize = ROWS * BUCKETS;
/// No clock here is finer: the coarse monotonic one goes on by 1 to 10 ms at a time.
const TICKS_PER_SECOND: u32 = 100;

labelled! {
    /// What is counted apart.
    #[repr(u32)]
    pub enum Kind {
        /// Announces and scrapes over UDP, once their connection ID is known to be valid.
        UdpRequests = "udp_requests",
        /// Connects over UDP, whose sources may be forged.
        UdpConnects = "udp_connects",
        /// Announces and scrapes over HTTP and WebSocket.
        HttpRequests = "http_requests",
    }
}

impl Kind {
    /// A bit of its own in a set.
    #[inline(always)]
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A limit. All zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Rate {
    /// Nanoseconds from one request to the next, on average; 0 where there is no limit.
    pub interval_ns: u64,
    /// How early a request may be, nanoseconds: what makes bursts possible.
    pub tolerance_ns: u64,
}

impl Rate {
    /// No limit.
    pub const NONE: Self = Self { interval_ns: 0, tolerance_ns: 0 };

    /// So many requests a second, and after a pause so many at once. `per_second` of 0 is no limit. A burst smaller than what
    /// comes in a hundredth of a second counts as that, since clocks go on in such steps.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Self {
        if per_second == 0 {
            return Self::NONE;
        }
        let interval_ns = 1_000_000_000 / per_second as u64;
        let tick = per_second.div_ceil(TICKS_PER_SECOND);
        let burst = if burst > tick { burst } else { tick };
        Self { interval_ns, tolerance_ns: (burst as u64 - 1) * interval_ns }
    }

    /// Whether there is no limit.
    #[inline(always)]
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.interval_ns == 0
    }

    /// How far a bucket is ahead of the time `now_ns`. One that is further ahead than this rate brings any was filled at
    /// another rate, and counts as empty.
    #[inline(always)]
    const fn ahead(self, bucket: u64, now_ns: u64) -> u64 {
        let ahead = bucket.wrapping_sub(now_ns);
        if ahead > self.tolerance_ns + self.interval_ns { 0 } else { ahead }
    }

    /// Whether a request at `now_ns` is in time by one of a network's buckets; if so, it is counted in both. A bucket
    /// that others have filled more keeps what it has.
    #[inline(always)]
    pub fn admit<B: Bucket>(self, buckets: [&B; ROWS], now_ns: u64) -> bool {
        let [first, second] = buckets;
        let (one, other) = (self.ahead(first.get(), now_ns), self.ahead(second.get(), now_ns));
        let least = if one < other { one } else { other };
        if least > self.tolerance_ns {
            return false;
        }
        let next = least + self.interval_ns;
        if one < next {
            first.set(now_ns.wrapping_add(next));
        }
        if other < next {
            second.set(now_ns.wrapping_add(next));
        }
        true
    }
}

/// A word that several processors may read and write.
pub trait Bucket {
    /// What was written last, by whomever.
    fn get(&self) -> u64;
    /// Writes it.
    fn set(&self, word: u64);
}

impl Bucket for AtomicU64 {
    #[inline(always)]
    fn get(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn set(&self, word: u64) {
        self.store(word, Ordering::Relaxed);
    }
}

/// Where the buckets of a client's network are among [`BUCKETS_PER_KIND`]: one in each half. `secret` is random.
#[inline(always)]
#[must_use]
pub const fn places(secret: Key, client: &Address) -> [usize; ROWS] {
    let hash = SipHash13::new(secret).absorb(client.client_network_word()).finish();
    let mask = BUCKETS as u64 - 1;
    [(hash & mask) as usize, (hash >> 32 & mask) as usize + BUCKETS]
}

#[cfg(test)]
mod tests;
