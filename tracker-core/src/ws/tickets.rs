//! What stands for offers: keyed hashes, so that nobody can make up an answer to an offer that was not given.

use super::message::OfferId;
use crate::{
    model::{InfoHash, PeerId},
    nodes::NodeNumber,
};
use tracker_common::siphash::{Key, hash_bytes};

/// Makes the tickets of all connections that relay to each other.
#[derive(Clone, Copy, Debug)]
pub struct Tickets(Key);

impl Tickets {
    /// `hash_key` is random, and a secret.
    #[must_use]
    pub const fn new(hash_key: [u64; 2]) -> Self {
        let [k0, k1] = hash_key;
        Self(Key { k0, k1 })
    }

    /// Of an offer that a client of this node is given.
    pub(super) fn given(&self, info_hash: &InfoHash, from: &PeerId, offer: &OfferId) -> u64 {
        hash_bytes(self.0, [info_hash.0, from.0, offer.0].as_flattened())
    }

    /// Of an offer that goes to another node, which has to show it with the answer.
    pub(super) fn sent(
        &self,
        to: (NodeNumber, &PeerId),
        info_hash: &InfoHash,
        from: &PeerId,
        offer: &OfferId,
    ) -> u64 {
        let (node, to) = to;
        let mut bytes = [0; 82];
        let (names, number) = bytes.split_at_mut(80);
        names.copy_from_slice([info_hash.0, from.0, offer.0, to.0].as_flattened());
        number.copy_from_slice(&node.get().to_le_bytes());
        hash_bytes(self.0, &bytes)
    }
}
