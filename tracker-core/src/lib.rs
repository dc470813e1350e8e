//! Riptide's domain: who is in which swarm, what a peer is told, and how that looks on the wire.
//!
//! Nothing here does I/O, reads a clock, logs or waits: time and randomness are parameters, results are values. An
//! adapter receives bytes, calls one function and sends what it wrote.
//!
//! - [`engine`] holds every swarm. [`engine::Engine`] is shared by all threads and takes `&self`.
//! - [`admission`] decides what a client gets, whatever the protocol; [`networks`], [`banned`], [`buckets`], [`clients`] and
//!   [`keys`] are what it asks.
//! - [`policy`] and [`access`] are what the operator decides, swapped whole while the engine runs.
//! - [`client_software`] tells what software a client is, by its peer ID.
//! - [`lines`] reads the lists that operators write.
//! - [`pressure`] says how much longer intervals and how much shorter lists are under load, [`interval`] what one reply tells
//!   then, and [`promises`] how long peers have to be remembered for it.
//! - [`http`] turns the query of a request into a bencoded reply ([BEP 3](https://www.bittorrent.org/beps/bep_0003.html)).
//! - [`records`] is the one format in which swarms leave the process.
//! - [`udp`] turns a batch of datagrams into replies ([BEP 15](https://www.bittorrent.org/beps/bep_0015.html)).
//! - [`ws`] answers WebTorrent messages and relays offers and answers between browsers.

pub mod access;
pub mod admission;
pub mod banned;
pub mod buckets;
pub mod client_software;
pub mod clients;
pub mod engine;
pub mod http;
pub mod interval;
pub mod keys;
pub mod lines;
pub mod model;
pub mod networks;
pub mod nodes;
pub mod policy;
pub mod pressure;
pub mod promises;
pub mod records;
pub mod rng;
pub mod udp;
pub mod ws;
