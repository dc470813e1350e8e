//! Debian packages: which are missing, and installing just those.

use crate::{machine, process, say};
use anyhow::{Result, bail};
use std::{path::Path, process::Command, time::Instant};

/// A Debian package and what proves that it, or an equal of it, is there. Asking for the thing itself instead of the
/// package lets other distributions and hand-built tools serve as well.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) proof: Proof,
}

/// What a package is needed for.
pub(crate) enum Proof {
    /// A program of this name can be found.
    Program(&'static str),
    /// This path exists.
    File(&'static str),
    /// The system's Python can import this module.
    PythonModule(&'static str),
}

impl Proof {
    fn holds(&self) -> bool {
        match self {
            Self::Program(name) => machine::find_program(name).is_some(),
            Self::File(path) => Path::new(path).exists(),
            Self::PythonModule(name) => {
                let import = format!("import {name}");
                process::probe(Command::new("/usr/bin/python3").args(["-c", &import])).is_some()
            }
        }
    }
}

/// Whether all of these are there.
pub(crate) fn present(packages: &[Package]) -> bool {
    missing(packages).is_empty()
}

fn missing(packages: &[Package]) -> Vec<&'static str> {
    packages.iter().filter(|package| !package.proof.holds()).map(|package| package.name).collect()
}

/// Installs what is missing of `packages`, through sudo if not root. Does nothing, silently, if nothing is.
///
/// # Errors
/// No apt-get, no right to install, or the install failed: the text holds the one command to run.
pub(crate) fn ensure(packages: &[Package], why: &str) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    let Some(prefix) =
        install_prefix(machine::find_program("apt-get").is_some(), machine::is_root(), has_sudo())
    else {
        bail!("{why} needs {names}: install them as root, on Debian by `apt-get install {names}`");
    };
    say::step(&format!("installing {names} ({why})"));
    let begin = Instant::now();
    let by_hand = || format!("cannot install {names}: run `{}`", by_hand(prefix, &names));
    let done = apt_get(prefix, &["-qq", "update"]).and_then(|()| {
        let mut arguments = vec!["-qq", "-y", "--no-install-recommends", "install"];
        arguments.extend(&missing);
        apt_get(prefix, &arguments)
    });
    done.map_err(|error| error.context(by_hand()))?;
    say::installed(&names, begin);
    let still = self::missing(packages);
    if !still.is_empty() {
        bail!("{} was installed, but what it is needed for ({why}) is still not there", still.join(" "));
    }
    Ok(())
}

/// Brings the lists of packages, through sudo if not root.
///
/// # Errors
/// No apt-get, no right to call it, or it failed.
pub(crate) fn update() -> Result<()> {
    let has_apt = machine::find_program("apt-get").is_some();
    let Some(prefix) = install_prefix(has_apt, machine::is_root(), has_sudo()) else {
        bail!("the lists of packages are missing: run `apt-get update` as root");
    };
    apt_get(prefix, &["-qq", "update"])
}

fn has_sudo() -> bool {
    machine::find_program("sudo").is_some()
}

/// The words before `apt-get`, or nothing if it cannot be called at all.
fn install_prefix(apt: bool, root: bool, sudo: bool) -> Option<&'static [&'static str]> {
    const ENV: &[&str] = &["env", "DEBIAN_FRONTEND=noninteractive"];
    const SUDO_ENV: &[&str] = &["sudo", "env", "DEBIAN_FRONTEND=noninteractive"];
    match (apt, root, sudo) {
        (true, true, _) => Some(ENV),
        (true, false, true) => Some(SUDO_ENV),
        _ => None,
    }
}

fn by_hand(prefix: &[&str], names: &str) -> String {
    let sudo = if prefix.first() == Some(&"sudo") { "sudo " } else { "" };
    format!("{sudo}apt-get update && {sudo}apt-get install {names}")
}

fn apt_get(prefix: &[&str], arguments: &[&str]) -> Result<()> {
    // Another apt-get may be at work on a machine that has just started.
    const PATIENCE: &[&str] = &["-o", "DPkg::Lock::Timeout=120"];
    let words: Vec<&str> =
        prefix.iter().chain(&["apt-get"]).chain(PATIENCE).chain(arguments).copied().collect();
    let (program, rest) = words.split_at(1);
    process::run(process::program(program[0]).args(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_installs_itself_and_others_through_sudo() {
        assert_eq!(install_prefix(true, true, false).unwrap()[0], "env");
        assert_eq!(install_prefix(true, true, true).unwrap()[0], "env", "root needs no sudo");
        assert_eq!(install_prefix(true, false, true).unwrap()[0], "sudo");
        assert_eq!(install_prefix(true, false, false), None);
        assert_eq!(install_prefix(false, true, true), None);
    }

    #[test]
    fn the_command_by_hand_is_complete() {
        let words = install_prefix(true, false, true).unwrap();
        assert_eq!(by_hand(words, "a b"), "sudo apt-get update && sudo apt-get install a b");
        let words = install_prefix(true, true, false).unwrap();
        assert_eq!(by_hand(words, "a"), "apt-get update && apt-get install a");
    }

    #[test]
    fn only_what_is_not_there_is_missing() {
        let packages = [
            Package { name: "dash", proof: Proof::Program("sh") },
            Package { name: "nothing", proof: Proof::Program("no-such-program-anywhere") },
            Package { name: "base-files", proof: Proof::File("/etc") },
            Package { name: "absent", proof: Proof::File("/nonexistent") },
        ];
        assert_eq!(missing(&packages), ["nothing", "absent"]);
    }

    #[test]
    fn nothing_happens_when_all_is_there() {
        ensure(&[Package { name: "dash", proof: Proof::Program("sh") }], "the test").unwrap();
    }
}
