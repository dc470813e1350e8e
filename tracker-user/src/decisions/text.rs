//! Verdicts as text: a line for each, between a first one with the version and a last one with their number, so that a text
//! that was cut is known for one.
//!
//! ```text
//! riptide decisions 2
//! deny 0123456789abcdef0123456789abcdef01234567 holds 1790000000000 node-a
//! ban 192.0.2.0/24 taken-back 1790000000001 node-b
//! end 2
//! ```
//!
//! Blank lines and what follows a `#` are skipped. Version 1 had no more than kind and entry in a line, and holds.

use super::{
    entry::{Entry, Kind},
    verdict::{HOLDS, Line, MAX_WHEN, Stamp, TAKEN_BACK, Verdict},
};
use crate::node_name::NodeName;
use std::{
    fmt,
    io::{self, BufRead, Write},
};
use tracker_core::lines::{self, ListError};

/// The first line.
const HEAD: &str = "riptide decisions 2";
/// That of version 1.
const HEAD_1: &str = "riptide decisions 1";
/// What the last line begins with; their number follows.
const END: &str = "end";
/// The most bytes of a first and a last line with their ends.
pub const MAX_AROUND: usize = HEAD.len() + 1 + END.len() + 1 + 20 + 1;

/// Why a text tells no verdicts.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A line is not as it should be. No key is shown.
    #[error(transparent)]
    Line(#[from] ListError),
    /// Its last line is missing.
    #[error("its end is missing")]
    Cut,
}

/// Reads a whole text, and has `take` look at each verdict. What version 1 tells was decided by `earlier`; without, that one is
/// refused.
///
/// # Errors
/// At the first line that is not as it should be, and if the last one is missing. What came before may have been taken.
pub fn read(
    text: impl BufRead,
    earlier: Option<&NodeName>,
    mut take: impl FnMut(Verdict),
) -> Result<(), Fault> {
    let mut version = None;
    let (mut is_ended, mut count) = (false, 0_usize);
    // A line may hold a key, which no error shows.
    lines::read_secrets(text, usize::MAX, |_, line| {
        let line = str::from_utf8(line).map_err(|_| "expected text".to_owned())?;
        let Some(earlier) = version else {
            version = match line {
                HEAD => Some(None),
                HEAD_1 if earlier.is_some() => Some(earlier),
                _ => return Err(format!("expected \"{HEAD}\"")),
            };
            return Ok(());
        };
        if is_ended {
            return Err("expected nothing more".to_owned());
        }
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        if name == END {
            is_ended = true;
            return if rest == count.to_string() {
                Ok(())
            } else {
                Err(format!("expected \"{END} {count}\""))
            };
        }
        let kind = Kind::ALL.into_iter().find(|kind| kind.label() == name);
        let kind = kind.ok_or_else(|| format!("expected one of {}", Names(&Kind::ALL)))?;
        take(match earlier {
            Some(earlier) => {
                let stamp = Stamp { when: 0, node: earlier.clone(), taken_back: false };
                Verdict { entry: entry(kind, rest)?, stamp }
            }
            None => verdict(kind, rest)?,
        });
        count += 1;
        Ok(())
    })?;
    if is_ended { Ok(()) } else { Err(Fault::Cut) }
}

fn entry(kind: Kind, text: &str) -> Result<Entry, String> {
    Entry::parse(kind, text).map(|(entry, _)| entry).map_err(|why| why.to_string())
}

/// Reads a line behind its first word.
fn verdict(kind: Kind, text: &str) -> Result<Verdict, String> {
    let mut words = text.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let entry = entry(kind, word())?;
    let taken_back = match word() {
        HOLDS => false,
        TAKEN_BACK => true,
        _ => return Err(format!("expected \"{HOLDS}\" or \"{TAKEN_BACK}\" behind the entry")),
    };
    let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let when = Some(word()).filter(is_number).and_then(|text| text.parse().ok());
    let when = when.filter(|when| *when <= MAX_WHEN);
    let when = when.ok_or_else(|| format!("expected milliseconds since 1970, at most {MAX_WHEN}"))?;
    let node = NodeName::parse(word()).ok_or("expected the name of a node at its end")?;
    match words.next() {
        None => Ok(Verdict { entry, stamp: Stamp { when, node, taken_back } }),
        Some(_) => Err("expected nothing behind the name of a node".to_owned()),
    }
}

/// Writes the first line.
///
/// # Errors
/// If `text` cannot be written.
pub fn write_head(text: &mut impl Write) -> io::Result<()> {
    writeln!(text, "{HEAD}")
}

/// Writes the line of a verdict.
///
/// # Errors
/// If `text` cannot be written.
pub fn write_line(text: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    writeln!(text, "{}", Line(&verdict.entry, &verdict.stamp))
}

/// Writes the last line, behind so many verdicts.
///
/// # Errors
/// If `text` cannot be written.
pub fn write_end(text: &mut impl Write, count: usize) -> io::Result<()> {
    writeln!(text, "{END} {count}")
}

struct Names<'a>(&'a [Kind]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|kind| kind.label()).collect();
        f.write_str(&names.join(", "))
    }
}
