//! What all shards of an engine have in common.

use super::members::Tables;
use crate::{access::AccessList, policy::Policy};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize},
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
}
