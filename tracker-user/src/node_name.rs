//! What a tracker is called among others: decisions say which one made them.

use std::{fmt, sync::Arc};
use tracker_core::nodes::{MAX_NAME, is_name};

/// Of a host without a name of its own.
const NAMELESS: &str = "node";
/// What every host may be called.
const EVERYBODY: &str = "localhost";

/// The name of a node: at least one letter, digit, `-` or `_`, and at most [`MAX_NAME`] of them. They sort by their bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// Reads a name; `None` if it may be none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_name(text).then(|| Self(text.into()))
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a node on a host of this name: a hyphen for whatever none may have, none at its ends, and what is too long is
    /// cut. `None` if nothing is left, or what any host may be called.
    #[must_use]
    pub fn of_host(host: &str) -> Option<Self> {
        let fitting = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let name: String = host.chars().map(fitting).take(MAX_NAME).collect();
        Self::parse(name.trim_matches('-')).filter(|name| name.as_str() != EVERYBODY)
    }

    /// That of this host, if it has one of its own.
    ///
    /// # Errors
    /// How the system calls the host, where that makes no name.
    pub fn of_this_host() -> Result<Self, String> {
        let host = nix::unistd::gethostname().unwrap_or_default();
        let host = host.to_string_lossy();
        Self::of_host(&host).ok_or_else(|| host.into_owned())
    }

    /// Of a tracker that no other one has to tell from others.
    #[must_use]
    pub fn alone() -> Self {
        Self::of_this_host().unwrap_or_else(|_| Self(NAMELESS.into()))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_lends_its_name() {
        for (host, name) in [
            ("node-1", "node-1"),
            ("nats.Example.org", "nats-Example-org"),
            ("a_b c", "a_b-c"),
            ("(none)", "none"),
            (&"n".repeat(80), &"n".repeat(64)),
        ] {
            assert_eq!(NodeName::of_host(host).unwrap().as_str(), name);
        }
        for host in ["", "...", "localhost", "é"] {
            assert_eq!(NodeName::of_host(host), None, "{host}");
        }
        assert!(is_name(NodeName::alone().as_str()));
    }

    #[test]
    fn what_may_be_no_name_is_none() {
        for text in ["", "a.b", "a b", "é", &"n".repeat(MAX_NAME + 1)] {
            assert_eq!(NodeName::parse(text), None, "{text}");
        }
    }
}
