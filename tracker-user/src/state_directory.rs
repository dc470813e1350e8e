//! What lies in the state directory, and how a file gets there: written beside its place, synced and renamed into it, so
//! that a crash leaves the old one or the new one and never a part.

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The key and clock base of connection IDs.
pub const KEY_FILE: &str = "connection-id.key";
/// The swarms.
pub const SWARMS_FILE: &str = "swarms.riptide";
/// What was decided by control.
pub const DECISIONS_FILE: &str = "decisions.riptide";
/// The certificate that the ACME server gave, with its key.
pub const ACME_CERTIFICATE_FILE: &str = "acme-certificate.pem";
/// The account at the ACME server, with its key.
pub const ACME_ACCOUNT_FILE: &str = "acme-account.json";
/// When certificates were asked for, and what came of it.
pub const ACME_ORDERS_FILE: &str = "acme-orders.json";
/// Locked by the process that asks for one.
pub const ACME_LOCK_FILE: &str = "acme.lock";
/// What follows the name of a file that was set aside since it could not be read; then comes the time.
pub const ASIDE: &str = ".bad-";
/// What follows the name of a file that is being written; then comes the process ID.
const NEW: &str = ".new.";

/// Whether this is a name that the tracker gives to its files.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    FILES.contains(&name) || is_new(name) || is_aside(name)
}

/// All that there may be.
const FILES: [&str; 7] = [
    KEY_FILE,
    SWARMS_FILE,
    DECISIONS_FILE,
    ACME_CERTIFICATE_FILE,
    ACME_ACCOUNT_FILE,
    ACME_ORDERS_FILE,
    ACME_LOCK_FILE,
];

/// Those but the key of connection IDs: what is wrong with one is for whoever reads it.
pub fn others() -> impl Iterator<Item = &'static str> {
    FILES.into_iter().filter(|name| *name != KEY_FILE)
}

/// Whether this is the name of a file that was set aside.
#[must_use]
pub fn is_aside(name: &str) -> bool {
    let is = |file: &str| name.strip_prefix(file).is_some_and(|rest| rest.starts_with(ASIDE));
    [SWARMS_FILE, DECISIONS_FILE].into_iter().any(is)
}

/// Whether this is the name of a file that is being written.
fn is_new(name: &str) -> bool {
    let is = |file: &str| name.strip_prefix(file).and_then(|rest| rest.strip_prefix(NEW));
    FILES
        .into_iter()
        .filter_map(is)
        .any(|process| !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Removes what processes that were killed had begun to write. What another one writes just now stays.
pub fn tidy(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_str().is_some_and(is_new) || !entry.file_type().is_ok_and(|it| it.is_file())
        {
            continue;
        }
        let is_written = match OpenOptions::new().write(true).custom_flags(FLAGS).open(entry.path()) {
            Ok(file) => matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
            Err(_) => false,
        };
        if !is_written {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether files can be made there.
#[must_use]
pub fn is_writable(directory: &Path) -> bool {
    Replacement::begin(directory, SWARMS_FILE).is_ok()
}

/// Makes the directory if need be.
///
/// # Errors
/// If it cannot be made.
pub fn make(directory: &Path) -> io::Result<()> {
    if directory.is_dir() { Ok(()) } else { DirBuilder::new().recursive(true).mode(0o750).create(directory) }
}

/// Whoever may write to the directory may not make us open something else through a link, or wait on a pipe.
pub const FLAGS: i32 = O_NOFOLLOW | O_NONBLOCK;

/// A file that is being written beside its place. It is gone if it does not get there.
#[derive(Debug)]
pub struct Replacement {
    file: File,
    directory: PathBuf,
    beside: PathBuf,
    place: PathBuf,
    is_there: bool,
}

impl Replacement {
    /// Begins a file, for its owner alone. The directory is made if need be.
    ///
    /// # Errors
    /// If either cannot be made.
    pub fn begin(directory: &Path, name: &str) -> io::Result<Self> {
        make(directory)?;
        let beside = directory.join(format!("{name}{NEW}{}", std::process::id()));
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        let directory = directory.to_owned();
        let place = directory.join(name);
        let replacement = Self { file, directory, beside, place, is_there: false };
        // Tells others that somebody writes it. Where files have no locks, `tidy` removes it at worst.
        let _ = replacement.file.try_lock();
        // The mask of the process may have taken bits away.
        replacement.file.set_permissions(fs::Permissions::from_mode(0o600))?;
        Ok(replacement)
    }

    /// What is written to.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts the file into its place, on disk.
    ///
    /// # Errors
    /// If it cannot be written or renamed, or the directory cannot be synced.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.beside, &self.place)?;
        self.is_there = true;
        File::open(&self.directory)?.sync_all()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.is_there {
            let _ = fs::remove_file(&self.beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_gets_to_its_place_or_is_gone() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("made/on/demand");
        let mut written = Replacement::begin(&directory, "a").unwrap();
        written.file().write_all(b"new").unwrap();
        assert_eq!(names(&directory), [format!("a.new.{}", std::process::id())]);
        written.finish().unwrap();
        drop(Replacement::begin(&directory, "a").unwrap());
        assert_eq!(names(&directory), ["a"]);
        assert_eq!(fs::read(directory.join("a")).unwrap(), b"new");
        assert_eq!(directory.join("a").metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn what_a_kill_left_goes_and_what_is_written_now_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["connection-id.key.new.17", "swarms.riptide.new.4711", "swarms.riptide.new.x", "a.new.1"]
        {
            fs::write(path(name), "").unwrap();
        }
        std::os::unix::fs::symlink(path("a.new.1"), path("swarms.riptide.new.2")).unwrap();
        let written = Replacement::begin(directory.path(), SWARMS_FILE).unwrap();
        let now = format!("swarms.riptide.new.{}", std::process::id());
        tidy(directory.path());
        let mut expected = ["a.new.1", "swarms.riptide.new.2", &now, "swarms.riptide.new.x"];
        expected.sort_unstable();
        assert_eq!(names(directory.path()), expected);
        written.finish().unwrap();
    }

    #[test]
    fn names_are_known() {
        let ours = [
            "connection-id.key",
            "swarms.riptide",
            "swarms.riptide.new.1",
            "connection-id.key.new.99",
            "swarms.riptide.bad-20261130T070000Z",
            "decisions.riptide",
            "decisions.riptide.new.7",
            "decisions.riptide.bad-20261130T070000Z",
            "acme-certificate.pem",
            "acme-account.json",
            "acme-orders.json.new.8",
            "acme.lock",
        ];
        assert!(ours.into_iter().all(is_ours));
        let others =
            ["", "swarms", "swarms.riptide.new.", "swarms.riptide.new.1a", "connection-id.key.bad-1"];
        assert!(!others.into_iter().any(is_ours));
    }
}
