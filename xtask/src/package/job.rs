//! What all steps of packaging need to know.

use crate::{machine, process};
use anyhow::{Context, Result};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// What is to be made, and where.
pub(super) struct Job {
    /// Where the result goes.
    pub(super) output: PathBuf,
    /// What is made on the way.
    pub(super) work: PathBuf,
    /// The version of the packages.
    pub(super) version: String,
    /// Whether to compress little.
    pub(super) is_fast: bool,
    /// Seconds since 1970 that files and packages bear, so that the same sources give the same bytes.
    pub(super) epoch: String,
}

impl Job {
    /// Makes room for it in this directory, or in `target/package`.
    pub(super) fn begin(output: Option<&Path>, version: &str, is_fast: bool) -> Result<Self> {
        let output = match output {
            Some(directory) => env::current_dir().context("there is no current directory")?.join(directory),
            None => machine::workspace_root().join("target/package"),
        };
        let work = output.join("work");
        for name in ["work", "container", "man", "completions"] {
            let directory = output.join(name);
            if directory.exists() {
                fs::remove_dir_all(&directory)
                    .with_context(|| format!("cannot remove {}", directory.display()))?;
            }
        }
        make_directory(&work)?;
        Ok(Self { output, work, version: version.to_owned(), is_fast, epoch: epoch() })
    }

    /// `riptide-0.1.0-x86_64-linux`: the beginning of the names of what is no package.
    pub(super) fn name(&self) -> String {
        format!("riptide-{}-{}-linux", self.version, env::consts::ARCH)
    }
}

/// `SOURCE_DATE_EPOCH`, else when the last commit was made, else the beginning of time.
fn epoch() -> String {
    let set = env::var("SOURCE_DATE_EPOCH").ok().filter(|set| set.parse::<u32>().is_ok());
    let commit = || process::probe(process::program("git").args(["log", "-1", "--format=%ct"]));
    set.or_else(commit).map_or_else(|| "0".to_owned(), |seconds| seconds.trim().to_owned())
}

pub(super) fn make_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
