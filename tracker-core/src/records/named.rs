//! Records beside which a node is named, where that is done in bytes: whose counts of downloads they tell.

use crate::nodes::is_name;

/// A byte with the length of a node's name, the name, and records whose counts of downloads are that node's. `None` if no node
/// may have the name.
#[must_use]
pub fn with_name(name: &str, records: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(name.len()).ok().filter(|_| is_name(name))?;
    Some([&[length], name.as_bytes(), records].concat())
}

/// The name and the records of [`with_name`], if that made the bytes.
#[must_use]
pub fn split_name(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, records) = rest.split_at_checked(usize::from(*length))?;
    let name = str::from_utf8(name).ok().filter(|name| is_name(name))?;
    Some((name, records))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_before_its_records() {
        let bytes = b"\x03a-1records";
        assert_eq!(with_name("a-1", b"records").as_deref(), Some(&bytes[..]));
        assert_eq!(split_name(bytes), Some(("a-1", &b"records"[..])));
        assert_eq!(split_name(b"\x03a-1"), Some(("a-1", &b""[..])));
    }

    #[test]
    fn what_has_no_name_is_refused() {
        for bytes in [&b""[..], b"\0records", b"\x04a-1", b"\x03a.1", b"\x02\xff\xff", &[65; 66]] {
            assert_eq!(split_name(bytes), None, "{bytes:?}");
        }
        assert_eq!(
            [with_name("", b""), with_name("a.b", b""), with_name(&"a".repeat(300), b"")],
            [None, None, None]
        );
    }
}
