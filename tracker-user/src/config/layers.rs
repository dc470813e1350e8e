//! The sources of values, one over the other: flag, environment, file, default.

use super::{
    error::{ConfigError, Warning},
    kinds::Kind,
    raw::Raw,
    table::{Table, VARIABLE_PREFIX},
    values::Place,
};
use std::{collections::HashMap, ffi::OsString, path::Path};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The values that were given, each with its place; a later layer covers an earlier one.
pub(super) struct Values {
    given: HashMap<(&'static str, &'static str), (Raw, Place)>,
    /// What is wrong so far.
    pub(super) errors: Vec<ConfigError>,
    /// What is odd so far.
    pub(super) warnings: Vec<Warning>,
}

impl Values {
    /// Nothing given: every key has its default.
    pub(super) fn new() -> Self {
        Self { given: HashMap::new(), errors: Vec::new(), warnings: Vec::new() }
    }

    /// Lays a file's text over what is there.
    pub(super) fn add_file(&mut self, tables: &[Table], path: &Path, text: &str) {
        let (document, errors) = DeTable::parse_recoverable(text);
        let line = |offset: usize| 1 + text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count();
        let place = |offset: usize| Place::File { path: path.to_owned(), line: line(offset) };
        if !errors.is_empty() {
            // What a broken file seems to say beyond the first errors is guesswork.
            self.errors.extend(errors.iter().map(|e| ConfigError::Syntax {
                path: path.to_owned(),
                line: line(e.span().map_or(0, |s| s.start)),
                reason: e.message().to_owned(),
            }));
            return;
        }
        for (name, value) in in_order(document.get_ref()) {
            let outer = || tables.iter().filter(|table| !table.name.contains('.'));
            let Some(table) = outer().find(|t| t.name == name.get_ref()) else {
                self.unknown(
                    place(name.span().start),
                    "table",
                    name.get_ref(),
                    None,
                    outer().map(|t| t.name),
                );
                continue;
            };
            let DeValue::Table(keys) = value.get_ref() else {
                let reason = format!(
                    "found {}; a table of keys is needed",
                    Raw::from_toml(value.get_ref()).describe()
                );
                let key = table.name.to_owned();
                self.errors.push(ConfigError::Value { place: place(value.span().start), key, reason });
                continue;
            };
            self.add_table(tables, table, keys, &place);
        }
    }

    /// Lays the keys of a table over what is there, and those of tables in it.
    fn add_table(
        &mut self,
        tables: &[Table],
        table: &Table,
        keys: &DeTable<'_>,
        place: &impl Fn(usize) -> Place,
    ) {
        for (name, value) in in_order(keys) {
            let inner = tables.iter().find(|inner| inner.is_in(table.name) == Some(name.get_ref()));
            let place_of_name = place(name.span().start);
            match (inner, table.keys.iter().find(|k| k.name == name.get_ref()), value.get_ref()) {
                (Some(inner), _, DeValue::Table(keys)) => self.add_table(tables, inner, keys, place),
                (Some(inner), _, other) => {
                    let reason =
                        format!("found {}; a table of keys is needed", Raw::from_toml(other).describe());
                    let (place, key) = (place(value.span().start), inner.name.to_owned());
                    self.errors.push(ConfigError::Value { place, key, reason });
                }
                (None, Some(key), value) => {
                    self.given.insert((table.name, key.name), (Raw::from_toml(value), place_of_name));
                }
                (None, None, _) => {
                    let inner = tables.iter().filter_map(|inner| inner.is_in(table.name));
                    let names = table.keys.iter().map(|k| k.name).chain(inner);
                    self.unknown(place_of_name, "key", name.get_ref(), Some(table.name), names);
                }
            }
        }
    }

    /// Lays environment variables over what is there; those without the product's prefix are not looked at.
    pub(super) fn add_environment(&mut self, tables: &[Table], variables: &[(OsString, OsString)]) {
        let mut names = HashMap::new();
        for table in tables {
            for key in &table.keys {
                names.insert(table.variable(key.name), (table.name, key));
            }
        }
        let mut variables: Vec<_> = variables.iter().map(|(n, v)| (n.to_string_lossy(), v)).collect();
        variables.sort();
        for (name, value) in variables.into_iter().filter(|(n, _)| n.starts_with(VARIABLE_PREFIX)) {
            let Some((table, key)) = names.get(name.as_ref()) else {
                let suggestion = nearest(&name, names.keys().map(String::as_str)).map(str::to_owned);
                self.warnings.push(Warning::UnknownVariable { name: name.into_owned(), suggestion });
                continue;
            };
            let place = Place::Environment(name.into_owned());
            match value.to_str() {
                Some(text) => {
                    let raw = if key.list { list_from_text(text) } else { Raw::Untyped(text.to_owned()) };
                    self.given.insert((*table, key.name), (raw, place));
                }
                None => self.wrong(place, table, key.name, "the value is not UTF-8".to_owned()),
            }
        }
    }

    /// Lays a flag's value over what is there.
    pub(super) fn add_flag(
        &mut self,
        flag: &'static str,
        table: &'static str,
        key: &'static str,
        text: &str,
    ) {
        self.given.insert((table, key), (Raw::Untyped(text.to_owned()), Place::Flag(flag)));
    }

    /// Lays a repeatable flag's values over what is there, if there are any: they replace the list whole.
    pub(super) fn add_list_flag(
        &mut self,
        flag: &'static str,
        table: &'static str,
        key: &'static str,
        texts: &[String],
    ) {
        if !texts.is_empty() {
            let list = Raw::List(texts.iter().cloned().map(Raw::Text).collect());
            self.given.insert((table, key), (list, Place::Flag(flag)));
        }
    }

    /// The value of a key; if it is not what the key takes, that is noted.
    pub(super) fn read<K: Kind>(
        &mut self,
        table: &'static str,
        key: &'static str,
        default: &str,
        kind: &K,
    ) -> Option<K::Value> {
        let (raw, place) = match self.given.get(&(table, key)) {
            Some((raw, place)) => (Ok(raw.clone()), place.clone()),
            None => (Raw::from_literal(default), Place::Default),
        };
        let parse = |raw| match raw {
            Raw::Untyped(text) => parse_untyped(&text, kind, &place),
            raw => kind.parse(&raw, &place),
        };
        match raw.and_then(parse) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.wrong(place, table, key, reason);
                None
            }
        }
    }

    /// Where the value of a key comes from.
    pub(super) fn place(&self, table: &'static str, key: &'static str) -> Place {
        self.given.get(&(table, key)).map_or(Place::Default, |(_, place)| place.clone())
    }

    /// Notes what is wrong with a key's value.
    pub(super) fn wrong(&mut self, place: Place, table: &str, key: &str, reason: String) {
        self.errors.push(ConfigError::Value { place, key: format!("{table}.{key}"), reason });
    }

    fn unknown<'a>(
        &mut self,
        place: Place,
        what: &'static str,
        name: &str,
        table: Option<&str>,
        names: impl Iterator<Item = &'a str>,
    ) {
        let qualified = |name: &str| table.map_or_else(|| name.to_owned(), |table| format!("{table}.{name}"));
        let suggestion = nearest(name, names).map(&qualified);
        self.errors.push(ConfigError::Unknown { place, what, name: qualified(name), suggestion });
    }
}

/// A table's entries in the order of the text, so that errors come out in that order too.
pub(super) fn in_order<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// Reads text from outside a file as whatever the key takes: a string, else the number or Boolean it looks like.
fn parse_untyped<K: Kind>(text: &str, kind: &K, place: &Place) -> Result<K::Value, String> {
    let text = text.trim();
    let typed = match text {
        "true" => Some(Raw::Boolean(true)),
        "false" => Some(Raw::Boolean(false)),
        _ => number(&text.replace('_', "")),
    };
    let as_text = kind.parse(&Raw::Text(text.to_owned()), place);
    match (as_text, typed) {
        (Err(_), Some(typed)) => kind.parse(&typed, place),
        (as_text, _) => as_text,
    }
}

/// What text from outside a file is as a number.
fn number(text: &str) -> Option<Raw> {
    let whole = text.parse().ok().map(Raw::Integer);
    let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok();
    whole.or_else(|| digits(text).then(|| Raw::Decimal(text.to_owned())))
}

/// A list from text outside a file: a TOML array, or parts between commas.
fn list_from_text(text: &str) -> Raw {
    let text = text.trim();
    // An IPv6 address may begin with a bracket too, so what is no array is taken as parts.
    if let (true, Ok(list @ Raw::List(_))) = (text.starts_with('['), Raw::from_literal(text)) {
        return list;
    }
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    Raw::List(parts.map(|part| Raw::Text(part.to_owned())).collect())
}

/// The name most like `name`, if any is near enough to have been meant.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A stranger's name may be long; beyond this nothing is near.
    if name.len() > 64 {
        return None;
    }
    let most = (name.len() / 3).clamp(1, 4);
    names.map(|n| (distance(name, n), n)).filter(|(d, _)| *d <= most).min().map(|(_, n)| n)
}

/// How many insertions, deletions and replacements lie between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
