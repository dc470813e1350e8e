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
    connection_id::{PREPARED_ENTRIES, key_index, prepare, prepared_index},
    maps::{
        Counter, Destination, LIMITED_KINDS, MAX_BANNED, MAX_DESTINATIONS, MAX_QUEUES, Rates, Recent,
        Settings, Tally,
    },
    rate::{self, BUCKETS_PER_KIND, Kind},
    siphash::{Key, SipHash24},
    verdict::Environment,
};

#[map(name = "SETTINGS")]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
#[map(name = "KEYS")]
static KEYS: Array<[u64; 2]> = Array::with_max_entries(2, 0);
#[map(name = "PREPARED")]
static PREPARED: PerCpuArray<Prepared> = PerCpuArray::with_max_entries(PREPARED_ENTRIES, 0);
#[map(name = "RATES")]
static RATES: Array<Rates> = Array::with_max_entries(1, 0);
#[map(name = "BUCKETS")]
static BUCKETS: Array<u64> = Array::with_max_entries((LIMITED_KINDS * BUCKETS_PER_KIND) as u32, 0);
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

/// What the IDs of a slot and family begin with, once this CPU has computed it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Prepared {
    /// One more than the slot, then [`Settings::key_changes`]; 0 in an entry that nobody has written.
    stamp: u64,
    hash: SipHash24,
}

/// A bucket in the map.
struct Bucket(*mut u64);

impl rate::Bucket for Bucket {
    #[inline(always)]
    fn get(&self) -> u64 {
        // SAFETY: the pointer is to an entry of the map. Processors that race for it make a count inexact.
        unsafe { *self.0 }
    }

    #[inline(always)]
    fn set(&self, word: u64) {
        // SAFETY: as in `get`.
        unsafe { *self.0 = word };
    }
}

/// The maps and the clock, as the verdict wants them.
pub(crate) struct Kernel;

impl Environment for Kernel {
    #[inline(always)]
    fn settings(&self) -> Option<Settings> {
        SETTINGS.get(0).copied()
    }

    #[inline(always)]
    fn prepared(&self, slot: u64, family: Family, key_changes: u32) -> Option<SipHash24> {
        let entry = PREPARED.get_ptr_mut(prepared_index(slot, family))?;
        let stamp = (slot + 1) << 32 | u64::from(key_changes);
        // SAFETY: the pointer is to this CPU's own entry, and XDP programs on one CPU do not preempt each other.
        if unsafe { (*entry).stamp } == stamp {
            // SAFETY: as above.
            return Some(unsafe { (*entry).hash });
        }
        let [k0, k1] = *KEYS.get(key_index(slot))?;
        let hash = prepare(Key { k0: k0.to_le(), k1: k1.to_le() }, slot, family);
        // SAFETY: as above.
        unsafe { *entry = Prepared { stamp, hash } };
        Some(hash)
    }

    #[inline(always)]
    fn monotonic_ns(&self) -> u64 {
        // SAFETY: the helper takes nothing and returns a number.
        unsafe { bpf_ktime_get_coarse_ns() }
    }

    #[inline(always)]
    fn is_ours(&self, destination: &Destination, removals: u32) -> bool {
        let Some(recent) = RECENT.get_ptr_mut(0) else { return false };
        let now = Recent { destination: destination.words(), found_at: u64::from(removals) + 1 };
        let [high, low, rest] = now.destination;
        // SAFETY: the pointer is to this CPU's own entry, and XDP programs on one CPU do not preempt each other.
        let last = unsafe { *recent };
        // Word by word: comparing arrays would be a call.
        let [last_high, last_low, last_rest] = last.destination;
        if last_low == low && last_rest == rest && last_high == high && last.found_at == now.found_at {
            return true;
        }
        // Laid out here, since nearly no frame gets here.
        let key = *destination;
        // SAFETY: the value is only tested for presence, never read, so a concurrent update cannot be seen torn.
        let found = unsafe { DESTINATIONS.get(&key) }.is_some();
        if found {
            // Whoever removes it now counts a removal afterwards, and voids what is written here.
            // SAFETY: as above.
            unsafe { *recent = now };
        }
        found
    }

    #[inline(always)]
    fn admits(&self, kind: Kind, client: &Address, now_ns: u64) -> bool {
        let Some(rates) = RATES.get(0) else { return true };
        let first = kind as u32 * BUCKETS_PER_KIND as u32;
        let [one, other] = rate::places(rates.secret(), client);
        let one = BUCKETS.get_ptr_mut(first + one as u32);
        let other = BUCKETS.get_ptr_mut(first + other as u32);
        let (Some(rate), Some(one), Some(other)) = (rates.rates.get(kind as usize), one, other) else {
            return true;
        };
        rate.admit([&Bucket(one), &Bucket(other)], now_ns)
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
