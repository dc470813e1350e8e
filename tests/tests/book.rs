//! The handbook, and the documents beside it: links lead somewhere, and commands, configuration and names are the binary's.
//! How blocks of code are marked is told in CONTRIBUTING.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod book {
    pub(crate) mod commands;
    pub(crate) mod configuration;
    pub(crate) mod runs;
}

use book::{commands, configuration, runs};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use tests::{
    markdown::{Page, beside},
    net::workspace,
};

/// Where the handbook's pages are.
const BOOK: &str = "docs/book/src";
const SUMMARY: &str = "SUMMARY.md";

/// The files with this ending directly in a folder or, with `deep`, below it, from the workspace's root.
fn files(folder: &Path, ending: &str, deep: bool, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(workspace().join(folder)).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = folder.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            if deep {
                files(&path, ending, true, found);
            }
        } else if path.extension().is_some_and(|it| it == ending) {
            found.push(path);
        }
    }
}

/// The handbook's pages, without the list of them.
fn book() -> Vec<Page> {
    let mut found = Vec::new();
    files(Path::new(BOOK), "md", true, &mut found);
    found.sort();
    let pages: Vec<_> = found.iter().filter(|path| !path.ends_with(SUMMARY)).map(Page::read).collect();
    assert!(pages.len() > 15, "{found:?}");
    pages
}

/// All that people read.
fn documents() -> Vec<Page> {
    let mut found: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "packaging/nats/README.md"]
            .map(PathBuf::from)
            .into();
    files(Path::new("docs"), "md", false, &mut found);
    found.iter().map(Page::read).chain(book()).collect()
}

/// Fails with everything that is wrong, not only the first.
fn nothing_is_wrong(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_page_is_in_the_summary_once_and_the_other_way_round() {
    let summary = Page::read(Path::new(BOOK).join(SUMMARY));
    let mut listed: Vec<_> = summary.links().iter().map(|link| beside(&summary.path, link)).collect();
    listed.sort();
    assert_eq!(listed, book().into_iter().map(|page| page.path).collect::<Vec<_>>());
}

#[test]
fn links_lead_somewhere() {
    let mut problems = Vec::new();
    for page in documents() {
        for link in page.links() {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.path.clone() } else { beside(&page.path, file) };
            let whence = page.path.display();
            // Pages that are made of the book have nothing else beside them.
            if page.path.starts_with(BOOK) && !target.starts_with(BOOK) {
                problems.push(format!("{whence}: {link} leads out of the book"));
            } else if !workspace().join(&target).is_file() {
                problems.push(format!("{whence}: {link}: there is no {}", target.display()));
            } else if !anchor.is_empty() && !Page::read(&target).anchors().contains(anchor) {
                problems.push(format!("{whence}: {link}: {} has no such heading", target.display()));
            }
        }
    }
    nothing_is_wrong(&problems);
}

#[test]
fn metrics_that_are_named_exist() {
    let mut sources = Vec::new();
    files(Path::new("tracker-user/src"), "rs", true, &mut sources);
    let code: Vec<_> = sources.iter().map(|path| Page::read(path).text).collect();
    let literals: BTreeSet<&str> = code.iter().flat_map(|text| text.split('"')).collect();
    let exists = |name: &str| {
        let series = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let is_group = name.ends_with('_') && literals.iter().any(|it| it.starts_with(name));
        is_group || literals.contains(name) || series.is_some_and(|name| literals.contains(name))
    };
    assert!(exists("riptide_udp_dropped_total") && !exists("riptide_none_total"), "the search itself works");
    let mut problems = Vec::new();
    for page in documents() {
        let words = page.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        // Packages are called with their version behind the same beginning.
        let is_metric = |word: &str| {
            word.strip_prefix("riptide_")
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_uppercase()))
        };
        for name in words.filter(|word| is_metric(word) && !exists(word)) {
            problems.push(format!("{}: there is no metric {name}", page.path.display()));
        }
    }
    nothing_is_wrong(&problems);
}

#[test]
fn keys_that_are_named_exist() {
    let keys = configuration::Keys::read();
    let mut problems = Vec::new();
    for page in documents().into_iter().filter(|page| !page.path.ends_with("CHANGELOG.md")) {
        for name in configuration::named(&page, BOOK) {
            if keys.lack(&name) {
                problems.push(format!("{}: there is no key {name}", page.path.display()));
            }
        }
    }
    nothing_is_wrong(&problems);
}

#[test]
fn pieces_of_configuration_are_right() {
    let mut checked = 0;
    for page in documents() {
        for block in page.blocks().iter().filter(|block| block.language == "toml" && !block.is("theirs")) {
            configuration::check(&page, block);
            checked += 1;
        }
    }
    assert!(checked > 8, "{checked} pieces were found");
}

#[test]
fn command_lines_are_understood() {
    let is_shell = |language: &str| ["sh", "console"].contains(&language);
    // The commands, whether each is whole, and a page that has it.
    let mut found = BTreeMap::new();
    for page in documents() {
        let blocks = page.blocks().into_iter().filter(|block| is_shell(&block.language));
        let whole = blocks.flat_map(|block| commands::of_block(&block)).map(|line| (line, true));
        for (line, is_whole) in page.quoted().into_iter().map(|line| (line, false)).chain(whole) {
            for command in commands::of_line(&line) {
                found.insert((command, is_whole), page.path.clone());
            }
        }
    }
    assert!(found.len() > 25, "{found:?}");
    let problem = |((command, is_whole), page): (&(String, bool), &PathBuf)| {
        let why = commands::problem(command, *is_whole)?;
        Some(format!("{}: {command}: {why}", page.display()))
    };
    nothing_is_wrong(&found.iter().filter_map(problem).collect::<Vec<_>>());
}

#[test]
fn blocks_that_are_marked_run() {
    let mut ran = 0;
    for page in book() {
        let blocks: Vec<_> = page.blocks().into_iter().filter(|block| block.is("run")).collect();
        if !blocks.is_empty() {
            let tracker = runs::Tracker::start();
            blocks.iter().for_each(|block| tracker.run(&page, block));
            tracker.stop();
            ran += blocks.len();
        }
    }
    assert!(ran > 4, "{ran} blocks were found");
}
