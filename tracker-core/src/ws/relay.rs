//! A message from one client for another, as it waits for its receiver.

use crate::nodes::NodeNumber;

/// A message from one client for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relay {
    /// An offer, which the receiver may answer once.
    Offer {
        /// What has to be known to answer it, as a keyed hash.
        ticket: u64,
        /// JSON text.
        text: String,
        /// Where its answer goes, if its sender is at another node.
        back: Option<Back>,
    },
    /// An answer.
    Answer {
        /// JSON text.
        text: String,
    },
}

impl Relay {
    /// The JSON text that the receiver will get.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Offer { text, .. } | Self::Answer { text } => text,
        }
    }
}

/// The way back to the sender of an offer that came from another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Back {
    /// The node: it gets the answer even if the peer is said to be elsewhere by then.
    pub(super) node: NodeNumber,
    /// What that node wants to see again, in halves, so that many of these take no more room than they have to.
    pub(super) ticket: [u32; 2],
}
const _: () = assert!(size_of::<Back>() == 12);
