//! What a conversion has gathered, and the `riptide.toml` it becomes.

use super::error::FromError;
use crate::config::{Config, ConfigErrors, keys, read_text};
use std::{
    fmt::{self, Write},
    path::Path,
};

/// The longest line of a comment, in characters.
const WIDTH: usize = 118;

/// So much of what was not understood is shown, in characters.
const SHOWN: usize = 80;

/// So many settings that were not understood are named one by one.
const NAMED: usize = 100;

/// What a file has become.
#[derive(Debug)]
pub struct Converted {
    /// A configuration of Riptide that [`Config::check_file`] takes.
    pub toml: String,
    /// What whoever uses it has to look at.
    pub warnings: Vec<String>,
    /// One line: how many settings there were, and what became of them.
    pub summary: String,
}

/// A value of a key.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    List(Vec<String>),
    Number(u64),
    Switch(bool),
}

impl fmt::Display for Value {
    /// As TOML has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => quoted(f, text),
            Self::List(texts) => {
                f.write_char('[')?;
                for (i, text) in texts.iter().enumerate() {
                    f.write_str(if i > 0 { ", " } else { "" })?;
                    quoted(f, text)?;
                }
                f.write_char(']')
            }
            Self::Number(number) => write!(f, "{number}"),
            Self::Switch(on) => write!(f, "{on}"),
        }
    }
}

/// Writes a basic string of TOML.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c.is_ascii_control() => write!(f, "\\u{:04X}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// A key that is set.
#[derive(Debug)]
pub(super) struct Entry {
    table: &'static str,
    key: &'static str,
    value: Value,
    /// What it comes from.
    source: String,
    notes: Vec<String>,
    /// Those of the notes that ask somebody to look.
    cautions: Vec<String>,
}

impl Entry {
    /// Says more of it, in its comment.
    pub(super) fn note(&mut self, text: impl Into<String>) -> &mut Self {
        self.notes.push(text.into());
        self
    }

    /// Says in its comment and on standard error what to look at.
    pub(super) fn caution(&mut self, text: impl Into<String>) -> &mut Self {
        let text = text.into();
        self.cautions.push(text.clone());
        self.note(text)
    }

    fn comment(&self) -> String {
        match self.notes.is_empty() {
            true => self.source.clone(),
            false => format!("{}: {}", self.source, self.notes.join(". ")),
        }
    }
}

/// Something in the file that was not understood.
#[derive(Debug)]
struct Misread {
    line: usize,
    reason: String,
}

/// What a conversion has gathered.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// How many settings the file has.
    settings: usize,
    entries: Vec<Entry>,
    without: Vec<(String, String)>,
    misread: Vec<Misread>,
    /// How many more were not understood.
    further: usize,
    differences: Vec<String>,
}

impl Sheet {
    /// There is one more setting in the file.
    pub(super) fn count(&mut self) {
        self.settings += 1;
    }

    /// Sets a key that comes from this setting.
    pub(super) fn set(
        &mut self,
        table: &'static str,
        key: &'static str,
        value: Value,
        source: impl Into<String>,
    ) -> &mut Entry {
        let (source, notes, cautions) = (source.into(), Vec::new(), Vec::new());
        let at = self.entries.len();
        self.entries.push(Entry { table, key, value, source, notes, cautions });
        &mut self.entries[at]
    }

    /// This setting has no counterpart, and why.
    pub(super) fn leave_out(&mut self, setting: impl Into<String>, why: impl Into<String>) {
        self.without.push((setting.into(), why.into()));
    }

    /// The setting in this line, counted from 1, was not understood.
    pub(super) fn misread(&mut self, line: usize, reason: impl FnOnce() -> String) {
        if self.misread.len() < NAMED {
            self.misread.push(Misread { line, reason: reason() });
        } else {
            self.further += 1;
        }
    }

    /// Riptide does something else that no setting is about.
    pub(super) fn difference(&mut self, what: impl Into<String>) {
        self.differences.push(what.into());
    }

    /// Writes the file, without the keys that say what is the default.
    ///
    /// # Errors
    /// If the result is no configuration that Riptide takes.
    pub(super) fn finish(mut self, program: &str, path: &Path) -> Result<Converted, FromError> {
        let read = |text: &str| {
            let whole = read_text(Path::new("the result"), text).whole();
            whole.map_err(|errors| refused(path, errors))
        };
        let (config, odd) = read(&self.tables())?;
        let (defaults, _) = read("")?;
        let changed = Config::changed_keys(&defaults, &config);
        self.entries.retain(|entry| changed.iter().any(|c| (c.table, c.key) == (entry.table, entry.key)));

        self.misread.sort_by_key(|it| it.line);
        let mut warnings: Vec<String> =
            self.misread.iter().map(|it| format!("{}:{}: {}", path.display(), it.line, it.reason)).collect();
        warnings.extend(self.further().map(|further| format!("{}: {further}", path.display())));
        for Entry { table, key, value, cautions, .. } in &self.entries {
            warnings.extend(cautions.iter().map(|text| format!("{table}.{key} = {value}: {text}")));
        }
        warnings.extend(odd.iter().map(ToString::to_string));
        Ok(Converted { toml: self.text(program, path), warnings, summary: self.summary(path) })
    }

    fn further(&self) -> Option<String> {
        (self.further > 0).then(|| format!("{} further settings were not understood", self.further))
    }

    fn summary(&self, path: &Path) -> String {
        let (without, misread) = (self.without.len(), self.misread.len() + self.further);
        let taken = self.settings.saturating_sub(without + misread);
        let settings =
            if self.settings == 1 { "1 setting".to_owned() } else { format!("{} settings", self.settings) };
        format!(
            "{}: {settings}: {taken} taken over, {without} without a counterpart, {misread} not understood",
            path.display()
        )
    }

    fn text(&self, program: &str, path: &Path) -> String {
        // A line of its own, whatever the length of the path.
        let told = format!("# Riptide configuration that does what {} told {program}.", path.display());
        let mut text = without_controls(&told) + "\n";
        let rest = "Only what differs from the defaults is here: `riptide config default` prints every key.";
        comment(&mut text, "# ", rest);
        text += &self.tables();
        let mut reasons: Vec<&str> = Vec::new();
        for (_, reason) in &self.without {
            if !reasons.contains(&reason.as_str()) {
                reasons.push(reason);
            }
        }
        let without = reasons.iter().map(|reason| {
            let mut settings: Vec<&str> = Vec::new();
            for (setting, _) in self.without.iter().filter(|(_, why)| why == reason) {
                if !settings.contains(&setting.as_str()) {
                    settings.push(setting);
                }
            }
            format!("{}: {reason}", settings.join(", "))
        });
        section(&mut text, "Without a counterpart:", without);
        let misread = self.misread.iter().map(|it| format!("line {}: {}", it.line, it.reason));
        section(&mut text, "Not understood, and left out:", misread.chain(self.further()));
        section(
            &mut text,
            &format!("Where Riptide differs from {program}:"),
            self.differences.iter().cloned(),
        );
        text
    }

    /// The keys in the order of the reference.
    fn tables(&self) -> String {
        let mut text = String::new();
        for table in keys::tables() {
            let of_table: Vec<&Entry> =
                self.entries.iter().filter(|entry| entry.table == table.name).collect();
            if of_table.is_empty() {
                continue;
            }
            let _ = write!(text, "\n[{}]\n", table.name);
            for key in table.keys {
                for entry in of_table.iter().filter(|entry| entry.key == key.name) {
                    comment(&mut text, "# ", &entry.comment());
                    let _ = writeln!(text, "{} = {}", entry.key, entry.value);
                }
            }
        }
        text
    }
}

/// What is shown of a text that was not understood.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}

fn refused(path: &Path, errors: ConfigErrors) -> FromError {
    FromError::Refused { path: path.to_owned(), errors }
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        text.push('\n');
        comment(text, "# ", title);
        lines.for_each(|line| comment(text, "# - ", &line));
    }
}

/// As a comment of TOML may have it.
fn without_controls(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// Adds a comment, in lines of bounded width where its words permit.
fn comment(text: &mut String, start: &str, words: &str) {
    let words = without_controls(words);
    let mut line = start.to_owned();
    let mut is_fresh = true;
    for word in words.split(' ') {
        if !is_fresh && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = "#   ".to_owned();
            is_fresh = true;
        }
        if !is_fresh {
            line.push(' ');
        }
        line.push_str(word);
        is_fresh = false;
    }
    text.push_str(&line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raw::Raw;

    fn finished(sheet: Sheet) -> Converted {
        sheet.finish("another", Path::new("a\nb.conf")).unwrap()
    }

    #[test]
    fn values_are_read_as_they_were() {
        for text in ["plain", "", "a\"b\\c", "tab\tand\nline\u{7f}\u{1b}", "ünïcödé"] {
            let literal = Value::Text(text.to_owned()).to_string();
            assert_eq!(Raw::from_literal(&literal), Ok(Raw::Text(text.to_owned())), "{literal}");
            let list = Value::List(vec![text.to_owned(), "b".to_owned()]).to_string();
            let read = Raw::List(vec![Raw::Text(text.to_owned()), Raw::Text("b".to_owned())]);
            assert_eq!(Raw::from_literal(&list), Ok(read), "{list}");
        }
        assert_eq!(Value::List(Vec::new()).to_string(), "[]");
        assert_eq!(Value::Number(7).to_string(), "7");
        assert_eq!(Value::Switch(true).to_string(), "true");
    }

    #[test]
    fn nothing_from_outside_ends_a_comment() {
        let mut sheet = Sheet::default();
        sheet.set("http", "stats", Value::Switch(false), "a\nb").note("c\r\u{1b}d");
        sheet.leave_out("e\nf", "g\nh");
        sheet.misread(3, || shown("i\nj"));
        sheet.difference("k\nl");
        let toml = finished(sheet).toml;
        let others: Vec<&str> =
            toml.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert_eq!(others, ["[http]", "stats = false"]);
        assert!(read_text(Path::new("a"), &toml).whole().is_ok(), "{toml}");
    }

    #[test]
    fn what_is_the_default_is_left_out() {
        let mut sheet = Sheet::default();
        sheet.set("udp", "listen", Value::List(vec!["0.0.0.0:6969".into(), "[::]:6969".into()]), "a");
        sheet.set("swarm", "interval", Value::Text("1800s".into()), "b");
        sheet.set("http", "stats", Value::Switch(true), "c").caution("never said");
        let converted = finished(sheet);
        assert!(converted.toml.lines().all(|line| line.starts_with('#')), "{}", converted.toml);
        assert_eq!(converted.warnings, [""; 0]);
    }

    #[test]
    fn what_riptide_refuses_is_an_error() {
        let mut sheet = Sheet::default();
        sheet.set("swarm", "interval", Value::Text("5h".into()), "a");
        let error = sheet.finish("another", Path::new("a.conf")).unwrap_err().to_string();
        assert!(error.starts_with("a.conf: Riptide cannot be configured like this: "), "{error}");
        assert!(error.contains("swarm.interval"), "{error}");
    }

    #[test]
    fn long_comments_are_wrapped() {
        let mut text = String::new();
        comment(&mut text, "# - ", &"word ".repeat(60));
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("#   word")), "{text}");
        let mut text = String::new();
        comment(&mut text, "# ", &"x".repeat(500));
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn no_more_than_some_are_named() {
        let mut sheet = Sheet::default();
        (1..=NAMED + 7).for_each(|line| sheet.misread(line, || "wrong".to_owned()));
        let converted = finished(sheet);
        assert_eq!(converted.warnings.len(), NAMED + 1);
        assert!(converted.warnings[NAMED].ends_with(": 7 further settings were not understood"));
        assert!(converted.toml.contains("# - 7 further settings were not understood"), "{}", converted.toml);
        assert!(
            converted.summary.ends_with(&format!("{} not understood", NAMED + 7)),
            "{}",
            converted.summary
        );
    }

    #[test]
    fn little_is_shown_of_what_is_not_understood() {
        assert_eq!(shown("abc"), "`abc`");
        assert_eq!(shown(&"é".repeat(SHOWN + 1)), format!("`{}…`", "é".repeat(SHOWN)));
    }
}
