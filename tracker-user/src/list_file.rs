//! A list that the configuration names: where it is, and why it is not to be had.

use std::{
    fs::OpenOptions,
    io::{self, BufRead, BufReader},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Why a list could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ListFileError<E> {
    /// The file cannot be opened.
    #[error("{}: cannot be read: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A line of it is wrong, or reading stopped there.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, and what is wrong with it.
        reason: E,
    },
}

impl<E> ListFileError<E> {
    /// Whether another user might be let where this one is not.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Open { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// Reads a list by `parse`. Only a regular file is read: anything else, a pipe say, could make the tracker wait for ever.
///
/// # Errors
/// If there is no such file, and if `parse` finds one.
pub fn read<T, E>(
    path: &Path,
    parse: impl FnOnce(&mut dyn BufRead) -> Result<T, E>,
) -> Result<T, ListFileError<E>> {
    let unreadable = |source| ListFileError::Open { path: path.to_owned(), source };
    // Otherwise opening a pipe would wait for its writer.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = opened.map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is no regular file")));
    }
    parse(&mut BufReader::with_capacity(1 << 16, file))
        .map_err(|reason| ListFileError::Content { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Result<usize, ListFileError<io::Error>> {
        read(path, |text| text.lines().try_fold(0, |lines, line| line.map(|_| lines + 1)))
    }

    #[test]
    fn only_regular_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "one\ntwo\n").unwrap();
        assert_eq!(lines(&file).unwrap(), 2);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(lines(&link).unwrap(), 2);
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [directory.path(), &pipe, Path::new("/dev/zero")] {
            let error = lines(path).unwrap_err().to_string();
            assert_eq!(error, format!("{}: cannot be read: it is no regular file", path.display()));
        }
        let none = directory.path().join("none");
        let error = lines(&none).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: cannot be read: No such file", none.display())), "{error}");
        std::fs::write(&file, b"\xff\n").unwrap();
        let error = lines(&file).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{}: ", file.display())));
        assert!(!error.is_permission_denied());
    }
}
