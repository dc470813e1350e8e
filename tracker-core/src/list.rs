//! Lists that operators write, an entry a line: where the entries are, and what is wrong with one.

use std::io::{self, BufRead, Read as _};

/// No entry is longer; the rest of a longer line is only read if a comment has begun.
const MAX_LINE: u64 = 4096;
/// What some editors put before a text (UTF-8's byte order mark).
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a list could not be read: `E` tells what is wrong with an entry.
#[derive(Debug, thiserror::Error)]
pub enum ListError<E> {
    /// A line is neither an entry, a comment nor blank.
    #[error("line {line}: {reason}")]
    Entry {
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        reason: E,
    },
    /// A line is longer than any entry.
    #[error("line {line}: it is longer than {MAX_LINE} bytes")]
    TooLong {
        /// Counted from one.
        line: usize,
    },
    /// There are more entries than there may be.
    #[error("line {line}: there are more than {most} entries")]
    TooMany {
        /// That of the first one too many, counted from one.
        line: usize,
        /// So many there may be.
        most: usize,
    },
    /// The list could not be read on.
    #[error("line {line}: {source}")]
    Read {
        /// The line being read, counted from one.
        line: usize,
        /// What went wrong.
        source: io::Error,
    },
}

/// Calls `take` with each entry of a list, at most `most` times: with what stands on a line before a `#`, without the
/// space around it. Blank lines are skipped; CR LF line ends and a byte order mark are fine.
///
/// # Errors
/// At the first line that `take` refuses or that is too long, if there are too many, and if reading fails.
pub fn read<E>(
    mut text: impl BufRead,
    most: usize,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), ListError<E>> {
    let mut bytes = Vec::new();
    let mut entries = 0;
    for line in 1.. {
        bytes.clear();
        let unreadable = |source| ListError::Read { line, source };
        let length = text.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes).map_err(unreadable)?;
        if length == 0 {
            break;
        }
        let marked = if line == 1 { bytes.strip_prefix(MARK) } else { None };
        let whole = marked.unwrap_or(&bytes);
        let mut parts = whole.splitn(2, |&byte| byte == b'#');
        let entry = parts.next().unwrap_or_default().trim_ascii();
        if length as u64 == MAX_LINE && !whole.ends_with(b"\n") {
            if parts.next().is_none() {
                return Err(ListError::TooLong { line });
            }
            // A comment may be of any length: what is left of it is no line of its own.
            text.skip_until(b'\n').map_err(unreadable)?;
        }
        if entry.is_empty() {
            continue;
        }
        if entries == most {
            return Err(ListError::TooMany { line, most });
        }
        entries += 1;
        take(entry).map_err(|reason| ListError::Entry { line, reason })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("not this one")]
    struct Refused;

    fn entries(text: &[u8], most: usize) -> Result<Vec<String>, ListError<Refused>> {
        let mut all = Vec::new();
        read(text, most, |entry| {
            all.push(String::from_utf8_lossy(entry).into_owned());
            if entry == b"bad" { Err(Refused) } else { Ok(()) }
        })?;
        Ok(all)
    }

    fn said(text: &[u8], most: usize) -> String {
        entries(text, most).unwrap_err().to_string()
    }

    #[test]
    fn entries_are_found_among_all_else() {
        for (text, expected) in [
            (&b""[..], vec![]),
            (b"one", vec!["one"]),
            (b"one\ntwo\n", vec!["one", "two"]),
            (b"\xef\xbb\xbfone\r\n\r\n  two \t# three\r\n#four\n \n", vec!["one", "two"]),
            (b"\xef\xbb\xbf# one\ntwo", vec!["two"]),
            (b"one\n\xef\xbb\xbftwo", vec!["one", "\u{feff}two"]),
            (b"a b\n", vec!["a b"]),
        ] {
            assert_eq!(entries(text, 2).unwrap(), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(said(b"\n# one\nbad\nbad\n", 9), "line 3: not this one");
        assert_eq!(said(b"one\ntwo\n\n#\nthree\n", 2), "line 5: there are more than 2 entries");
        let endless = io::BufReader::new(io::repeat(b'a'));
        let error = read(endless, 9, |_| Ok::<_, Refused>(())).unwrap_err().to_string();
        assert_eq!(error, "line 1: it is longer than 4096 bytes");
        struct Broken;
        impl io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("no more"))
            }
        }
        let broken = io::BufReader::new(io::Read::chain(&b"one\n"[..], Broken));
        assert_eq!(read(broken, 9, |_| Ok::<_, Refused>(())).unwrap_err().to_string(), "line 2: no more");
    }

    #[test]
    fn comments_may_be_longer_than_any_line() {
        for length in [4094, 4095, 4096, 4097, 20_000] {
            let text = format!("#{}\none\ntwo #{}\n", "x".repeat(length - 1), "x".repeat(length));
            assert_eq!(entries(text.as_bytes(), 9).unwrap(), ["one", "two"], "{length}");
        }
        let just = format!("{}\nb", "a".repeat(4095));
        assert_eq!(entries(just.as_bytes(), 9).unwrap().len(), 2);
        assert!(
            said(format!("one\n{}\n", "a".repeat(4096)).as_bytes(), 9).starts_with("line 2: it is longer")
        );
    }
}
