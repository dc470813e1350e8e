//! The Internet checksum (RFC 1071), always computed from scratch: local senders leave a partial sum in the frame.

/// An unfolded ones' complement sum of 16-bit big-endian words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Nothing summed yet.
    pub const ZERO: Self = Self(0);

    /// Adds a 16-bit word.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word as u64)
    }

    /// Adds an array with an even number of bytes, unrolled.
    #[inline(always)]
    #[must_use]
    pub fn array<const N: usize>(mut self, bytes: &[u8; N]) -> Self {
        const { assert!(N.is_multiple_of(2)) }
        let mut i = 0;
        while i < N {
            self = self.word(u16::from_be_bytes([bytes[i], bytes[i + 1]]));
            i += 2;
        }
        self
    }

    /// Adds a slice of any length; an odd last byte counts as if a zero followed.
    #[inline]
    #[must_use]
    pub fn slice(self, bytes: &[u8]) -> Self {
        // Ones' complement addition does not care how wide the words are that are summed: 32-bit ones into a
        // 64-bit sum leave room for 2^32 carries.
        let (quads, rest) = bytes.as_chunks::<4>();
        let mut sum: u64 = quads.iter().map(|quad| u64::from(u32::from_be_bytes(*quad))).sum();
        let (pairs, last) = rest.as_chunks::<2>();
        for pair in pairs {
            sum += u64::from(u16::from_be_bytes(*pair));
        }
        if let [byte] = last {
            sum += u64::from(*byte) << 8;
        }
        Self(self.0 + sum)
    }

    /// Folds the carries in and complements: the value for an IPv4 header.
    #[inline(always)]
    #[must_use]
    pub const fn finish(self) -> u16 {
        let mut sum = (self.0 >> 32) + (self.0 & 0xffff_ffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        !(sum as u16)
    }

    /// As [`Sum::finish`], but zero, which UDP reserves for "no checksum", becomes 0xffff (RFC 768).
    #[inline(always)]
    #[must_use]
    pub const fn finish_udp(self) -> u16 {
        match self.finish() {
            0 => 0xffff,
            sum => sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::ZERO.array(&bytes).finish(), !0xddf2);
        assert_eq!(Sum::ZERO.slice(&bytes).finish(), !0xddf2);
    }

    #[test]
    fn slices_of_every_length_agree_with_words() {
        let bytes: [u8; 67] = core::array::from_fn(|i| 255 - i as u8);
        for length in 0..bytes.len() {
            let mut expected = Sum::ZERO;
            for pair in bytes[..length].chunks(2) {
                expected = expected.word(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            }
            assert_eq!(Sum::ZERO.slice(&bytes[..length]).finish(), expected.finish(), "length {length}");
        }
    }

    #[test]
    fn a_udp_sum_is_never_zero() {
        assert_eq!(Sum::ZERO.word(0xffff).finish(), 0);
        assert_eq!(Sum::ZERO.word(0xffff).finish_udp(), 0xffff);
    }
}
