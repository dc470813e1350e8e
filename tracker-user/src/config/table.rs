//! Tables and keys as the declaration describes them.

use super::{kinds::Kind, values::Apply};

/// A key as the declaration describes it.
pub(super) struct Key {
    /// The key's name within its table.
    pub(super) name: &'static str,
    /// The default, as a TOML literal.
    pub(super) default: &'static str,
    /// What it means, line by line.
    pub(super) doc: &'static [&'static str],
    /// What is accepted.
    pub(super) accepts: String,
    /// Whether its value is a list.
    pub(super) list: bool,
    /// When a change takes effect.
    pub(super) apply: Apply,
}

impl Key {
    /// A key whose `kind` yields values of type `T`.
    pub(super) fn new<T>(
        name: &'static str,
        default: &'static str,
        doc: &'static [&'static str],
        kind: &impl Kind<Value = T>,
        apply: Apply,
    ) -> Self {
        Self { name, default, doc, accepts: kind.accepts(), list: kind.is_list(), apply }
    }
}

/// A table of keys.
pub(super) struct Table {
    /// The table's name.
    pub(super) name: &'static str,
    /// What it is about, line by line.
    pub(super) doc: &'static [&'static str],
    /// The keys in order.
    pub(super) keys: Vec<Key>,
}

impl Table {
    /// Its own name within the table of this name, if it lies there.
    pub(super) fn is_in(&self, outer: &str) -> Option<&'static str> {
        self.name.strip_prefix(outer)?.strip_prefix('.')
    }

    /// The environment variable of one of its keys.
    pub(super) fn variable(&self, key: &str) -> String {
        format!("{VARIABLE_PREFIX}{}__{key}", self.name.replace('.', "__")).to_ascii_uppercase()
    }
}

/// What every environment variable of the product begins with.
pub const VARIABLE_PREFIX: &str = "RIPTIDE_";

/// A key that differs between two configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table's name.
    pub table: &'static str,
    /// The key's name within it.
    pub key: &'static str,
    /// When the new value takes effect.
    pub apply: Apply,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.table, self.key)
    }
}
