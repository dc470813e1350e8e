//! The maps and the load-time constant, behind safe functions. One of the two rooms with `unsafe`.
#![allow(unsafe_code, reason = "map values and load-time constants are reached through raw pointers")]

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, xdp_action},
    helpers::bpf_ktime_get_coarse_ns,
    macros::map,
    maps::{Array, HashMap, LpmTrie, PerCpuArray, XskMap, lpm_trie::Key as Prefix},
};
use tracker_common::{
    address::{Address, Family},
    maps::{Counter, Destination, MAX_BANNED, MAX_DESTINATIONS, MAX_QUEUES, Recent, Settings, Tally},
    siphash::Key,
    verdict::Environment,
};

#[map(name = "SETTINGS")]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
#[map(name = "KEYS")]
static KEYS: Array<[u8; 16]> = Array::with_max_entries(2, 0);
#[map(name = "DESTINATIONS")]
static DESTINATIONS: HashMap<Destination, u8> = HashMap::with_max_entries(MAX_DESTINATIONS, 0);
#[map(name = "BANNED4")]
static BANNED4: LpmTrie<u32, u8> = LpmTrie::with_max_entries(MAX_BANNED, 0);
#[map(name = "BANNED6")]
static BANNED6: LpmTrie<[u64; 2], u8> = LpmTrie::with_max_entries(MAX_BANNED, 0);
#[map(name = "RECENT")]
static RECENT: PerCpuArray<Recent> = PerCpuArray::with_max_entries(1, 0);
// The loader sets the real number of receive queues before loading.
#[map(name = "SOCKETS")]
static SOCKETS: XskMap = XskMap::with_max_entries(64, 0);
#[map(name = "COUNTERS")]
static COUNTERS: PerCpuArray<Tally> = PerCpuArray::with_max_entries(Counter::ENTRIES, 0);

#[map(name = "ARRIVALS")]
static ARRIVALS: Array<u64> = Array::with_max_entries(MAX_QUEUES, BPF_F_MMAPABLE);

/// Non-zero: rare events are logged. In read-only data, so that the verifier removes the calls where it is zero.
#[unsafe(no_mangle)]
static LOG: u8 = 0;

/// Whether rare events are logged.
#[inline(always)]
pub(crate) fn log_enabled() -> bool {
    // SAFETY: a reference to a static is valid for reads; volatile, because the loader replaces the value after the
    // compiler has seen it.
    unsafe { core::ptr::read_volatile(&LOG) != 0 }
}

/// The maps and the clock, as the verdict wants them.
pub(crate) struct Kernel;

impl Environment for Kernel {
    #[inline(always)]
    fn settings(&self) -> Option<Settings> {
        SETTINGS.get(0).copied()
    }

    #[inline(always)]
    fn key(&self, index: u32) -> Option<Key> {
        KEYS.get(index).map(|bytes| Key::from_bytes(*bytes))
    }

    #[inline(always)]
    fn monotonic_ns(&self) -> u64 {
        // SAFETY: the helper takes nothing and returns a number.
        unsafe { bpf_ktime_get_coarse_ns() }
    }

    #[inline(always)]
    fn is_ours(&self, destination: &Destination, removals: u32) -> bool {
        let Some(recent) = RECENT.get_ptr_mut(0) else { return false };
        let now = Recent { destination: *destination, found_at: u64::from(removals) + 1 };
        // SAFETY: the pointer is to this CPU's own entry, and XDP programs on one CPU do not preempt each other.
        if unsafe { *recent } == now {
            return true;
        }
        // SAFETY: the value is only tested for presence, never read, so a concurrent update cannot be seen torn.
        let found = unsafe { DESTINATIONS.get(destination) }.is_some();
        if found {
            // Whoever removes it now counts a removal afterwards, and voids what is written here.
            // SAFETY: as above.
            unsafe { *recent = now };
        }
        found
    }

    #[inline(always)]
    fn is_banned(&self, source: &Address, family: Family) -> bool {
        match family {
            Family::Ipv4 => BANNED4.get(Prefix::new(32, source.ipv4_word())).is_some(),
            Family::Ipv6 => BANNED6.get(Prefix::new(128, source.words())).is_some(),
        }
    }
}

/// Counts a frame that came to this queue, so that user space knows how fast the device's ring fills.
#[inline(always)]
pub(crate) fn arrived(queue: u32) {
    if let Some(frames) = ARRIVALS.get_ptr_mut(queue) {
        // SAFETY: the pointer is to an entry of the map. Two processors at one queue, as in generic mode, may lose a count
        // of what is an estimate.
        unsafe { *frames += 1 };
    }
}

/// Counts a frame.
#[inline(always)]
pub(crate) fn count(counter: Counter, family: Family, payload_bytes: usize) {
    if let Some(tally) = COUNTERS.get_ptr_mut(counter.index(family)) {
        // SAFETY: the pointer is to this CPU's own entry, and XDP programs on one CPU do not preempt each other.
        unsafe {
            (*tally).frames += 1;
            (*tally).payload_bytes += payload_bytes as u64;
        }
    }
}

/// Gives the frame to the AF_XDP socket of its queue; `None` if there is none.
#[inline(always)]
pub(crate) fn redirect(queue: u32) -> Option<u32> {
    match SOCKETS.redirect(queue, u64::from(xdp_action::XDP_PASS)) {
        Ok(action) if action == xdp_action::XDP_REDIRECT => Some(action),
        _ => None,
    }
}
