//! Why a tracker does not start.

use super::held;
use crate::{cluster::NotBegun, handover::taker, privileges::PrivilegeError, xdp::manager};
use std::io;

/// Why the tracker could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What it holds from outside.
    #[error(transparent)]
    Held(#[from] held::Error),
    /// XDP was asked for by name.
    #[error(transparent)]
    Xdp(#[from] manager::StartError),
    /// The user and group to become.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// Nothing could be taken over.
    #[error(transparent)]
    TakeOver(#[from] taker::Failure),
    /// It cannot be a node of a cluster.
    #[error(transparent)]
    Cluster(#[from] NotBegun),
    /// Threads, descriptors or memory are short.
    #[error("the system refused {what}: {source}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// What the system refused.
pub(super) fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}
