//! What goes into the packages and is not in the repository.

use super::{
    job::{Job, write},
    program::{self, Program},
};
use crate::{book, process, say};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// All of it.
pub(super) struct Made {
    /// The program without symbols.
    pub(super) program: Program,
    /// A directory of man pages, as `riptide.1`.
    pub(super) man: PathBuf,
    /// A directory of completions: `riptide.bash`, `_riptide`, `riptide.fish`.
    pub(super) completions: PathBuf,
    /// What `riptide config default` prints.
    pub(super) configuration: PathBuf,
    /// The handbook as pages.
    pub(super) handbook: PathBuf,
}

impl Made {
    /// Makes it, from a program that is built already or a new one.
    pub(super) fn make(job: &Job, binary: Option<&Path>) -> Result<Self> {
        let handbook = book::run()?;
        let built = match binary {
            Some(path) => path.canonicalize().with_context(|| format!("there is no {}", path.display()))?,
            None => program::build()?,
        };
        let program = Program::strip(job, &built)?;
        say::step("writing man pages, completions and the default configuration");
        let mut generate = process::cargo();
        generate.args(["run", "--quiet", "--example", "generate", "--"]).arg(&job.output);
        process::run(&mut generate).context("cannot write man pages and completions")?;
        let configuration = job.work.join("riptide.toml");
        let text = process::output(process::program(&program.path).args(["config", "default"]))?;
        write(&configuration, text.as_bytes())?;
        let [man, completions] = ["man", "completions"].map(|name| job.output.join(name));
        Ok(Self { program, man, completions, configuration, handbook })
    }
}
