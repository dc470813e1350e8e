//! Packages from npm: the set in `tests/clients/npm`, installed into `target/npm`.

use crate::{machine, process, say};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

/// What says which packages there are: the wish, and the exact version and checksum of each.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// Inside `node_modules`, which npm makes anew: a copy of the lock that is installed.
const MARK: &str = ".installed-lock";

/// Where the packages are: what scripts are given as `NODE_PATH`. It never depends on `CARGO_TARGET_DIR`, so that tests
/// find it.
pub(crate) fn modules() -> PathBuf {
    machine::workspace_root().join("target/npm/node_modules")
}

/// Installs the packages of the lock unless exactly these are there.
///
/// # Errors
/// npm failed: the text holds the command to repeat.
pub(crate) fn ensure() -> Result<()> {
    let wanted = machine::workspace_root().join("tests/clients/npm");
    let modules = modules();
    if is_installed(&wanted, &modules) {
        return Ok(());
    }
    let place = modules.parent().unwrap_or(&modules);
    let shown = place.strip_prefix(machine::workspace_root()).unwrap_or(place).display();
    say::step(&format!("installing npm packages into {shown} (clients of the tests, a few seconds)"));
    let begin = Instant::now();
    fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
    for name in FILES {
        copy(&wanted.join(name), &place.join(name))?;
    }
    // Install scripts bring binaries of which nothing here has need.
    let mut npm = process::program("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(place);
    process::run(&mut npm).with_context(|| {
        format!("cannot install the npm packages: run `npm ci --ignore-scripts` in {shown}")
    })?;
    say::installed("npm packages", begin);
    copy(&wanted.join(FILES[1]), &modules.join(MARK))
}

fn is_installed(wanted: &Path, modules: &Path) -> bool {
    let lock = fs::read(wanted.join(FILES[1]));
    lock.is_ok_and(|lock| fs::read(modules.join(MARK)).is_ok_and(|installed| installed == lock))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> String {
        fs::read_to_string(machine::workspace_root().join("tests/clients/npm").join(FILES[1])).unwrap()
    }

    #[test]
    fn only_the_same_lock_counts_as_installed() {
        let scratch = std::env::temp_dir().join(format!("xtask-npm-{}", std::process::id()));
        let (wanted, modules) = (scratch.join("wanted"), scratch.join("modules"));
        for directory in [&wanted, &modules] {
            fs::create_dir_all(directory).unwrap();
        }
        assert!(!is_installed(&wanted, &modules), "nothing is there");
        fs::write(wanted.join(FILES[1]), "{}").unwrap();
        assert!(!is_installed(&wanted, &modules), "nothing was installed");
        fs::write(modules.join(MARK), "{}").unwrap();
        assert!(is_installed(&wanted, &modules));
        fs::write(wanted.join(FILES[1]), "{ }").unwrap();
        assert!(!is_installed(&wanted, &modules), "another lock");
        fs::remove_dir_all(&scratch).unwrap();
    }

    /// `omit-lockfile-registry-resolved` sees to it, in the `.npmrc` beside the lock.
    #[test]
    fn the_lock_names_no_registry_and_every_checksum() {
        let lock = lock();
        assert!(!lock.contains("\"resolved\""), "a registry's address is in the lock");
        let packages = lock.matches("    \"node_modules/").count();
        assert!(packages > 100);
        assert_eq!(lock.matches("\"integrity\": \"sha512-").count(), packages);
    }
}
