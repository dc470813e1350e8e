//! Many trackers as one: nodes tell each other what their clients do, over NATS.
//!
//! A node (`node`) is a state machine without I/O: messages (`wire`) and the time go in, messages come out. `service` drives it in a thread of
//! its own, `nats` carries its messages.

pub mod counts;
mod credentials;
pub mod delay;
pub mod digest;
pub mod first_key;
pub mod giving;
pub mod intake;
mod joining;
mod look;
mod material;
pub mod mending;
pub mod nats;
pub mod node;
pub mod other;
pub mod publisher;
pub mod ranges;
pub mod receive;
pub mod repair;
pub mod sent;
pub mod service;
pub mod status;
pub mod taking;
pub mod tally;
pub mod time;
mod tried;
pub mod walks;
pub mod wire;

#[cfg(test)]
mod tests;

pub use credentials::{Credentials, CredentialsError};
pub use first_key::{Outcome, Told, ask as ask_key};
pub use material::{ClusterMaterial, MaterialError};
pub use receive::Channel;
pub use service::{Beginning, Cluster, Host, NotBegun};
pub use status::{NodeStatus, Status};
