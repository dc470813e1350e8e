//! The packages for Debian and for distributions with RPM.

use super::{
    contents,
    job::{Job, make_directory, write},
    made::Made,
    manifest::{self, Kind},
    tree::{entries, name, put},
};
use crate::{machine, pins, process};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Writes the `.deb` and returns where it is.
pub(super) fn deb(job: &Job, made: &Made) -> Result<PathBuf> {
    let directory = prepare(job, made, Kind::Deb)?;
    let mut tool = process::program(pins::CARGO_DEB.ensure()?);
    tool.arg("--manifest-path").arg(directory.join("Cargo.toml"));
    // The program is built and has no symbols; `xz` compresses.
    tool.args(["--quiet", "--no-build", "--no-strip", "--compress-system"]);
    if job.is_fast {
        tool.arg("--fast");
    }
    write_package(job, tool, &directory, "deb")
}

/// Writes the `.rpm` and returns where it is.
pub(super) fn rpm(job: &Job, made: &Made) -> Result<PathBuf> {
    let directory = prepare(job, made, Kind::Rpm)?;
    let mut tool = process::program(pins::CARGO_GENERATE_RPM.ensure()?);
    tool.args(["--auto-req", "builtin"]);
    if job.is_fast {
        tool.args(["--payload-compress", "none"]);
    }
    write_package(job, tool, &directory, "rpm")
}

/// A directory with the manifest, the scripts, and a tree of what is installed.
fn prepare(job: &Job, made: &Made, kind: Kind) -> Result<PathBuf> {
    let own = match kind {
        Kind::Deb => "deb",
        Kind::Rpm => "rpm",
    };
    let directory = job.work.join(format!("for-{own}"));
    let tree = directory.join("tree");
    contents::lay_out(job, made, kind, &tree)?;
    let scripts = machine::workspace_root().join("packaging").join(own);
    for script in entries(&scripts)? {
        put(&script, &directory, &format!("{own}/{}", name(&script)))?;
    }
    // Cargo takes nothing for a package that has no source.
    make_directory(&directory.join("src"))?;
    write(&directory.join("src/lib.rs"), b"")?;
    let text = manifest::complete(&job.version, kind, &tree)?;
    write(&directory.join("Cargo.toml"), text.as_bytes())?;
    Ok(directory)
}

/// Runs a tool that writes one package, and moves that into the output.
fn write_package(
    job: &Job,
    mut tool: std::process::Command,
    directory: &Path,
    extension: &str,
) -> Result<PathBuf> {
    let written = directory.join("written");
    make_directory(&written)?;
    tool.arg("--output").arg(&written).current_dir(directory).env("SOURCE_DATE_EPOCH", &job.epoch);
    process::run(&mut tool)?;
    let is_it = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    let package = entries(&written)?.into_iter().find(is_it);
    let package = package.with_context(|| format!("no .{extension} came of it"))?;
    let place = job.output.join(package.file_name().unwrap_or_default());
    std::fs::rename(&package, &place).with_context(|| format!("cannot write {}", place.display()))?;
    Ok(place)
}
