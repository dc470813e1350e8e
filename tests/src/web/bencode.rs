//! Bencoded dictionaries, of which a test expects this and that.

use std::collections::BTreeMap;
pub use tracker_load::http::bencode::Value;

/// A dictionary, strictly read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dictionary<'a>(BTreeMap<&'a [u8], Value<'a>>);

impl<'a> Dictionary<'a> {
    /// Reads one that takes all the bytes.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Self {
        let value = Value::parse(bytes);
        Self::of(value.unwrap_or_else(|| panic!("no bencode: {:?}", String::from_utf8_lossy(bytes))))
    }

    /// A value that is one.
    #[must_use]
    pub fn of(value: Value<'a>) -> Self {
        match value {
            Value::Dictionary(entries) => Self(entries.collect()),
            other => panic!("a dictionary expected, not {other:?}"),
        }
    }

    /// The value under a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.0.get(key.as_bytes()).copied()
    }

    /// The entries.
    #[must_use]
    pub const fn entries(&self) -> &BTreeMap<&'a [u8], Value<'a>> {
        &self.0
    }

    /// The keys in order, as text.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.0.keys().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    /// The integer under a key.
    #[must_use]
    pub fn integer(&self, key: &str) -> i64 {
        match self.get(key) {
            Some(Value::Integer(value)) => value,
            other => panic!("an integer {key:?} expected, not {other:?} in {self:?}"),
        }
    }

    /// The bytes under a key.
    #[must_use]
    pub fn bytes(&self, key: &str) -> &'a [u8] {
        match self.get(key) {
            Some(Value::Bytes(value)) => value,
            other => panic!("bytes {key:?} expected, not {other:?} in {self:?}"),
        }
    }

    /// The text under a key.
    #[must_use]
    pub fn text(&self, key: &str) -> String {
        String::from_utf8_lossy(self.bytes(key)).into_owned()
    }
}
