//! The keyed hash of the engine's tables: strangers choose info hashes, addresses, ports and peer IDs.

use crate::model::InfoHash;
use std::fmt;
use tracker_common::{
    address::Address,
    siphash::{Key, SipHash13},
};

/// The key of every table of an engine.
#[derive(Clone, Copy)]
pub(super) struct HashKey(Key);

impl HashKey {
    pub(super) const fn new([k0, k1]: [u64; 2]) -> Self {
        Self(Key { k0, k1 })
    }

    /// SipHash-1-3 of a byte string that has been cut into little-endian words. The last one is shorter than eight
    /// bytes and carries the string's length in its highest byte.
    #[inline(always)]
    pub(super) fn hash<const N: usize>(self, words: [u64; N]) -> u64 {
        words.into_iter().fold(SipHash13::new(self.0), SipHash13::absorb).finish()
    }

    #[inline]
    pub(super) fn torrent(self, hash: &InfoHash) -> u64 {
        self.id(&hash.0)
    }

    /// Another key, for whoever keeps tables of its own.
    pub(super) fn for_buckets(self) -> [u64; 2] {
        [0, 1].map(|word| self.hash([word, 8 << 56]))
    }

    /// Of the client network that an address is in.
    pub(super) fn network(self, address: &Address) -> u64 {
        let [high, low] = address.client_network().words();
        self.hash([u64::from_le(high), u64::from_le(low), 16 << 56])
    }

    /// Of an info hash or a peer ID.
    #[inline]
    pub(super) fn id(self, id: &[u8; 20]) -> u64 {
        let [a, b, c] = id_words(id);
        self.hash([a, b, c | 20 << 56])
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

#[inline(always)]
fn id_words(id: &[u8; 20]) -> [u64; 3] {
    let [a, b, c, d, e]: [u32; 5] =
        std::array::from_fn(|i| u32::from_le_bytes([id[4 * i], id[4 * i + 1], id[4 * i + 2], id[4 * i + 3]]));
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    [join(a, b), join(c, d), u64::from(e)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{DefaultHasher, Hasher};

    /// The standard library's default hasher is SipHash-1-3 under the key zero.
    fn oracle(bytes: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        hasher.finish()
    }

    #[test]
    fn an_info_hash_hashes_as_its_bytes_do() {
        for seed in 0..50_u8 {
            let hash = InfoHash(std::array::from_fn(|i| (i as u8).wrapping_mul(seed).wrapping_add(seed)));
            assert_eq!(HashKey::new([0, 0]).torrent(&hash), oracle(&hash.0));
        }
    }

    #[test]
    fn both_halves_of_the_key_matter() {
        let hash = InfoHash([7; 20]);
        let all = [[0, 0], [0, 1], [1, 0]].map(|key| HashKey::new(key).torrent(&hash));
        assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
    }
}
