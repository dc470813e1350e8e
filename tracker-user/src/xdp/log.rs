//! Brings the program's log lines into ours, at level TRACE: a packet triggers them.
#![allow(unsafe_code, reason = "waiting for a descriptor asks for a promise that it stays the same one")]

use super::interface::Interface;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};
use std::io;
use tokio::io::{Interest, unix::AsyncFd};

/// Reads the log of an interface's program for as long as the current runtime lives.
pub fn follow(interface: &mut Interface) {
    let name = interface.name().to_owned();
    let lines = Lines { interface: name.clone() };
    let reader = EbpfLogger::init_with_logger(interface.program_mut().ebpf_mut(), lines)
        .map_err(io::Error::other)
        .and_then(|logger| {
            // SAFETY: the descriptor is that of the ring buffer's map, which the logger owns until it is dropped and
            // never exchanges for another.
            unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) }.map_err(io::Error::other)
        });
    match reader {
        Ok(mut reader) => {
            tokio::spawn(async move {
                while let Ok(mut ready) = reader.readable_mut().await {
                    ready.get_inner_mut().flush();
                    ready.clear_ready();
                }
            });
        }
        Err(error) => tracing::warn!("xdp {name}: its log cannot be read: {error}"),
    }
}

struct Lines {
    interface: String,
}

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        tracing::trace!(interface = self.interface, "xdp program: {}", record.args());
    }

    fn flush(&self) {}
}
