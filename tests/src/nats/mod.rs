//! A real NATS server for a test, a client of it that is written by hand, and a way between them that can be disturbed.

mod client;
mod proxy;
mod server;
mod wire;

pub use client::{Client, Login, Message};
pub use proxy::{Proxy, Way};
pub use server::{NatsServer, program};
