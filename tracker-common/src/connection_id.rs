//! The stateless BEP 15 connection ID: proof that a client receives what is sent to its address.
//!
//! An ID is 64 bits: the low 16 bits of the time slot it was issued in, then 48 bits of SipHash-2-4 over that slot
//! and the client's address. It says nothing about ports, so it holds from every source port of an address and on
//! every port of the tracker. Time is the coarse monotonic clock plus a saved base, in nanoseconds: the kernel and
//! user space read the same clock, and an ID survives a restart.

use crate::{
    address::{Address, Family},
    siphash::{self, Key, SipHash24},
};

/// A time slot is 2^35 ns, about 34.4 seconds.
pub const SLOT_SHIFT: u32 = 35;
/// A key serves 2^8 slots, about 2.4 hours.
pub const EPOCH_SHIFT: u32 = 8;
/// The longest life of an ID, in slots (about an hour): well under an epoch, so that two keys always suffice.
pub const MAX_LIFETIME_SLOTS: u32 = 105;

const MAC_MASK: u64 = (1 << 48) - 1;
const _: () = assert!(MAX_LIFETIME_SLOTS < (1 << EPOCH_SHIFT) / 2);

/// The time slot of a protocol time in nanoseconds.
#[inline(always)]
#[must_use]
pub const fn slot_at(now_ns: u64) -> u64 {
    now_ns >> SLOT_SHIFT
}

/// Which of the two key places serves a slot.
#[inline(always)]
#[must_use]
pub const fn key_index(slot: u64) -> u32 {
    (slot >> EPOCH_SHIFT) as u32 & 1
}

/// How many slots an ID must live to be accepted for at least `seconds` after its issue.
#[must_use]
pub const fn lifetime_slots(seconds: u64) -> u32 {
    let slots = (seconds.saturating_mul(1_000_000_000)).div_ceil(1 << SLOT_SHIFT);
    if slots > MAX_LIFETIME_SLOTS as u64 { MAX_LIFETIME_SLOTS } else { slots as u32 }
}

/// Computes the ID that `address` gets in `slot`; `key` is the one of that slot.
#[inline(always)]
#[must_use]
pub const fn compute(key: Key, slot: u64, address: &Address) -> u64 {
    let family = address.family();
    complete(prepare(key, slot, family), slot, family, address)
}

/// The hash of what all IDs of a slot and family begin with: a third of the work for IPv4, whose addresses begin with zeros.
#[inline(always)]
#[must_use]
pub const fn prepare(key: Key, slot: u64, family: Family) -> SipHash24 {
    let prepared = SipHash24::new(key).absorb(slot);
    match family {
        Family::Ipv4 => prepared.absorb(0),
        Family::Ipv6 => prepared,
    }
}

/// What [`compute`] gives, from what [`prepare`] gave for that slot and the address's family.
#[inline(always)]
#[must_use]
pub const fn complete(prepared: SipHash24, slot: u64, family: Family, address: &Address) -> u64 {
    let [high, low] = address.words();
    let prepared = match family {
        Family::Ipv4 => prepared,
        Family::Ipv6 => prepared.absorb(high.to_le()),
    };
    let mac = prepared.absorb(low.to_le()).absorb(24 << 56).finish();
    (slot & 0xffff) << 48 | mac & MAC_MASK
}

/// How many entries whoever keeps prepared hashes needs, so that all slots whose IDs may be valid have their own.
pub const PREPARED_ENTRIES: u32 = 256;
const _: () = assert!(PREPARED_ENTRIES > 2 * MAX_LIFETIME_SLOTS && PREPARED_ENTRIES.is_power_of_two());

/// The entry of a slot and family.
#[inline(always)]
#[must_use]
pub const fn prepared_index(slot: u64, family: Family) -> u32 {
    (slot as u32 * 2 + family as u32) & (PREPARED_ENTRIES - 1)
}

/// The slot in which `id` claims to have been issued, or `None` if that is longer ago than it may live, or in the
/// future.
#[inline(always)]
#[must_use]
pub const fn claimed_slot(id: u64, current_slot: u64, lifetime_slots: u32) -> Option<u64> {
    let age = current_slot.wrapping_sub(id >> 48) & 0xffff;
    if age > lifetime_slots as u64 { None } else { Some(current_slot.wrapping_sub(age)) }
}

/// The issuing and checking side in user space. The kernel's twin reads the same keys from its map.
#[derive(Clone, Debug)]
pub struct ConnectionIds {
    master: Key,
    lifetime_slots: u32,
    slot: u64,
    epoch: u64,
    keys: [Key; 2],
}

impl ConnectionIds {
    /// `lifetime_slots` comes from [`lifetime_slots()`]; `now_ns` is the protocol time.
    #[must_use]
    pub fn new(master: Key, lifetime_slots: u32, now_ns: u64) -> Self {
        let slot = slot_at(now_ns);
        let epoch = slot >> EPOCH_SHIFT;
        Self { master, lifetime_slots, slot, epoch, keys: two_keys(master, epoch, epoch.wrapping_sub(1)) }
    }

    /// Moves to the protocol time `now_ns`: once per batch, not per datagram.
    #[inline]
    pub fn advance(&mut self, now_ns: u64) {
        self.slot = slot_at(now_ns);
        let epoch = self.slot >> EPOCH_SHIFT;
        if epoch != self.epoch {
            self.epoch = epoch;
            self.keys = two_keys(self.master, epoch, epoch.wrapping_sub(1));
        }
    }

    /// The ID for `address` now.
    #[inline]
    #[must_use]
    pub fn issue(&self, address: &Address) -> [u8; 8] {
        compute(self.key(self.slot), self.slot, address).to_be_bytes()
    }

    /// Whether `id` was issued to `address` and has not expired.
    #[inline]
    #[must_use]
    pub fn is_valid(&self, id: [u8; 8], address: &Address) -> bool {
        let id = u64::from_be_bytes(id);
        match claimed_slot(id, self.slot, self.lifetime_slots) {
            Some(slot) => compute(self.key(slot), slot, address) ^ id == 0,
            None => false,
        }
    }

    #[inline]
    fn key(&self, slot: u64) -> Key {
        self.keys[key_index(slot) as usize]
    }
}

/// The key of an epoch, derived from the saved master key.
#[must_use]
pub fn epoch_key(master: Key, epoch: u64) -> Key {
    Key { k0: siphash::hash_words(master, [epoch, 0, 0]), k1: siphash::hash_words(master, [epoch, 1, 0]) }
}

/// What may be told of a master key to whoever is to find out whether it has the same one: SipHash-2-4 of a constant under it.
/// Its 25 bytes are no message that the key of an epoch comes from: those have 24.
#[must_use]
pub fn fingerprint(master: Key) -> u64 {
    siphash::hash_bytes(master, b"connection IDs of Riptide")
}

/// The two keys to have in place at `slot`: the current epoch's, and beside it the previous one's while its IDs may
/// still be presented, from then on the next one's, so that it becomes current by itself as time passes.
#[must_use]
pub fn keys_at(master: Key, slot: u64, lifetime_slots: u32) -> [Key; 2] {
    let epoch = slot >> EPOCH_SHIFT;
    let into_epoch = slot & ((1 << EPOCH_SHIFT) - 1);
    let other =
        if into_epoch <= u64::from(lifetime_slots) { epoch.wrapping_sub(1) } else { epoch.wrapping_add(1) };
    two_keys(master, epoch, other)
}

fn two_keys(master: Key, current: u64, other: u64) -> [Key; 2] {
    let mut keys = [epoch_key(master, current); 2];
    keys[(other & 1) as usize] = epoch_key(master, other);
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: Key = Key { k0: 0x0123_4567_89ab_cdef, k1: 0xfedc_ba98_7654_3210 };
    const SLOT_NS: u64 = 1 << SLOT_SHIFT;
    const EPOCH_NS: u64 = SLOT_NS << EPOCH_SHIFT;
    const A: Address = Address::from_ipv4([192, 0, 2, 1]);
    const B: Address = Address::from_ipv4([192, 0, 2, 2]);

    fn ids(now_ns: u64) -> ConnectionIds {
        ConnectionIds::new(MASTER, lifetime_slots(120), now_ns)
    }

    #[test]
    fn an_id_lives_at_least_as_long_as_asked_and_not_much_longer() {
        // Issued at the very start and the very end of a slot, and across the change of epoch.
        for issued in [7 * EPOCH_NS, 7 * EPOCH_NS + SLOT_NS - 1, 8 * EPOCH_NS - 1, 8 * EPOCH_NS] {
            let id = ids(issued).issue(&A);
            let mut later = ids(issued);
            for seconds in [0, 1, 60, 119, 120] {
                later.advance(issued + seconds * 1_000_000_000);
                assert!(later.is_valid(id, &A), "issued {issued}, {seconds} s later");
                assert!(!later.is_valid(id, &B));
            }
            later.advance(issued + 120 * 1_000_000_000 + 2 * SLOT_NS);
            assert!(!later.is_valid(id, &A), "issued {issued}, expired");
        }
    }

    #[test]
    fn an_id_from_the_future_is_refused() {
        let id = ids(100 * SLOT_NS).issue(&A);
        assert!(!ids(99 * SLOT_NS).is_valid(id, &A));
    }

    #[test]
    fn every_bit_counts() {
        let ids = ids(12_345 * SLOT_NS);
        let id = u64::from_be_bytes(ids.issue(&A));
        for bit in 0..64 {
            assert!(!ids.is_valid((id ^ 1 << bit).to_be_bytes(), &A), "bit {bit}");
        }
    }

    #[test]
    fn the_kernels_two_keys_agree_with_user_space_at_every_slot() {
        let lifetime = lifetime_slots(3600);
        for slot in (5 << EPOCH_SHIFT)..(8 << EPOCH_SHIFT) {
            let keys = keys_at(MASTER, slot, lifetime);
            for age in [0, 1, u64::from(lifetime)] {
                let issued = slot - age;
                let id = ConnectionIds::new(MASTER, lifetime, issued << SLOT_SHIFT).issue(&A);
                let id = u64::from_be_bytes(id);
                assert_eq!(claimed_slot(id, slot, lifetime), Some(issued));
                assert_eq!(
                    compute(keys[key_index(issued) as usize], issued, &A),
                    id,
                    "slot {slot} age {age}"
                );
            }
            // The kernel may read keys that user space wrote up to a minute ago.
            let next = slot + 2;
            assert_eq!(keys[key_index(next) as usize], epoch_key(MASTER, next >> EPOCH_SHIFT), "slot {slot}");
        }
    }

    /// The definition, whole: what is prepared must not change what clients hold.
    #[test]
    fn an_id_is_the_hash_of_slot_and_address() {
        for address in ["192.0.2.7", "2001:db8::7", "::1", "255.255.255.255"] {
            let address = Address::from(address.parse::<core::net::IpAddr>().unwrap());
            for slot in [0, 1, 0xffff, 0x1234_5678] {
                let mut bytes = [0; 24];
                bytes[..8].copy_from_slice(&u64::to_le_bytes(slot));
                bytes[8..].copy_from_slice(&address.octets());
                let mac = siphash::hash_bytes(MASTER, &bytes) & MAC_MASK;
                assert_eq!(compute(MASTER, slot, &address), (slot & 0xffff) << 48 | mac);
            }
        }
    }

    /// As `openssl mac -macopt hexkey:KEY -macopt size:8 SIPHASH` gives it, whose bytes are little-endian.
    #[test]
    fn a_fingerprint_is_the_hash_of_a_constant() {
        let counting = Key::from_bytes(core::array::from_fn(|i| i as u8));
        assert_eq!(fingerprint(counting), 0x749c_f01e_f2e9_39b1);
        assert_eq!(fingerprint(Key::from_bytes([0xff; 16])), 0x6012_4281_0e06_aaaa);
    }

    #[test]
    fn slots_that_may_be_valid_together_are_prepared_apart() {
        let mut taken = [false; PREPARED_ENTRIES as usize];
        for slot in 1000..=1000 + u64::from(MAX_LIFETIME_SLOTS) {
            for family in Family::ALL {
                let index = prepared_index(slot, family) as usize;
                assert!(!core::mem::replace(&mut taken[index], true), "{slot} {family:?}");
            }
        }
    }

    #[test]
    fn lifetimes_round_up_and_are_capped() {
        assert_eq!(lifetime_slots(0), 0);
        assert_eq!(lifetime_slots(1), 1);
        assert_eq!(lifetime_slots(120), 4);
        assert_eq!(lifetime_slots(u64::MAX), MAX_LIFETIME_SLOTS);
    }
}
