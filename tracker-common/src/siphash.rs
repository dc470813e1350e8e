//! SipHash, a keyed hash of short inputs (Aumasson and Bernstein, 2012): C rounds for each word, D at the end.
//!
//! [`SipHash24`] is behind connection IDs, since variants with fewer rounds make no claim as a message authentication
//! code. [`SipHash13`] spreads what strangers choose over hash tables.

/// A 128-bit SipHash key, as its two little-endian words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The first eight key bytes, little-endian.
    pub k0: u64,
    /// The last eight key bytes, little-endian.
    pub k1: u64,
}

impl Key {
    /// Reads a key from its sixteen bytes.
    #[inline(always)]
    #[must_use]
    pub const fn from_bytes(b: [u8; 16]) -> Self {
        Self {
            k0: u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]),
            k1: u64::from_le_bytes([b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]]),
        }
    }

    /// The sixteen bytes that [`Key::from_bytes`] reads.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        let (a, b) = (self.k0.to_le_bytes(), self.k1.to_le_bytes());
        [a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]
    }
}

/// The hash of the words so far. Words are little-endian; the last one holds fewer than eight bytes of the message and
/// the message's length in its highest byte. Straight-line code, as the verifier of the XDP program wants it.
#[derive(Clone, Copy)]
pub struct SipHash<const C: u32, const D: u32> {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

/// SipHash-2-4: a message authentication code.
pub type SipHash24 = SipHash<2, 4>;
/// SipHash-1-3: for hash tables.
pub type SipHash13 = SipHash<1, 3>;

impl<const C: u32, const D: u32> SipHash<C, D> {
    /// Of nothing yet.
    #[inline(always)]
    #[must_use]
    pub const fn new(key: Key) -> Self {
        const { assert!(C <= 4 && D <= 4) };
        Self {
            v0: key.k0 ^ 0x736f_6d65_7073_6575,
            v1: key.k1 ^ 0x646f_7261_6e64_6f6d,
            v2: key.k0 ^ 0x6c79_6765_6e65_7261,
            v3: key.k1 ^ 0x7465_6462_7974_6573,
        }
    }

    /// With another word.
    #[inline(always)]
    #[must_use]
    pub const fn absorb(mut self, word: u64) -> Self {
        self.v3 ^= word;
        self = self.rounds(C);
        self.v0 ^= word;
        self
    }

    /// The hash, once the last word is absorbed.
    #[inline(always)]
    #[must_use]
    pub const fn finish(mut self) -> u64 {
        self.v2 ^= 0xff;
        self = self.rounds(D);
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    /// Up to four rounds, without a loop.
    #[inline(always)]
    const fn rounds(self, count: u32) -> Self {
        match count {
            0 => self,
            1 => self.round(),
            2 => self.round().round(),
            3 => self.round().round().round(),
            _ => self.round().round().round().round(),
        }
    }

    #[inline(always)]
    const fn round(mut self) -> Self {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
        self
    }
}

/// SipHash-2-4 of exactly three words (24 bytes): the form the XDP program uses.
#[inline(always)]
#[must_use]
pub const fn hash_words(key: Key, words: [u64; 3]) -> u64 {
    SipHash24::new(key).absorb(words[0]).absorb(words[1]).absorb(words[2]).absorb(24 << 56).finish()
}

/// SipHash-2-4 of any byte string.
#[must_use]
pub fn hash_bytes(key: Key, bytes: &[u8]) -> u64 {
    let mut state = SipHash24::new(key);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = state.absorb(u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let length = (bytes.len() as u64 & 0xff) << 56;
    state.absorb(u64::from_le_bytes(last) | length).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first sixteen `vectors_sip64` of the reference implementation: key 00..0f, message 00, 00 01, ….
    const REFERENCE: [u64; 16] = [
        0x726f_db47_dd0e_0e31,
        0x74f8_39c5_93dc_67fd,
        0x0d6c_8009_d9a9_4f5a,
        0x8567_6696_d7fb_7e2d,
        0xcf27_94e0_2771_87b7,
        0x1876_5564_cd99_a68d,
        0xcbc9_466e_58fe_e3ce,
        0xab02_00f5_8b01_d137,
        0x93f5_f579_9a93_2462,
        0x9e00_82df_0ba9_e4b0,
        0x7a5d_bbc5_94dd_b9f3,
        0xf4b3_2f46_226b_ada7,
        0x751e_8fbc_860e_e5fb,
        0x14ea_5627_c084_3d90,
        0xf723_ca90_8e7a_f2ee,
        0xa129_ca61_49be_45e5,
    ];

    fn key() -> Key {
        Key::from_bytes(core::array::from_fn(|i| i as u8))
    }

    #[test]
    fn matches_the_reference_vectors() {
        let message: [u8; 16] = core::array::from_fn(|i| i as u8);
        for (length, expected) in REFERENCE.iter().enumerate() {
            assert_eq!(hash_bytes(key(), &message[..length]), *expected, "length {length}");
        }
    }

    #[test]
    fn three_words_hash_like_their_bytes() {
        let bytes: [u8; 24] = core::array::from_fn(|i| (i * 37) as u8);
        let words = core::array::from_fn(|i| u64::from_le_bytes(bytes[i * 8..][..8].try_into().unwrap()));
        assert_eq!(hash_words(key(), words), hash_bytes(key(), &bytes));
    }

    #[test]
    fn key_bytes_round_trip() {
        let bytes: [u8; 16] = core::array::from_fn(|i| (i * 7) as u8);
        assert_eq!(Key::from_bytes(bytes).to_bytes(), bytes);
    }
}
