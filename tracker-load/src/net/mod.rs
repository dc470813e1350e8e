//! What the engines share of sockets: waiting for many, and streams with or without TLS.

pub mod channel;
pub mod stream;
pub mod tls;
pub mod wait;
