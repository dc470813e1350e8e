//! The UDP tracker protocol: a batch of datagrams in, replies and outcomes out.

pub mod codec;
pub mod options;
pub mod responder;

pub use responder::{Batch, DropReason, MAX_BATCH, Outcome, Received, Responder, ResponderConfig};

#[cfg(test)]
mod tests;
