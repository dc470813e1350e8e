//! The maps of the load generator, behind safe functions.
#![allow(unsafe_code, reason = "map values are reached through raw pointers")]

use aya_ebpf::{
    helpers::bpf_ktime_get_ns,
    macros::map,
    maps::{Array, PerCpuArray},
};
use tracker_common::load::{
    LATENCY_BUCKETS, MAX_SOURCES, MAX_WAITING, Plan, Progress, Tally, latency_bucket, slot,
};

#[map(name = "PLAN")]
static PLAN: Array<Plan> = Array::with_max_entries(1, 0);
#[map(name = "PROGRESS")]
static PROGRESS: Array<Progress> = Array::with_max_entries(1, 0);
#[map(name = "CONNECTIONS")]
static CONNECTIONS: Array<u64> = Array::with_max_entries(MAX_SOURCES, 0);
#[map(name = "WAITING")]
static WAITING: Array<u64> = Array::with_max_entries(MAX_WAITING, 0);
#[map(name = "TALLIES")]
static TALLIES: PerCpuArray<u64> = PerCpuArray::with_max_entries(Tally::COUNT, 0);
#[map(name = "LATENCIES")]
static LATENCIES: PerCpuArray<u64> = PerCpuArray::with_max_entries(LATENCY_BUCKETS, 0);

/// The plan, which user space writes while neither program runs.
#[inline(always)]
pub(crate) fn plan() -> Option<&'static Plan> {
    PLAN.get(0)
}

#[inline(always)]
pub(crate) fn monotonic_ns() -> u64 {
    // SAFETY: the helper takes nothing and returns a number.
    unsafe { bpf_ktime_get_ns() }
}

/// Takes the next request if it is due.
#[inline(always)]
pub(crate) fn next_request(plan: &Plan, now: u64) -> Option<u64> {
    let progress = PROGRESS.get_ptr_mut(0)?;
    let due = plan.due(now);
    // SAFETY: the pointer is to the only entry, and one thread at a time runs the generator.
    unsafe {
        let next = (*progress).next;
        if next >= due {
            return None;
        }
        let behind = due - next;
        let most = u64::from(plan.most_behind);
        let number = if behind > most {
            (*progress).skipped += behind - most;
            due - most
        } else {
            next
        };
        (*progress).next = number + 1;
        Some(number)
    }
}

/// The connection ID of a source address, in memory order.
#[inline(always)]
pub(crate) fn connection(source: u32) -> Option<u64> {
    CONNECTIONS.get(source).copied().filter(|id| *id != 0)
}

#[inline(always)]
pub(crate) fn connection_learned(source: u32, id: u64) {
    if let Some(place) = CONNECTIONS.get_ptr_mut(source) {
        // SAFETY: the pointer is to an entry of the map, and a word is written whole.
        unsafe { *place = id };
    }
}

/// Notes that a request has left.
#[inline(always)]
pub(crate) fn sent(transaction_id: u32, now: u64) {
    if let Some(place) = WAITING.get_ptr_mut(slot(transaction_id)) {
        // SAFETY: as in `connection_learned`.
        unsafe { *place = u64::from(transaction_id) << 32 | (now >> 10) & 0xffff_ffff };
    }
}

/// Notes that a reply has come; the time of its request in units of 1,024 ns, unless none waits.
#[inline(always)]
pub(crate) fn replied(transaction_id: u32) -> Option<u32> {
    let place = WAITING.get_ptr_mut(slot(transaction_id))?;
    // SAFETY: as in `connection_learned`; the low half of an entry in use may be zero, the whole of a free one is
    // all ones after its first use, and a request with transaction ID 0 is answered once.
    unsafe {
        let waiting = *place;
        if (waiting >> 32) as u32 != transaction_id || waiting == u64::MAX {
            return None;
        }
        *place = u64::MAX;
        Some(waiting as u32)
    }
}

#[inline(always)]
pub(crate) fn count(tally: Tally, by: u64) {
    if let Some(place) = TALLIES.get_ptr_mut(tally as u32) {
        // SAFETY: the pointer is to this CPU's own entry; the two programs may interleave on one CPU only at the
        // boundaries of a run.
        unsafe { *place += by };
    }
}

#[inline(always)]
pub(crate) fn record_latency(units: u32) {
    if let Some(place) = LATENCIES.get_ptr_mut(latency_bucket(units)) {
        // SAFETY: as in `count`.
        unsafe { *place += 1 };
    }
}
