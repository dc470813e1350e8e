//! Everything of Riptide that touches the world. The binary is a thin `main` over this library.

pub mod access_file;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod counters;
pub mod doctor;
pub mod events;
pub mod exit;
pub mod farewell;
pub mod http;
pub mod logging;
pub mod material;
pub mod metrics;
pub mod policy;
pub mod privileges;
pub mod random;
pub mod server;
pub mod state;
pub mod stats;
pub mod sweep;
pub mod tls;
pub mod udp;
pub mod ws;
pub mod xdp;
