//! Private mode: whoever has a key is served, and nobody else.
//!
//! A key is part of the announce address that its owner was given. It is a secret, so nothing here keeps one or shows
//! one: a table holds keyed hashes of 128 bits, whose key is random, and errors tell where a key is wrong without
//! telling the key.

use crate::lines::{self, ListError};
use std::{fmt, io::BufRead, sync::Arc};
use tracker_common::siphash::{Key as HashKey, hash_bytes};

/// Characters of the shortest key. A random one has 48 bits then: at a million keys, and a million guesses a second,
/// one is found in some minutes, so longer ones are better.
pub const MIN_KEY: usize = 8;
/// Characters of the longest key.
pub const MAX_KEY: usize = 64;
/// More keys of a list are refused.
pub const MAX_KEYS: usize = 1_000_000;

/// Parts of a table: a change copies one of them.
const PARTS: usize = 256;

/// What stands at the end of every announce address, and so is no key.
const WORDS: [&[u8]; 2] = [b"announce", b"scrape"];

/// What is wrong with a key. It does not tell the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// It can be guessed.
    #[error("a key has at least {MIN_KEY} characters, this one has {0}")]
    TooShort(usize),
    /// It has more characters than are looked at.
    #[error("a key has at most {MAX_KEY} characters, this one has {0}")]
    TooLong(usize),
    /// It would be written in several ways in an address.
    #[error("a key consists of A-Z, a-z, 0-9, - and _; character {0} of this one does not")]
    Character(usize),
    /// It is a word of announce addresses.
    #[error("a key is no word that announce addresses have anyway")]
    Word,
}

/// Checks that a text can be a key.
///
/// # Errors
/// If it is too short or too long, or has a character that may need an escape in an address.
pub fn check(text: &[u8]) -> Result<(), BadKey> {
    let strange = |byte: &u8| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_');
    if let Some(at) = text.iter().position(strange) {
        return Err(BadKey::Character(at + 1));
    }
    match text.len() {
        short @ ..MIN_KEY => Err(BadKey::TooShort(short)),
        MIN_KEY..=MAX_KEY if WORDS.contains(&text) => Err(BadKey::Word),
        MIN_KEY..=MAX_KEY => Ok(()),
        long => Err(BadKey::TooLong(long)),
    }
}

/// A key as it is written. Whoever wants to see it has to ask for its text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    bytes: [u8; MAX_KEY],
    length: u8,
}

impl Key {
    /// Reads a key.
    ///
    /// # Errors
    /// If it can be none; see [`check`].
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        check(text.as_bytes())?;
        let mut bytes = [0; MAX_KEY];
        let long = BadKey::TooLong(text.len());
        bytes.get_mut(..text.len()).ok_or(long)?.copy_from_slice(text.as_bytes());
        Ok(Self { bytes, length: u8::try_from(text.len()).map_err(|_| long)? })
    }

    /// How it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        let bytes = self.bytes.get(..self.length.into()).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Debug for Key {
    /// Not the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What stands at the place of a key in the path of an announce address, `/KEY/announce`; `None` where there is nothing
/// or the word that would follow it. It may be no key at all. A query may stand behind the path.
#[must_use]
pub fn of_path(path: &[u8]) -> Option<&[u8]> {
    let before = path.iter().take_while(|&&byte| byte == b'/').count();
    let first = path.get(before..)?.split(|byte| matches!(byte, b'/' | b'?')).next()?;
    (!first.is_empty() && !WORDS.contains(&first)).then_some(first)
}

/// The keys by which clients are served.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    secret: [HashKey; 2],
    /// Hashes, sorted, in [`PARTS`] parts by their highest bits.
    parts: Box<[Arc<[u128]>]>,
    length: usize,
}

impl Keys {
    /// No key. `secret` has to be random, and nobody else's.
    #[must_use]
    pub fn new(secret: [u64; 4]) -> Self {
        let [a, b, c, d] = secret;
        let secret = [HashKey { k0: a, k1: b }, HashKey { k0: c, k1: d }];
        Self { secret, parts: vec![Arc::default(); PARTS].into(), length: 0 }
    }

    /// Reads a list: a key per line. Blank lines and what follows a `#` are skipped. `secret` as for [`Keys::new`].
    ///
    /// # Errors
    /// At the first line that is no key, or one too many, and if reading fails. No error shows a key.
    pub fn parse(secret: [u64; 4], text: impl BufRead) -> Result<Self, ListError> {
        let mut keys = Self::new(secret);
        let mut hashes = Vec::new();
        lines::read_secrets(text, MAX_KEYS, |_, entry| {
            check(entry)?;
            hashes.push(keys.hash(entry));
            Ok::<_, BadKey>(())
        })?;
        keys.take_in(hashes);
        Ok(keys)
    }

    /// Whether this is one of them. The time that it takes depends on hashes whose key nobody knows, and so tells
    /// nothing of how much of a guess is right.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        if !(MIN_KEY..=MAX_KEY).contains(&key.len()) {
            return false;
        }
        let hash = self.hash(key);
        let part = &self.parts[part_of(hash)];
        let at = part.partition_point(|own| *own < hash);
        part.get(at).is_some_and(|own| own ^ hash == 0)
    }

    /// These and some more.
    #[must_use]
    pub fn with<'a>(&self, more: impl IntoIterator<Item = &'a Key>) -> Self {
        let mut keys = self.clone();
        let hashes: Vec<_> = more.into_iter().map(|key| keys.hash(key.text().as_bytes())).collect();
        keys.take_in(hashes);
        keys
    }

    /// These without those.
    #[must_use]
    pub fn without<'a>(&self, gone: impl IntoIterator<Item = &'a Key>) -> Self {
        let mut keys = self.clone();
        for key in gone {
            let hash = keys.hash(key.text().as_bytes());
            let part = &mut keys.parts[part_of(hash)];
            if let Ok(at) = part.binary_search(&hash) {
                *part = [&part[..at], &part[at + 1..]].concat().into();
                keys.length -= 1;
            }
        }
        keys
    }

    fn take_in(&mut self, hashes: Vec<u128>) {
        let mut new = vec![Vec::new(); PARTS];
        hashes.into_iter().for_each(|hash| new[part_of(hash)].push(hash));
        for (part, mut hashes) in self.parts.iter_mut().zip(new).filter(|(_, new)| !new.is_empty()) {
            hashes.extend_from_slice(part);
            hashes.sort_unstable();
            hashes.dedup();
            self.length += hashes.len() - part.len();
            *part = hashes.into();
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Two independent halves, so that no other text has the same hash but by a chance that is never seen.
    fn hash(&self, key: &[u8]) -> u128 {
        let [high, low] = self.secret.map(|secret| u128::from(hash_bytes(secret, key)));
        high << 64 | low
    }
}

/// By the highest eight bits.
const fn part_of(hash: u128) -> usize {
    (hash >> 120) as usize
}

impl fmt::Debug for Keys {
    /// Only how many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("length", &self.length).finish_non_exhaustive()
    }
}

/// What a client that stays connected has shown, once for all that it asks: the key in the path by which it came, or
/// what stood in its place.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pass(Option<Arc<[u8]>>);

impl Pass {
    /// Of a path; see [`of_path`].
    #[must_use]
    pub fn of_path(path: &[u8]) -> Self {
        // What is longer is none, and stays none.
        Self(of_path(path).map(|shown| shown[..shown.len().min(MAX_KEY + 1)].into()))
    }

    /// What was shown.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }
}

impl fmt::Debug for Pass {
    /// Only whether something was shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Pass(shown)" } else { "Pass(none)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::collections::BTreeSet;

    const SECRET: [u64; 4] = [1, 2, 3, 4];
    const ONE: &[u8] = b"correct-horse_battery-staple";

    fn parse(text: &str) -> Result<Keys, ListError> {
        Keys::parse(SECRET, text.as_bytes())
    }

    #[test]
    fn lists_may_have_comments_and_repeat_a_key() {
        let text = "\u{feff}# members\r\ncorrect-horse_battery-staple # Ann\r\n\r\n\tABCDEFGH\r\nABCDEFGH\n";
        let keys = parse(text).unwrap();
        assert_eq!(keys.len(), 2);
        assert!(keys.contains(ONE) && keys.contains(b"ABCDEFGH"));
        for other in
            [&b"correct-horse_battery-staplE"[..], b"abcdefgh", b"ABCDEFG", b"ABCDEFGHI", b"", b"# members"]
        {
            assert!(!keys.contains(other), "{}", other.escape_ascii());
        }
        assert!(!parse("").unwrap().contains(ONE));
    }

    #[test]
    fn bad_keys_are_refused_with_a_reason_that_does_not_tell_them() {
        let long = "x".repeat(MAX_KEY + 1);
        for (key, reason) in [
            ("seven77", BadKey::TooShort(7)),
            (&*long, BadKey::TooLong(65)),
            ("two words", BadKey::Character(4)),
            ("half/half", BadKey::Character(5)),
            ("12345678.", BadKey::Character(9)),
            ("percent%41", BadKey::Character(8)),
            ("schlüssel", BadKey::Character(5)),
            ("announce", BadKey::Word),
        ] {
            let text = format!("# one\n{}\n{key}\n", "y".repeat(MAX_KEY));
            match parse(&text) {
                Err(error @ ListError::Entry { line: 3, .. }) => {
                    assert_eq!(error.to_string(), format!("line 3: {reason}"), "{key}");
                    assert_eq!(Key::parse(key), Err(reason));
                    // That one word is no secret.
                    let shown = reason != BadKey::Word && format!("{error} {error:?}").contains(key);
                    assert!(!shown, "{error}");
                }
                other => panic!("{key}: {other:?}"),
            }
        }
    }

    #[test]
    fn nothing_shows_a_key() {
        let keys = parse("ABCDEFGH\n").unwrap();
        let pass = Pass::of_path(b"/ABCDEFGH/announce");
        let key = Key::parse("ABCDEFGH").unwrap();
        assert_eq!((format!("{key:?}"), key.text()), ("Key(..)".to_owned(), "ABCDEFGH"));
        assert_eq!(
            format!("{keys:?} {pass:?} {:?}", Pass::default()),
            "Keys { length: 1, .. } Pass(shown) Pass(none)"
        );
    }

    #[test]
    fn the_key_is_found_in_a_path() {
        for (path, found) in [
            (&b"/ABCDEFGH/announce"[..], Some(&b"ABCDEFGH"[..])),
            (b"/ABCDEFGH", Some(b"ABCDEFGH")),
            (b"ABCDEFGH/announce", Some(b"ABCDEFGH")),
            (b"//ABCDEFGH//announce?x=/y", Some(b"ABCDEFGH")),
            (b"/ABCDEFGH?x", Some(b"ABCDEFGH")),
            (b"/x", Some(b"x")),
            (b"/announce", None),
            (b"/announce?x=y", None),
            (b"/announce/ABCDEFGH", None),
            (b"/scrape", None),
            (b"/?ABCDEFGH", None),
            (b"/", None),
            (b"", None),
        ] {
            assert_eq!(of_path(path), found, "{}", path.escape_ascii());
            assert_eq!(Pass::of_path(path).key(), found);
        }
        // However long the path is, and no shorter one than was shown.
        let path = ["/", &"x".repeat(1000)].concat();
        assert_eq!(Pass::of_path(path.as_bytes()).key().map(<[u8]>::len), Some(MAX_KEY + 1));
    }

    #[test]
    fn changes_leave_the_table_before_as_it_was() {
        let before = parse("ABCDEFGH\n").unwrap();
        let one = Key::parse(str::from_utf8(ONE).unwrap()).unwrap();
        let more = before.with([&one]);
        assert_eq!((before.len(), before.contains(ONE)), (1, false));
        assert!(more.len() == 2 && more.contains(ONE) && more.contains(b"ABCDEFGH"));
        assert_eq!(more.with([&one, &one]), more);
        assert_eq!(more.without([&one, &one]), before);
        assert_eq!(before.without([&one]), before);
        assert!(more.without([&one, &Key::parse("ABCDEFGH").unwrap()]).is_empty());
        assert!(before.without([&Key::parse("ABCDEFGH").unwrap()]).is_empty());
    }

    #[test]
    fn as_a_naive_set() {
        let mut rng = Rng::new([5, 6]);
        let key = |n: usize| format!("key-{n:06}");
        let mut naive: BTreeSet<String> = (0..5000).map(|_| key(rng.below(20_000))).collect();
        let mut keys = parse(&naive.iter().map(|key| format!("{key}\n")).collect::<String>()).unwrap();
        for _ in 0..5000 {
            let key = key(rng.below(20_000));
            match rng.below(3) {
                0 => {
                    let many = [&*key, "another-one", &*key].map(|text| Key::parse(text).unwrap());
                    keys = keys.with(&many);
                    naive.extend([key, "another-one".to_owned()]);
                }
                1 => {
                    keys = keys.without([&Key::parse(&key).unwrap()]);
                    naive.remove(&key);
                }
                _ => assert_eq!(keys.contains(key.as_bytes()), naive.contains(&key), "{key}"),
            }
            assert_eq!(keys.len(), naive.len());
        }
        for key in (0..20_000).map(key) {
            assert_eq!(keys.contains(key.as_bytes()), naive.contains(&key), "{key}");
        }
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let many: String = (0..MAX_KEYS).map(|n| format!("{n:08}\n")).collect();
        let keys = parse(&many).unwrap();
        assert_eq!(keys.len(), MAX_KEYS);
        assert!(keys.contains(b"00999999") && !keys.contains(b"01000000"));
        let error = parse(&[&many, "ABCDEFGH\n"].concat()).unwrap_err().to_string();
        assert_eq!(error, "line 1000001: more than 1000000 entries");
    }
}
