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

/// Arrows that close a circle today and have to go. A line that closes none any longer is an error too.
const KNOWN: &[(&str, &str)] = &[
    ("tracker-core/engine/apply", "tracker-core/engine/shard"),
    ("tracker-core/engine/fill", "tracker-core/engine/shard"),
    ("tracker-core/engine/retained", "tracker-core/engine/walk"),
    ("tracker-user/config/declare", "tracker-user/config/layers"),
];

/// Fails on a circle that [`KNOWN`] does not list, and on a line in it that is out of date.
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
    let complaints = judge(&arrows, KNOWN);
    if complaints.is_empty() {
        say::step(&format!("{} arrows, {} of them known to close a circle", arrows.len(), KNOWN.len()));
        return Ok(());
    }
    bail!("{}", complaints.join("\n"))
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

fn judge(arrows: &BTreeSet<Arrow>, known: &[(&str, &str)]) -> Vec<String> {
    let known: BTreeSet<Arrow> =
        known.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    let gone =
        known.iter().filter(|arrow| !arrows.contains(arrow) || way(arrows, &arrow.1, &arrow.0).is_none());
    let mut complaints: Vec<String> = gone
        .map(|(from, to)| {
            format!("KNOWN in xtask/src/circles.rs: {from} → {to} closes no circle any more, delete it")
        })
        .collect();
    let rest: BTreeSet<Arrow> = arrows.difference(&known).cloned().collect();
    let mut seen = BTreeSet::new();
    for (from, to) in &rest {
        if let Some(way) = way(&rest, to, from)
            && seen.insert(BTreeSet::from_iter(way.clone()))
        {
            complaints.push(format!("a circle of files: {from} → {}", way.join(" → ")));
        }
    }
    complaints
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

    fn judged(arrows: &[(&str, &str)], known: &[(&str, &str)]) -> Vec<String> {
        judge(&arrows.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect(), known)
    }

    #[test]
    fn a_circle_is_told_once_with_its_way() {
        assert!(judged(&[("a", "b"), ("b", "d"), ("a", "d")], &[]).is_empty());
        let told = judged(&[("a", "b"), ("b", "d"), ("d", "a"), ("d", "e")], &[]);
        assert_eq!(told, ["a circle of files: a → b → d → a"]);
    }

    #[test]
    fn a_known_circle_passes_until_it_is_gone() {
        let circle = [("a", "b"), ("b", "a")];
        assert!(judged(&circle, &[("b", "a")]).is_empty());
        assert_eq!(judged(&[("a", "b")], &[("b", "a")]).len(), 1);
        assert_eq!(judged(&circle, &[("b", "a"), ("b", "d")]).len(), 1);
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
        assert_eq!(judge(&between, &[]).len(), 1);
        assert!(judge(&files, &[]).is_empty());
    }
}
