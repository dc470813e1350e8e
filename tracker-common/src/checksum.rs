//! The Internet checksum (RFC 1071), always computed from scratch: local senders leave a partial sum in the frame.

/// An unfolded ones' complement sum of words in memory order. The order does not matter as long as the result is
/// stored in memory order too (RFC 1071, section 2B); neither does the width of the words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Nothing summed yet.
    pub const ZERO: Self = Self(0);

    /// Adds a 16-bit word in memory order.
    #[inline(always)]
    #[must_use]
    pub const fn u16(self, word: u16) -> Self {
        Self(self.0 + word as u64)
    }

    /// Adds a 32-bit word in memory order.
    #[inline(always)]
    #[must_use]
    pub const fn u32(self, word: u32) -> Self {
        Self(self.0 + word as u64)
    }

    /// Adds a 64-bit word in memory order.
    #[inline(always)]
    #[must_use]
    pub const fn u64(self, word: u64) -> Self {
        Self(self.0 + (word >> 32) + (word & 0xffff_ffff))
    }

    /// Adds a slice of any length below 16 GiB; an odd last byte counts as if a zero followed.
    #[inline]
    #[must_use]
    pub fn slice(self, bytes: &[u8]) -> Self {
        let (quads, rest) = bytes.as_chunks::<4>();
        let mut sum: u64 = quads.iter().map(|quad| u64::from(u32::from_ne_bytes(*quad))).sum();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        sum += u64::from(u32::from_ne_bytes(last));
        Self(self.0 + sum)
    }

    /// Folds the carries in and complements: the field of an IPv4 header, in memory order.
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

    const EXAMPLE: [u8; 8] = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];

    #[test]
    fn matches_the_example_of_rfc_1071() {
        let expected = (!0xddf2_u16).to_be();
        assert_eq!(Sum::ZERO.slice(&EXAMPLE).finish(), expected);
        assert_eq!(Sum::ZERO.u64(u64::from_ne_bytes(EXAMPLE)).finish(), expected);
        let [a, b, c, d, ref tail @ ..] = EXAMPLE;
        let halves = Sum::ZERO.u32(u32::from_ne_bytes([a, b, c, d])).slice(tail);
        assert_eq!(halves.finish(), expected);
    }

    #[test]
    fn slices_of_every_length_agree_with_16_bit_words() {
        let bytes: [u8; 67] = core::array::from_fn(|i| 255 - i as u8);
        for length in 0..bytes.len() {
            let mut expected = Sum::ZERO;
            for pair in bytes[..length].chunks(2) {
                expected = expected.u16(u16::from_ne_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            }
            assert_eq!(Sum::ZERO.slice(&bytes[..length]).finish(), expected.finish(), "length {length}");
        }
    }

    #[test]
    fn a_udp_sum_is_never_zero() {
        assert_eq!(Sum::ZERO.u16(0xffff).finish(), 0);
        assert_eq!(Sum::ZERO.u16(0xffff).finish_udp(), 0xffff);
    }

    #[test]
    fn carries_survive_the_widest_words() {
        let ones = Sum::ZERO.u64(u64::MAX).u64(u64::MAX).u32(u32::MAX);
        assert_eq!(ones.finish(), 0);
    }
}
