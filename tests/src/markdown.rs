//! Markdown as far as tests of documents need it: blocks of code, what is quoted, links, and headings that links lead to.

use crate::net::workspace;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A document of the workspace.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it is, from the workspace's root.
    pub path: PathBuf,
    /// Its text, with the files that it includes.
    pub text: String,
}

/// A block of code between fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of the page that it begins at, from 1.
    pub line: usize,
    /// What it is written in, such as `sh`; empty, where nothing says.
    pub language: String,
    /// What else stands behind the fence, divided by commas.
    pub marks: Vec<String>,
    /// What is between the fences.
    pub text: String,
}

impl Block {
    /// Whether it has this mark.
    #[must_use]
    pub fn is(&self, mark: &str) -> bool {
        self.marks.iter().any(|it| it == mark)
    }
}

impl Page {
    /// Reads one, and what it includes as `{{#include FILE}}`.
    #[must_use]
    pub fn read(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_owned();
        let mut text = String::new();
        for line in read(&path).lines() {
            let file = line.strip_prefix("{{#include ").and_then(|rest| rest.strip_suffix("}}"));
            text += &file.map_or_else(|| line.to_owned(), |file| read(&beside(&path, file)));
            text.push('\n');
        }
        Self { path, text }
    }

    /// Every block of code, in order.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (number, line) in self.text.lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            match (&mut open, fence) {
                (None, Some(info)) => {
                    let mut words = info.split(',').map(|word| word.trim().to_owned());
                    let language = words.next().unwrap_or_default();
                    let (marks, text) = (words.collect(), String::new());
                    open = Some(Block { line: number + 1, language, marks, text });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => {
                    block.text += line;
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block of code has no end: {open:?}", self.path.display());
        blocks
    }

    /// The lines that are in no block of code, without HTML comments.
    #[must_use]
    pub fn prose(&self) -> String {
        let (mut prose, mut is_code) = (String::new(), false);
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            } else if !is_code {
                prose += line;
            }
            prose.push('\n');
        }
        while let Some((before, rest)) = prose.split_once("<!--") {
            let (_, after) =
                rest.split_once("-->").unwrap_or_else(|| panic!("{}: <!--", self.path.display()));
            prose = format!("{before}{after}");
        }
        prose
    }

    /// What stands between backquotes, in order.
    #[must_use]
    pub fn quoted(&self) -> Vec<String> {
        self.prose().lines().flat_map(quoted).collect()
    }

    /// What its links and pictures lead to, those to other hosts among them.
    #[must_use]
    pub fn links(&self) -> Vec<String> {
        // Quoted text is no link.
        let prose: Vec<_> = self.prose().lines().map(|line| outside(line).collect::<String>()).collect();
        let prose = prose.join("\n");
        let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let html = ["src=\"", "srcset=\"", "href=\""];
        let html =
            html.iter().flat_map(|key| prose.split(key).skip(1).filter_map(|rest| rest.split('"').next()));
        inline.chain(html).map(str::to_owned).collect()
    }

    /// The names that its headings can be linked by.
    #[must_use]
    pub fn anchors(&self) -> BTreeSet<String> {
        let mut anchors = BTreeSet::new();
        for line in self.prose().lines() {
            let heading = line.trim_start_matches('#');
            if heading.len() == line.len() || !heading.starts_with(' ') {
                continue;
            }
            let name = anchor(heading.trim());
            let further = (1..).map(|n| format!("{name}-{n}"));
            let free = std::iter::once(name.clone()).chain(further).find(|it| !anchors.contains(it));
            anchors.extend(free);
        }
        anchors
    }
}

/// The file that a page at `page` means by a relative path, from the workspace's root.
#[must_use]
pub fn beside(page: &Path, relative: &str) -> PathBuf {
    let mut path = page.parent().unwrap_or(Path::new("")).to_owned();
    for part in relative.split('/') {
        match part {
            ".." => assert!(path.pop(), "{}: {relative} leaves the workspace", page.display()),
            "." | "" => {}
            part => path.push(part),
        }
    }
    path
}

fn read(path: &Path) -> String {
    let path = workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What a line has between backquotes.
fn quoted(line: &str) -> Vec<String> {
    line.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What it has outside of them.
fn outside(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').step_by(2)
}

/// A heading as it is linked to: in lower case, with dashes for spaces, and of all else letters, digits, `-` and `_` only.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page { path: "docs/book/src/a.md".into(), text: text.to_owned() }
    }

    #[test]
    fn blocks_have_a_language_and_marks() {
        let found = page("a\n```sh,run\nx\ny\n```\n```\nz\n```\n").blocks();
        let block = |line, language: &str, marks: &[&str], text: &str| Block {
            line,
            language: language.to_owned(),
            marks: marks.iter().map(|&it| it.to_owned()).collect(),
            text: text.to_owned(),
        };
        assert_eq!(found, [block(2, "sh", &["run"], "x\ny\n"), block(6, "", &[], "z\n")]);
        assert!(found[0].is("run") && !found[1].is("run"));
    }

    #[test]
    fn links_are_found_outside_of_code() {
        let text =
            "[a\nb](c.md#d) ![e](f.png) `[g](h)` <!-- [i](j) -->\n```\n[k](l)\n```\n<img src=\"m.png\">\n";
        assert_eq!(page(text).links(), ["c.md#d", "f.png", "m.png"]);
        assert_eq!(page(text).quoted(), ["[g](h)"]);
    }

    #[test]
    fn headings_are_linked_as_the_web_shows_them() {
        let text = "# A `b.c_d` title, of-course\n## Same\n### Same\n#no\n```sh\n# comment\n```\n";
        assert_eq!(
            page(text).anchors().into_iter().collect::<Vec<_>>(),
            ["a-bc_d-title-of-course", "same", "same-1"]
        );
    }

    #[test]
    fn relative_paths_are_the_pages() {
        let page = Path::new("docs/book/src/moving/a.md");
        assert_eq!(beside(page, "../b.md"), Path::new("docs/book/src/b.md"));
        assert_eq!(beside(page, "./b.md"), Path::new("docs/book/src/moving/b.md"));
    }
}
