//! The types that configured values have beyond the standard library's, and where a value came from.

use crate::host::Host;
use std::{fmt, net::SocketAddr, path::PathBuf};

/// Where to listen: internet addresses, or for HTTP what [`ListenAddress`] holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen<A = SocketAddr> {
    /// The addresses, each once; port 0 lets the kernel choose.
    pub addresses: Vec<A>,
    /// Whether these are the built-in ones: then one whose family the host lacks is skipped with a line, while an
    /// explicit one is an error. A file that repeats the built-in list, as `riptide config default` prints it, counts
    /// as built-in.
    pub is_default: bool,
}

/// Where a byte stream can be listened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// TCP at an address and port.
    Tcp(SocketAddr),
    /// A Unix socket at an absolute path.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where the control socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlSocket {
    /// Its absolute path.
    pub path: PathBuf,
    /// Whether this is the built-in one, as with [`Listen::is_default`]: then one that cannot be had is left out with a
    /// line, while an explicit one is an error.
    pub is_default: bool,
}

/// Where a NATS server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsServer {
    /// Whether nothing but TLS is spoken with it. Otherwise it says whether it wants TLS.
    pub tls: bool,
    /// Its host.
    pub host: Host,
    /// Its port, which is not 0.
    pub port: u16,
}

impl NatsServer {
    /// The port of NATS servers for clients.
    pub const PORT: u16 = 4222;
}

/// Its URL, with the port.
impl fmt::Display for NatsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.tls { "tls" } else { "nats" }, self.host, self.port)
    }
}

/// A part of something, to a thousandth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part(u32);

impl Part {
    /// The thousandth next to `share`, which is 0 at least and 1 at most.
    #[expect(clippy::cast_sign_loss, reason = "what is negative is left out before")]
    pub(super) fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then(|| Self((share * 1000.0).round() as u32))
    }

    /// From 0 to 1000.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1000.0)
    }
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// How the XDP program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// Native, else generic, else sockets only; a line says which and why.
    Auto,
    /// In the driver, or the start fails.
    Native,
    /// In the kernel's generic hook, or the start fails.
    Generic,
    /// Not at all.
    Off,
}

/// Whether AF_XDP sockets ask for zero-copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZeroCopy {
    /// Where the driver grants it.
    Auto,
    /// Never.
    Off,
}

/// Who fetches frames from a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusyPoll {
    /// Workers while there is load, where the interface's interrupts can be put off.
    Auto,
    /// The kernel, whenever it is interrupted.
    Off,
    /// Workers, which never sleep.
    Always,
}

/// What the list of info hashes means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// Nothing: every torrent is served.
    Off,
    /// Only listed torrents are served.
    Allow,
    /// Listed torrents are refused.
    Deny,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text each.
    Text,
    /// One JSON object each.
    Json,
}

/// When a change of a key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// At the next SIGHUP.
    Reload,
    /// At the next start.
    Restart,
}

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Built in.
    Default,
    /// In the configuration file, at a line counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// In this environment variable.
    Environment(String),
    /// By this flag.
    Flag(&'static str),
}

impl Place {
    /// Whether a value from here that is the built-in one may be the one that `riptide config default` printed, and so
    /// nobody's wish.
    pub(super) const fn may_skip(&self) -> bool {
        matches!(self, Self::Default | Self::File { .. })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "built-in default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}
