//! Hexadecimal text: two digits for each byte, the high one first.

use core::fmt;

/// The value of a digit of either case.
#[inline]
#[must_use]
pub const fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        b'A'..=b'F' => Some(character - b'A' + 10),
        _ => None,
    }
}

/// The byte that two digits write.
#[inline]
#[must_use]
pub const fn byte(high: u8, low: u8) -> Option<u8> {
    match (digit(high), digit(low)) {
        (Some(high), Some(low)) => Some(high << 4 | low),
        _ => None,
    }
}

/// The two digits of a byte, in lower case.
#[inline]
#[must_use]
pub const fn digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[byte as usize >> 4], DIGITS[byte as usize & 15]]
}

/// The bytes that exactly 2 · `N` digits write.
#[must_use]
pub fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (place, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *place = byte(high, low)?;
    }
    Some(bytes)
}

/// Shows bytes in lower case.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::ToString as _;

    #[test]
    fn every_byte_is_written_and_read_as_std_has_it() {
        for value in 0..=255 {
            let text = std::format!("{value:02x}");
            assert_eq!(digits(value), text.as_bytes());
            assert_eq!(Hex(&[value]).to_string(), text);
            for text in [text.to_uppercase(), text] {
                assert_eq!(decode(text.as_bytes()), Some([value]));
            }
        }
    }

    #[test]
    fn nothing_but_the_right_number_of_digits_is_read() {
        for wrong in ["", "0", "000", "00000", "0g00", "+1+2", " 1 2", "0x00"] {
            assert_eq!(decode::<2>(wrong.as_bytes()), None, "{wrong}");
        }
        for (character, value) in (0..=255_u8).map(|c| (c, char::from(c).to_digit(16))) {
            assert_eq!(digit(character).map(u32::from), value);
        }
    }
}
