//! What can be decided upon: a torrent, a network, a key.

use std::fmt;
use tracker_common::labelled;
use tracker_core::{
    access::parse_hash,
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

/// What a decision is about. They sort by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
