//! Why a run could not be made or finished, as one line for a person.

use std::{io, net::IpAddr, time::Duration};

/// Why a run could not be made or finished.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line asks for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// The name has no address.
    #[error("target {name} cannot be resolved: {reason}; check the name, or give an address")]
    Resolve {
        /// The name.
        name: String,
        /// What the resolver says.
        reason: String,
    },
    /// The target may be somebody else's.
    #[error(
        "target {target} is reached through the gateway {gateway}, so it may be somebody else's; \
         load only what is yours, and say so with --i-own-this-target"
    )]
    Gateway {
        /// The target.
        target: IpAddr,
        /// What stands between.
        gateway: String,
    },
    /// There is no way to the target.
    #[error("target {target} is unreachable: {reason}")]
    Unreachable {
        /// The target.
        target: String,
        /// What the kernel says.
        reason: String,
    },
    /// The kernel could not be asked for the way.
    #[error(
        "the kernel did not tell the route to {target}: {reason}; if the target is yours, give --i-own-this-target"
    )]
    Route {
        /// The target.
        target: IpAddr,
        /// Why not.
        reason: String,
    },
    /// Nobody answered the first request.
    #[error(
        "{target} did not answer the first {what} within {}; is a tracker listening there, and does a firewall let \
         it answer?",
        seconds(*.waited)
    )]
    Silent {
        /// The target.
        target: String,
        /// What was sent.
        what: &'static str,
        /// How long was waited.
        waited: Duration,
    },
    /// The first answer was none of a tracker.
    #[error("{target} is not a tracker of this kind: {what}")]
    NotATracker {
        /// The target.
        target: String,
        /// What it answered.
        what: String,
    },
    /// TLS did not come about.
    #[error("TLS with {target} failed: {reason}; --ca FILE names who is trusted, --insecure trusts anybody")]
    Tls {
        /// The target.
        target: String,
        /// What TLS says.
        reason: String,
    },
    /// Too few file descriptors.
    #[error(
        "{needed} connections need about as many file descriptors, and this process may open {allowed}; \
         raise the hard limit (ulimit -Hn, LimitNOFILE=) or ask for fewer"
    )]
    Descriptors {
        /// How many are needed.
        needed: u64,
        /// How many may be opened.
        allowed: u64,
    },
    /// There are not as many addresses as asked for.
    #[error("{0}")]
    Sources(String),
    /// The operating system refused something.
    #[error("{doing}: {reason}")]
    System {
        /// What was tried.
        doing: String,
        /// What the system says.
        reason: io::Error,
    },
    /// Somebody stopped it before there were figures.
    #[error("stopped before the load began")]
    Stopped,
    /// This binary was built without the programs of the kernel engine.
    #[error(
        "this riptide-load was built without its XDP programs: run `cargo xtask build-ebpf`, then build it again; or \
         use --engine sockets"
    )]
    NoPrograms,
    /// The kernel did not do what the kernel engine needs.
    #[error("{doing}: {reason}{hint}", hint = kernel_hint(.reason))]
    Kernel {
        /// What was tried.
        doing: &'static str,
        /// What the kernel says.
        reason: String,
    },
    /// A worker thread ended by itself.
    #[error("a worker thread panicked; this is a bug in riptide-load")]
    Panicked,
}

impl Error {
    /// For `map_err`: the operating system refused `doing`.
    pub fn system<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |reason| Self::System { doing, reason: reason.into() }
    }

    /// Whether the command line is to blame: exit status 2.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Usage(_))
    }
}

fn kernel_hint(reason: &str) -> &'static str {
    if reason.contains("Operation not permitted") {
        " (the kernel engine needs root; --engine sockets does not)"
    } else if reason.contains("Device or resource busy") || reason.contains("File exists") {
        " (another XDP program is on the interface: `ip link show` names it)"
    } else if reason.contains("Operation not supported") {
        " (its driver has no native XDP; use --engine sockets)"
    } else {
        ""
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
