//! What all shards of an engine have in common.

use super::{SHARDS, change::Listener, members::Tables};
use crate::{access::AccessList, model::Seconds, policy::Policy};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

/// What the operator decides, as one.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) policy: Arc<Policy>,
    pub(super) access: Arc<AccessList>,
}

/// What the shards have in common.
#[derive(Clone, Copy)]
pub(super) struct Common<'a> {
    pub(super) tables: Tables,
    /// Torrents in all shards.
    pub(super) torrents: &'a AtomicUsize,
    /// Peers in all shards.
    pub(super) peers: &'a AtomicUsize,
    /// A peer at a loopback address has been stored at some time.
    pub(super) has_loopback: &'a AtomicBool,
    /// How long peers are remembered at least, whatever the policy says.
    pub(super) remembered: &'a AtomicU32,
    /// Where there is something to be heard.
    pub(super) heard: &'a [Marks; Listener::COUNT],
}

/// Which shards have changes that a listener has not taken yet: it need not look at the others.
#[derive(Debug, Default)]
pub(super) struct Marks([AtomicU64; SHARDS / 64]);

impl Marks {
    /// There are some in this shard, whose lock is held.
    pub(super) fn set(&self, shard: u16) {
        if let Some(word) = self.0.get(usize::from(shard) / 64) {
            word.fetch_or(1 << (shard % 64), Ordering::Relaxed);
        }
    }

    /// Takes the marks off, and gives the shards that had one. Their changes have to be taken then.
    pub(super) fn take(&self) -> impl Iterator<Item = usize> + use<> {
        let mut marked = Vec::new();
        for (at, word) in self.0.iter().enumerate() {
            let mut rest =
                if word.load(Ordering::Relaxed) == 0 { 0 } else { word.swap(0, Ordering::Relaxed) };
            while rest != 0 {
                marked.push(at * 64 + rest.trailing_zeros() as usize);
                rest &= rest - 1;
            }
        }
        marked.into_iter()
    }
}

impl Common<'_> {
    /// After how long without a sign of life a peer is forgotten.
    pub(super) fn peer_timeout(self, policy: &Policy) -> Seconds {
        policy.peer_timeout.max(self.remembered.load(Ordering::Relaxed)).min(Policy::MAX_PEER_TIMEOUT)
    }
}
