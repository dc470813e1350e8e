//! The text of JSON values: twenty bytes as a string of one code point from 0 to 255 for each, and what may be relayed.

use memchr::{memchr2_iter, memmem};
use std::str::Chars;
use tracker_common::hex;

/// Stands for every code point above 255, and for a surrogate of a UTF-16 escape.
const BEYOND: u32 = 0x100;

/// The characters of a JSON string token.
struct Units<'a> {
    rest: Chars<'a>,
}

impl<'a> Units<'a> {
    /// `token` is valid JSON and begins with a quote; of anything else nothing useful comes, but nothing bad either.
    fn new(token: &'a str) -> Option<Self> {
        let inside = token.strip_prefix('"')?.strip_suffix('"')?;
        Some(Self { rest: inside.chars() })
    }

    fn escaped(&mut self) -> Option<u32> {
        Some(match self.rest.next()? {
            'b' => 0x08,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'u' => {
                let digits = self.rest.as_str().get(..4)?;
                self.rest = self.rest.as_str().get(4..)?.chars();
                u32::from_str_radix(digits, 16).ok()?.min(BEYOND)
            }
            itself => u32::from(itself),
        })
    }
}

impl Iterator for Units<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match self.rest.next()? {
            '\\' => self.escaped(),
            plain => Some(u32::from(plain).min(BEYOND)),
        }
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is absent, or null.
    #[error("missing")]
    Missing,
    /// It is no string.
    #[error("not a string")]
    NotAString,
    /// It is no number.
    #[error("not a number")]
    NotANumber,
    /// It is no array.
    #[error("not an array")]
    NotAnArray,
    /// It is no object.
    #[error("not an object")]
    NotAnObject,
    /// It is neither a string nor an array of strings.
    #[error("not a string or an array of strings")]
    NotHashes,
    /// It has a code point above 255, or a lone surrogate.
    #[error("not a string of code points from 0 to 255")]
    NotBytes,
    /// It does not stand for twenty bytes.
    #[error("not 20 bytes long")]
    NotTwentyBytes,
    /// It is nested deeper than any offer is, and than every client can read.
    #[error("nested too deeply")]
    TooDeep,
    /// It has a string with half of a surrogate pair, which not every client can read.
    #[error("not valid Unicode")]
    LoneSurrogate,
    /// It is none of the known words.
    #[error("unknown")]
    Unknown,
}

/// The bytes that a JSON string token stands for.
pub(super) fn twenty_bytes(token: &str) -> Result<[u8; 20], Fault> {
    let mut bytes = [0; 20];
    let mut length = 0;
    for unit in Units::new(token).ok_or(Fault::NotAString)? {
        let byte = u8::try_from(unit).map_err(|_| Fault::NotBytes)?;
        *bytes.get_mut(length).ok_or(Fault::NotTwentyBytes)? = byte;
        length += 1;
    }
    if length == bytes.len() { Ok(bytes) } else { Err(Fault::NotTwentyBytes) }
}

/// Whether a JSON string token stands for this ASCII word.
pub(super) fn is_word(token: &str, word: &str) -> bool {
    Units::new(token).is_some_and(|units| units.eq(word.bytes().map(u32::from)))
}

/// Writes bytes as a JSON string, quotes included.
pub(super) fn write_bytes(out: &mut String, bytes: &[u8; 20]) {
    out.push('"');
    for &byte in bytes {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0..0x20 => {
                out.push_str("\\u00");
                out.extend(hex::digits(byte).map(char::from));
            }
            _ => out.push(char::from(byte)),
        }
    }
    out.push('"');
}

/// How deep relayed JSON may be nested, the outer object included. Real offers and answers are flat; libtorrent gives
/// up its connection to the tracker over what is nested deeper than 32.
const MAX_DEPTH: usize = 16;

/// Whether a valid JSON token is an object that every client can read: one peer must not be able to break another's
/// parser through us.
pub(super) fn check_relayed(token: &str) -> Result<(), Fault> {
    if !token.starts_with('{') {
        return Err(Fault::NotAnObject);
    }
    // Nearly everything is judged by these two quick looks.
    let deep = memchr2_iter(b'{', b'[', token.as_bytes()).nth(MAX_DEPTH).is_some();
    if deep || memmem::find(token.as_bytes(), b"\\u").is_some() { check_slowly(token) } else { Ok(()) }
}

fn check_slowly(token: &str) -> Result<(), Fault> {
    let (mut depth, mut in_string, mut high) = (0_usize, false, false);
    let mut bytes = token.bytes();
    while let Some(byte) = bytes.next() {
        let mut unit = 0;
        match byte {
            b'\\' => {
                let escaped_unit = bytes.next() == Some(b'u');
                let digits = bytes.by_ref().take(if escaped_unit { 4 } else { 0 });
                unit = digits.fold(0, |unit, digit| unit << 4 | u32::from(hex::digit(digit).unwrap_or(0)));
            }
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        let low = matches!(unit, 0xdc00..=0xdfff);
        if low != high {
            return Err(Fault::LoneSurrogate);
        }
        high = matches!(unit, 0xd800..=0xdbff);
        if depth > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
    }
    Ok(())
}
