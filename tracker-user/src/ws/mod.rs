//! WebTorrent's sockets: the handshake, one task for each connection, and what one sends to another.
//!
//! What messages mean is `tracker_core::ws`; here they are carried. Relays for a connection wait in its `queue`, which
//! is bounded, so that one that reads slowly costs nobody else anything.

mod connection;
mod counters;
mod handshake;
mod hub;
mod queue;
mod watched;

pub use counters::{Closed, Counters, Lost, Sent};
pub use hub::Hub;

#[cfg(test)]
mod tests;
