//! What all shards of an engine have in common.

use super::members::Tables;
use crate::{access::AccessList, model::Seconds, policy::Policy};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
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
}

impl Common<'_> {
    /// After how long without a sign of life a peer is forgotten.
    pub(super) fn peer_timeout(self, policy: &Policy) -> Seconds {
        policy.peer_timeout.max(self.remembered.load(Ordering::Relaxed)).min(Policy::MAX_PEER_TIMEOUT)
    }
}
