//! Where the files are that another tracker's configuration names.

use std::path::{Component, Path, PathBuf};

/// The absolute directory of a file.
pub(super) fn directory_of(file: &Path) -> PathBuf {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    plain(whole.parent().unwrap_or(Path::new("/")))
}

/// The same path without `.` parts.
pub(super) fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// A path as those see it who are outside of `root`, where it was written by somebody inside.
pub(super) fn below(root: &Path, path: &Path) -> PathBuf {
    plain(&root.join(path.strip_prefix("/").unwrap_or(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_without_dots() {
        assert_eq!(directory_of(Path::new("/etc/./a.conf")), Path::new("/etc"));
        assert!(directory_of(Path::new("a.conf")).is_absolute());
        for path in ["list", "./list", "/list"] {
            assert_eq!(below(Path::new("/var/lib/./a"), Path::new(path)), Path::new("/var/lib/a/list"));
        }
        assert_eq!(plain(Path::new("../a/./b")), Path::new("../a/b"));
    }
}
