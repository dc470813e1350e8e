//! The way to the clients of other nodes: whoever connects the nodes implements it.

use tracker_core::{nodes::NodeNumber, ws::Far};

/// Carries relays to other nodes, where [`super::Hub::deliver`] takes them.
pub trait Elsewhere: Send + Sync {
    /// Takes a message for a client of this node, and says whether it did; if not, it is lost. It must not wait, and may
    /// lose the message later.
    fn relay(&self, node: NodeNumber, message: Far) -> bool;
}
