//! Reading the lists that operators write: one entry a line.

use std::{
    fmt,
    io::{self, BufRead, Read},
};

/// No line is longer than an entry and some space, bytes; the rest of a longer one is only read to be refused.
pub const MAX_LINE: u64 = 4096;
/// So much of a wrong line is shown, bytes.
const SHOWN: usize = 80;
/// What some editors put before a text (U+FEFF in UTF-8).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// A line that is neither an entry, a comment nor blank.
    #[error("line {line}: {wrong}{}", shown(found))]
    Entry {
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        wrong: String,
        /// The line, cut to a length that can be shown; empty where that is a secret.
        found: String,
    },
    /// More entries than may be.
    #[error("line {line}: more than {most} entries")]
    TooLong {
        /// That of the first one too many, counted from one.
        line: usize,
        /// How many there may be.
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

/// Reads a list of at most so many entries, and has `take` look at each, with its line counted from one. Blank lines and what
/// follows a `#` are skipped; space around an entry, CR LF line ends and a byte order mark are fine.
///
/// # Errors
/// At the first line that `take` refuses, at the first entry too many, and if reading fails.
pub fn read<W: fmt::Display>(
    text: impl BufRead,
    most: usize,
    take: impl FnMut(usize, &[u8]) -> Result<(), W>,
) -> Result<(), ListError> {
    read_all(text, most, SHOWN, take)
}

/// As [`read`], for a list of secrets: no error shows one.
///
/// # Errors
/// As [`read`].
pub fn read_secrets<W: fmt::Display>(
    text: impl BufRead,
    most: usize,
    take: impl FnMut(usize, &[u8]) -> Result<(), W>,
) -> Result<(), ListError> {
    read_all(text, most, 0, take)
}

fn read_all<W: fmt::Display>(
    mut text: impl BufRead,
    most: usize,
    shown: usize,
    mut take: impl FnMut(usize, &[u8]) -> Result<(), W>,
) -> Result<(), ListError> {
    let wrong = |line, wrong, found: &[u8]| {
        let found = String::from_utf8_lossy(&found[..found.len().min(shown)]).trim_end().to_owned();
        ListError::Entry { line, wrong, found }
    };
    let mut bytes = Vec::new();
    let mut entries = 0;
    for line in 1.. {
        bytes.clear();
        let failed = |source| ListError::Read { line, source };
        let length = text.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes).map_err(failed)?;
        if length == 0 {
            break;
        }
        if length as u64 == MAX_LINE && bytes.last() != Some(&b'\n') {
            if !bytes.contains(&b'#') {
                return Err(wrong(line, format!("longer than {MAX_LINE} bytes"), &bytes));
            }
            // A comment may be of any length: what is left of it is no line of its own.
            text.skip_until(b'\n').map_err(failed)?;
        }
        let content = if line == 1 { bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes) } else { &bytes };
        let entry = content.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
        if entry.is_empty() {
            continue;
        }
        entries += 1;
        if entries > most {
            return Err(ListError::TooLong { line, most });
        }
        take(line, entry).map_err(|why| wrong(line, why.to_string(), entry))?;
    }
    Ok(())
}

fn shown(found: &str) -> String {
    if found.is_empty() { String::new() } else { format!(", found {found:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries of a list with their lines, in which `bad` is none.
    fn entries(text: &[u8], most: usize) -> Result<Vec<(usize, String)>, ListError> {
        let mut entries = Vec::new();
        read(text, most, |line, entry| match entry {
            b"bad" => Err("expected no bad one"),
            entry => {
                entries.push((line, String::from_utf8(entry.to_vec()).unwrap()));
                Ok(())
            }
        })?;
        Ok(entries)
    }

    #[test]
    fn comments_blanks_marks_and_windows_line_ends_are_no_part_of_entries() {
        let text = b"\xef\xbb\xbfone\r\n\r\n# head\n  two # mine\t\r\n\t\n#\nthree";
        let expected = [(1, "one"), (4, "two"), (7, "three")].map(|(line, text)| (line, text.to_owned()));
        assert_eq!(entries(text, 3).unwrap(), expected);
        assert!(entries(b"", 0).unwrap().is_empty());
        assert!(entries(b"\xef\xbb\xbf\n\n#bad\n", 0).unwrap().is_empty());
        // Only the first line can begin with a mark.
        assert_eq!(entries(b"\n\xef\xbb\xbfbad", 9).unwrap()[0].0, 2);
    }

    #[test]
    fn the_first_wrong_line_is_named() {
        let text = entries(b"one\n\nbad #\nbad\n", 9).unwrap_err().to_string();
        assert_eq!(text, "line 3: expected no bad one, found \"bad\"");
    }

    #[test]
    fn no_error_shows_a_secret() {
        for (text, told) in [
            ("one\nsecret!\n".to_owned(), "line 2: expected another"),
            (format!("{}\n", "secret!".repeat(1000)), "line 1: longer than 4096 bytes"),
        ] {
            let error = read_secrets(text.as_bytes(), 9, |_, entry| match entry {
                b"one" => Ok(()),
                _ => Err("expected another"),
            });
            let error = error.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret!"), "{error}");
            assert_eq!(error.to_string(), told);
        }
    }

    #[test]
    fn there_are_no_more_entries_than_may_be() {
        let text = b"one\n# more\ntwo\nthree\n";
        assert_eq!(entries(text, 3).unwrap().len(), 3);
        assert_eq!(entries(text, 2).unwrap_err().to_string(), "line 4: more than 2 entries");
    }

    #[test]
    fn an_endless_line_is_refused_without_reading_it_all() {
        let endless = io::BufReader::new(io::repeat(b'a'));
        match read(endless, 9, |_, _| Ok::<_, &str>(())) {
            Err(ListError::Entry { line: 1, found, .. }) => assert_eq!(found.len(), SHOWN),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_comment_may_be_longer_than_any_line() {
        for length in [20_000, MAX_LINE as usize - 1, MAX_LINE as usize] {
            let text = format!("#{}\none\n", "x".repeat(length));
            assert_eq!(entries(text.as_bytes(), 1).unwrap(), [(2, "one".to_owned())]);
        }
    }

    #[test]
    fn a_list_that_cannot_be_read_on_says_where() {
        struct Broken(bool);
        impl Read for Broken {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::Error::other("gone"));
                }
                into[..4].copy_from_slice(b"one\n");
                Ok(4)
            }
        }
        let broken = io::BufReader::with_capacity(4, Broken(false));
        let error = read(broken, 9, |_, _| Ok::<_, &str>(())).unwrap_err();
        assert_eq!(error.to_string(), "line 2: gone");
    }
}
