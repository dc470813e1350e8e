//! Which torrents are served: a list of info hashes that are the only ones, or the ones that are not, and those that are
//! refused besides.

use crate::{
    lines::{self, ListError},
    model::InfoHash,
};
use std::{io::BufRead, sync::Arc};
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

/// A list of info hashes and what it means, and further ones that are refused whatever it means. A copy shares both.
#[derive(Clone, Debug, Default)]
pub struct AccessList {
    mode: Mode,
    listed: Arc<Hashes>,
    denied: Arc<Hashes>,
}

/// More hashes than can be numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_HASHES} info hashes")]
pub struct TooMany;

/// How many can be numbered.
const MAX_HASHES: usize = u32::MAX as usize;
/// From here on the fan-out table's 256 KiB are little beside the hashes.
const FAN_OUT_FROM: usize = 16_384;

/// Info hashes, 20 bytes each.
#[derive(Clone, Debug, Default)]
struct Hashes {
    /// Sorted, without repetition.
    sorted: Vec<InfoHash>,
    /// Where the hashes beginning with each two bytes start, and the end; empty for a short list.
    fan_out: Vec<u32>,
}

impl Hashes {
    fn new(mut hashes: Vec<InfoHash>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        hashes.shrink_to_fit();
        let mut fan_out = Vec::new();
        if let Ok(length) = u32::try_from(hashes.len())
            && hashes.len() >= FAN_OUT_FROM
        {
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
        Self { sorted: hashes, fan_out }
    }

    fn contains(&self, hash: &InfoHash) -> bool {
        let first = first_two(hash);
        let range = match (self.fan_out.get(first), self.fan_out.get(first + 1)) {
            (Some(&start), Some(&end)) => start as usize..end as usize,
            _ => 0..self.sorted.len(),
        };
        self.sorted[range].binary_search(hash).is_ok()
    }
}

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
    pub fn new(mode: Mode, hashes: Vec<InfoHash>) -> Result<Self, TooMany> {
        if hashes.len() > MAX_HASHES {
            return Err(TooMany);
        }
        Ok(Self { mode, listed: Arc::new(Hashes::new(hashes)), denied: Arc::default() })
    }

    /// Reads a list as [`lines::read`] does: a hash in hexadecimal per line, 40 digits, or 64 of which the first 40 count
    /// (BEP 52).
    ///
    /// # Errors
    /// At the first line that is anything else, and if reading fails.
    pub fn parse(mode: Mode, text: impl BufRead) -> Result<Self, ListError> {
        let mut hashes = Vec::new();
        lines::read(text, MAX_HASHES, |_, line| {
            hashes.push(parse_hash(line).ok_or("expected 40 or 64 hexadecimal digits")?);
            Ok::<_, &str>(())
        })?;
        Self::new(mode, hashes).map_err(|TooMany| ListError::TooLong { line: MAX_HASHES, most: MAX_HASHES })
    }

    /// The same list, with these hashes refused besides, and no others.
    #[must_use]
    pub fn denying(&self, hashes: Vec<InfoHash>) -> Self {
        Self { denied: Arc::new(Hashes::new(hashes)), ..self.clone() }
    }

    /// Whether a torrent may be served.
    #[inline]
    #[must_use]
    pub fn permits(&self, hash: &InfoHash) -> bool {
        let by_list = match self.mode {
            Mode::Off => true,
            Mode::Allow => self.listed.contains(hash),
            Mode::Deny => !self.listed.contains(hash),
        };
        by_list && (self.denied.sorted.is_empty() || !self.denied.contains(hash))
    }

    /// What the list means.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether a hash is on the list, whatever that means.
    #[must_use]
    pub fn lists(&self, hash: &InfoHash) -> bool {
        self.listed.contains(hash)
    }

    /// How many hashes are listed, without those that are refused besides.
    #[must_use]
    pub fn len(&self) -> usize {
        self.listed.sorted.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn first_two(hash: &InfoHash) -> usize {
    usize::from(u16::from_be_bytes([hash.0[0], hash.0[1]]))
}

/// Reads an info hash: 40 hexadecimal digits, or 64 of which the first 40 count.
#[must_use]
pub fn parse_hash(text: &[u8]) -> Option<InfoHash> {
    let v2 = || hex::decode::<32>(text)?.first_chunk().copied();
    hex::decode(text).or_else(v2).map(InfoHash)
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
                Err(ListError::Entry { line, found, .. }) => {
                    assert_eq!((line, &*found), (expected_line, expected));
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
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
    fn what_is_denied_besides_is_refused_in_every_mode() {
        for mode in [Mode::Off, Mode::Allow, Mode::Deny] {
            let list = AccessList::new(mode, vec![hash(1), hash(2)]).unwrap();
            let denying = list.denying(vec![hash(2), hash(3), hash(2)]);
            for n in 0..5 {
                assert_eq!(
                    denying.permits(&hash(n)),
                    list.permits(&hash(n)) && n != 2 && n != 3,
                    "{n} {mode:?}"
                );
            }
            assert_eq!((denying.len(), denying.mode(), denying.lists(&hash(3))), (2, mode, false));
            let as_before = denying.denying(Vec::new());
            assert!((0..5).all(|n| as_before.permits(&hash(n)) == list.permits(&hash(n))), "{mode:?}");
        }
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

    #[test]
    fn info_hashes_have_40_digits_or_64() {
        let long = format!("{}{}", "AB".repeat(20), "0".repeat(24));
        for text in ["ab".repeat(20), "Ab".repeat(20), long.clone()] {
            assert_eq!(parse_hash(text.as_bytes()), Some(InfoHash([0xab; 20])), "{text}");
        }
        for text in ["", "ab", &"a".repeat(39), &"a".repeat(41), &"g".repeat(40), &long.replace("00", "zz")] {
            assert_eq!(parse_hash(text.as_bytes()), None, "{text}");
        }
    }
}
