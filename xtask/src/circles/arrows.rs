//! What the files of a crate use of each other.

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};

/// A path: the names that lead to a module or what is in one.
pub(super) type Names = Vec<String>;
/// From one file (or folder) to another.
pub(super) type Arrow = (String, String);

/// A file: the modules that lead to it, and its text.
pub(super) struct Source {
    pub(super) module: Names,
    pub(super) text: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    /// `::`
    Colons,
    Sign(char),
}

/// The names and signs of a text in a row, brackets among them.
fn tokens(text: &str) -> Result<Vec<Token>> {
    fn add(stream: TokenStream, found: &mut Vec<Token>) {
        let mut joint = false;
        for tree in stream {
            let was_joint = std::mem::take(&mut joint);
            match tree {
                TokenTree::Ident(name) => found.push(Token::Name(name.to_string())),
                TokenTree::Punct(sign) if was_joint && sign.as_char() == ':' => {
                    found.pop();
                    found.push(Token::Colons);
                }
                TokenTree::Punct(sign) => {
                    joint = sign.as_char() == ':' && sign.spacing() == Spacing::Joint;
                    found.push(Token::Sign(sign.as_char()));
                }
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ('(', ')'),
                        Delimiter::Brace => ('{', '}'),
                        Delimiter::Bracket | Delimiter::None => ('[', ']'),
                    };
                    found.push(Token::Sign(open));
                    add(group.stream(), found);
                    found.push(Token::Sign(close));
                }
                TokenTree::Literal(_) => found.push(Token::Sign('"')),
            }
        }
    }
    let mut found = Vec::new();
    add(text.parse().map_err(|error| anyhow!("not Rust: {error}"))?, &mut found);
    Ok(found)
}

/// What a file says of others.
#[derive(Default)]
struct Mentions {
    /// What its `use` items name, by the name that it has from then on, and whether that is a re-export.
    imports: Vec<(Names, String, bool)>,
    /// Paths written out.
    paths: Vec<Names>,
    /// Modules for tests alone.
    tests: Vec<String>,
}

fn mentions(text: &str) -> Result<Mentions> {
    let tokens = tokens(text)?;
    let test_only = self::tokens("#[cfg(test)]")?;
    let mut found = Mentions::default();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        match token {
            Token::Sign('#') if tokens[at..].starts_with(&test_only) => {
                let item = &tokens[at + test_only.len()..];
                if let [Token::Name(keyword), Token::Name(name), ..] = item
                    && keyword == "mod"
                {
                    found.tests.push(name.clone());
                }
                at += test_only.len() + item_len(item);
            }
            Token::Name(name) if name == "use" => {
                let public = matches!(before, Some(Token::Name(_) | Token::Sign(')')));
                let mut leaves = Vec::new();
                at += 1;
                tree(&tokens, &mut at, &Vec::new(), &mut leaves);
                found.imports.extend(leaves.into_iter().map(|(path, name)| (path, name, public)));
            }
            Token::Name(name)
                if tokens.get(at + 1) == Some(&Token::Colons) && before != Some(&Token::Colons) =>
            {
                let mut path = vec![name.clone()];
                while let [Token::Colons, Token::Name(next), ..] = &tokens[at + 1..] {
                    path.push(next.clone());
                    at += 2;
                }
                found.paths.push(path);
                at += 1;
            }
            _ => at += 1,
        }
    }
    Ok(found)
}

/// How many tokens the item takes that begins here.
fn item_len(tokens: &[Token]) -> usize {
    let mut depth = 0_u32;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('{' | '(' | '[') => depth += 1,
            Token::Sign('}') if depth <= 1 => return at + 1,
            Token::Sign('}' | ')' | ']') => depth = depth.saturating_sub(1),
            Token::Sign(';') if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Reads a `use` tree: each path in it, and the name that its end gets.
fn tree(tokens: &[Token], at: &mut usize, prefix: &Names, leaves: &mut Vec<(Names, String)>) {
    let mut path = prefix.clone();
    while let Some(token) = tokens.get(*at) {
        match token {
            Token::Name(word) if word == "as" => {
                if let Some(Token::Name(name)) = tokens.get(*at + 1) {
                    leaves.push((path, name.clone()));
                }
                *at += 2;
                return;
            }
            Token::Name(name) if name == "self" && !path.is_empty() => {}
            Token::Name(name) => path.push(name.clone()),
            Token::Colons => {}
            Token::Sign('{') => {
                *at += 1;
                while !matches!(tokens.get(*at), None | Some(Token::Sign('}'))) {
                    tree(tokens, at, &path, leaves);
                    *at += usize::from(tokens.get(*at) == Some(&Token::Sign(',')));
                }
                *at += 1;
                return;
            }
            Token::Sign('*') => path.push("*".to_owned()),
            Token::Sign(_) => break,
        }
        *at += 1;
    }
    if let Some(name) = path.last().cloned() {
        leaves.push((path, name));
    }
}

/// The files of a crate, and what each has imported.
struct Crate {
    /// As paths call it.
    name: String,
    files: BTreeSet<Names>,
    imports: BTreeMap<(Names, String), Names>,
}

impl Crate {
    /// The file where what `path` names in `module` is from, if that is in this crate.
    fn resolve(&self, module: &Names, path: &[String], hops: u32) -> Option<Names> {
        let (head, rest) = path.split_first()?;
        let child = [module.as_slice(), std::slice::from_ref(head)].concat();
        let mut at = match head.as_str() {
            "crate" => Names::new(),
            name if name == self.name => Names::new(),
            "self" => module.clone(),
            "super" => module.split_last()?.1.to_vec(),
            _ if self.files.contains(&child) => child,
            _ => return None,
        };
        for (index, name) in rest.iter().enumerate() {
            if name == "super" {
                at.pop();
                continue;
            }
            let next = [at.as_slice(), std::slice::from_ref(name)].concat();
            if !self.files.contains(&next) {
                let origin =
                    self.imports.get(&(at.clone(), name.clone())).filter(|_| hops > 0).and_then(|import| {
                        self.resolve(&at, &[import, &rest[index + 1..]].concat(), hops - 1)
                    });
                return Some(origin.unwrap_or(at));
            }
            at = next;
        }
        Some(at)
    }
}

/// Who in the crate of this name uses whom, by paths from the crate's name on.
pub(super) fn arrows_of(name: &str, sources: &[Source]) -> Result<BTreeSet<Arrow>> {
    let read = |source: &'_ Source| {
        let said = mentions(&source.text).with_context(|| format!("{name}: {}", source.module.join("::")))?;
        Ok((source.module.clone(), said))
    };
    let all: Vec<(Names, Mentions)> = sources.iter().map(read).collect::<Result<_>>()?;
    let below = |module: &Names, child: &str| [module.as_slice(), &[child.to_owned()]].concat();
    let tests: Vec<Names> =
        all.iter().flat_map(|(module, said)| said.tests.iter().map(|child| below(module, child))).collect();
    let is_test = |module: &Names| tests.iter().any(|test| module.starts_with(test));
    let mut krate = Crate { name: name.replace('-', "_"), files: BTreeSet::new(), imports: BTreeMap::new() };
    for (module, said) in &all {
        krate.files.insert(module.clone());
        for (path, name, _) in &said.imports {
            krate.imports.insert((module.clone(), name.clone()), path.clone());
        }
    }
    let node = |module: &Names| [&[name.to_owned()], module.as_slice()].concat().join("/");
    let mut arrows = BTreeSet::new();
    for (module, said) in all.iter().filter(|(module, _)| !is_test(module)) {
        let imports = said.imports.iter().filter(|(_, _, public)| !public).map(|(path, ..)| path);
        for path in imports.chain(&said.paths) {
            if let Some(target) = krate.resolve(module, path, 8)
                && !module.starts_with(&target)
                && !is_test(&target)
            {
                arrows.insert((node(module), node(&target)));
            }
        }
    }
    Ok(arrows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arrows of a crate `c` of these files, as lines without the crate's name.
    fn arrows(files: &[(&str, &str)]) -> Vec<String> {
        let module =
            |path: &str| path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source { module: module(path), text: (*text).to_owned() })
            .collect();
        let found = arrows_of("c", &sources).unwrap();
        found.iter().map(|(from, to)| format!("{from} {to}").replace("c/", "")).collect()
    }

    #[test]
    fn arrows_are_uses_and_paths_written_out() {
        let files = [
            ("", "mod a; pub mod b; mod d; pub use a::A; fn f() { d::run() }"),
            ("a", "use crate::{b::{self, B as X}, d}; use std::fmt;"),
            ("b", "pub struct B; // crate::a\nconst T: &str = \"crate::a::A\"; /* crate::a */"),
            (
                "d",
                "fn f<'a>(x: &'a str) -> char { crate::b::g('\\''); tracing::info!(\"{}\", c::b::B); 'x' }",
            ),
        ];
        assert_eq!(arrows(&files), ["c d", "a b", "a d", "d b"]);
    }

    #[test]
    fn what_is_re_exported_comes_from_where_it_is() {
        let files = [
            ("", "mod e;"),
            ("e", "mod a; mod b; mod own; pub use a::A; pub use self::b::{B, Other}; pub struct Here;"),
            ("e/a", "use super::{B, Here}; fn f() { super::own::f() }"),
            ("e/b", "use super::A;"),
            ("e/own", "use crate::e::Other;"),
        ];
        assert_eq!(arrows(&files), ["e/a e/b", "e/a e/own", "e/b e/a", "e/own e/b"], "and e holds them all");
    }

    #[test]
    fn tests_are_not_looked_at() {
        let files = [
            ("", "mod a; mod b;"),
            ("a", "#[cfg(test)] mod tests; #[cfg(test)] fn f() { crate::b::f(); } use crate::b::B;"),
            ("a/tests", "use super::*; use crate::b::B;"),
            ("b", "#[cfg(test)] mod tests { use crate::a::A; fn f() { r#\"\"}\"#; } } struct B;"),
        ];
        assert_eq!(arrows(&files), ["a b"]);
    }
}
