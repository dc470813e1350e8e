//! Reading the lists that `[access]` names.

use crate::config::{Access, AccessMode};
use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};
use tracker_core::{
    access::{AccessList, Mode},
    banned::NetworkSet,
    lines::ListError,
    networks::Network,
};

/// So many lines with host bits are named one by one.
const NAMED: usize = 10;

/// Why a list could not be had.
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
    #[error("{}: {source}{}", path.display(), hint(source, *limit))]
    Content {
        /// The file.
        path: PathBuf,
        /// The key that says how many entries there may be, if one does.
        limit: Option<&'static str>,
        /// The line, and what is wrong with it.
        source: ListError,
    },
}

fn hint(error: &ListError, limit: Option<&'static str>) -> String {
    match (error, limit) {
        (ListError::TooLong { .. }, Some(key)) => format!(": shorten the list, or raise {key}"),
        _ => String::new(),
    }
}

impl AccessFileError {
    /// Whether another user might be let where this one is not.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Open { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// Reads the list of info hashes that the configuration asks for; without a mode no file is touched.
///
/// # Errors
/// If the file cannot be read, or at its first line that is no info hash, comment or blank.
pub fn read_hashes(access: &Access) -> Result<AccessList, AccessFileError> {
    let mode = match access.mode {
        AccessMode::Off => return Ok(AccessList::off()),
        AccessMode::Allow => Mode::Allow,
        AccessMode::Deny => Mode::Deny,
    };
    let path = access.info_hashes.as_ref().ok_or(AccessFileError::NoFile)?;
    AccessList::parse(mode, open(path)?).map_err(content(path, None))
}

/// Reads the list of networks that are banned, if one is named, and says what is odd about it.
///
/// # Errors
/// If the file cannot be read, at its first line that is no network, comment or blank, and if it has too many.
pub fn read_networks(access: &Access) -> Result<(NetworkSet, Vec<String>), AccessFileError> {
    let Some(path) = &access.denied_networks else { return Ok(Default::default()) };
    let (mut warnings, mut more) = (Vec::new(), 0_usize);
    let odd = |line: usize, network: Network| {
        if warnings.len() < NAMED {
            let file = path.display();
            warnings.push(format!("{file}: line {line}: host bits are set: taken for {network}"));
        } else {
            more += 1;
        }
    };
    let set = NetworkSet::parse(open(path)?, access.max_denied_networks, odd)
        .map_err(content(path, Some("access.max_denied_networks")))?;
    if more > 0 {
        warnings.push(format!("{}: host bits are set in {more} further lines", path.display()));
    }
    Ok((set, warnings))
}

/// Reads another list by `parse`.
///
/// # Errors
/// If the file cannot be read, and if `parse` finds one.
pub fn read<T>(
    path: &Path,
    parse: impl FnOnce(BufReader<File>) -> Result<T, ListError>,
) -> Result<T, AccessFileError> {
    parse(open(path)?).map_err(content(path, None))
}

/// Opens a list.
fn open(path: &Path) -> Result<BufReader<File>, AccessFileError> {
    let unreadable = |source| AccessFileError::Open { path: path.to_owned(), source };
    // Opening a pipe would wait for its writer otherwise, and reading it for ever.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = opened.map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is no regular file")));
    }
    Ok(BufReader::with_capacity(1 << 16, file))
}

fn content(path: &Path, limit: Option<&'static str>) -> impl Fn(ListError) -> AccessFileError {
    move |source| AccessFileError::Content { path: path.to_owned(), limit, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use nix::{sys::stat::Mode as Permissions, unistd::mkfifo};
    use tracker_common::address::Address;
    use tracker_core::model::InfoHash;

    fn access(mode: AccessMode, path: Option<PathBuf>) -> Access {
        Access { mode, info_hashes: path, ..Config::default().access }
    }

    fn denying(path: &Path) -> Access {
        Access { denied_networks: Some(path.to_owned()), ..Config::default().access }
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
        let allow = read_hashes(&access(AccessMode::Allow, Some(path.clone()))).unwrap();
        assert!(allow.permits(&listed) && !allow.permits(&other));
        let deny = read_hashes(&access(AccessMode::Deny, Some(path))).unwrap();
        assert!(!deny.permits(&listed) && deny.permits(&other));
    }

    #[test]
    fn without_a_mode_the_file_is_not_touched() {
        let list = read_hashes(&access(AccessMode::Off, Some("/nonexistent/list".into()))).unwrap();
        assert!(list.permits(&InfoHash([7; 20])));
    }

    #[test]
    fn errors_name_file_and_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(&directory, "\n# fine\nnot a hash\n");
        let error = read_hashes(&access(AccessMode::Deny, Some(path.clone()))).unwrap_err().to_string();
        assert!(error.contains(&format!("{}: line 3", path.display())), "{error}");
        let error = read_hashes(&access(AccessMode::Deny, Some(directory.path().join("none"))))
            .unwrap_err()
            .to_string();
        assert!(error.contains("none: cannot be read"), "{error}");
        assert!(matches!(read_hashes(&access(AccessMode::Deny, None)), Err(AccessFileError::NoFile)));
    }

    #[test]
    fn networks_are_read_whatever_wrote_them() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read_networks(&Config::default().access).unwrap().0.is_empty());
        let path =
            write(&directory, "\u{feff}10.0.0.0/8\r\n# more\r\n\r\n2001:db8::/32 # v6\r\n10.0.0.0/8\r\n");
        let (networks, warnings) = read_networks(&denying(&path)).unwrap();
        assert_eq!((networks.len(), warnings.len()), (2, 0));
        assert!(networks.covers(Address::from_ipv4([10, 1, 2, 3])));
    }

    #[test]
    fn host_bits_are_a_warning_for_each_of_some_lines() {
        let directory = tempfile::tempdir().unwrap();
        let lines: String = (0..NAMED + 2).map(|n| format!("10.{n}.0.1/16\n")).collect();
        let path = write(&directory, &lines);
        let (networks, warnings) = read_networks(&denying(&path)).unwrap();
        assert_eq!((networks.len(), warnings.len()), (NAMED + 2, NAMED + 1));
        let first = format!("{}: line 1: host bits are set: taken for 10.0.0.0/16", path.display());
        assert_eq!(warnings[0], first);
        assert!(warnings[NAMED].ends_with("in 2 further lines"), "{warnings:?}");
    }

    #[test]
    fn a_bad_line_of_networks_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(&directory, "10.0.0.0/8\n10.0.0.0/99\n");
        let error = read_networks(&denying(&path)).unwrap_err().to_string();
        let expected = format!("{}: line 2: expected a network such as", path.display());
        assert!(error.starts_with(&expected) && error.ends_with("found \"10.0.0.0/99\""), "{error}");
        let path = write(&directory, "::/0\n");
        let error = read_networks(&denying(&path)).unwrap_err().to_string();
        assert!(error.contains("line 1: a network of all addresses is refused"), "{error}");
    }

    #[test]
    fn too_many_networks_say_which_key_is_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(&directory, "10.0.0.0/8\n11.0.0.0/8\n12.0.0.0/8\n");
        let access = Access { max_denied_networks: 2, ..denying(&path) };
        let error = read_networks(&access).unwrap_err().to_string();
        let expected = "line 3: more than 2 entries: shorten the list, or raise access.max_denied_networks";
        assert!(error.ends_with(expected), "{error}");
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        mkfifo(&pipe, Permissions::S_IRWXU).unwrap();
        for path in [directory.path(), &pipe, Path::new("/dev/zero")] {
            for error in [
                read_networks(&denying(path)).unwrap_err().to_string(),
                read_hashes(&access(AccessMode::Deny, Some(path.to_owned()))).unwrap_err().to_string(),
            ] {
                assert!(error.ends_with("cannot be read: it is no regular file"), "{error}");
            }
        }
        let error = read_networks(&denying(&directory.path().join("none"))).unwrap_err().to_string();
        assert!(error.contains("none: cannot be read"), "{error}");
    }
}
