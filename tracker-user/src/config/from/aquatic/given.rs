//! The values that a file of aquatic has, and those that hold without it.

use crate::config::{
    from::sheet::{Entry, Sheet, Value},
    layers::in_order,
    raw::Raw,
    units,
};
use std::{ops::RangeInclusive, path::Path, time::Duration};
use toml::de::{DeTable, DeValue};

/// A key of the file.
pub(super) struct Given {
    /// With its table, as `network.use_ipv4`.
    pub(super) name: String,
    pub(super) value: Raw,
    /// Counted from 1.
    pub(super) line: usize,
}

/// Reads a file's keys, in the order of its lines.
///
/// # Errors
/// If it is no TOML: the line, and what is wrong there.
pub(super) fn read(text: &str) -> Result<Vec<Given>, (usize, String)> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line = |offset: usize| 1 + ends.partition_point(|end| *end < offset);
    if let Some(error) = errors.first() {
        return Err((line(error.span().map_or(0, |span| span.start)), error.message().to_owned()));
    }
    let mut all = Vec::new();
    for (name, value) in in_order(document.get_ref()) {
        match value.get_ref() {
            DeValue::Table(keys) => {
                for (key, value) in in_order(keys) {
                    let name = format!("{}.{}", name.get_ref(), key.get_ref());
                    let value = Raw::from_toml(value.get_ref());
                    all.push(Given { name, value, line: line(key.span().start) });
                }
            }
            value => {
                let line = line(name.span().start);
                all.push(Given { name: name.get_ref().to_string(), value: Raw::from_toml(value), line });
            }
        }
    }
    Ok(all)
}

/// A value and where it comes from.
#[derive(Clone)]
pub(super) struct Found<T> {
    pub(super) value: T,
    /// The key, or whose default it is.
    pub(super) source: String,
}

/// The keys of a file, and the sheet that they are turned into.
pub(super) struct Keys<'a> {
    given: &'a [Given],
    /// Where the file is.
    pub(super) directory: &'a Path,
    pub(super) sheet: &'a mut Sheet,
    /// Those whose value is known to be wrong.
    wrong: Vec<&'static str>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(given: &'a [Given], directory: &'a Path, sheet: &'a mut Sheet) -> Self {
        Self { given, directory, sheet, wrong: Vec::new() }
    }

    /// Whether the file has a key.
    pub(super) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|it| it.name == name)
    }

    /// Those of these keys that the file has, or that it is the default of another.
    pub(super) fn source(&self, names: &[&str], default: &str) -> String {
        let given: Vec<&str> = names.iter().copied().filter(|name| self.has(name)).collect();
        if given.is_empty() { default_of(default) } else { given.join(", ") }
    }

    /// What the file has for a key, unless that is of another kind, which is noted.
    fn value<T>(
        &mut self,
        name: &'static str,
        needed: &str,
        read: impl FnOnce(&Raw) -> Option<T>,
    ) -> Option<T> {
        let given = self.given.iter().find(|it| it.name == name)?;
        let value = read(&given.value);
        if value.is_none() {
            self.wrong(name, &format!("found {}; {needed} is needed", given.value.describe()));
        }
        value
    }

    /// Notes, once, that the file's value of a key cannot be used.
    pub(super) fn wrong(&mut self, name: &'static str, problem: &str) {
        if let Some(given) = self.given.iter().find(|it| it.name == name)
            && !self.wrong.contains(&name)
        {
            self.wrong.push(name);
            self.sheet.misread(given.line, || format!("{name}: {problem}"));
        }
    }

    /// Notes that these keys change nothing, where the file has them.
    pub(super) fn idle(&mut self, names: &[&'static str], why: &str) {
        for name in names {
            if self.has(name) {
                self.sheet.leave_out(*name, format!("not in force: {why}"));
            }
        }
    }

    /// A switch of the file.
    pub(super) fn given_switch(&mut self, name: &'static str) -> Option<bool> {
        self.value(name, "true or false", |raw| match raw {
            Raw::Boolean(on) => Some(*on),
            _ => None,
        })
    }

    /// A switch, or its default.
    pub(super) fn switch(&mut self, name: &'static str, default: bool) -> bool {
        self.given_switch(name).unwrap_or(default)
    }

    /// A whole number of the file.
    pub(super) fn given_number(&mut self, name: &'static str) -> Option<u64> {
        self.value(name, "a whole number from 0 on", |raw| match raw {
            Raw::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        })
    }

    /// A whole number, or its default.
    pub(super) fn number(&mut self, name: &'static str, default: u64) -> Found<u64> {
        let value = self.given_number(name);
        self.found(name, value, default)
    }

    /// A string of the file.
    pub(super) fn given_text(&mut self, name: &'static str) -> Option<String> {
        self.value(name, "a string", |raw| match raw {
            Raw::Text(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// A string, or its default.
    pub(super) fn text(&mut self, name: &'static str, default: &str) -> Found<String> {
        let value = self.given_text(name);
        self.found(name, value, default.to_owned())
    }

    fn found<T>(&self, name: &str, value: Option<T>, default: T) -> Found<T> {
        let source = match value.is_some() {
            true => name.to_owned(),
            false => default_of(name),
        };
        Found { value: value.unwrap_or(default), source }
    }

    /// Sets a key of Riptide to a number, as near as its range permits.
    pub(super) fn set_number(
        &mut self,
        table: &'static str,
        key: &'static str,
        number: Found<u64>,
        range: RangeInclusive<u64>,
    ) -> &mut Entry {
        self.set_nearest(table, key, number, range, Value::Number)
    }

    /// Sets a key of Riptide to so many seconds, as near as its range permits.
    pub(super) fn set_seconds(
        &mut self,
        table: &'static str,
        key: &'static str,
        seconds: Found<u64>,
        range: RangeInclusive<u64>,
    ) -> &mut Entry {
        let written = |seconds| Value::Text(units::duration(Duration::from_secs(seconds)));
        self.set_nearest(table, key, seconds, range, written)
    }

    /// Sets a key of Riptide to so many bytes, as near as its range permits.
    pub(super) fn set_bytes(
        &mut self,
        table: &'static str,
        key: &'static str,
        bytes: Found<u64>,
        range: RangeInclusive<u64>,
    ) -> &mut Entry {
        self.set_nearest(table, key, bytes, range, |bytes| Value::Text(units::size(bytes)))
    }

    fn set_nearest(
        &mut self,
        table: &'static str,
        key: &'static str,
        found: Found<u64>,
        range: RangeInclusive<u64>,
        written: impl Fn(u64) -> Value,
    ) -> &mut Entry {
        let nearest = found.value.clamp(*range.start(), *range.end());
        let entry = self.sheet.set(table, key, written(nearest), found.source);
        if nearest != found.value {
            let (least, most) = (written(*range.start()), written(*range.end()));
            entry.note(format!("{} there; Riptide takes {least} to {most}", found.value));
        }
        entry
    }
}

fn default_of(name: &str) -> String {
    format!("aquatic's default of {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_with_their_tables_and_lines() {
        let text = "a = 1\n# two\nb.c = true\n\n[t]\nd = \"x\"\n[t.u]\ne = 2\n[[v]]\n";
        let names: Vec<_> = read(text).unwrap().into_iter().map(|it| (it.name, it.line)).collect();
        let expected = [("a", 1), ("b.c", 3), ("t.d", 6), ("t.u", 7), ("v", 9)];
        assert_eq!(names, expected.map(|(name, line)| (name.to_owned(), line)));
        let (line, reason) = read("a = 1\nb =\n").err().unwrap();
        assert!(line >= 2 && !reason.is_empty());
    }

    #[test]
    fn numbers_come_as_near_as_the_range_permits() {
        for (number, value, is_told) in [(0, "1", true), (1, "1", false), (5, "5", false), (99, "9", true)] {
            let mut sheet = Sheet::default();
            let mut keys = Keys::new(&[], Path::new("/"), &mut sheet);
            let found = Found { value: number, source: "a".to_owned() };
            let entry = format!("{:?}", keys.set_number("udp", "batch", found, 1..=9));
            assert!(entry.contains(&format!("Number({value})")), "{entry}");
            assert_eq!(entry.contains("Riptide takes 1 to 9"), is_told, "{entry}");
        }
    }
}
