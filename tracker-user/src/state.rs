//! The key and clock base of connection IDs, which outlive the process in a file that only the tracker may read.
//!
//! With both kept, an ID that was issued before a restart is accepted after it.

use crate::state_directory::{FLAGS, KEY_FILE, Replacement};
use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use toml::de::{DeTable, DeValue};
use tracker_common::{
    hex::{self, Hex},
    siphash::Key,
};

/// The version of the file's layout.
const VERSION: u64 = 1;
/// The longest file that can be one of ours, in bytes.
const MAX_FILE: u64 = 4096;

/// What connection IDs are made of besides the client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionIdState {
    /// The key that the keys of all epochs are derived from.
    pub master: Key,
    /// Added to `CLOCK_MONOTONIC` it gives protocol time, roughly nanoseconds since 1970. It is constant while the
    /// machine runs.
    pub clock_base_ns: u64,
}

/// Why nothing is kept, or not what was kept before. None of these stops the tracker.
#[derive(Debug, thiserror::Error)]
pub enum StateWarning {
    /// The file cannot be written.
    #[error(
        "{}: cannot be written: {source}; connection IDs and swarms will not outlive this process. Make the directory writable \
         for this user, or name another by state.directory",
        path.display()
    )]
    NotKept {
        /// The file or directory.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The file exists and cannot be used; a new key took its place.
    #[error("{}: {reason}; a new key took its place, so clients have to connect anew", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file exists and cannot be used, nor be replaced.
    #[error(
        "{}: {reason}, and it cannot be replaced: {source}; connection IDs will not outlive this process. Remove the \
         file, or name another directory by state.directory",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Why it cannot be replaced.
        source: io::Error,
    },
}

/// The system gives no random bytes, so there can be no key.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes for the key of connection IDs: {0}")]
pub struct NoRandomness(getrandom::Error);

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Saved {
    master: Key,
    clock_base_ns: u64,
    boot_id: String,
    /// Protocol time at which the file was written.
    written_ns: u64,
}

impl ConnectionIdState {
    /// Takes up the state in `directory`, or begins it. The directory is made if need be.
    ///
    /// `monotonic_ns` is `CLOCK_MONOTONIC`, `wall_ns` the time since 1970, `boot_id` what [`boot_id`] says. In the same
    /// boot the clock base is the saved one exactly; after another boot it comes from the wall clock, or from the last
    /// time written if the wall clock was set back, so that protocol time never goes back.
    ///
    /// # Errors
    /// Only if a key is needed and the system gives no random bytes. Whatever is wrong with the directory or the file
    /// is a warning: the state is then in memory alone.
    pub fn open(
        directory: &Path,
        monotonic_ns: u64,
        wall_ns: u64,
        boot_id: &str,
    ) -> Result<(Self, Option<StateWarning>), NoRandomness> {
        let path = directory.join(KEY_FILE);
        let (state, broken) = match read(&path) {
            Ok(Some(saved)) if !boot_id.is_empty() && saved.boot_id == boot_id => {
                return Ok((Self { master: saved.master, clock_base_ns: saved.clock_base_ns }, None));
            }
            Ok(Some(saved)) => {
                let now_ns = wall_ns.max(saved.written_ns);
                let clock_base_ns = now_ns.saturating_sub(monotonic_ns);
                (Self { master: saved.master, clock_base_ns }, None)
            }
            Ok(None) => (Self::new(monotonic_ns, wall_ns)?, None),
            Err(reason) => (Self::new(monotonic_ns, wall_ns)?, Some(reason)),
        };
        let warning = match (state.save(directory, monotonic_ns, boot_id), broken) {
            (Ok(()), None) => None,
            (Err(warning), None) => Some(warning),
            (Ok(()), Some(reason)) => Some(StateWarning::Replaced { path, reason }),
            (Err(StateWarning::NotKept { source, .. }), Some(reason)) => {
                Some(StateWarning::Unusable { path, reason, source })
            }
            (Err(other), Some(_)) => Some(other),
        };
        Ok((state, warning))
    }

    /// Whether the directory holds just this, as written in this boot.
    #[must_use]
    pub fn is_kept(&self, directory: &Path, boot_id: &str) -> bool {
        let is_this = |saved: &Saved| {
            let Saved { master, clock_base_ns, .. } = *saved;
            Self { master, clock_base_ns } == *self && saved.boot_id == boot_id
        };
        matches!(read(&directory.join(KEY_FILE)), Ok(Some(saved)) if is_this(&saved))
    }

    /// Writes the state, with the time it is now: at a clean stop, so that the next boot goes on from there.
    ///
    /// # Errors
    /// [`StateWarning::NotKept`] if the directory cannot be written.
    pub fn save(&self, directory: &Path, monotonic_ns: u64, boot_id: &str) -> Result<(), StateWarning> {
        let saved = Saved {
            master: self.master,
            clock_base_ns: self.clock_base_ns,
            boot_id: boot_id.to_owned(),
            written_ns: self.clock_base_ns.saturating_add(monotonic_ns),
        };
        let path = directory.join(KEY_FILE);
        write(directory, &saved).map_err(|source| StateWarning::NotKept { path, source })
    }

    fn new(monotonic_ns: u64, wall_ns: u64) -> Result<Self, NoRandomness> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(NoRandomness)?;
        Ok(Self { master: Key::from_bytes(bytes), clock_base_ns: wall_ns.saturating_sub(monotonic_ns) })
    }
}

/// What tells this boot of the machine from any other; empty where the kernel does not say.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The saved state, `None` if there is none, or what is wrong with it.
fn read(path: &Path) -> Result<Option<Saved>, String> {
    let file = match OpenOptions::new().read(true).custom_flags(FLAGS).open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    let metadata = file.metadata().map_err(|e| format!("cannot be read: {e}"))?;
    if !metadata.is_file() {
        return Err("is no regular file".to_owned());
    }
    if metadata.mode() & 0o077 != 0 {
        // A key that others could read is no secret any more.
        return Err(format!("other users may read it (mode {:04o})", metadata.mode() & 0o7777));
    }
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|e| format!("cannot be read: {e}"))?;
    if text.len() as u64 > MAX_FILE {
        return Err("is too long to be the tracker's".to_owned());
    }
    Saved::parse(&text).map(Some)
}

fn write(directory: &Path, saved: &Saved) -> io::Result<()> {
    let mut replacement = Replacement::begin(directory, KEY_FILE)?;
    replacement.file().write_all(saved.to_text().as_bytes())?;
    replacement.finish()
}

impl Saved {
    fn to_text(&self) -> String {
        let key = self.master.to_bytes();
        let key = Hex(&key);
        format!(
            "# The key of Riptide's connection IDs: a secret. Remove the file to have a new one made.\n\
             version = {VERSION}\nkey = \"{key}\"\nclock_base_ns = {}\nboot_id = \"{}\"\nwritten_ns = {}\n",
            self.clock_base_ns, self.boot_id, self.written_ns
        )
    }

    fn parse(text: &str) -> Result<Self, String> {
        let document = DeTable::parse(text).map_err(|_| "is no state file of the tracker's".to_owned())?;
        let entry = |name: &str| {
            let value = document.get_ref().get(name).map(toml::Spanned::get_ref);
            value.ok_or_else(|| format!("lacks `{name}`"))
        };
        let number = |name: &str| {
            match entry(name)? {
                // Beyond this, adding the clock could overflow; 2^63 ns after 1970 is the year 2262.
                DeValue::Integer(n) => n.as_str().parse().ok().filter(|n: &u64| *n < 1 << 63),
                _ => None,
            }
            .ok_or_else(|| format!("has a bad `{name}`"))
        };
        let string = |name: &str| entry(name)?.as_str().ok_or_else(|| format!("has a bad `{name}`"));
        let version = number("version")?;
        if version != VERSION {
            return Err(format!("has version {version}, this program knows {VERSION}"));
        }
        let master = parse_key(string("key")?).ok_or("has a bad `key`")?;
        Ok(Self {
            master,
            clock_base_ns: number("clock_base_ns")?,
            boot_id: string("boot_id")?.to_owned(),
            written_ns: number("written_ns")?,
        })
    }
}

fn parse_key(text: &str) -> Option<Key> {
    hex::decode(text.as_bytes()).map(Key::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::write(path, bytes)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
    }

    const SECOND: u64 = 1_000_000_000;
    const WALL: u64 = 1_700_000_000 * SECOND;
    const BOOT: &str = "6d5f2c0a-6b2e-4f0e-9d3c-0123456789ab";
    const NEXT_BOOT: &str = "ffffffff-6b2e-4f0e-9d3c-0123456789ab";

    fn open(
        directory: &Path,
        monotonic_ns: u64,
        wall_ns: u64,
        boot: &str,
    ) -> (ConnectionIdState, Option<StateWarning>) {
        ConnectionIdState::open(directory, monotonic_ns, wall_ns, boot).unwrap()
    }

    fn clean((state, warning): (ConnectionIdState, Option<StateWarning>)) -> ConnectionIdState {
        assert!(warning.is_none(), "{warning:?}");
        state
    }

    #[test]
    fn a_restart_in_the_same_boot_keeps_key_and_base_exactly() {
        let directory = tempfile::tempdir().unwrap();
        let first = clean(open(directory.path(), 50 * SECOND, WALL, BOOT));
        assert_eq!(first.clock_base_ns, WALL - 50 * SECOND);
        // The wall clock is set meanwhile; the base must not follow.
        assert_eq!(clean(open(directory.path(), 60 * SECOND, WALL + 9999 * SECOND, BOOT)), first);
        assert_eq!(clean(open(directory.path(), 70 * SECOND, 0, BOOT)), first);
    }

    #[test]
    fn after_another_boot_the_time_goes_on_by_the_wall_clock() {
        let directory = tempfile::tempdir().unwrap();
        let first = clean(open(directory.path(), 50 * SECOND, WALL, BOOT));
        let second = clean(open(directory.path(), 3 * SECOND, WALL + 100 * SECOND, NEXT_BOOT));
        assert_eq!(second.master, first.master);
        assert_eq!(second.clock_base_ns + 3 * SECOND, WALL + 100 * SECOND);
        assert_eq!(clean(open(directory.path(), 9 * SECOND, WALL, NEXT_BOOT)), second);
    }

    #[test]
    fn a_wall_clock_set_back_does_not_take_the_time_back() {
        let directory = tempfile::tempdir().unwrap();
        let first = clean(open(directory.path(), 50 * SECOND, WALL, BOOT));
        first.save(directory.path(), 500 * SECOND, BOOT).unwrap();
        let last = first.clock_base_ns + 500 * SECOND;
        let second = clean(open(directory.path(), 3 * SECOND, 1000 * SECOND, NEXT_BOOT));
        assert_eq!(second.clock_base_ns + 3 * SECOND, last);
    }

    #[test]
    fn an_unknown_boot_is_never_the_same_one() {
        let directory = tempfile::tempdir().unwrap();
        clean(open(directory.path(), 50 * SECOND, WALL, ""));
        let second = clean(open(directory.path(), 3 * SECOND, WALL + 100 * SECOND, ""));
        assert_eq!(second.clock_base_ns + 3 * SECOND, WALL + 100 * SECOND);
    }

    #[test]
    fn the_file_is_for_its_owner_alone_and_nothing_else_stays() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("made/on/demand");
        clean(open(&directory, 0, WALL, BOOT));
        let names: Vec<_> = fs::read_dir(&directory).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [KEY_FILE]);
        assert_eq!(directory.join(KEY_FILE).metadata().unwrap().mode() & 0o7777, 0o600);
    }

    #[test]
    fn two_directories_have_two_keys() {
        let [a, b] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        assert_ne!(clean(open(a.path(), 0, WALL, BOOT)).master, clean(open(b.path(), 0, WALL, BOOT)).master);
    }

    #[test]
    fn a_file_written_by_hand_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(KEY_FILE);
        let text = format!(
            "version = 1\nkey = \"000102030405060708090a0b0c0d0e0f\"\nclock_base_ns = 17\nboot_id = \"{BOOT}\"\nwritten_ns = 18\n"
        );
        write_new(&path, text.as_bytes()).unwrap();
        let state = clean(open(directory.path(), 0, WALL, BOOT));
        assert_eq!(state.master, Key { k0: 0x0706_0504_0302_0100, k1: 0x0f0e_0d0c_0b0a_0908 });
        assert_eq!(state.clock_base_ns, 17);
    }

    #[test]
    fn a_corrupt_file_is_replaced_and_named() {
        let good =
            Saved { master: Key { k0: 1, k1: 2 }, clock_base_ns: 3, boot_id: BOOT.to_owned(), written_ns: 4 }
                .to_text();
        assert!(Saved::parse(&good).is_ok());
        for bad in [
            String::new(),
            "\u{0}\u{1}".to_owned(),
            good.replace("version = 1", "version = 2"),
            good.replace("key = \"01", "key = \"0g"),
            good.replace("key = \"01", "key = \"+1"),
            good.replace("clock_base_ns = 3", "clock_base_ns = -3"),
            good.replace("clock_base_ns = 3", "clock_base_ns = 9223372036854775808"),
            good.replace("boot_id", "boat_id"),
            good[..good.len() / 2].to_owned(),
            good.clone() + &"#".repeat(5000),
        ] {
            let directory = tempfile::tempdir().unwrap();
            write_new(&directory.path().join(KEY_FILE), bad.as_bytes()).unwrap();
            let (state, warning) = open(directory.path(), 0, WALL, BOOT);
            assert!(matches!(&warning, Some(StateWarning::Replaced { .. })), "{bad:?}: {warning:?}");
            assert_eq!(clean(open(directory.path(), 0, WALL, BOOT)), state);
        }
    }

    #[test]
    fn a_key_that_others_could_read_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let first = clean(open(directory.path(), 0, WALL, BOOT));
        let path = directory.path().join(KEY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let (second, warning) = open(directory.path(), 0, WALL, BOOT);
        assert_ne!(first.master, second.master);
        assert!(warning.unwrap().to_string().contains("0644"));
    }

    #[test]
    fn links_are_not_followed() {
        let [elsewhere, directory] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let other = clean(open(elsewhere.path(), 0, WALL, BOOT));
        let target = elsewhere.path().join(KEY_FILE);
        let before = fs::read(&target).unwrap();
        symlink(&target, directory.path().join(KEY_FILE)).unwrap();
        let (state, warning) = open(directory.path(), 0, WALL, BOOT);
        assert!(matches!(warning, Some(StateWarning::Replaced { .. })));
        assert_ne!(state.master, other.master);
        assert_eq!(fs::read(&target).unwrap(), before);
        assert!(directory.path().join(KEY_FILE).symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn where_nothing_can_be_written_the_state_is_in_memory() {
        let parent = tempfile::NamedTempFile::new().unwrap();
        // A file where the directory should be: not even root can write there.
        let (_, warning) = open(parent.path(), 0, WALL, BOOT);
        let text = warning.unwrap().to_string();
        assert!(text.contains("connection IDs and swarms will not outlive this process"), "{text}");
    }

    #[test]
    fn a_directory_in_the_files_place_is_unusable() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join(KEY_FILE).join("full")).unwrap();
        let (_, warning) = open(directory.path(), 0, WALL, BOOT);
        assert!(matches!(warning, Some(StateWarning::Unusable { .. })), "{warning:?}");
    }
}
