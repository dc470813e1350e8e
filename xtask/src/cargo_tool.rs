//! Programs that come from crates.io: their pinned versions, and installing them.

use crate::{machine, process, say};
use anyhow::{Context, Result, bail};
use std::{path::PathBuf, time::Instant};

/// Major, minor, patch.
pub(crate) type Version = (u32, u32, u32);

/// A program that `cargo install` brings.
pub(crate) struct CargoTool {
    /// The crate, and the program's name.
    pub(crate) package: &'static str,
    /// The version that is installed where none fits.
    pub(crate) version: Version,
    /// Which versions fit.
    pub(crate) accept: Match,
    /// Whether it is built with the dependencies of its own lock file.
    pub(crate) locked: bool,
    /// Prints the version: the program, then its arguments.
    pub(crate) probe: &'static [&'static str],
    pub(crate) why: &'static str,
    /// How long the install takes on two cores.
    pub(crate) takes: &'static str,
}

/// Which installed versions fit.
#[derive(Clone, Copy)]
pub(crate) enum Match {
    /// Only the pinned one.
    Exact,
    /// This one and newer ones: nobody's own tools get replaced where they can do what is asked of them.
    Since(Version),
}

impl Match {
    fn fits(self, found: Version, pinned: Version) -> bool {
        match self {
            Self::Exact => found == pinned,
            Self::Since(least) => found >= least,
        }
    }
}

impl CargoTool {
    /// Installs the program unless a version that fits is there, and returns where it is.
    ///
    /// # Errors
    /// The install failed: the text holds the command to repeat.
    pub(crate) fn ensure(&self) -> Result<PathBuf> {
        self.ensure_with(&[])
    }

    /// The same, with further arguments for `cargo install`, such as the features that are wanted.
    ///
    /// # Errors
    /// As [`CargoTool::ensure`].
    pub(crate) fn ensure_with(&self, more: &[&str]) -> Result<PathBuf> {
        if let Some(path) = self.find() {
            return Ok(path);
        }
        let version = display(self.version);
        say::step(&format!("installing {} {version}: {} ({})", self.package, self.why, self.takes));
        let begin = Instant::now();
        let mut install = process::cargo();
        let locked: &[&str] = if self.locked { &["--locked"] } else { &[] };
        install.args(["install", self.package, "--version", &version, "--force"]).args(locked).args(more);
        // They run for seconds and are built for minutes: what optimising takes is never won back.
        install.args(["--profile", "dev", "--config", "profile.dev.debug=false"]);
        // A wrapper or flags meant for this workspace have no say in how a tool is built.
        install.env_remove("RUSTC").env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        process::run(&mut install).with_context(|| {
            let again = ["cargo install", self.package, "--version", &version];
            let again = [&again, locked, more].concat().join(" ");
            format!("cannot install {}: run `{again}` and see what stands in its way", self.package)
        })?;
        say::installed(self.package, begin);
        let Some(path) = self.find() else {
            bail!(
                "{} {version} was installed, but another one comes first on PATH: remove that one",
                self.package
            );
        };
        Ok(path)
    }

    fn find(&self) -> Option<PathBuf> {
        let (name, arguments) = self.probe.split_first()?;
        let path = machine::find_program(name)?;
        let printed = process::probe(process::program(&path).args(arguments))?;
        let found = parse_version(&printed)?;
        self.accept.fits(found, self.version).then_some(path)
    }
}

/// `1.2.3`.
pub(crate) fn display((major, minor, patch): Version) -> String {
    format!("{major}.{minor}.{patch}")
}

/// The first word that is a version in what a program prints when asked for it. A suffix as in `1.97.0-nightly` and the
/// letter in `v0.5.4` are left out.
pub(crate) fn parse_version(printed: &str) -> Option<Version> {
    printed.split_whitespace().find_map(parse_word)
}

fn parse_word(word: &str) -> Option<Version> {
    let release = word.strip_prefix('v').unwrap_or(word).split(['-', '+']).next()?;
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().ok());
    let version = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_tools_print() {
        assert_eq!(parse_version("bpf-linker 0.10.4\n"), Some((0, 10, 4)));
        assert_eq!(
            parse_version("cargo-nextest 0.9.151 (7f6bb02 2026-05-01)\nrelease: 0.9.151"),
            Some((0, 9, 151))
        );
        assert_eq!(parse_version("rustc 1.97.0-nightly (e50aa6fba 2026-05-19)"), Some((1, 97, 0)));
        assert_eq!(parse_version("LLVM version: 22.1.8"), Some((22, 1, 8)));
        assert_eq!(parse_version("mdbook v0.5.4\n"), Some((0, 5, 4)));
    }

    #[test]
    fn what_is_no_version_is_not_taken_for_one() {
        for printed in ["", "tool", "tool 1.2", "tool 1.2.3.4", "tool v1", "a.b.c", "2026-05-19", "1..2"] {
            assert_eq!(parse_version(printed), None, "{printed}");
        }
    }

    #[test]
    fn exact_wants_the_pin_and_since_takes_what_is_new_enough() {
        assert!(Match::Exact.fits((0, 10, 4), (0, 10, 4)));
        assert!(!Match::Exact.fits((0, 11, 0), (0, 10, 4)));
        assert!(!Match::Exact.fits((0, 10, 3), (0, 10, 4)));
        let since = Match::Since((0, 9, 100));
        for (found, fits) in
            [((0, 9, 99), false), ((0, 9, 100), true), ((0, 9, 143), true), ((0, 10, 0), true)]
        {
            assert_eq!(since.fits(found, (0, 9, 151)), fits, "{found:?}");
        }
    }

    #[test]
    fn a_displayed_version_is_read_back() {
        assert_eq!(parse_version(&display((1, 20, 300))), Some((1, 20, 300)));
    }
}
