//! Why the program could not be loaded, attached or used.

use crate::xdp::link::Mode;
use aya::maps::MapError;
use std::io;

/// Why the program could not be loaded or attached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The binary was built without it.
    #[error(
        "this riptide was built without the XDP program: run `cargo xtask build-ebpf`, then build riptide again"
    )]
    NotBuiltIn,
    /// The kernel or our rights do not suffice to load it.
    #[error("the kernel did not load the XDP program: {0}{hint}", hint = hint(.0))]
    Load(String),
    /// A map could not be written.
    #[error("a map of the XDP program could not be used: {reason}", reason = chain(.0))]
    Map(#[from] MapError),
    /// There is no memory for banned networks.
    #[error("banned networks could not be written: {0}")]
    Ban(io::Error),
    /// The driver has no native XDP, or cannot take it as it is configured.
    #[error("{mode} XDP cannot be attached: {reason}{hint}", mode = .mode.label(), hint = hint(.reason))]
    Attach {
        /// The mode asked for.
        mode: Mode,
        /// What the kernel said.
        reason: String,
    },
    /// The kernel lacks what the program calls.
    #[error("XDP needs Linux 5.11 or newer, this is {0}")]
    OldKernel(String),
    /// Another program is there.
    #[error("another XDP program is on the interface")]
    Occupied,
    /// The place of another process's program could not be taken.
    #[error("the program of the process before cannot be replaced: {0}")]
    Replace(io::Error),
}

impl Error {
    /// What the kernel said of an attachment.
    pub(super) fn not_attached(error: &io::Error, mode: Mode) -> Self {
        match error.raw_os_error() {
            Some(libc::EBUSY | libc::EEXIST) => Self::Occupied,
            _ => Self::Attach { mode, reason: error.to_string() },
        }
    }
}

fn hint(reason: &str) -> &'static str {
    if reason.contains("Operation not permitted") {
        " (needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)"
    } else if reason.contains("No space left on device") {
        " (a veth needs as many receive queues as its peer has transmit queues: `ethtool -L`)"
    } else if reason.contains("Operation not supported") {
        " (the driver does not have it; `riptide doctor` tells more)"
    } else {
        ""
    }
}

/// The whole chain of an error's causes on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
