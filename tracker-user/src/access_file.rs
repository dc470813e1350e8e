//! Reading the list of info hashes that `[access]` names.

use crate::config::{Access, AccessMode};
use std::{
    fs::File,
    io::{self, BufReader},
    path::PathBuf,
};
use tracker_core::access::{AccessError, AccessList, Mode};

/// Why the list could not be had.
#[derive(Debug, thiserror::Error)]
pub enum AccessFileError {
    /// A mode without a file.
    #[error("access.mode asks for a list, and no file is named")]
    NoFile,
    /// The file cannot be opened.
    #[error("{}: cannot be read: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A line of it is wrong, or reading stopped there.
    #[error("{}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, and what is wrong with it.
        source: AccessError,
    },
}

impl AccessFileError {
    /// Whether another user might be let where this one is not.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Open { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// Reads the list that the configuration asks for; without a mode no file is touched.
///
/// # Errors
/// If the file cannot be read, or at its first line that is no info hash, comment or blank.
pub fn read(access: &Access) -> Result<AccessList, AccessFileError> {
    let mode = match access.mode {
        AccessMode::Off => return Ok(AccessList::off()),
        AccessMode::Allow => Mode::Allow,
        AccessMode::Deny => Mode::Deny,
    };
    let path = access.info_hashes.as_ref().ok_or(AccessFileError::NoFile)?;
    let unreadable = |source| AccessFileError::Open { path: path.clone(), source };
    // Opening anything else, a pipe say, could wait for ever.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is no regular file")));
    }
    let file = File::open(path).map_err(unreadable)?;
    AccessList::parse(mode, BufReader::with_capacity(1 << 16, file))
        .map_err(|source| AccessFileError::Content { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracker_core::model::InfoHash;

    fn access(mode: AccessMode, path: Option<PathBuf>) -> Access {
        Access { mode, info_hashes: path, ..crate::config::Config::default().access }
    }

    fn write(directory: &tempfile::TempDir, text: &str) -> PathBuf {
        let path = directory.path().join("list");
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn lists_are_read_in_both_modes() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(&directory, "# ours\n000102030405060708090a0b0c0d0e0f10111213\n");
        let listed = InfoHash(core::array::from_fn(|i| i as u8));
        let other = InfoHash([7; 20]);
        let allow = read(&access(AccessMode::Allow, Some(path.clone()))).unwrap();
        assert!(allow.permits(&listed) && !allow.permits(&other));
        let deny = read(&access(AccessMode::Deny, Some(path))).unwrap();
        assert!(!deny.permits(&listed) && deny.permits(&other));
    }

    #[test]
    fn without_a_mode_the_file_is_not_touched() {
        let list = read(&access(AccessMode::Off, Some("/nonexistent/list".into()))).unwrap();
        assert!(list.permits(&InfoHash([7; 20])));
    }

    #[test]
    fn errors_name_file_and_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(&directory, "\n# fine\nnot a hash\n");
        let error = read(&access(AccessMode::Deny, Some(path.clone()))).unwrap_err().to_string();
        assert!(error.contains(&format!("{}: line 3", path.display())), "{error}");
        let error =
            read(&access(AccessMode::Deny, Some(directory.path().join("none")))).unwrap_err().to_string();
        assert!(error.contains("none: cannot be read"), "{error}");
        assert!(matches!(read(&access(AccessMode::Deny, None)), Err(AccessFileError::NoFile)));
    }
}
