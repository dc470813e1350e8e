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
/// No time is later, in nanoseconds since 1970: in the year 2262. Beyond this, adding a clock could overflow.
const MAX_TIME_NS: u64 = 1 << 63;

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

/// The protocol time of another node is none that a clock could go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the other node's time, {0} ns since 1970, cannot be right: see that its clock and its state file are"
)]
pub struct ImplausibleTime(pub u64);

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

    /// Takes over the key and the time of another node, `protocol_now_ns` being its protocol time now: from here on both give
    /// the same IDs. To be done before anything has used the time, since it may go back; it is not saved yet.
    ///
    /// # Errors
    /// When no clock of this machine could show that time; nothing is changed then.
    pub fn adopt(
        &mut self,
        master: Key,
        protocol_now_ns: u64,
        monotonic_ns: u64,
    ) -> Result<(), ImplausibleTime> {
        let base = protocol_now_ns.checked_sub(monotonic_ns).filter(|_| protocol_now_ns < MAX_TIME_NS);
        let clock_base_ns = base.ok_or(ImplausibleTime(protocol_now_ns))?;
        *self = Self { master, clock_base_ns };
        Ok(())
    }

    /// What the directory holds, if it was written in this boot.
    #[must_use]
    pub fn kept(directory: &Path, boot_id: &str) -> Option<Self> {
        let saved = read(&directory.join(KEY_FILE)).ok().flatten()?;
        let Saved { master, clock_base_ns, .. } = saved;
        (saved.boot_id == boot_id).then_some(Self { master, clock_base_ns })
    }

    /// Whether the directory holds just this, as written in this boot.
    #[must_use]
    pub fn is_kept(&self, directory: &Path, boot_id: &str) -> bool {
        Self::kept(directory, boot_id) == Some(*self)
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
                DeValue::Integer(n) => n.as_str().parse().ok().filter(|n: &u64| *n < MAX_TIME_NS),
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
mod tests;
