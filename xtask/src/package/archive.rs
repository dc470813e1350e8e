//! What is no package: the tarball, what the container image is built from, and the checksums of all.

use super::{
    job::{Job, make_directory, write},
    made::Made,
    tree::{self, put},
};
use crate::{machine, process};
use anyhow::Result;
use std::path::PathBuf;

/// Files of the repository that go into the tarball.
const FILES: &[(&str, &str)] = &[
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("docs/book/src/install.md", "INSTALL.md"),
    ("packaging/riptide.service", "riptide.service"),
    ("packaging/sysctl.d/10-riptide.conf", "sysctl.d/10-riptide.conf"),
    ("packaging/sysusers.d/riptide.conf", "sysusers.d/riptide.conf"),
    ("packaging/prometheus/riptide.rules.yml", "riptide.rules.yml"),
    ("packaging/grafana/riptide.json", "riptide.json"),
    ("packaging/nats/README.md", "nats/README.md"),
    ("packaging/nats/nats-server.conf", "nats/nats-server.conf"),
    ("packaging/nats/certificates", "nats/certificates"),
];

/// Writes the tarball and returns where it is.
pub(super) fn tarball(job: &Job, made: &Made) -> Result<PathBuf> {
    let name = job.name();
    let whole = job.work.join(&name);
    let root = machine::workspace_root();
    for (from, to) in FILES {
        put(&root.join(from), &whole, to)?;
    }
    put(&made.program.path, &whole, "riptide")?;
    put(&made.configuration, &whole, "riptide.toml")?;
    for directory in [&made.man, &made.completions] {
        let below = tree::name(directory);
        for path in tree::list(directory)? {
            put(&directory.join(&path), &whole, &format!("{below}/{path}"))?;
        }
    }
    let tarball = job.output.join(format!("{name}.tar.xz"));
    let mut tar = process::program("tar");
    tar.args(["--create", "--xz", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.arg(format!("--mtime=@{}", job.epoch)).arg("--directory").arg(&job.work);
    if job.is_fast {
        tar.env("XZ_OPT", "-0");
    }
    process::run(tar.arg("--file").arg(&tarball).arg(&name))?;
    Ok(tarball)
}

/// Lays out what the container image is built from, in `container`.
pub(super) fn container(job: &Job, made: &Made) -> Result<()> {
    let context = job.output.join("container");
    let file = machine::workspace_root().join("packaging/container/Containerfile");
    put(&file, &context, "Containerfile")?;
    put(&made.program.path, &context, "riptide")?;
    put(&made.configuration, &context, "riptide.toml")?;
    ["state", "run"].iter().try_for_each(|directory| make_directory(&context.join(directory)))
}

/// Writes `SHA256SUMS`, for `sha256sum --check`.
pub(super) fn checksums(job: &Job, files: &[PathBuf]) -> Result<()> {
    let mut names: Vec<_> = files.iter().filter_map(|file| file.file_name()).collect();
    names.sort_unstable();
    let mut sums = process::program("sha256sum");
    let text = process::output(sums.args(names).current_dir(&job.output))?;
    write(&job.output.join("SHA256SUMS"), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tarball_holds_exists() {
        let root = machine::workspace_root();
        for (from, to) in FILES {
            assert!(root.join(from).is_file(), "{from}, for {to}");
        }
    }
}
