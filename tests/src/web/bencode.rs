//! A reader of bencode (BEP 3) that takes nothing but the one right spelling of a value.

use std::collections::BTreeMap;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `i…e`.
    Integer(i64),
    /// `length:bytes`.
    Bytes(Vec<u8>),
    /// `l…e`.
    List(Vec<Self>),
    /// `d…e`.
    Dictionary(BTreeMap<Vec<u8>, Self>),
}

impl Value {
    /// Reads one value that takes all the bytes.
    ///
    /// # Errors
    /// What is wrong, and where: unsorted or repeated keys, leading zeros, lengths past the end, leftovers.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { bytes, at: 0 };
        let value = reader.value()?;
        if reader.at == bytes.len() {
            Ok(value)
        } else {
            Err(format!("{} bytes left over", bytes.len() - reader.at))
        }
    }

    /// The entry of a dictionary.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Dictionary(entries) => entries.get(key.as_bytes()),
            _ => None,
        }
    }

    /// The entries of a dictionary.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<Vec<u8>, Self> {
        match self {
            Self::Dictionary(entries) => entries,
            other => panic!("a dictionary expected, not {other:?}"),
        }
    }

    /// The keys of a dictionary in order, as text.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.entries().keys().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    /// The integer under a key.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn integer(&self, key: &str) -> i64 {
        match self.get(key) {
            Some(Self::Integer(value)) => *value,
            other => panic!("an integer {key:?} expected, not {other:?} in {self:?}"),
        }
    }

    /// The bytes under a key.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn bytes(&self, key: &str) -> &[u8] {
        match self.get(key) {
            Some(Self::Bytes(value)) => value,
            other => panic!("bytes {key:?} expected, not {other:?} in {self:?}"),
        }
    }

    /// The text under a key.
    #[must_use]
    pub fn text(&self, key: &str) -> String {
        String::from_utf8_lossy(self.bytes(key)).into_owned()
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn wrong<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("{what} at byte {} of {:?}", self.at, String::from_utf8_lossy(self.bytes)))
    }

    fn peek(&self) -> Result<u8, String> {
        self.bytes.get(self.at).copied().map_or_else(|| self.wrong("the end"), Ok)
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.peek()? {
            b'i' => {
                self.at += 1;
                self.number(b'e').map(Value::Integer)
            }
            b'0'..=b'9' => self.string().map(Value::Bytes),
            b'l' => {
                self.at += 1;
                let mut list = Vec::new();
                while self.peek()? != b'e' {
                    list.push(self.value()?);
                }
                self.at += 1;
                Ok(Value::List(list))
            }
            b'd' => {
                self.at += 1;
                let mut entries = BTreeMap::new();
                while self.peek()? != b'e' {
                    let key = self.string()?;
                    if entries.last_key_value().is_some_and(|(last, _)| *last >= key) {
                        return self.wrong("a key out of order");
                    }
                    let value = self.value()?;
                    entries.insert(key, value);
                }
                self.at += 1;
                Ok(Value::Dictionary(entries))
            }
            _ => self.wrong("no value"),
        }
    }

    fn number(&mut self, end: u8) -> Result<i64, String> {
        let length = self.bytes[self.at..].iter().position(|byte| *byte == end);
        let Some(length) = length else { return self.wrong("an endless number") };
        let text = String::from_utf8_lossy(&self.bytes[self.at..self.at + length]).into_owned();
        match text.parse::<i64>() {
            Ok(value) if value.to_string() == text => {
                self.at += length + 1;
                Ok(value)
            }
            _ => self.wrong("no number"),
        }
    }

    fn string(&mut self) -> Result<Vec<u8>, String> {
        let length = self.number(b':')?;
        let Ok(length) = usize::try_from(length) else { return self.wrong("a negative length") };
        match self.bytes.get(self.at..self.at + length) {
            Some(bytes) => {
                self.at += length;
                Ok(bytes.to_vec())
            }
            None => self.wrong("a string past the end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        let value = Value::parse(b"d1:ai-3e1:b2:xy1:cli0e0:ee").unwrap();
        assert_eq!(value.keys(), ["a", "b", "c"]);
        assert_eq!(value.integer("a"), -3);
        assert_eq!(value.bytes("b"), b"xy");
        assert_eq!(value.get("c"), Some(&Value::List(vec![Value::Integer(0), Value::Bytes(vec![])])));
    }

    #[test]
    fn other_spellings_are_refused() {
        for wrong in
            ["", "i01e", "i-0e", "i e", "i1", "5:abcd", "01:a", "d1:bi1e1:ai1ee", "d1:ai1e1:ai1ee", "le1"]
        {
            assert!(Value::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
