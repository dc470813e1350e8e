//! Answers batches by the key of connection IDs that holds when they have come.

use crate::shared_key::Follower;
use tracker_core::{
    engine::Engine,
    udp::{Batch, Responder, ResponderConfig},
};

/// What a worker answers with.
pub struct Answerer {
    responder: Responder,
    key: Follower,
}

impl Answerer {
    /// Begins with the key of now. `now_ns` is the protocol time, `seed` decides which peers are handed out.
    #[must_use]
    pub fn new(config: ResponderConfig, mut key: Follower, now_ns: u64, seed: [u64; 2]) -> Self {
        let ids = key.ids(now_ns);
        Self { responder: Responder::new(config, ids, seed), key }
    }

    /// Answers every datagram of a batch. `now_ns` is the protocol time in nanoseconds.
    pub fn handle_batch<B: Batch>(&mut self, engine: &Engine, now_ns: u64, batch: &mut B) {
        // Once the batch is there: what was asked after a swap is answered by the new key.
        if let Some(ids) = self.key.look(now_ns) {
            self.responder.set_ids(ids);
        }
        self.responder.handle_batch(engine, now_ns, batch);
    }
}
