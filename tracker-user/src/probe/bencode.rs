//! Bencode (BEP 3), read as tolerant clients do, with a list of what strict ones refuse.

use super::shown;

/// How deep lists and dictionaries may lie in each other.
const MOST_DEPTH: u32 = 8;
/// Slips that are told.
const MOST_SLIPS: usize = 5;
/// Digits of the longest number, with a sign.
const MOST_DIGITS: usize = 20;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// `i…e`.
    Integer(i64),
    /// `length:bytes`.
    Bytes(&'a [u8]),
    /// `l…e`.
    List(Vec<Self>),
    /// `d…e`, in the order that was written.
    Dictionary(Vec<(&'a [u8], Self)>),
}

impl<'a> Value<'a> {
    /// The value under a key, if this is a dictionary with it: the first, where there are several.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Dictionary(entries) = self else { return None };
        entries.iter().find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }

    /// The bytes that it is.
    pub(super) const fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The number that it is.
    pub(super) const fn integer(&self) -> Option<i64> {
        if let Self::Integer(number) = self { Some(*number) } else { None }
    }
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read<'a> {
    pub(super) value: Value<'a>,
    /// What strict readers refuse, the first of it.
    pub(super) slips: Vec<String>,
    /// What follows the value.
    pub(super) rest: &'a [u8],
}

/// Why something is no bencode at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("it ends in the middle")]
    Cut,
    #[error("byte {at} ({byte}) begins no value")]
    NoValue { at: usize, byte: String },
    #[error("at byte {0} there is no number where one must be")]
    NoNumber(usize),
    #[error("a key of a dictionary, at byte {0}, is no string")]
    NoKey(usize),
    #[error("lists and dictionaries lie deeper in each other than {MOST_DEPTH}")]
    TooDeep,
}

/// Reads the value at the beginning.
///
/// # Errors
/// Why there is none.
pub(super) fn read(text: &[u8]) -> Result<Read<'_>, Broken> {
    let mut reader = Reader { text, at: 0, slips: Vec::new() };
    let value = reader.value(MOST_DEPTH)?;
    Ok(Read { value, slips: reader.slips, rest: &text[reader.at..] })
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    slips: Vec<String>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Result<u8, Broken> {
        self.text.get(self.at).copied().ok_or(Broken::Cut)
    }

    fn slip(&mut self, what: String) {
        if self.slips.len() < MOST_SLIPS {
            self.slips.push(what);
        }
    }

    fn value(&mut self, depth: u32) -> Result<Value<'a>, Broken> {
        match self.peek()? {
            b'i' => {
                self.at += 1;
                self.integer(b'e').map(Value::Integer)
            }
            b'l' => {
                let depth = depth.checked_sub(1).ok_or(Broken::TooDeep)?;
                self.at += 1;
                let mut items = Vec::new();
                while self.peek()? != b'e' {
                    items.push(self.value(depth)?);
                }
                self.at += 1;
                Ok(Value::List(items))
            }
            b'd' => {
                let depth = depth.checked_sub(1).ok_or(Broken::TooDeep)?;
                self.at += 1;
                let mut entries: Vec<(&[u8], Value<'a>)> = Vec::new();
                while self.peek()? != b'e' {
                    let key = self.key()?;
                    self.compare(entries.last().map(|(last, _)| *last), key);
                    entries.push((key, self.value(depth)?));
                }
                self.at += 1;
                Ok(Value::Dictionary(entries))
            }
            b'0'..=b'9' => self.bytes().map(Value::Bytes),
            byte => Err(Broken::NoValue { at: self.at, byte: shown::beginning(&[byte]) }),
        }
    }

    fn key(&mut self) -> Result<&'a [u8], Broken> {
        if self.peek()?.is_ascii_digit() { self.bytes() } else { Err(Broken::NoKey(self.at)) }
    }

    /// Keys are sorted, as raw bytes, and none is there twice.
    fn compare(&mut self, last: Option<&[u8]>, key: &[u8]) {
        let Some(last) = last else { return };
        if last == key {
            self.slip(format!("the key {} is there twice", shown::beginning(key)));
        } else if last > key {
            self.slip(format!(
                "keys are not sorted: {} stands behind {}",
                shown::beginning(key),
                shown::beginning(last)
            ));
        }
    }

    fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let length = usize::try_from(self.integer(b':')?).map_err(|_| Broken::NoNumber(self.at))?;
        let (bytes, _) = self.text[self.at..].split_at_checked(length).ok_or(Broken::Cut)?;
        self.at += length;
        Ok(bytes)
    }

    /// A number and its end mark.
    fn integer(&mut self, end: u8) -> Result<i64, Broken> {
        let rest = &self.text[self.at..];
        let begins_at = self.at;
        let none = || Broken::NoNumber(begins_at);
        let length = match rest.iter().take(MOST_DIGITS + 1).position(|&byte| byte == end) {
            Some(length) => length,
            None if rest.len() <= MOST_DIGITS => return Err(Broken::Cut),
            None => return Err(none()),
        };
        let written = std::str::from_utf8(&rest[..length]).map_err(|_| none())?;
        let number = written.parse().map_err(|_| none())?;
        let digits = written.trim_start_matches('-');
        if written.starts_with('+') || digits.len() > 1 && digits.starts_with('0') || written == "-0" {
            self.slip(format!("the number {written} has more than it needs"));
        }
        self.at += length + 1;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slips(text: &[u8]) -> Vec<String> {
        read(text).unwrap().slips
    }

    #[test]
    fn values_are_read() {
        let text = b"d1:ai-3e1:b2:xy1:cli0e0:d1:z0:eee\r\n";
        let found = read(text).unwrap();
        assert_eq!((found.slips.len(), found.rest), (0, &b"\r\n"[..]));
        assert_eq!(found.value.get("a").and_then(Value::integer), Some(-3));
        assert_eq!(found.value.get("b").and_then(Value::bytes), Some(&b"xy"[..]));
        let list = vec![
            Value::Integer(0),
            Value::Bytes(b""),
            Value::Dictionary(vec![(&b"z"[..], Value::Bytes(b""))]),
        ];
        assert_eq!(found.value.get("c"), Some(&Value::List(list)));
        assert_eq!(found.value.get("d"), None);
        assert_eq!(read(b"i9223372036854775807e").unwrap().value, Value::Integer(i64::MAX));
    }

    #[test]
    fn what_strict_readers_refuse_is_told() {
        assert_eq!(slips(b"d1:bi1e1:ai1ee"), ["keys are not sorted: \"a\" stands behind \"b\""]);
        assert_eq!(slips(b"d1:ai1e1:ai1ee"), ["the key \"a\" is there twice"]);
        for number in ["i01e", "i-0e", "i+1e", "i-01e"] {
            assert!(slips(number.as_bytes())[0].ends_with("has more than it needs"), "{number}");
        }
        assert_eq!(slips(b"01:a"), ["the number 01 has more than it needs"]);
        assert_eq!(slips(format!("l{}e", "i00e".repeat(99)).as_bytes()).len(), MOST_SLIPS);
    }

    #[test]
    fn what_is_no_bencode_says_where() {
        for (text, broken) in [
            (&b""[..], Broken::Cut),
            (b"i1", Broken::Cut),
            (b"5:abcd", Broken::Cut),
            (b"d1:a", Broken::Cut),
            (b"l", Broken::Cut),
            (b"<html>", Broken::NoValue { at: 0, byte: "\"<\"".to_owned() }),
            (b"d1:ax", Broken::NoValue { at: 4, byte: "\"x\"".to_owned() }),
            (b"i e", Broken::NoNumber(1)),
            (b"i123456789012345678901e", Broken::NoNumber(1)),
            (b"99999999999999999999:", Broken::NoNumber(0)),
            (b"di1ei2ee", Broken::NoKey(1)),
            (b"lllllllllllllleeeeeeeeeeeeee", Broken::TooDeep),
        ] {
            assert_eq!(read(text), Err(broken), "{}", text.escape_ascii());
        }
    }
}
