//! What the one door is asked for, and what it answers.

use super::{Membership, change::Cause};
use crate::model::Role;

/// What is to become of a peer.
pub(super) enum Deed<P> {
    /// It is there: new, or heard of again. Its stamp tells when, and whether its download has been counted already.
    Enter {
        peer: P,
        role: Role,
        /// It has become whole just now.
        completed: bool,
        cause: Cause,
    },
    /// It goes.
    Leave(P, Cause),
}

/// What became of it.
pub(super) struct Applied {
    pub(super) membership: Membership,
    /// Where it is now.
    pub(super) position: Option<usize>,
}
