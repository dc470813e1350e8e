//! The kinds of value that keys have: what each accepts, in which range, and how it says so.

use super::{
    raw::Raw,
    units,
    values::{ControlSocket, Listen, Part, Place},
};
use std::{marker::PhantomData, num::NonZeroUsize, path::PathBuf, time::Duration};

/// How a key's value is read. One key, one kind, one Rust type.
pub(super) trait Kind {
    /// The type of the value in [`super::Config`].
    type Value;
    /// Whether the value is a list: then text from the environment is split at commas, and flags add up.
    fn is_list(&self) -> bool {
        false
    }
    /// The typed value, or what is wrong with `raw`.
    fn parse(&self, raw: &Raw, place: &Place) -> Result<Self::Value, String>;
    /// What is accepted, for people: `a duration from 2m to 1h`.
    fn accepts(&self) -> String;
}

/// `true` or `false`.
pub(super) struct Switch;

impl Kind for Switch {
    type Value = bool;
    fn parse(&self, raw: &Raw, _: &Place) -> Result<bool, String> {
        match raw {
            Raw::Boolean(value) => Ok(*value),
            other => Err(wrong(other, self)),
        }
    }
    fn accepts(&self) -> String {
        "true or false".to_owned()
    }
}

/// A whole number in a range.
pub(super) struct Count<T> {
    least: u64,
    most: u64,
    power_of_two: bool,
    number: PhantomData<T>,
}

impl<T> Count<T> {
    pub(super) const fn new(least: u64, most: u64) -> Self {
        Self { least, most, power_of_two: false, number: PhantomData }
    }
    pub(super) const fn powers_of_two(least: u64, most: u64) -> Self {
        Self { least, most, power_of_two: true, number: PhantomData }
    }
}

impl<T: TryFrom<u64>> Kind for Count<T> {
    type Value = T;
    fn parse(&self, raw: &Raw, _: &Place) -> Result<T, String> {
        let Raw::Integer(number) = raw else { return Err(wrong(raw, self)) };
        u64::try_from(*number)
            .ok()
            .filter(|n| (self.least..=self.most).contains(n) && (!self.power_of_two || n.is_power_of_two()))
            .and_then(|n| T::try_from(n).ok())
            .ok_or_else(|| wrong(raw, self))
    }
    fn accepts(&self) -> String {
        let what = if self.power_of_two { "a power of two" } else { "a whole number" };
        format!("{what} from {} to {}", self.least, self.most)
    }
}

/// A duration in a range.
pub(super) struct Span {
    /// Seconds.
    pub(super) least: u64,
    /// Seconds.
    pub(super) most: u64,
}

impl Kind for Span {
    type Value = Duration;
    fn parse(&self, raw: &Raw, _: &Place) -> Result<Duration, String> {
        let Raw::Text(text) = raw else { return Err(wrong(raw, self)) };
        let value = units::parse_duration(text)?;
        let range = Duration::from_secs(self.least)..=Duration::from_secs(self.most);
        if value.subsec_nanos() != 0 {
            return Err(format!(
                "{} has a fraction of a second; {} is needed",
                raw.describe(),
                self.accepts()
            ));
        }
        if range.contains(&value) { Ok(value) } else { Err(wrong(raw, self)) }
    }
    fn accepts(&self) -> String {
        let [least, most] = [self.least, self.most].map(|s| units::duration(Duration::from_secs(s)));
        format!("a duration from \"{least}\" to \"{most}\"")
    }
}

/// A short duration, up to so many milliseconds.
pub(super) struct Moment {
    pub(super) most: u64,
}

impl Kind for Moment {
    type Value = Duration;
    fn parse(&self, raw: &Raw, _: &Place) -> Result<Duration, String> {
        let Raw::Text(text) = raw else { return Err(wrong(raw, self)) };
        let value = units::parse_duration(text)?;
        if value <= Duration::from_millis(self.most) { Ok(value) } else { Err(wrong(raw, self)) }
    }
    fn accepts(&self) -> String {
        format!("a duration from \"0ms\" to \"{}ms\"", self.most)
    }
}

/// A size in bytes in a range.
pub(super) struct Size {
    pub(super) least: usize,
    pub(super) most: usize,
}

impl Kind for Size {
    type Value = usize;
    fn parse(&self, raw: &Raw, _: &Place) -> Result<usize, String> {
        let Raw::Text(text) = raw else { return Err(wrong(raw, self)) };
        let value = usize::try_from(units::parse_size(text)?).unwrap_or(usize::MAX);
        if (self.least..=self.most).contains(&value) { Ok(value) } else { Err(wrong(raw, self)) }
    }
    fn accepts(&self) -> String {
        format!("a size from \"{}\" to \"{}\"", units::size(self.least as u64), units::size(self.most as u64))
    }
}

/// Another kind's value, or `"auto"`.
pub(super) struct Auto<K>(pub(super) K);

impl<K: Kind> Kind for Auto<K> {
    type Value = Option<K::Value>;
    fn parse(&self, raw: &Raw, place: &Place) -> Result<Self::Value, String> {
        match raw {
            Raw::Text(text) if text == "auto" => Ok(None),
            other => self.0.parse(other, place).map(Some).map_err(|_| wrong(other, self)),
        }
    }
    fn accepts(&self) -> String {
        format!("\"auto\" or {}", self.0.accepts())
    }
}

/// A number of threads, or `"auto"` (or 0).
pub(super) struct Threads {
    pub(super) most: usize,
}

impl Kind for Threads {
    type Value = Option<NonZeroUsize>;
    fn parse(&self, raw: &Raw, _: &Place) -> Result<Self::Value, String> {
        match raw {
            Raw::Text(text) if text == "auto" => Ok(None),
            Raw::Integer(number) => usize::try_from(*number)
                .ok()
                .filter(|n| *n <= self.most)
                .map(NonZeroUsize::new)
                .ok_or_else(|| wrong(raw, self)),
            other => Err(wrong(other, self)),
        }
    }
    fn accepts(&self) -> String {
        format!("\"auto\" or a whole number from 0 to {} (0 is \"auto\")", self.most)
    }
}

/// A limit that 0 turns off.
pub(super) struct Limit {
    pub(super) most: u32,
}

impl Kind for Limit {
    type Value = Option<u32>;
    fn parse(&self, raw: &Raw, place: &Place) -> Result<Option<u32>, String> {
        let limit: u32 =
            Count::new(0, u64::from(self.most)).parse(raw, place).map_err(|_| wrong(raw, self))?;
        Ok(if limit == 0 { None } else { Some(limit) })
    }
    fn accepts(&self) -> String {
        format!("a whole number from 0 to {} (0 is no limit)", self.most)
    }
}

/// Bytes a second, which 0 leaves unbounded: a number, or a size with its unit.
pub(super) struct Bandwidth {
    pub(super) most: u64,
}

impl Kind for Bandwidth {
    type Value = Option<u64>;
    fn parse(&self, raw: &Raw, _: &Place) -> Result<Option<u64>, String> {
        let bytes = match raw {
            Raw::Integer(number) => u64::try_from(*number).ok(),
            Raw::Text(text) => Some(units::parse_size(text)?),
            _ => None,
        };
        let bytes = bytes.filter(|bytes| *bytes <= self.most).ok_or_else(|| wrong(raw, self))?;
        Ok(if bytes == 0 { None } else { Some(bytes) })
    }
    fn accepts(&self) -> String {
        format!(
            "a whole number from 0 to {0} or a size up to \"{1}\" (0 is no limit)",
            self.most,
            units::size(self.most)
        )
    }
}

/// A part of something, from 0 to so many thousandths.
pub(super) struct Share {
    pub(super) most: u32,
}

impl Kind for Share {
    type Value = Part;
    fn parse(&self, raw: &Raw, _: &Place) -> Result<Part, String> {
        let text = match raw {
            Raw::Integer(number) => number.to_string(),
            Raw::Decimal(text) => text.clone(),
            _ => return Err(wrong(raw, self)),
        };
        text.parse()
            .ok()
            .and_then(Part::new)
            .filter(|part| part.thousandths() <= self.most)
            .ok_or_else(|| wrong(raw, self))
    }
    fn accepts(&self) -> String {
        format!("a number from 0.0 to {}", f64::from(self.most) / 1000.0)
    }
}

/// One of a few words.
pub(super) struct Word<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy> Kind for Word<T> {
    type Value = T;
    fn parse(&self, raw: &Raw, _: &Place) -> Result<T, String> {
        let Raw::Text(text) = raw else { return Err(wrong(raw, self)) };
        self.0.iter().find(|(word, _)| word == text).map(|(_, value)| *value).ok_or_else(|| wrong(raw, self))
    }
    fn accepts(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        words.join(", ")
    }
}

/// A string that passes a check; with an empty string meaning none.
pub(super) struct Optional<T> {
    pub(super) what: &'static str,
    pub(super) read: fn(&str) -> Result<T, String>,
}

impl<T> Kind for Optional<T> {
    type Value = Option<T>;
    fn parse(&self, raw: &Raw, _: &Place) -> Result<Self::Value, String> {
        match raw {
            Raw::Text(text) if text.is_empty() => Ok(None),
            Raw::Text(text) => (self.read)(text).map(Some),
            other => Err(wrong(other, self)),
        }
    }
    fn accepts(&self) -> String {
        format!("{}, or \"\" for none", self.what)
    }
}

/// A string that passes a check.
pub(super) struct Required<T> {
    pub(super) what: &'static str,
    pub(super) read: fn(&str) -> Result<T, String>,
}

impl<T> Kind for Required<T> {
    type Value = T;
    fn parse(&self, raw: &Raw, _: &Place) -> Result<T, String> {
        let Raw::Text(text) = raw else { return Err(wrong(raw, self)) };
        (self.read)(text)
    }
    fn accepts(&self) -> String {
        self.what.to_owned()
    }
}

/// The path of a Unix socket, or `"off"`.
pub(super) struct SocketPath {
    /// The built-in one.
    pub(super) default: &'static str,
    pub(super) read: fn(&str) -> Result<PathBuf, String>,
}

impl Kind for SocketPath {
    type Value = Option<ControlSocket>;
    fn parse(&self, raw: &Raw, place: &Place) -> Result<Self::Value, String> {
        match raw {
            Raw::Text(text) if text == "off" => Ok(None),
            Raw::Text(text) => {
                let path = (self.read)(text)?;
                Ok(Some(ControlSocket { path, is_default: place.may_skip() && text == self.default }))
            }
            other => Err(wrong(other, self)),
        }
    }
    fn accepts(&self) -> String {
        "the absolute path of a Unix socket, or \"off\"".to_owned()
    }
}

/// A list of strings that each pass a check, none twice.
pub(super) struct Many<T> {
    pub(super) what: &'static str,
    pub(super) most: usize,
    pub(super) read: fn(&str) -> Result<T, String>,
}

impl<T: PartialEq> Kind for Many<T> {
    type Value = Vec<T>;
    fn is_list(&self) -> bool {
        true
    }
    fn parse(&self, raw: &Raw, _: &Place) -> Result<Vec<T>, String> {
        let Raw::List(items) = raw else { return Err(wrong(raw, self)) };
        if items.len() > self.most {
            return Err(format!("the list has {} entries; {} is needed", items.len(), self.accepts()));
        }
        let mut values = Vec::with_capacity(items.len());
        let mut problems = Vec::new();
        for item in items {
            let Raw::Text(text) = item else {
                problems.push(format!("{} in the list: {}", item.describe(), self.accepts()));
                continue;
            };
            match (self.read)(text) {
                Ok(value) if values.contains(&value) => {
                    problems.push(format!("`{text}` is in the list twice"));
                }
                Ok(value) => values.push(value),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(values) } else { Err(problems.join("; ")) }
    }
    fn accepts(&self) -> String {
        format!("a list of up to {} {}", self.most, self.what)
    }
}

/// Addresses to listen on; none is allowed.
pub(super) struct Listeners<A> {
    /// What an entry is, in the plural.
    pub(super) what: &'static str,
    pub(super) most: usize,
    pub(super) default: fn() -> Vec<A>,
    pub(super) read: fn(&str) -> Result<A, String>,
    /// Whether the entry asks for an address of its own each time, so that it may repeat.
    pub(super) may_repeat: fn(&A) -> bool,
}

impl<A: PartialEq> Kind for Listeners<A> {
    type Value = Listen<A>;
    fn is_list(&self) -> bool {
        true
    }
    fn parse(&self, raw: &Raw, place: &Place) -> Result<Listen<A>, String> {
        let Raw::List(items) = raw else { return Err(wrong(raw, self)) };
        if items.len() > self.most {
            return Err(format!("the list has {} entries; {} is needed", items.len(), self.accepts()));
        }
        let mut addresses = Vec::with_capacity(items.len());
        let mut problems = Vec::new();
        for item in items {
            let Raw::Text(text) = item else {
                problems.push(wrong(item, self));
                continue;
            };
            match (self.read)(text) {
                Ok(address) if !(self.may_repeat)(&address) && addresses.contains(&address) => {
                    problems.push(format!("`{text}` is in the list twice"));
                }
                Ok(address) => addresses.push(address),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        let is_default = place.may_skip() && addresses == (self.default)();
        Ok(Listen { addresses, is_default })
    }
    fn accepts(&self) -> String {
        format!("a list of up to {} {}", self.most, self.what)
    }
}

fn wrong<K: Kind + ?Sized>(raw: &Raw, kind: &K) -> String {
    format!("found {}; {} is needed", raw.describe(), kind.accepts())
}
