//! `cargo xtask package`: what is handed out, in `target/package`.
//!
//! One program goes into all of it. Files are laid out as they will be installed, and the two packages are made of that: what is
//! where stands in `contents.rs` alone, what the packages say of themselves in `packaging/manifest.toml`.

mod archive;
mod changelog;
mod contents;
mod formats;
mod job;
mod made;
mod manifest;
mod program;
mod tree;

use crate::{apt, machine, pins, say};
use anyhow::{Context, Result};
use job::Job;
use made::Made;
use std::{fs, path::PathBuf};

/// What `package` takes.
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// Package this program instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// The version that the packages get
    #[arg(long, value_name = "VERSION", default_value = env!("CARGO_PKG_VERSION"))]
    package_version: String,
    /// Compress little, for packages that are thrown away
    #[arg(long)]
    fast: bool,
    /// Write here instead of target/package
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Makes everything and lists it with checksums.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    ensure_tools()?;
    let job = Job::begin(arguments.output.as_deref(), &arguments.package_version, arguments.fast)?;
    let made = Made::make(&job, arguments.binary.as_deref())?;

    say::step("packing");
    let mut files = vec![job.output.join(made.program.debug_name())];
    files.push(formats::deb(&job, &made)?);
    files.push(formats::rpm(&job, &made)?);
    files.push(archive::tarball(&job, &made)?);
    archive::container(&job, &made)?;
    archive::checksums(&job, &files)?;
    fs::remove_dir_all(&job.work).with_context(|| format!("cannot remove {}", job.work.display()))?;
    for file in &files {
        say::detail(&file.strip_prefix(machine::workspace_root()).unwrap_or(file).display().to_string());
    }
    Ok(())
}

/// Installs what packages are written with.
pub(crate) fn ensure_tools() -> Result<()> {
    apt::ensure(pins::PACKAGE_PACKAGES, "what packages are made with")?;
    // What is left out compresses; `xz` does.
    pins::CARGO_DEB.ensure_with(&["--no-default-features"])?;
    pins::CARGO_GENERATE_RPM.ensure()?;
    Ok(())
}
