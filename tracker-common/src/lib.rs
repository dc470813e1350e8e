//! What Riptide's XDP program and its user space share, so that both judge a frame by the same code.
//!
//! Everything here is `no_std`, allocates nothing, and reads bytes through the [`packet::Bytes`] trait:
//! in the kernel that is a bounds-checked window on the XDP context, on the host a byte slice.
#![no_std]
#![forbid(unsafe_code)]

#[macro_use]
pub mod label;

pub mod address;
pub mod bep15;
pub mod checksum;
pub mod connection_id;
pub mod headers;
pub mod hex;
pub mod load;
pub mod maps;
pub mod packet;
pub mod rate;
pub mod siphash;
pub mod verdict;
