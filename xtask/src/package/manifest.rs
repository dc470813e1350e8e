//! `packaging/manifest.toml`, completed for the tools that write packages.

use super::tree;
use crate::machine;
use anyhow::{Context, Result};
use std::{fs, path::Path};
use toml::{Table, Value};

/// Which kind of package.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Deb,
    Rpm,
}

fn read() -> Result<Table> {
    let path = machine::workspace_root().join("packaging/manifest.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{} is not right", path.display()))
}

/// Who looks after the packages, with an address.
pub(super) fn maintainer() -> Result<String> {
    let manifest = read()?;
    let maintainer = manifest["package"]["metadata"]["deb"]["maintainer"].as_str();
    maintainer.map(str::to_owned).context("packaging/manifest.toml names no maintainer")
}

/// The manifest for a tree that is laid out, as text.
pub(super) fn complete(version: &str, kind: Kind, directory: &Path) -> Result<String> {
    let mut manifest = read()?;
    set(&mut manifest, "package.version", version.into())?;
    match kind {
        Kind::Deb => {}
        Kind::Rpm => {
            let assets = tree::list(directory)?
                .iter()
                .map(|path| asset(directory, path))
                .collect::<Result<Vec<_>>>()?;
            set(&mut manifest, "package.metadata.generate-rpm.assets", assets.into())?;
        }
    }
    Ok(manifest.to_string())
}

fn set(table: &mut Table, path: &str, value: Value) -> Result<()> {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
            Ok(())
        }
        Some((first, rest)) => {
            let inner = table.get_mut(first).and_then(Value::as_table_mut);
            set(inner.with_context(|| format!("packaging/manifest.toml has no table {first}"))?, rest, value)
        }
    }
}

/// A file of the RPM. One below /etc that somebody has changed stays as it is.
fn asset(directory: &Path, path: &str) -> Result<Value> {
    let mode = tree::mode(&directory.join(path)).with_context(|| format!("cannot look at {path}"))?;
    let mut asset = Table::new();
    asset.insert("source".to_owned(), format!("tree/{path}").into());
    asset.insert("dest".to_owned(), format!("/{path}").into());
    asset.insert("mode".to_owned(), format!("{mode:o}").into());
    if path.starts_with("etc/") {
        asset.insert("config".to_owned(), "noreplace".into());
    }
    if path.starts_with("usr/share/doc/") {
        asset.insert("doc".to_owned(), true.into());
    }
    Ok(asset.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_gets_what_it_lacks() {
        let tree = tempfile::tempdir().unwrap();
        for (from, path) in [
            ("/bin/sh", "usr/bin/riptide"),
            ("/etc/passwd", "etc/riptide/riptide.toml"),
            ("/etc/passwd", "usr/share/doc/riptide/copyright"),
        ] {
            tree::put(Path::new(from), tree.path(), path).unwrap();
        }
        let rpm: Table = complete("1.2.3", Kind::Rpm, tree.path()).unwrap().parse().unwrap();
        assert_eq!(rpm["package"]["version"].as_str(), Some("1.2.3"));
        let assets = rpm["package"]["metadata"]["generate-rpm"]["assets"].as_array().unwrap();
        assert_eq!(assets.len(), 3);
        assert_eq!(assets[0]["config"].as_str(), Some("noreplace"));
        assert_eq!(assets[1]["mode"].as_str(), Some("755"));
        assert_eq!(assets[2]["doc"].as_bool(), Some(true));
        let deb: Table = complete("1.2.3", Kind::Deb, tree.path()).unwrap().parse().unwrap();
        assert_eq!(deb["package"]["version"].as_str(), Some("1.2.3"));
    }

    #[test]
    fn the_maintainer_has_an_address() {
        let maintainer = maintainer().unwrap();
        assert!(maintainer.contains('<') && maintainer.contains('@'), "{maintainer}");
    }
}
