//! Decisions on disk: a text with who decided what and when, as `text` has it.

use super::{set::Decisions, text};
use crate::{
    kept_file::{self, Unfit},
    node_name::NodeName,
    set_aside::set_aside,
    state_directory::{DECISIONS_FILE, Replacement},
    utc,
};
use std::{
    io::{self, BufReader, BufWriter, Write as _},
    path::Path,
};

/// The longest file that is read, bytes: a million decisions of each kind, and as many that were taken back, take less.
const MAX_FILE: u64 = 1 << 30;

/// Why a file of decisions is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is not even opened.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// It is no text that tells verdicts.
    #[error(transparent)]
    Text(#[from] text::Fault),
}

/// What is kept in a directory; nothing where there is no file. One that is of no use is set aside, and a line says so. What a
/// file of version 1 tells counts as decided by this node.
#[must_use]
pub fn take_up(directory: &Path, node: &NodeName) -> Decisions {
    let path = directory.join(DECISIONS_FILE);
    let fault = match read(directory, node) {
        Ok(decisions) => return decisions,
        Err(fault) => fault,
    };
    match set_aside(directory, DECISIONS_FILE, utc::wall()) {
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

/// What is kept in a directory; nothing where there is no file. `node` as for [`take_up`].
///
/// # Errors
/// If the file is of no use.
pub fn read(directory: &Path, node: &NodeName) -> Result<Decisions, Fault> {
    let mut decisions = Decisions::default();
    if let Some((file, _)) = kept_file::open(&directory.join(DECISIONS_FILE), MAX_FILE)? {
        let text = BufReader::with_capacity(1 << 16, file);
        text::read(text, Some(node), |verdict| decisions.take_up(verdict))?;
    }
    Ok(decisions)
}

/// Keeps these in a directory, in place of those before.
///
/// # Errors
/// If the file cannot be written; the one before is still there.
pub fn write(directory: &Path, decisions: &Decisions) -> io::Result<()> {
    let mut replacement = Replacement::begin(directory, DECISIONS_FILE)?;
    let mut file = BufWriter::new(replacement.file());
    text::write_head(&mut file)?;
    writeln!(file, "# Written by the tracker: `riptide control` makes and takes back decisions.")?;
    let mut count = 0_usize;
    for verdict in decisions.verdicts() {
        text::write_line(&mut file, &verdict)?;
        count += 1;
    }
    text::write_end(&mut file, count)?;
    file.flush()?;
    drop(file);
    replacement.finish()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Entry, Kind, Stamp, Verdict, verdict::MAX_WHEN},
        *,
    };
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

    fn node(name: &str) -> NodeName {
        NodeName::parse(name).unwrap()
    }

    fn read(directory: &Path) -> Result<Decisions, Fault> {
        super::read(directory, &node("here"))
    }

    fn take_up(directory: &Path) -> Decisions {
        super::take_up(directory, &node("here"))
    }

    fn decisions(verdicts: &[(Kind, &str, u64, &str, bool)]) -> Decisions {
        let mut decisions = Decisions::default();
        for &(kind, text, when, name, taken_back) in verdicts {
            let entry = Entry::parse(kind, text).unwrap().0;
            decisions.take_up(Verdict { entry, stamp: Stamp { when, node: node(name), taken_back } });
        }
        decisions
    }

    fn some() -> Decisions {
        decisions(&[
            (Kind::Ban, "10.0.0.0/8", 1_790_000_000_000, "node-a", false),
            (Kind::Ban, "2001:db8::/32", 7, "node_b", true),
            (Kind::Deny, HASH, 0, "here", false),
            (Kind::Key, "key-of_one", MAX_WHEN, "node-a", false),
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
            "riptide decisions 2\r\n# ours\n\nban 10.0.0.0/8 holds 1790000000000 node-a\ndeny {HASH} holds 0 here # a notice\n\
             key key-of_one holds {MAX_WHEN} node-a\nban 2001:db8::/32 taken-back 7 node_b\nend 4\n"
        );
        assert_eq!(read(place(text.as_bytes()).path()).unwrap(), some());
        // Whatever their order, the greatest counts.
        let text = "riptide decisions 2\nban 10.0.0.0/8 holds 3 b\nban 10.0.0.0/8 taken-back 3 b\n\
                    ban 10.0.0.0/8 holds 3 a\nend 3\n";
        let taken_back = decisions(&[(Kind::Ban, "10.0.0.0/8", 3, "b", true)]);
        assert_eq!(read(place(text.as_bytes()).path()).unwrap(), taken_back);
    }

    #[test]
    fn version_1_is_read_as_decided_here_before_anything_else() {
        let text = format!(
            "riptide decisions 1\r\n# ours\n\nban 10.0.0.0/8\ndeny {HASH} # a notice\nkey key-of_one\n\
             ban 2001:db8::/32\nend 4\n"
        );
        let kept = decisions(&[
            (Kind::Ban, "10.0.0.0/8", 0, "here", false),
            (Kind::Ban, "2001:db8::/32", 0, "here", false),
            (Kind::Deny, HASH, 0, "here", false),
            (Kind::Key, "key-of_one", 0, "here", false),
        ]);
        let directory = place(text.as_bytes());
        assert_eq!(read(directory.path()).unwrap(), kept);
        // From then on it is version 2.
        write(directory.path(), &kept).unwrap();
        assert_eq!(read(directory.path()).unwrap(), kept);
        let text = fs::read_to_string(directory.path().join(DECISIONS_FILE)).unwrap();
        assert!(text.starts_with("riptide decisions 2\n"), "{text}");
    }

    #[test]
    fn each_fault_is_found_and_the_file_set_aside() {
        let of = |line: &str, fault: &'static str| (format!("riptide decisions 2\n{line}\nend 1\n"), fault);
        for (text, expected) in [
            ("ban 10.0.0.0/8\nend 1\n".to_owned(), "line 1: expected \"riptide decisions 2\""),
            ("riptide decisions 3\nend 0\n".to_owned(), "line 1: expected \"riptide decisions 2\""),
            ("\u{0}\u{1}\u{2}".to_owned(), "line 1: expected"),
            (String::new(), "its end is missing"),
            of("ban 10.0.0.0/33 holds 1 a", "line 2: expected a network"),
            of("ban 0.0.0.0/0 holds 1 a", "line 2: a network of all addresses"),
            of(&format!("deny {HASH}0 holds 1 a"), "line 2: an info hash has 40"),
            of("key secret! holds 1 a", "line 2: a key consists of"),
            of("kez secret! holds 1 a", "line 2: expected one of"),
            of("admit x holds 1 a", "line 2: expected one of deny, ban, key"),
            of("ban 10.0.0.0/8", "line 2: expected \"holds\" or \"taken-back\""),
            of("ban 10.0.0.0/8 held 1 a", "line 2: expected \"holds\" or \"taken-back\""),
            of("ban  10.0.0.0/8 holds 1 a", "line 2: expected a network"),
            of("ban 10.0.0.0/8 holds", "line 2: expected milliseconds since 1970"),
            of("ban 10.0.0.0/8 holds +1 a", "line 2: expected milliseconds since 1970"),
            of("ban 10.0.0.0/8 holds 253402300800000 a", "line 2: expected milliseconds since 1970"),
            of("ban 10.0.0.0/8 holds 1", "line 2: expected the name of a node"),
            of("ban 10.0.0.0/8 holds 1 a.b", "line 2: expected the name of a node"),
            of("ban 10.0.0.0/8 holds 1 a b", "line 2: expected nothing behind the name"),
            (
                "riptide decisions 1\nban 10.0.0.0/8 holds 1 a\nend 1\n".to_owned(),
                "line 2: expected a network",
            ),
            ("riptide decisions 1\nkey secret!\nend 1\n".to_owned(), "line 2: a key consists of"),
            (
                "riptide decisions 2\nban 10.0.0.0/8 holds 1 a\nend 2\n".to_owned(),
                "line 3: expected \"end 1\"",
            ),
            ("riptide decisions 2\nend 0\nban 10.0.0.0/8\n".to_owned(), "line 3: expected nothing more"),
            ("riptide decisions 2\nban 10.0.0.0/8 holds 1 a\n".to_owned(), "its end is missing"),
            ("riptide decisions 2\nban 10.0.0.0/8 holds 1 a\ne".to_owned(), "line 3: expected one of"),
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
        let directory = place(b"riptide decisions 2\nend 0\n");
        let path = directory.path().join(DECISIONS_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
        assert!(matches!(read(directory.path()), Err(Fault::Unfit(Unfit::Writable(_)))));
        let elsewhere = place(b"riptide decisions 2\nend 0\n");
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
