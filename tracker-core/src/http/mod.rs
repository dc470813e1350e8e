//! The HTTP tracker protocol: the query of a request in, a bencoded dictionary out
//! ([BEP 3](https://www.bittorrent.org/beps/bep_0003.html), 7, 23, 24, 31, 48).

pub mod bencode;
pub mod query;
pub mod responder;

pub use query::{AnnounceQuery, QueryError};
pub use responder::{Outcome, Responder};

#[cfg(test)]
mod tests;
