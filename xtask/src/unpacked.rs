//! Programs of Debian packages that are unpacked into `target/unpacked` and not installed, since installing the package would
//! start a service on the machine.

use crate::{apt, machine, process, say};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

/// Packages, and what is wanted of them.
pub(crate) struct Unpacked {
    /// Their names: of the programs, and of libraries that Debian alone has for them.
    pub(crate) packages: &'static [&'static str],
    /// Programs in their `/usr/bin`.
    pub(crate) programs: &'static [&'static str],
}

/// Where packages are unpacked. It never depends on `CARGO_TARGET_DIR`, so that tests find it.
pub(crate) fn place() -> PathBuf {
    machine::workspace_root().join("target/unpacked")
}

/// Unpacks packages unless their programs are there already, unpacked or installed.
///
/// # Errors
/// They cannot be had: the text says which programs to install.
pub(crate) fn ensure(wanted: &Unpacked, why: &str) -> Result<()> {
    let place = place();
    if are_there(wanted, &place) {
        return Ok(());
    }
    let (packages, names) = (wanted.packages.join(" "), wanted.programs.join(" and "));
    if machine::find_program("apt-get").is_none() {
        bail!("{why} need {names}: install them, from Debian's packages {packages} or from elsewhere");
    }
    say::step(&format!("unpacking {packages} into target/unpacked ({why})"));
    let begin = Instant::now();
    bring(wanted.packages, &place)
        .with_context(|| format!("cannot unpack {packages}: install {names} yourself"))?;
    say::installed(&packages, begin);
    if !are_there(wanted, &place) {
        bail!("{packages} was unpacked, but {names} are not in it");
    }
    Ok(())
}

fn are_there(wanted: &Unpacked, place: &Path) -> bool {
    let is_there =
        |name: &&str| place.join("usr/bin").join(name).is_file() || machine::find_program(name).is_some();
    wanted.programs.iter().all(is_there)
}

fn bring(packages: &[&str], place: &Path) -> Result<()> {
    let downloads = place.join("downloads");
    // What another run has left would be taken for what this one brings.
    if downloads.exists() {
        fs::remove_dir_all(&downloads).with_context(|| format!("cannot remove {}", downloads.display()))?;
    }
    fs::create_dir_all(&downloads).with_context(|| format!("cannot make {}", downloads.display()))?;
    if download(packages, &downloads).is_err() {
        // A machine that has just been set up has no lists of packages yet, or old ones.
        apt::update()?;
        download(packages, &downloads)?;
    }
    for file in fs::read_dir(&downloads)? {
        process::run(process::program("dpkg-deb").arg("--extract").arg(file?.path()).arg(place))?;
    }
    fs::remove_dir_all(&downloads).with_context(|| format!("cannot remove {}", downloads.display()))
}

fn download(packages: &[&str], into: &Path) -> Result<()> {
    let mut apt = process::program("apt-get");
    // As root, apt would download as a user of its own, who may not write here, and warn of it.
    apt.args(["-qq", "-o", "APT::Sandbox::User=root", "download"]).args(packages).current_dir(into);
    process::run(&mut apt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_brought_again() {
        let place = Path::new("/nonexistent");
        assert!(are_there(&Unpacked { packages: &["dash"], programs: &["sh"] }, place));
        let both = Unpacked { packages: &["dash"], programs: &["sh", "no-such-program-anywhere"] };
        assert!(!are_there(&both, place));
    }

    #[test]
    fn nothing_happens_when_all_is_there() {
        ensure(&Unpacked { packages: &["dash"], programs: &["sh"] }, "tests").unwrap();
    }
}
