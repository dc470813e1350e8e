//! What an operator decides while the tracker runs, by `riptide control`: it holds at once, beside the files that the
//! configuration names, and is kept in the state directory.
//!
//! `file` is how decisions are written down, `keeper` has those that hold.

pub mod file;
pub mod keeper;

pub use keeper::{Keeper, NotDecided};

use std::{collections::BTreeSet, fmt};
use tracker_common::labelled;
use tracker_core::{
    access::parse_hash,
    banned::NetworkSet,
    keys::{BadKey, Key},
    model::InfoHash,
    networks::{Network, NoNetwork, Written},
};

labelled! {
    /// What can be decided.
    pub enum Kind {
        /// That a torrent is refused.
        Deny = "deny",
        /// That the clients of a network get nothing.
        Ban = "ban",
        /// That whoever has a key is served, where one is needed.
        Key = "key",
    }
}

/// One decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// This torrent is refused.
    Deny(InfoHash),
    /// This network is banned.
    Ban(Network),
    /// Whoever has this key is served.
    Key(Key),
}

/// Why a text is no decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEntry {
    /// It is no info hash.
    #[error("an info hash has 40 hexadecimal digits, or 64")]
    Hash,
    /// It is no network.
    #[error(transparent)]
    Network(#[from] NoNetwork),
    /// It is no key.
    #[error(transparent)]
    Key(#[from] BadKey),
}

impl Entry {
    /// Reads what is to be decided, by the names that its kind has. Also says whether a network has bits beyond its prefix,
    /// which do not count.
    ///
    /// # Errors
    /// If it is something else.
    pub fn parse(kind: Kind, text: &str) -> Result<(Self, bool), NoEntry> {
        match kind {
            Kind::Deny => {
                parse_hash(text.as_bytes()).map(|hash| (Self::Deny(hash), false)).ok_or(NoEntry::Hash)
            }
            Kind::Ban => {
                let Written { network, has_host_bits } = Network::parse(text)?;
                Ok((Self::Ban(network), has_host_bits))
            }
            Kind::Key => Ok((Self::Key(Key::parse(text)?), false)),
        }
    }

    /// What it is about.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Deny(_) => Kind::Deny,
            Self::Ban(_) => Kind::Ban,
            Self::Key(_) => Kind::Key,
        }
    }
}

impl Entry {
    /// What the log says of it: of a key no more than that it is one.
    #[must_use]
    pub fn in_log(&self) -> String {
        match self {
            Self::Deny(_) | Self::Ban(_) => format!("{} {self}", self.kind().label()),
            Self::Key(_) => "a key".to_owned(),
        }
    }
}

impl fmt::Display for Entry {
    /// As it is written down, and told at the control socket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deny(info_hash) => info_hash.fmt(f),
            Self::Ban(network) => network.fmt(f),
            Self::Key(key) => key.text().fmt(f),
        }
    }
}

/// All that hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    denied: BTreeSet<InfoHash>,
    banned: BTreeSet<Network>,
    admitted: BTreeSet<Key>,
}

impl Decisions {
    /// Makes a decision hold, or no longer. Whether that is new.
    pub fn set(&mut self, entry: Entry, holds: bool) -> bool {
        match (entry, holds) {
            (Entry::Deny(info_hash), true) => self.denied.insert(info_hash),
            (Entry::Deny(info_hash), false) => self.denied.remove(&info_hash),
            (Entry::Ban(network), true) => self.banned.insert(network),
            (Entry::Ban(network), false) => self.banned.remove(&network),
            (Entry::Key(key), true) => self.admitted.insert(key),
            (Entry::Key(key), false) => self.admitted.remove(&key),
        }
    }

    /// Whether a decision holds.
    #[must_use]
    pub fn has(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Deny(info_hash) => self.denied.contains(info_hash),
            Entry::Ban(network) => self.banned.contains(network),
            Entry::Key(key) => self.admitted.contains(key),
        }
    }

    /// Those of a kind, sorted.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Box<dyn Iterator<Item = Entry> + '_> {
        match kind {
            Kind::Deny => Box::new(self.denied.iter().copied().map(Entry::Deny)),
            Kind::Ban => Box::new(self.banned.iter().copied().map(Entry::Ban)),
            Kind::Key => Box::new(self.admitted.iter().copied().map(Entry::Key)),
        }
    }

    /// How many there are of a kind.
    #[must_use]
    pub fn len_of(&self, kind: Kind) -> usize {
        match kind {
            Kind::Deny => self.denied.len(),
            Kind::Ban => self.banned.len(),
            Kind::Key => self.admitted.len(),
        }
    }

    /// All of them, kind by kind.
    pub fn all(&self) -> impl Iterator<Item = Entry> {
        Kind::ALL.into_iter().flat_map(|kind| self.of(kind))
    }

    /// The torrents that are refused.
    #[must_use]
    pub fn denied(&self) -> Vec<InfoHash> {
        self.denied.iter().copied().collect()
    }

    /// The keys of clients that are served.
    pub fn admitted(&self) -> impl Iterator<Item = &Key> {
        self.admitted.iter()
    }

    /// The networks that are banned.
    #[must_use]
    pub fn banned(&self) -> NetworkSet {
        self.banned.iter().copied().collect()
    }
}
