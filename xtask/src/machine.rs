//! What xtask asks of the machine it runs on.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// How something went that did not fail.
pub(crate) enum Done {
    /// It ran.
    Ran,
    /// This machine cannot, for this reason.
    Skipped(String),
}

/// The root of the checkout.
///
/// Cargo tells it at run time; the path known at compile time serves when the binary is started by hand.
pub(crate) fn workspace_root() -> PathBuf {
    let xtask = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map(Path::to_path_buf).unwrap_or(xtask)
}

/// Where cargo puts what it builds: `CARGO_TARGET_DIR`, or `target` in the checkout.
pub(crate) fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) if !dir.is_empty() => workspace_root().join(dir),
        _ => workspace_root().join("target"),
    }
}

/// Whether this process runs as root. The kernel gives a process's directory in /proc to its effective user.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Whether `CI=true`, where a test that cannot run is a failure.
pub(crate) fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|value| value == "true" || value == "1")
}

/// Where cargo installs programs: `CARGO_INSTALL_ROOT`, `CARGO_HOME` or `~/.cargo`, each with `/bin`.
pub(crate) fn cargo_bin() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let root = set("CARGO_INSTALL_ROOT").or_else(|| set("CARGO_HOME"));
    root.or_else(|| set("HOME").map(|home| home.join(".cargo"))).map(|root| root.join("bin"))
}

/// Finds a program as cargo and root would: in cargo's own directory, on PATH, and in the directories for
/// administrators, which are often missing from a plain user's PATH.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    find_in(search_path(cargo_bin(), &path), name)
}

fn search_path(cargo_bin: Option<PathBuf>, path: &OsStr) -> Vec<PathBuf> {
    let administrators = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    cargo_bin.into_iter().chain(env::split_paths(path)).chain(administrators).collect()
}

fn find_in(directories: Vec<PathBuf>, name: &str) -> Option<PathBuf> {
    directories.into_iter().map(|directory| directory.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_programs_come_before_the_path_and_administrators_last() {
        let path = search_path(Some("/home/a/.cargo/bin".into()), OsStr::new("/opt/bin:/usr/bin"));
        let expected =
            ["/home/a/.cargo/bin", "/opt/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"];
        assert_eq!(path, expected.map(PathBuf::from));
    }

    #[test]
    fn only_executable_files_are_programs() {
        assert_eq!(find_in(vec!["/bin".into()], "sh"), Some("/bin/sh".into()));
        assert_eq!(find_in(vec!["/etc".into()], "passwd"), None, "a file without the execute bit");
        assert_eq!(find_in(vec!["/".into()], "etc"), None, "a directory");
        assert_eq!(find_in(vec!["/nonexistent".into()], "sh"), None);
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(workspace_root().join("xtask/Cargo.toml").is_file());
    }
}
