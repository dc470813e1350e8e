//! Trees of files that are laid out as they will be installed.

use super::job::make_directory;
use anyhow::{Context, Result};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Copies a file to its place in the tree: everybody may read it, and run it if it can be run.
pub(super) fn put(from: &Path, tree: &Path, to: &str) -> Result<()> {
    let place = tree.join(to);
    if let Some(directory) = place.parent() {
        make_directory(directory)?;
    }
    fs::copy(from, &place)
        .and_then(|_| fs::set_permissions(&place, fs::Permissions::from_mode(mode(&place)?)))
        .with_context(|| format!("cannot copy {} to {}", from.display(), place.display()))
}

/// The mode of a file wherever it is installed.
pub(super) fn mode(file: &Path) -> io::Result<u32> {
    let is_program = fs::metadata(file)?.permissions().mode() & 0o100 != 0;
    Ok(if is_program { 0o755 } else { 0o644 })
}

/// All files of a tree, by their paths in it, in order.
pub(super) fn list(tree: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in entries(tree)? {
        if entry.is_dir() {
            let below = list(&entry)?;
            found.extend(below.into_iter().map(|path| format!("{}/{path}", name(&entry))));
        } else {
            found.push(name(&entry));
        }
    }
    Ok(found)
}

/// What is in a directory, in order.
pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut entries: Vec<PathBuf> =
        read.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    Ok(entries)
}

/// The last part of a path.
pub(super) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_stay_programs_and_all_else_is_for_reading() {
        let tree = tempfile::tempdir().unwrap();
        let from = tree.path().join("from");
        for (given, got) in [(0o700, 0o755), (0o640, 0o644), (0o666, 0o644)] {
            fs::write(&from, "").unwrap();
            fs::set_permissions(&from, fs::Permissions::from_mode(given)).unwrap();
            put(&from, tree.path(), "some/where").unwrap();
            let place = fs::metadata(tree.path().join("some/where")).unwrap();
            assert_eq!(place.permissions().mode() & 0o7777, got, "{given:o}");
        }
    }

    #[test]
    fn a_tree_is_listed_by_paths_in_it() {
        let tree = tempfile::tempdir().unwrap();
        for path in ["usr/bin/riptide", "etc/riptide/riptide.toml"] {
            let place = tree.path().join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, "").unwrap();
        }
        assert_eq!(list(tree.path()).unwrap(), ["etc/riptide/riptide.toml", "usr/bin/riptide"]);
    }
}
