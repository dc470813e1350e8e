//! Why something could not be asked, or was not answered.

use super::shown;
use std::{io, net::IpAddr, time::Duration};

/// What is spoken below everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl Transport {
    const fn word(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

/// Why there is no answer. Each text says what happened and what may be the matter.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The host says that nobody is at this port.
    #[error("refused: nothing listens on {} port {port} there, or a firewall rejects it", .transport.word())]
    Refused {
        /// What was spoken.
        transport: Transport,
        /// The port.
        port: u16,
    },
    /// This machine cannot send there.
    #[error("this machine has no way to {family} addresses ({source}): not asked")]
    NoWay {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A router says that the host cannot be reached.
    #[error("the host cannot be reached ({0}): it is down, or a router on the way does not know it")]
    Unreachable(io::Error),
    /// Nothing came.
    #[error("no answer in {}: nothing runs there, or a firewall drops what is asked or what is answered", shown::patience(*.0))]
    Silent(Duration),
    /// Nothing came from a tracker that has been heard of.
    #[error("no answer in {} to this, though the tracker is there", shown::patience(*.0))]
    SilentNow(Duration),
    /// What came is no answer to what was asked.
    #[error(
        "no answer in {}, but {came} came with another transaction ID (0x{got:08x} instead of 0x{sent:08x}): clients drop \
         these (BEP 15)", shown::patience(*.patience)
    )]
    OtherTransaction {
        /// How long was waited.
        patience: Duration,
        /// How many.
        came: String,
        /// The transaction ID of the request.
        sent: u32,
        /// That of the first one.
        got: u32,
    },
    /// What came is shorter than any answer.
    #[error("what came has {0} bytes, and no answer has fewer than 8 (BEP 15): clients drop it")]
    Runt(usize),
    /// The answer began and did not end.
    #[error("the answer was not whole after {}: {bytes} bytes of it came", shown::patience(*.patience))]
    Slow {
        /// How long was waited.
        patience: Duration,
        /// Bytes of the body that came.
        bytes: usize,
    },
    /// The answer is longer than any that a client takes.
    #[error("the answer is longer than {} KiB: clients do not read on", .0 >> 10)]
    TooLong(usize),
    /// The connection was ended before there was an answer.
    #[error("the connection was closed without an answer")]
    Closed,
    /// What came is not HTTP.
    #[error("the answer is not HTTP: {0}")]
    NotHttp(String),
    /// There is no TLS, or no version of it that both know.
    #[error("{0}")]
    Tls(String),
    /// Whatever else the system says.
    #[error("{0}")]
    Io(io::Error),
}

impl Trouble {
    /// What an error of a socket means.
    pub(super) fn of(source: io::Error, transport: Transport, address: (IpAddr, u16)) -> Self {
        let family = if address.0.is_ipv4() { "IPv4" } else { "IPv6" };
        match source.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused { transport, port: address.1 },
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => {
                Self::NoWay { family, source }
            }
            _ if source.raw_os_error() == Some(libc::EAFNOSUPPORT) => Self::NoWay { family, source },
            io::ErrorKind::HostUnreachable => Self::Unreachable(source),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted => Self::Closed,
            _ => Self::Io(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_sockets_say_what_is_the_matter() {
        let said = |number| {
            let error = io::Error::from_raw_os_error(number);
            Trouble::of(error, Transport::Udp, ("2001:db8::1".parse().unwrap(), 6969)).to_string()
        };
        assert!(said(libc::ECONNREFUSED).starts_with("refused: nothing listens on UDP port 6969 there"));
        assert!(said(libc::ENETUNREACH).contains("no way to IPv6 addresses (Network is unreachable"));
        assert!(said(libc::EAFNOSUPPORT).contains("no way to IPv6"));
        assert!(said(libc::EHOSTUNREACH).contains("a router on the way"));
        assert!(said(libc::ECONNRESET).contains("closed without an answer"));
        assert!(said(libc::EPERM).contains("not permitted"));
    }
}
