//! Which torrents are served: a list of info hashes that are the only ones, or the ones that are not.

use crate::model::InfoHash;
use std::io::{self, BufRead, Read};
use tracker_common::hex;

/// What a list means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: every torrent is served.
    #[default]
    Off,
    /// Only the listed torrents are served.
    Allow,
    /// The listed torrents are refused.
    Deny,
}

/// A set of info hashes, 20 bytes each, and what it means.
#[derive(Clone, Debug, Default)]
pub struct AccessList {
    mode: Mode,
    /// Sorted, without repetition.
    hashes: Vec<InfoHash>,
    /// Where the hashes beginning with each two bytes start, and the end; empty for a short list.
    fan_out: Vec<u32>,
}

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A line that is neither a hash, a comment nor blank.
    #[error("line {line}: expected 40 or 64 hexadecimal digits, found {found:?}")]
    NotAHash {
        /// Counted from one.
        line: usize,
        /// The line, cut to a length that can be shown.
        found: String,
    },
    /// The list could not be read on.
    #[error("line {line}: {source}")]
    Read {
        /// The line being read, counted from one.
        line: usize,
        /// What went wrong.
        source: io::Error,
    },
    /// More hashes than can be numbered.
    #[error("more than {} info hashes", u32::MAX)]
    TooLong,
}

/// From here on the fan-out table's 256 KiB are little beside the hashes.
const FAN_OUT_FROM: usize = 16_384;
/// No line is longer than a hash and some space; the rest of a longer one is only read to be refused.
const MAX_LINE: u64 = 4096;

impl AccessList {
    /// A list that refuses nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// A list of the given hashes, in any order.
    ///
    /// # Errors
    /// If there are more than 2^32 - 1 of them.
    pub fn new(mode: Mode, mut hashes: Vec<InfoHash>) -> Result<Self, AccessError> {
        hashes.sort_unstable();
        hashes.dedup();
        hashes.shrink_to_fit();
        let length = u32::try_from(hashes.len()).map_err(|_| AccessError::TooLong)?;
        let mut fan_out = Vec::new();
        if hashes.len() >= FAN_OUT_FROM {
            fan_out.reserve_exact((1 << 16) + 1);
            let mut at = 0_u32;
            for first in 0..1_usize << 16 {
                fan_out.push(at);
                while at < length && first_two(&hashes[at as usize]) == first {
                    at += 1;
                }
            }
            fan_out.push(at);
        }
        Ok(Self { mode, hashes, fan_out })
    }

    /// Reads a list: a hash in hexadecimal per line, 40 digits, or 64 of which the first 40 count (BEP 52). Blank
    /// lines and what follows a `#` are skipped; space around a hash and CR LF line ends are fine.
    ///
    /// # Errors
    /// At the first line that is anything else, and if reading fails.
    pub fn parse(mode: Mode, mut text: impl BufRead) -> Result<Self, AccessError> {
        let mut hashes = Vec::new();
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            let read = text.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes);
            let length = read.map_err(|source| AccessError::Read { line, source })?;
            if length == 0 {
                break;
            }
            if length as u64 == MAX_LINE && bytes.last() != Some(&b'\n') && !is_comment(&bytes) {
                return Err(not_a_hash(line, &bytes));
            }
            // A comment may be of any length: what is left of it is no line of its own.
            if length as u64 == MAX_LINE && bytes.last() != Some(&b'\n') {
                text.skip_until(b'\n').map_err(|source| AccessError::Read { line, source })?;
            }
            let content = bytes.split(|&b| b == b'#').next().unwrap_or_default().trim_ascii();
            if !content.is_empty() {
                hashes.push(parse_hash(content).ok_or_else(|| not_a_hash(line, content))?);
            }
        }
        Self::new(mode, hashes)
    }

    /// Whether a torrent may be served.
    #[inline]
    #[must_use]
    pub fn permits(&self, hash: &InfoHash) -> bool {
        match self.mode {
            Mode::Off => true,
            Mode::Allow => self.contains(hash),
            Mode::Deny => !self.contains(hash),
        }
    }

    /// What the list means.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// How many hashes are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    fn contains(&self, hash: &InfoHash) -> bool {
        let first = first_two(hash);
        let range = match (self.fan_out.get(first), self.fan_out.get(first + 1)) {
            (Some(&start), Some(&end)) => start as usize..end as usize,
            _ => 0..self.hashes.len(),
        };
        self.hashes[range].binary_search(hash).is_ok()
    }
}

fn first_two(hash: &InfoHash) -> usize {
    usize::from(u16::from_be_bytes([hash.0[0], hash.0[1]]))
}

fn is_comment(line: &[u8]) -> bool {
    line.contains(&b'#')
}

fn parse_hash(text: &[u8]) -> Option<InfoHash> {
    let v2 = || hex::decode::<32>(text)?.first_chunk().copied();
    hex::decode(text).or_else(v2).map(InfoHash)
}

fn not_a_hash(line: usize, found: &[u8]) -> AccessError {
    let shown = &found[..found.len().min(80)];
    AccessError::NotAHash { line, found: String::from_utf8_lossy(shown).trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0123456789abcdef0123456789ABCDEF01234567";

    fn hash(n: u32) -> InfoHash {
        let mut bytes = [0x55; 20];
        bytes[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b9).to_be_bytes());
        InfoHash(bytes)
    }

    fn one() -> InfoHash {
        let mut bytes = [0; 20];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef][i % 8];
        }
        InfoHash(bytes)
    }

    #[test]
    fn a_list_may_hold_comments_blanks_and_windows_line_ends() {
        let text = format!("# head\r\n\r\n  {ONE} # mine\r\n\t\n{}", "ff".repeat(20));
        let list = AccessList::parse(Mode::Allow, text.as_bytes()).unwrap();
        assert_eq!(list.len(), 2);
        assert!(list.permits(&one()));
        assert!(list.permits(&InfoHash([0xff; 20])));
        assert!(!list.permits(&InfoHash([0; 20])));
    }

    #[test]
    fn a_v2_hash_counts_by_its_first_twenty_bytes() {
        let list = AccessList::parse(Mode::Deny, format!("{ONE}{}", "77".repeat(12)).as_bytes()).unwrap();
        assert!(!list.permits(&one()));
    }

    #[test]
    fn the_first_bad_line_is_named() {
        let cases = [
            (format!("{ONE}\n{}\n", &ONE[1..]), 2, &ONE[1..]),
            (format!("\n\n{ONE}0"), 3, "0123456789abcdef0123456789ABCDEF012345670"),
            (format!("{}g\n", &ONE[1..]), 1, "123456789abcdef0123456789ABCDEF01234567g"),
            ("é\n".to_owned(), 1, "é"),
        ];
        for (text, expected_line, expected) in cases {
            match AccessList::parse(Mode::Allow, text.as_bytes()) {
                Err(AccessError::NotAHash { line, found }) => {
                    assert_eq!((line, &*found), (expected_line, expected));
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_endless_line_is_refused_without_reading_it_all() {
        let endless = io::BufReader::new(io::repeat(b'a'));
        match AccessList::parse(Mode::Allow, endless) {
            Err(AccessError::NotAHash { line: 1, found }) => assert_eq!(found.len(), 80),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_comment_may_be_longer_than_any_line() {
        let text = format!("#{}\n{ONE}\n", "x ".repeat(10_000));
        assert_eq!(AccessList::parse(Mode::Allow, text.as_bytes()).unwrap().len(), 1);
        let exact = format!("#{}\n{ONE}\n", "x".repeat(MAX_LINE as usize - 1));
        assert_eq!(AccessList::parse(Mode::Allow, exact.as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn modes_mean_what_they_say() {
        for (mode, listed, other) in
            [(Mode::Off, true, true), (Mode::Allow, true, false), (Mode::Deny, false, true)]
        {
            let list = AccessList::new(mode, vec![hash(1), hash(1)]).unwrap();
            assert_eq!((list.permits(&hash(1)), list.permits(&hash(2))), (listed, other), "{mode:?}");
            assert_eq!(list.len(), 1);
        }
        assert!(!AccessList::new(Mode::Allow, Vec::new()).unwrap().permits(&hash(1)));
    }

    #[test]
    fn a_long_list_finds_all_of_its_own_and_nothing_else() {
        for length in [FAN_OUT_FROM as u32 - 1, FAN_OUT_FROM as u32, 100_000] {
            let list = AccessList::new(Mode::Allow, (0..length).map(hash).collect()).unwrap();
            assert!((0..length).all(|n| list.permits(&hash(n))));
            assert!((length..2 * length).all(|n| !list.permits(&hash(n))));
            assert!(!list.permits(&InfoHash([0; 20])));
            assert!(!list.permits(&InfoHash([0xff; 20])));
        }
    }

    #[test]
    fn the_ends_of_the_fan_out_are_reached() {
        let mut hashes: Vec<_> = (0..100_000).map(hash).collect();
        hashes.extend([InfoHash([0; 20]), InfoHash([0xff; 20])]);
        let list = AccessList::new(Mode::Deny, hashes).unwrap();
        assert!(!list.permits(&InfoHash([0; 20])));
        assert!(!list.permits(&InfoHash([0xff; 20])));
    }
}
