//! The keyed hash of the engine's tables: strangers choose info hashes, addresses, ports and peer IDs.

use crate::model::InfoHash;
use std::fmt;

/// The key of every table of an engine.
#[derive(Clone, Copy)]
pub(super) struct HashKey([u64; 2]);

impl HashKey {
    pub(super) const fn new(key: [u64; 2]) -> Self {
        Self(key)
    }

    /// SipHash-1-3 of a byte string that has been cut into little-endian words. The last one is shorter than eight
    /// bytes and carries the string's length in its highest byte.
    #[inline(always)]
    pub(super) fn hash<const N: usize>(self, words: [u64; N]) -> u64 {
        let [k0, k1] = self.0;
        let mut v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        for word in words {
            v[3] ^= word;
            v = round(v);
            v[0] ^= word;
        }
        v[2] ^= 0xff;
        v = round(round(round(v)));
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }

    #[inline]
    pub(super) fn torrent(self, hash: &InfoHash) -> u64 {
        self.id(&hash.0)
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

#[inline(always)]
const fn round([mut v0, mut v1, mut v2, mut v3]: [u64; 4]) -> [u64; 4] {
    v0 = v0.wrapping_add(v1);
    v2 = v2.wrapping_add(v3);
    v1 = v1.rotate_left(13) ^ v0;
    v3 = v3.rotate_left(16) ^ v2;
    v0 = v0.rotate_left(32);
    v2 = v2.wrapping_add(v1);
    v0 = v0.wrapping_add(v3);
    v1 = v1.rotate_left(17) ^ v2;
    v3 = v3.rotate_left(21) ^ v0;
    v2 = v2.rotate_left(32);
    [v0, v1, v2, v3]
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
