//! A load generator and prober for BitTorrent trackers, `riptide-load`: for an operator's own tracker as well as for
//! the project's measurements.
//!
//! An [`engine::Engine`] sends requests of one protocol and checks every reply; [`run`] paces it, or searches for the
//! served rate; [`report`] prints what came of it. Nothing is ever sent faster than asked, and every run ends by itself.
#![forbid(unsafe_code)]

pub mod cli;
pub mod command;
pub mod cpu;
pub mod engine;
pub mod error;
pub mod figures;
pub mod http;
pub mod kernel;
pub mod limits;
pub mod net;
pub mod numbers;
pub mod pace;
pub mod peers;
pub mod progress;
pub mod record;
pub mod report;
pub mod rng;
pub mod route;
pub mod run;
pub mod search;
pub mod signals;
pub mod sources;
pub mod target;
pub mod udp;
pub mod workers;
pub mod workload;
pub mod ws;
