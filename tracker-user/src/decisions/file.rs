//! Decisions on disk: a line of text for each, between a first one with the version and a last one with their number, so that a
//! file that was cut is known for one.

use super::{Decisions, Entry, Kind};
use crate::{
    kept_file::{self, Unfit},
    set_aside::set_aside,
    state_directory::{DECISIONS_FILE, Replacement},
};
use std::{
    fmt,
    io::{self, BufReader, BufWriter, Read, Write as _},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};
use tracker_core::lines::{self, ListError};

/// The first line.
const HEAD: &str = "riptide decisions 1";
/// What the last line begins with; their number follows.
const END: &str = "end";
/// The longest file that is read, bytes: a million decisions of each kind take less.
const MAX_FILE: u64 = 256 << 20;

/// Why a file of decisions is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is not even opened.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A line is not as it should be.
    #[error(transparent)]
    Line(#[from] ListError),
    /// Its last line is missing.
    #[error("its end is missing")]
    Cut,
}

/// What is kept in a directory; nothing where there is no file. One that is of no use is set aside, and a line says so.
#[must_use]
pub fn take_up(directory: &Path) -> Decisions {
    let path = directory.join(DECISIONS_FILE);
    let fault = match read(directory) {
        Ok(decisions) => return decisions,
        Err(fault) => fault,
    };
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    match set_aside(directory, DECISIONS_FILE, wall) {
        Ok(aside) => tracing::error!(
            "{}: {fault}; no decision by control holds (deny, ban, key). The file was set aside as {}: mend it, and put it back \
             before the next start",
            path.display(),
            aside.display()
        ),
        Err(error) => tracing::error!(
            "{}: {fault}; no decision by control holds (deny, ban, key). It could not be set aside ({error}), so the next \
             decision takes its place",
            path.display()
        ),
    }
    Decisions::default()
}

/// What is kept in a directory; nothing where there is no file.
///
/// # Errors
/// If the file is of no use.
pub fn read(directory: &Path) -> Result<Decisions, Fault> {
    match kept_file::open(&directory.join(DECISIONS_FILE), MAX_FILE)? {
        Some((file, _)) => parse(BufReader::with_capacity(1 << 16, file)),
        None => Ok(Decisions::default()),
    }
}

fn parse(text: BufReader<impl Read>) -> Result<Decisions, Fault> {
    let mut decisions = Decisions::default();
    let (mut is_begun, mut is_ended, mut count) = (false, false, 0_usize);
    // A line may hold a key, which no error shows.
    lines::read_secrets(text, usize::MAX, |_, line| {
        let line = str::from_utf8(line).map_err(|_| "expected text".to_owned())?;
        if !is_begun {
            is_begun = line == HEAD;
            return if is_begun { Ok(()) } else { Err(format!("expected \"{HEAD}\"")) };
        }
        if is_ended {
            return Err("expected nothing more".to_owned());
        }
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        if name == END {
            is_ended = true;
            return if rest == count.to_string() {
                Ok(())
            } else {
                Err(format!("expected \"{END} {count}\""))
            };
        }
        let kind = Kind::ALL.into_iter().find(|kind| kind.label() == name);
        let kind = kind.ok_or_else(|| format!("expected one of {}", Names(&Kind::ALL)))?;
        let (entry, _) = Entry::parse(kind, rest).map_err(|why| why.to_string())?;
        decisions.set(entry, true);
        count += 1;
        Ok(())
    })?;
    if is_ended { Ok(decisions) } else { Err(Fault::Cut) }
}

struct Names<'a>(&'a [Kind]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|kind| kind.label()).collect();
        f.write_str(&names.join(", "))
    }
}

/// Keeps these in a directory, in place of those before.
///
/// # Errors
/// If the file cannot be written; the one before is still there.
pub fn write(directory: &Path, decisions: &Decisions) -> io::Result<()> {
    let mut replacement = Replacement::begin(directory, DECISIONS_FILE)?;
    let mut text = BufWriter::new(replacement.file());
    writeln!(text, "{HEAD}")?;
    writeln!(text, "# Written by the tracker: `riptide control` makes and takes back decisions.")?;
    let mut count = 0_usize;
    for entry in decisions.all() {
        writeln!(text, "{} {entry}", entry.kind().label())?;
        count += 1;
    }
    writeln!(text, "{END} {count}")?;
    text.flush()?;
    drop(text);
    replacement.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

    fn entries(texts: &[(Kind, &str)]) -> Decisions {
        let mut decisions = Decisions::default();
        for (kind, text) in texts {
            decisions.set(Entry::parse(*kind, text).unwrap().0, true);
        }
        decisions
    }

    fn some() -> Decisions {
        entries(&[
            (Kind::Ban, "10.0.0.0/8"),
            (Kind::Ban, "2001:db8::/32"),
            (Kind::Deny, HASH),
            (Kind::Key, "key-of_one"),
        ])
    }

    fn place(bytes: &[u8]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(DECISIONS_FILE);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        directory
    }

    #[test]
    fn what_was_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(take_up(directory.path()), Decisions::default());
        for decisions in [some(), Decisions::default()] {
            write(directory.path(), &decisions).unwrap();
            assert_eq!(read(directory.path()).unwrap(), decisions);
        }
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [DECISIONS_FILE]);
    }

    #[test]
    fn a_file_written_by_hand_is_read() {
        let text = format!(
            "riptide decisions 1\r\n# ours\n\nban 10.0.0.0/8\ndeny {HASH} # a notice\nkey key-of_one\n\
             ban 2001:db8::/32\nend 4\n"
        );
        assert_eq!(read(place(text.as_bytes()).path()).unwrap(), some());
    }

    #[test]
    fn each_fault_is_found_and_the_file_set_aside() {
        for (text, expected) in [
            ("ban 10.0.0.0/8\nend 1\n".to_owned(), "line 1: expected \"riptide decisions 1\""),
            ("riptide decisions 2\nend 0\n".to_owned(), "line 1: expected \"riptide decisions 1\""),
            ("\u{0}\u{1}\u{2}".to_owned(), "line 1: expected"),
            (String::new(), "its end is missing"),
            ("riptide decisions 1\nban 10.0.0.0/33\nend 1\n".to_owned(), "line 2: expected a network"),
            ("riptide decisions 1\nban 0.0.0.0/0\nend 1\n".to_owned(), "line 2: a network of all addresses"),
            (format!("riptide decisions 1\ndeny {HASH}0\nend 1\n"), "line 2: an info hash has 40"),
            ("riptide decisions 1\nkey secret!\nend 1\n".to_owned(), "line 2: a key consists of"),
            ("riptide decisions 1\nkez secret!\nend 1\n".to_owned(), "line 2: expected one of"),
            ("riptide decisions 1\nadmit x\nend 1\n".to_owned(), "line 2: expected one of deny, ban, key"),
            ("riptide decisions 1\nban 10.0.0.0/8\nend 2\n".to_owned(), "line 3: expected \"end 1\""),
            ("riptide decisions 1\nend 0\nban 10.0.0.0/8\n".to_owned(), "line 3: expected nothing more"),
            ("riptide decisions 1\nban 10.0.0.0/8\n".to_owned(), "its end is missing"),
            ("riptide decisions 1\nban 10.0.0.0/8\ne".to_owned(), "line 3: expected one of"),
        ] {
            let directory = place(text.as_bytes());
            let fault = read(directory.path()).unwrap_err().to_string();
            assert!(fault.starts_with(expected), "{fault}\n{text:?}");
            assert!(!fault.contains("secret!"), "{fault}");
            assert_eq!(take_up(directory.path()), Decisions::default());
            let names: Vec<_> = fs::read_dir(directory.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            assert!(names.len() == 1 && names[0].starts_with("decisions.riptide.bad-"), "{names:?}");
            // The place is free for the next one.
            write(directory.path(), &some()).unwrap();
            assert_eq!(take_up(directory.path()), some());
        }
    }

    #[test]
    fn what_others_could_have_written_is_not_read() {
        let directory = place(b"riptide decisions 1\nend 0\n");
        let path = directory.path().join(DECISIONS_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
        assert!(matches!(read(directory.path()), Err(Fault::Unfit(Unfit::Writable(_)))));
        let elsewhere = place(b"riptide decisions 1\nend 0\n");
        fs::remove_file(&path).unwrap();
        symlink(elsewhere.path().join(DECISIONS_FILE), &path).unwrap();
        assert!(matches!(read(directory.path()), Err(Fault::Unfit(Unfit::Link))));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(read(directory.path()), Err(Fault::Unfit(Unfit::Irregular))));
        assert_eq!(take_up(directory.path()), Decisions::default());
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(matches!(read(directory.path()), Err(Fault::Unfit(Unfit::Irregular))));
    }
}
