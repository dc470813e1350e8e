//! WebTorrent: the tracker protocol of browsers, JSON text messages over a WebSocket.
//!
//! A browser cannot be dialled, so peers of this kind find each other through the tracker: it relays the WebRTC offers
//! of one to others and their answers back, also where these are clients of different nodes. There is no BEP; what counts is what `bittorrent-tracker` and libtorrent
//! send and understand.

mod far;
pub mod message;
mod pending;
mod relay;
pub mod signal;
mod text;
mod tickets;
mod write;

pub use far::{Far, FarKind, NotFar};
pub use relay::{Back, Relay};
pub use signal::{Connection, Kind, Outbox, Outcome, Received, Settings, refuse_binary};
pub use tickets::Tickets;

#[cfg(test)]
mod tests;
