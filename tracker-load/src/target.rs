//! What is to be loaded, as a person writes it.

use crate::error::Error;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

/// A target: `HOST:PORT`, or a URL with that and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// The name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Where requests go, with a slash in front.
    pub path: String,
}

/// Which protocol the target is loaded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// BEP 15; `udp://`.
    Udp,
    /// BEP 3; `http://`, `https://`.
    Http,
    /// WebTorrent; `ws://`, `wss://`.
    Ws,
}

impl Protocol {
    /// Its schemes, the one without TLS first.
    const fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Udp => &["udp"],
            Self::Http => &["http", "https"],
            Self::Ws => &["ws", "wss"],
        }
    }

    /// The path of announces where none is given.
    const fn path(self) -> &'static str {
        match self {
            Self::Udp | Self::Http => "/announce",
            Self::Ws => "/",
        }
    }
}

impl Target {
    /// Reads one; `tls` asks for TLS even where the text does not.
    ///
    /// # Errors
    /// [`Error::Usage`] with what is wrong.
    pub fn parse(text: &str, protocol: Protocol, tls: bool) -> Result<Self, Error> {
        let wrong = |why: String| Error::Usage(format!("--target {text}: {why}"));
        let schemes = protocol.schemes();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => match schemes.iter().position(|known| known.eq_ignore_ascii_case(scheme))
            {
                Some(number) => (Some(number), rest),
                None => return Err(wrong(format!("the scheme must be {}", schemes.join(" or ")))),
            },
            None => (None, text),
        };
        let tls = tls || scheme == Some(1);
        let (place, path) = match rest.find('/') {
            Some(at) => (&rest[..at], &rest[at..]),
            None => (rest, protocol.path()),
        };
        let path = if path == "/" { protocol.path() } else { path };
        if path.bytes().any(|byte| !(0x21..0x7f).contains(&byte)) {
            return Err(wrong("the path holds a character that must be percent-escaped".into()));
        }
        let default_port = match (scheme, protocol) {
            (Some(_), Protocol::Http | Protocol::Ws) => Some(if tls { 443 } else { 80 }),
            _ => None,
        };
        let (host, port) = split_port(place).map_err(wrong)?;
        let port =
            port.or(default_port).ok_or_else(|| wrong("a port is missing, as in 127.0.0.1:6969".into()))?;
        if host.is_empty()
            || host.bytes().any(|byte| !byte.is_ascii_graphic() || b"[]@?#\\\"".contains(&byte))
        {
            return Err(wrong("a host name or address is missing before the port".into()));
        }
        Ok(Self { tls, host: host.to_owned(), port, path: path.to_owned() })
    }

    /// `HOST:PORT` as in a URL.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Its first address.
    ///
    /// # Errors
    /// [`Error::Resolve`] if it has none.
    pub fn resolve(&self) -> Result<SocketAddr, Error> {
        let failed = |reason: String| Error::Resolve { name: self.host.clone(), reason };
        let mut found =
            (self.host.as_str(), self.port).to_socket_addrs().map_err(|error| failed(error.to_string()))?;
        let address = found.next().ok_or_else(|| failed("it has no address".into()))?;
        // An IPv4-mapped address is IPv4, for sockets and peer lists alike.
        Ok(match address.ip() {
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => SocketAddr::new(v4.into(), address.port()),
                None => address,
            },
            IpAddr::V4(_) => address,
        })
    }
}

fn split_port(place: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("a bracket is not closed")?;
        match after {
            "" => (host, None),
            _ => (host, Some(after.strip_prefix(':').ok_or("after the bracket comes a colon and the port")?)),
        }
    } else {
        match place.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return Err("an IPv6 address stands in brackets, as in [::1]:6969".into());
            }
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        }
    };
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port != 0 => Some(port),
        Some(_) => return Err("the port must be a number from 1 to 65535".into()),
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, protocol: Protocol) -> Result<(bool, String, String), String> {
        let target = Target::parse(text, protocol, false).map_err(|error| error.to_string())?;
        Ok((target.tls, target.authority(), target.path))
    }

    #[test]
    fn targets_are_read_as_people_write_them() {
        for (text, protocol, tls, authority, path) in [
            ("127.0.0.1:6969", Protocol::Udp, false, "127.0.0.1:6969", "/announce"),
            ("udp://[::1]:6969/announce", Protocol::Udp, false, "[::1]:6969", "/announce"),
            ("http://localhost/", Protocol::Http, false, "localhost:80", "/announce"),
            ("https://a.example/x/announce?k=1", Protocol::Http, true, "a.example:443", "/x/announce?k=1"),
            ("[::1]:80", Protocol::Http, false, "[::1]:80", "/announce"),
            ("WSS://a.example:8443", Protocol::Ws, true, "a.example:8443", "/"),
            ("ws://10.0.0.1/tracker", Protocol::Ws, false, "10.0.0.1:80", "/tracker"),
        ] {
            assert_eq!(parse(text, protocol), Ok((tls, authority.into(), path.into())), "{text}");
        }
        assert!(Target::parse("a:1", Protocol::Http, true).unwrap().tls);
    }

    #[test]
    fn what_is_no_target_is_said_to_be_none() {
        for (text, protocol, part) in [
            ("127.0.0.1", Protocol::Udp, "port"),
            ("udp://127.0.0.1", Protocol::Udp, "port"),
            ("http://127.0.0.1:1", Protocol::Udp, "scheme must be udp"),
            ("udp://127.0.0.1:1", Protocol::Ws, "scheme must be ws or wss"),
            ("::1:6969", Protocol::Udp, "brackets"),
            ("[::1:6969", Protocol::Udp, "bracket"),
            ("[::1]6969", Protocol::Udp, "colon"),
            ("a:0", Protocol::Udp, "1 to 65535"),
            ("a:70000", Protocol::Udp, "1 to 65535"),
            (":1", Protocol::Udp, "host"),
            ("a b:1", Protocol::Udp, "host"),
            ("http://a/b c", Protocol::Http, "percent"),
            ("http://a/b\r\nX: y", Protocol::Http, "percent"),
        ] {
            let error = parse(text, protocol).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn addresses_resolve_to_themselves_and_mapped_ones_to_ipv4() {
        let resolve = |text: &str| Target::parse(text, Protocol::Udp, false).unwrap().resolve();
        assert_eq!(resolve("127.0.0.1:5").unwrap(), "127.0.0.1:5".parse().unwrap());
        assert_eq!(resolve("[::ffff:127.0.0.1]:5").unwrap(), "127.0.0.1:5".parse().unwrap());
    }
}
