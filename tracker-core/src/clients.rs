//! Client software that is not served, told by the beginning of its peer ID
//! ([BEP 20](https://www.bittorrent.org/beps/bep_0020.html)).

use crate::{
    lines::{self, ListError},
    model::PeerId,
};
use std::{fmt, io::BufRead};
use tracker_common::hex;

/// More prefixes are refused: there are not so many clients.
const MAX_PREFIXES: usize = 65_536;

/// Beginnings of peer IDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientPrefixes {
    /// Sorted, and none begins with another: so what a peer ID begins with, if anything, is the last that is not
    /// greater.
    prefixes: Box<[Prefix]>,
}

/// What a peer ID may begin with: 1 to 20 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Prefix {
    length: u8,
    bytes: [u8; PeerId::LEN],
}

/// What is wrong with a line of the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPrefix {
    /// It is `0x` alone.
    #[error("an empty prefix matches every client; to serve nobody, stop the tracker")]
    Empty,
    /// It is longer than a peer ID.
    #[error("a peer ID has 20 bytes, this prefix has {0}")]
    TooLong(usize),
    /// What follows `0x` is no sequence of bytes.
    #[error("after 0x, two hexadecimal digits are expected for each byte")]
    NotHex,
    /// A character could be meant or not.
    #[error("a space or a character beyond ASCII is in it; write such a prefix in hexadecimal, after 0x")]
    Unclear,
}

impl ClientPrefixes {
    /// Reads a list: a prefix per line, as text, or in hexadecimal after `0x`. Blank lines and what follows a `#` are
    /// skipped, so a `#` in a prefix is written in hexadecimal. Letters count as they stand, large or small.
    ///
    /// # Errors
    /// At the first line that is no prefix, or one too many, and if reading fails.
    pub fn parse(text: impl BufRead) -> Result<Self, ListError> {
        let mut prefixes = Vec::new();
        lines::read(text, MAX_PREFIXES, |_, entry| {
            prefixes.push(Prefix::read(entry)?);
            Ok::<_, BadPrefix>(())
        })?;
        Ok(Self::new(prefixes))
    }

    fn new(mut prefixes: Vec<Prefix>) -> Self {
        prefixes.sort_unstable_by(|a, b| a.bytes().cmp(b.bytes()));
        // What begins with a prefix stands behind it, and next to it once all between are gone.
        prefixes.dedup_by(|longer, shorter| longer.bytes().starts_with(shorter.bytes()));
        Self { prefixes: prefixes.into() }
    }

    /// Whether a peer ID begins with one of them. Over HTTP some have another length than 20 bytes.
    #[must_use]
    pub fn match_any(&self, peer_id: &[u8]) -> bool {
        let behind = self.prefixes.partition_point(|prefix| prefix.bytes() <= peer_id);
        let last = behind.checked_sub(1).and_then(|at| self.prefixes.get(at));
        last.is_some_and(|prefix| peer_id.starts_with(prefix.bytes()))
    }

    /// How many there are; those that begin with another are not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }
}

impl Prefix {
    fn read(text: &[u8]) -> Result<Self, BadPrefix> {
        let mut bytes = [0; PeerId::LEN];
        let mut length = 0;
        let mut push = |byte| {
            if let Some(place) = bytes.get_mut(length) {
                *place = byte;
            }
            length += 1;
        };
        match text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")) {
            Some(digits) => {
                let (pairs, rest) = digits.as_chunks::<2>();
                for [high, low] in pairs {
                    push(hex::byte(*high, *low).ok_or(BadPrefix::NotHex)?);
                }
                if !rest.is_empty() {
                    return Err(BadPrefix::NotHex);
                }
            }
            None if !text.iter().all(u8::is_ascii_graphic) => return Err(BadPrefix::Unclear),
            None => text.iter().for_each(|byte| push(*byte)),
        }
        match u8::try_from(length) {
            Ok(0) => Err(BadPrefix::Empty),
            Ok(short) if length <= PeerId::LEN => Ok(Self { length: short, bytes }),
            _ => Err(BadPrefix::TooLong(length)),
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn list(text: &str) -> ClientPrefixes {
        ClientPrefixes::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn prefixes_are_text_or_hexadecimal() {
        let text = "\u{feff}# banned\r\n-XL0012- # a downloader\r\n\r\n  0x2d58  \n0XfF00\nexbc\n";
        let list = list(text);
        assert_eq!(list.len(), 3, "-XL0012- begins with -X");
        for (peer_id, matches) in [
            (&b"-XL0012-aaaaaaaaaaaa"[..], true),
            (b"-XF9990-aaaaaaaaaaaa", true),
            (b"-qB4650-aaaaaaaaaaaa", false),
            (b"-x", false),
            (b"-", false),
            (b"", false),
            (b"\xff\0aaaaaaaaaaaaaaaaaa", true),
            (b"\xff\x01aaaaaaaaaaaaaaaaaa", false),
            (b"\xff", false),
            (b"exbc", true),
            (b"exb", false),
            (b"EXBC", false),
            (b"exbc, and longer than any peer ID", true),
        ] {
            assert_eq!(list.match_any(peer_id), matches, "{}", peer_id.escape_ascii());
        }
        assert!(!ClientPrefixes::default().match_any(b"-XL0012-aaaaaaaaaaaa"));
    }

    #[test]
    fn a_whole_peer_id_is_a_prefix() {
        let list = list("0x000102030405060708090a0b0c0d0e0f10111213\n-AA0001-abcdefghijkl\n");
        assert!(list.match_any(&core::array::from_fn::<u8, 20, _>(|i| i as u8)));
        assert!(list.match_any(b"-AA0001-abcdefghijkl") && !list.match_any(b"-AA0001-abcdefghijkm"));
    }

    #[test]
    fn bad_lines_are_refused_with_a_reason() {
        for (line, reason) in [
            ("0x", BadPrefix::Empty),
            ("0x2", BadPrefix::NotHex),
            ("0x2d58g0", BadPrefix::NotHex),
            ("0x2d 58", BadPrefix::NotHex),
            ("-AA0001-abcdefghijklm", BadPrefix::TooLong(21)),
            ("0x000102030405060708090a0b0c0d0e0f1011121314", BadPrefix::TooLong(21)),
            ("-XL 0012", BadPrefix::Unclear),
            ("-é", BadPrefix::Unclear),
            ("-\u{7f}", BadPrefix::Unclear),
        ] {
            let text = format!("-XX\n{line}\n");
            match ClientPrefixes::parse(text.as_bytes()) {
                Err(ListError::Entry { line: 2, wrong, .. }) => {
                    assert_eq!(wrong, reason.to_string(), "{line}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
        let many = (0..=MAX_PREFIXES).map(|n| format!("0x{n:08x}\n")).collect::<String>();
        let error = ClientPrefixes::parse(many.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "line 65537: more than 65536 entries");
    }

    #[test]
    fn as_a_naive_search() {
        let mut rng = Rng::new([1, 2]);
        // Of two letters, so that many prefixes are of each other.
        let word = |rng: &mut Rng, most: usize| -> Vec<u8> {
            let length = rng.below(most + 1);
            (0..length).map(|_| b"ab"[rng.below(2)]).collect()
        };
        for _ in 0..500 {
            let count = rng.below(12);
            let named: Vec<Vec<u8>> =
                (0..count).map(|_| word(&mut rng, 6)).filter(|word| !word.is_empty()).collect();
            let text: Vec<String> =
                named.iter().map(|word| String::from_utf8(word.clone()).unwrap()).collect();
            let list = list(&text.join("\n"));
            for _ in 0..50 {
                let peer_id = word(&mut rng, 9);
                let expected = named.iter().any(|prefix| peer_id.starts_with(prefix));
                assert_eq!(list.match_any(&peer_id), expected, "{text:?}: {}", peer_id.escape_ascii());
            }
        }
    }
}
