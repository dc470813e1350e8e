//! Opening a file of the state directory, if it is one that the tracker can have written.

use crate::state_directory::FLAGS;
use nix::{errno::Errno, unistd::geteuid};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

/// Why a file is not even opened.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Whoever may write to the directory could have us open anything.
    #[error("it is a symbolic link, which is not followed")]
    Link,
    /// The system refuses.
    #[error("it cannot be opened: {0}")]
    Open(io::Error),
    /// It may never come to an end.
    #[error("it is no regular file")]
    Irregular,
    /// Somebody else could have put anything there.
    #[error("it belongs to user {0}, who is neither this one nor root nor the directory's owner")]
    Foreign(u32),
    /// The same.
    #[error("other users may write to it (mode {0:04o})")]
    Writable(u32),
    /// It is none of ours.
    #[error("it has {length} bytes, and none is longer than {most}")]
    TooLong {
        /// Its length.
        length: u64,
        /// What is possible.
        most: u64,
    },
}

/// Opens a file of at most so many bytes and says how long it is, if there is one.
///
/// # Errors
/// If what is there is not to be read.
pub fn open(path: &Path, most: u64) -> Result<Option<(File, u64)>, Unfit> {
    let file = match OpenOptions::new().read(true).custom_flags(FLAGS).open(path) {
        Ok(file) => file,
        Err(error) => {
            return match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
                Some(Errno::ELOOP) => Err(Unfit::Link),
                // Who may not even look into the directory has no file there; that it cannot be used was told.
                Some(Errno::EACCES) if path.symlink_metadata().is_err() => Ok(None),
                _ => Err(Unfit::Open(error)),
            };
        }
    };
    let metadata = file.metadata().map_err(Unfit::Open)?;
    if !metadata.is_file() {
        return Err(Unfit::Irregular);
    }
    let directory = path.parent().and_then(|directory| directory.metadata().ok());
    // Whoever owns the directory can put any file there.
    let trusted = [Some(0), Some(geteuid().as_raw()), directory.map(|directory| directory.uid())];
    if !trusted.contains(&Some(metadata.uid())) {
        return Err(Unfit::Foreign(metadata.uid()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(Unfit::Writable(metadata.mode() & 0o7777));
    }
    let length = metadata.len();
    if length > most {
        return Err(Unfit::TooLong { length, most });
    }
    Ok(Some((file, length)))
}
