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
    }
}

/// One decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// This torrent is refused.
    Deny(InfoHash),
    /// This network is banned.
    Ban(Network),
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
        }
    }

    /// What it is about.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Deny(_) => Kind::Deny,
            Self::Ban(_) => Kind::Ban,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deny(info_hash) => info_hash.fmt(f),
            Self::Ban(network) => network.fmt(f),
        }
    }
}

/// All that hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    denied: BTreeSet<InfoHash>,
    banned: BTreeSet<Network>,
}

impl Decisions {
    /// Makes a decision hold, or no longer. Whether that is new.
    pub fn set(&mut self, entry: Entry, holds: bool) -> bool {
        match (entry, holds) {
            (Entry::Deny(info_hash), true) => self.denied.insert(info_hash),
            (Entry::Deny(info_hash), false) => self.denied.remove(&info_hash),
            (Entry::Ban(network), true) => self.banned.insert(network),
            (Entry::Ban(network), false) => self.banned.remove(&network),
        }
    }

    /// Whether a decision holds.
    #[must_use]
    pub fn has(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Deny(info_hash) => self.denied.contains(info_hash),
            Entry::Ban(network) => self.banned.contains(network),
        }
    }

    /// Those of a kind, sorted.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Box<dyn Iterator<Item = Entry> + '_> {
        match kind {
            Kind::Deny => Box::new(self.denied.iter().copied().map(Entry::Deny)),
            Kind::Ban => Box::new(self.banned.iter().copied().map(Entry::Ban)),
        }
    }

    /// How many there are of a kind.
    #[must_use]
    pub fn len_of(&self, kind: Kind) -> usize {
        match kind {
            Kind::Deny => self.denied.len(),
            Kind::Ban => self.banned.len(),
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

    /// The networks that are banned.
    #[must_use]
    pub fn banned(&self) -> NetworkSet {
        self.banned.iter().copied().collect()
    }
}
