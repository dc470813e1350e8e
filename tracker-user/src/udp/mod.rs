//! UDP workers: pinned threads that serve AF_XDP and ordinary sockets with one responder.

pub mod answerer;
pub mod bind;
mod gather;
pub mod polling;
pub mod pool;
pub mod socket;
pub mod worker;
