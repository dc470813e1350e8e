//! What the documents say of the code is true.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::Path};
use tests::net::workspace;

fn read(path: impl AsRef<Path>) -> String {
    let path = workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What a text has between backquotes on one line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The section of a document under this heading.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text.split_once(heading).unwrap_or_else(|| panic!("no {heading:?}"));
    rest.split("\n#").next().unwrap_or_default()
}

/// The Rust sources below a folder of the workspace, as paths from its root.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && name != "node_modules" && !name.starts_with('.') {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") {
            let below = path.strip_prefix(workspace()).expect("a path of the workspace");
            found.push(below.display().to_string());
        }
    }
}

/// Whether a source has unsafe code, and not only the word.
fn is_unsafe(source: &str) -> bool {
    source.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).any(|line| {
        line.match_indices("unsafe").any(|(at, word)| {
            let (before, behind) = (&line[..at], line[at + word.len()..].trim_start());
            !before.ends_with(|c: char| c == '_' || c.is_alphanumeric())
                && ["{", "(", "fn ", "impl ", "extern ", "trait "].iter().any(|it| behind.starts_with(it))
        })
    })
}

#[test]
fn unsafe_code_is_where_contributing_says() {
    let text = read("CONTRIBUTING.md");
    let told: BTreeSet<String> = quoted(section(&text, "\n## Who may use `unsafe`\n"))
        .filter(|it| it.ends_with(".rs"))
        .map(str::to_owned)
        .collect();
    let mut all = Vec::new();
    sources(&workspace(), &mut all);
    let found: BTreeSet<String> = all.into_iter().filter(|path| is_unsafe(&read(path))).collect();
    assert!(found.len() > 5, "the search itself finds {found:?}");
    assert_eq!(found, told, "what is found, and what CONTRIBUTING.md says");
}

#[test]
fn unsafe_code_is_told_from_the_word() {
    for (source, expected) in [
        ("    ? { x() }", true),
        ("? fn x() {}", true),
        ("? impl Send for X {}", true),
        ("#[?(no_mangle)]", true),
        ("#![forbid(?_code)]", false),
        ("is_?(source)", false),
        ("// ? { x() }", false),
        ("/// ? fn", false),
        ("let text = \"? to do\";", false),
    ] {
        // Not written out, or this file would be found, too.
        assert_eq!(is_unsafe(&source.replace('?', "unsafe")), expected, "{source}");
    }
}

/// Every path that begins with a folder of the workspace.
#[test]
fn every_path_that_the_documents_name_is_there() {
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"] {
        let text = read(document);
        let paths: Vec<&str> = quoted(&text)
            .filter(|it| {
                it.split_once('/')
                    .is_some_and(|(first, _)| !first.is_empty() && workspace().join(first).is_dir())
            })
            .filter(|it| !it.starts_with("target/") && !it.contains(['*', ' ', '{']))
            .collect();
        for path in &paths {
            assert!(workspace().join(path).exists(), "{document} names {path}, which is not there");
        }
        assert!(document != "ARCHITECTURE.md" || paths.len() > 12, "{paths:?}");
    }
}
