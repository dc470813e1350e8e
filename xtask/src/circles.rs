//! Arrows between files go one way: finds circles among the files of a crate, and among the folders of `tracker-user`.
//!
//! An arrow is a path to something in another file: in a `use`, or written out. What a file re-exports is followed to where
//! it comes from. Declaring (`mod`) and re-exporting (`pub use`) are no arrows, nor is what a module uses of those that hold
//! it, since that is what they hold it for. Code for tests alone is not looked at.

mod arrows;

use crate::{machine, say};
use anyhow::{Context, Result, bail};
use arrows::{Arrow, Names, Source, arrows_of};
use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    path::{Path, PathBuf},
};

/// The crate whose folders, too, use each other one way only.
const FOLDERS_OF: &str = "tracker-user";

/// Fails on a circle.
pub(crate) fn run() -> Result<()> {
    let mut crates: Vec<PathBuf> = fs::read_dir(machine::workspace_root())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|folder| folder.join("Cargo.toml").is_file() && folder.join("src").is_dir())
        .collect();
    crates.sort();
    let mut arrows = BTreeSet::new();
    for folder in crates {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut sources = Vec::new();
        read(&folder.join("src"), &mut Vec::new(), &mut sources)?;
        let within = arrows_of(&name, &sources)?;
        if name == FOLDERS_OF {
            arrows.extend(between_folders(&within));
        }
        arrows.extend(within);
    }
    let circles = circles(&arrows);
    if circles.is_empty() {
        say::step(&format!("{} arrows, and no circle", arrows.len()));
        return Ok(());
    }
    bail!("{}", circles.join("\n"))
}

/// Reads the files below a folder. `main.rs` beside a `lib.rs` is a crate of its own, of one file.
fn read(folder: &Path, module: &mut Names, sources: &mut Vec<Source>) -> Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for path in entries.iter().map(fs::DirEntry::path) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            module.push(stem);
            read(&path, module, sources)?;
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let root = module.is_empty();
            if root && stem == "main" && folder.join("lib.rs").exists() {
                continue;
            }
            let mut module = module.clone();
            if stem != "mod" && !(root && (stem == "lib" || stem == "main")) {
                module.push(stem);
            }
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            sources.push(Source { module, text });
        }
    }
    Ok(())
}

/// The same arrows, between the folders (and single files) right below the crate's root.
fn between_folders(arrows: &BTreeSet<Arrow>) -> BTreeSet<Arrow> {
    let folder = |file: &str| file.split('/').nth(1).map(|top| format!("{FOLDERS_OF}/{top}/"));
    let between = arrows.iter().filter_map(|(from, to)| Some((folder(from)?, folder(to)?)));
    between.filter(|(from, to)| from != to).collect()
}

/// A line for each circle.
fn circles(arrows: &BTreeSet<Arrow>) -> Vec<String> {
    let (mut circles, mut seen) = (Vec::new(), BTreeSet::new());
    for (from, to) in arrows {
        if let Some(way) = way(arrows, to, from)
            && seen.insert(BTreeSet::from_iter(way.clone()))
        {
            circles.push(format!("a circle of files: {from} → {}", way.join(" → ")));
        }
    }
    circles
}

/// The shortest way along the arrows, both ends included.
fn way(arrows: &BTreeSet<Arrow>, from: &str, to: &str) -> Option<Names> {
    let mut ways = VecDeque::from([vec![from.to_owned()]]);
    let mut been = BTreeSet::from([from.to_owned()]);
    while let Some(way) = ways.pop_front() {
        let here = way.last()?;
        if here == to {
            return Some(way);
        }
        for (_, next) in arrows.range((here.clone(), String::new())..).take_while(|(from, _)| from == here) {
            if been.insert(next.clone()) {
                ways.push_back([way.as_slice(), std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(arrows: &[(&str, &str)]) -> Vec<String> {
        circles(&arrows.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect())
    }

    #[test]
    fn a_circle_is_told_once_with_its_way() {
        assert!(told(&[("a", "b"), ("b", "d"), ("a", "d")]).is_empty());
        assert_eq!(
            told(&[("a", "b"), ("b", "d"), ("d", "a"), ("d", "e")]),
            ["a circle of files: a → b → d → a"]
        );
    }

    #[test]
    fn folders_use_each_other_one_way() {
        let name = |text: &str| format!("{FOLDERS_OF}/{text}");
        let files = BTreeSet::from([
            (name("udp/worker"), name("xdp/socket")),
            (name("xdp/interface"), name("udp")),
            (name("xdp/a"), name("xdp/b")),
        ]);
        let between = between_folders(&files);
        assert_eq!(between.len(), 2);
        assert_eq!(circles(&between).len(), 1);
        assert!(circles(&files).is_empty());
    }
}
