//! What is installed where.

use super::{
    changelog,
    job::{Job, write},
    made::Made,
    manifest::Kind,
    tree::{entries, name, put},
};
use crate::{machine, process};
use anyhow::Result;
use std::path::Path;

/// Files of the repository, and where every package installs them.
const FILES: &[(&str, &str)] = &[
    ("packaging/riptide.service", "usr/lib/systemd/system/riptide.service"),
    ("packaging/sysctl.d/10-riptide.conf", "usr/lib/sysctl.d/10-riptide.conf"),
    ("packaging/sysusers.d/riptide.conf", "usr/lib/sysusers.d/riptide.conf"),
    ("packaging/libexec/package", "usr/libexec/riptide/package"),
    ("packaging/prometheus/riptide.rules.yml", "usr/share/riptide/riptide.rules.yml"),
    ("packaging/grafana/riptide.json", "usr/share/riptide/riptide.json"),
    ("packaging/nats/README.md", "usr/share/riptide/nats/README.md"),
    ("packaging/nats/nats-server.conf", "usr/share/riptide/nats/nats-server.conf"),
    ("packaging/nats/certificates", "usr/share/riptide/nats/certificates"),
    ("packaging/deb/copyright", "usr/share/doc/riptide/copyright"),
];

/// The directory of the handbook. Alert rules name it.
const HANDBOOK: &str = "usr/share/doc/riptide/book";

/// Lays out what a package of this kind installs.
pub(super) fn lay_out(job: &Job, made: &Made, kind: Kind, tree: &Path) -> Result<()> {
    let root = machine::workspace_root();
    for (from, to) in FILES {
        put(&root.join(from), tree, to)?;
    }
    put(&made.program.path, tree, "usr/bin/riptide")?;
    put(&made.configuration, tree, "etc/riptide/riptide.toml")?;
    for page in entries(&made.man)? {
        let section = page.extension().unwrap_or_default().to_string_lossy().into_owned();
        put_compressed(&page, tree, &format!("usr/share/man/man{section}/{}.gz", name(&page)))?;
    }
    let zsh = match kind {
        Kind::Deb => "usr/share/zsh/vendor-completions",
        Kind::Rpm => "usr/share/zsh/site-functions",
    };
    for (file, to) in [
        ("riptide.bash", "usr/share/bash-completion/completions/riptide"),
        ("_riptide", &format!("{zsh}/_riptide")),
        ("riptide.fish", "usr/share/fish/vendor_completions.d/riptide.fish"),
    ] {
        put(&made.completions.join(file), tree, to)?;
    }
    put_compressed(&root.join("CHANGELOG.md"), tree, "usr/share/doc/riptide/changelog.gz")?;
    if kind == Kind::Deb {
        put(&root.join("packaging/deb/lintian-overrides"), tree, "usr/share/lintian/overrides/riptide")?;
        let log = job.work.join("changelog.Debian");
        write(&log, changelog::debian(job)?.as_bytes())?;
        put_compressed(&log, tree, "usr/share/doc/riptide/changelog.Debian.gz")?;
    }
    put_all(&made.handbook, tree, HANDBOOK)?;
    Ok(())
}

fn put_compressed(from: &Path, tree: &Path, to: &str) -> Result<()> {
    let plain = to.strip_suffix(".gz").unwrap_or(to);
    put(from, tree, plain)?;
    // Neither a name nor a time, so that the same text gives the same bytes.
    process::run(process::program("gzip").args(["-9", "-n", "-f"]).arg(tree.join(plain)))
}

fn put_all(from: &Path, tree: &Path, to: &str) -> Result<()> {
    for entry in entries(from)? {
        let place = format!("{to}/{}", name(&entry));
        if entry.is_dir() {
            put_all(&entry, tree, &place)?;
        } else {
            put(&entry, tree, &place)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of the repository are where the list has them.
    #[test]
    fn what_is_installed_exists() {
        let root = machine::workspace_root();
        for (from, to) in FILES {
            assert!(root.join(from).is_file(), "{from}, for {to}");
        }
    }
}
