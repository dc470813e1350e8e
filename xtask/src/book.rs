//! `cargo xtask book`: the handbook of `docs/book`, as pages in `target/book`.

use crate::{machine, pins, process, say};
use anyhow::{Context, Result, bail};
use std::{path::PathBuf, process::Stdio};

/// Its server and the watching of files, which nothing here needs, are most of its dependencies.
const FEATURES: &[&str] = &["--no-default-features", "--features", "search"];

/// Levels of lines in mdBook's log that stop the build: what it only warns of, such as a tag that is not closed, a reader
/// finds broken.
const BAD: [&str; 2] = ["WARN", "ERROR"];

/// Brings mdBook if it is missing, and writes the pages; returns where.
///
/// # Errors
/// mdBook cannot be had, fails, or warns of something.
pub(crate) fn run() -> Result<PathBuf> {
    let mdbook = pins::MDBOOK.ensure_with(FEATURES)?;
    let place = machine::workspace_root().join("target/book");
    let mut build = process::program(mdbook);
    build.args(["build", "docs/book", "--dest-dir"]).arg(&place);
    // Who asks for another level in their own log has not asked for silence here.
    build.env_remove("RUST_LOG").env_remove("MDBOOK_LOG");
    let line = process::describe(&build);
    let output = build
        .stdin(Stdio::null())
        .stdout(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("`{line}` failed ({}) and said:\n{said}", output.status);
    }
    let bad = complaints(&said);
    if !bad.is_empty() {
        bail!("the handbook has warnings:\n{}", bad.join("\n"));
    }
    say::step("the handbook is at target/book/index.html");
    Ok(place)
}

/// The lines of mdBook's log that say that something is wrong.
fn complaints(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.split_whitespace().any(|word| BAD.contains(&word))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_told_from_news() {
        let log = " INFO Book building has started\n INFO Running the html backend\n";
        assert!(complaints(log).is_empty());
        let warned = format!("{log} WARN unclosed HTML tag `<b>` found in `path.md`\nERROR no such file\n");
        assert_eq!(
            complaints(&warned),
            [" WARN unclosed HTML tag `<b>` found in `path.md`", "ERROR no such file"]
        );
    }
}
