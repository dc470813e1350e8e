//! WebTorrent: the tracker protocol of browsers, JSON text messages over a WebSocket.
//!
//! A browser cannot be dialled, so peers of this kind find each other through the tracker: it relays the WebRTC offers
//! of one to others and their answers back. There is no BEP; what counts is what `bittorrent-tracker` and libtorrent
//! send and understand.

pub mod message;
mod pending;
pub mod signal;
mod text;
mod write;

pub use signal::{Connection, Kind, Outbox, Outcome, Received, Relay, Settings, refuse_binary};

#[cfg(test)]
mod tests;
