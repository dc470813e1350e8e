//! What the engines share of sockets: waiting for many, streams with or without TLS, and load over many of them.

pub mod channel;
pub mod load;
pub mod stream;
pub mod tls;
pub mod wait;
