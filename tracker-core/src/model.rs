//! The words of the domain: torrents, events, roles, counts.

use std::fmt;

/// Protocol time in whole seconds: monotonic, and continued across a restart.
pub type Seconds = u32;

/// Names a torrent: a SHA-1 (BEP 3), or the first 20 bytes of a SHA-256 (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct InfoHash(pub [u8; 20]);

impl InfoHash {
    /// Bytes in an info hash.
    pub const LEN: usize = 20;
}

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a peer announces. Whatever a client sends that is none of these is [`Event::None`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Event {
    /// A regular announce.
    #[default]
    None,
    /// The first one.
    Started,
    /// The download has just become whole.
    Completed,
    /// The last one.
    Stopped,
    /// A partial seed: not whole, and not downloading (BEP 21).
    Paused,
}

/// Whether a peer has the whole torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It has.
    Seeder,
    /// It has not; partial seeds are among these.
    Leecher,
}

impl Role {
    /// Every role, in the order of their use as an index.
    pub const ALL: [Self; 2] = [Self::Seeder, Self::Leecher];

    /// The value of the `role` label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Seeder => "seeder",
            Self::Leecher => "leecher",
        }
    }
}

/// What a tracker says of a whole swarm, all families together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Peers that have the whole torrent.
    pub complete: u32,
    /// Peers that do not.
    pub incomplete: u32,
    /// How often a peer told that it had become complete.
    pub downloaded: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_info_hash_reads_as_hex() {
        let hash = InfoHash(std::array::from_fn(|i| (i * 13) as u8));
        assert_eq!(hash.to_string(), "000d1a2734414e5b6875828f9ca9b6c3d0ddeaf7");
    }
}
