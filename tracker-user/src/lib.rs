//! Everything of Riptide that touches the world. The binary is a thin `main` over this library.

pub mod access_file;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod exit;
pub mod logging;
pub mod privileges;
pub mod state;
