//! A small Debian of its own in `target/debian-root`, into which tests install packages. It is made once; whoever uses it lays
//! something over it and leaves it as it is.

use crate::{machine, process, say};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Which Debian.
const SUITE: &str = "bookworm";

/// Where it is, whatever `CARGO_TARGET_DIR` says, so that tests find it.
fn place() -> PathBuf {
    machine::workspace_root().join("target/debian-root")
}

/// Makes it unless it is there, from where this machine has its own packages. To be called as root.
///
/// # Errors
/// debootstrap failed: the text holds the command to repeat.
pub(crate) fn ensure() -> Result<()> {
    let place = place();
    if place.exists() {
        return Ok(());
    }
    say::step("making a small Debian in target/debian-root (packages are tested in it, about a minute)");
    // It has its name only when it is whole.
    let begun = place.with_extension("new");
    if begun.exists() {
        fs::remove_dir_all(&begun).with_context(|| format!("cannot remove {}", begun.display()))?;
    }
    fs::create_dir_all(&begun).with_context(|| format!("cannot make {}", begun.display()))?;
    let mut make = process::program("debootstrap");
    make.args(["--variant=minbase", SUITE]).arg(&begun).args(mirror());
    // It prints a line for each package.
    make.stdout(std::process::Stdio::null());
    process::run(&mut make)
        .context("cannot make a small Debian: its log is debootstrap/debootstrap.log in there")?;
    fs::rename(&begun, &place).with_context(|| format!("cannot name {}", place.display()))
}

/// Where this machine has its packages of the suite from; debootstrap has a place of its own otherwise.
fn mirror() -> Option<String> {
    let apt = Path::new("/etc/apt");
    let mut files = vec![apt.join("sources.list")];
    let more = fs::read_dir(apt.join("sources.list.d")).into_iter().flatten().flatten();
    files.extend(more.map(|entry| entry.path()));
    files.sort();
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| source(&text))
}

/// The first address in a list of sources that has the suite.
fn source(text: &str) -> Option<String> {
    let line = |line: &str| {
        let mut words =
            line.strip_prefix("deb ")?.split_whitespace().skip_while(|word| !word.contains("://"));
        let address = words.next()?;
        (words.next()? == SUITE).then(|| address.to_owned())
    };
    let stanza = |stanza: &str| {
        let value = |key: &str| stanza.lines().find_map(|line| line.strip_prefix(key));
        let has_suite = value("Suites:")?.split_whitespace().any(|suite| suite == SUITE);
        has_suite.then(|| value("URIs:")?.split_whitespace().next().map(str::to_owned)).flatten()
    };
    text.lines().find_map(line).or_else(|| text.split("\n\n").find_map(stanza))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_both_kinds_of_lists() {
        let lines = "# deb http://old.example/debian bookworm main\n\
                     deb-src http://src.example/debian bookworm main\n\
                     deb http://other.example/debian trixie main\n\
                     deb [signed-by=/a.gpg] http://one.example/debian bookworm main contrib\n";
        assert_eq!(source(lines).as_deref(), Some("http://one.example/debian"));
        let stanzas = "Types: deb\nURIs: http://other.example/\nSuites: nodistro\n\n\
                       Types: deb\n# remark\nURIs: http://two.example/debian\nSuites: bookworm bookworm-updates\n";
        assert_eq!(source(stanzas).as_deref(), Some("http://two.example/debian"));
        assert_eq!(source("deb http://other.example/debian bookworm-security main\n"), None);
    }
}
