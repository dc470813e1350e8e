//! WebTorrent's sockets: the handshake, one task for each connection, and what one sends to another.
//!
//! What messages mean is `tracker_core::ws`; here they are carried. Relays for a connection wait in its `queue`, which
//! is bounded, so that one that reads slowly costs nobody else anything; and `budget` bounds what all of them hold
//! together. Each file imports only those above it: `frames`, `budget`, `handshake`, `counters`, `queue`, `watched`,
//! `rules`, `elsewhere`, `hub`, `socket`, `connection`, `open`.

mod budget;
mod connection;
mod counters;
mod elsewhere;
mod frames;
mod handshake;
mod hub;
mod open;
mod queue;
mod rules;
mod socket;
mod watched;

pub use budget::{RECEIVE_BUFFER, SEND_BUFFER, UNSENT};
pub use counters::{Closed, Counters, Crossed, Lost, Sent};
pub use elsewhere::Elsewhere;
pub use handshake::Refusal;
pub use hub::Hub;
pub(crate) use hub::memory_of;

#[cfg(test)]
mod tests;
