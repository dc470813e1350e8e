//! Names of hosts as URLs hold them, and how clients reach this one.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The longest name in the DNS, and the longest part of one (RFC 1035, section 2.3.4), bytes.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A host, as a URL names it. Nothing in it needs an escape, in a URL or in HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, in lower case.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl Host {
    /// Reads a name, an IPv4 address, or an IPv6 address in brackets; `None` if it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(inside) = text.strip_prefix('[') {
            let address: Ipv6Addr = inside.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            (1..=MAX_LABEL).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        // A name whose last part is a number is meant as an IPv4 address (the URL standard), and is none.
        let last = name.rsplit('.').next()?;
        let is_name = name.len() <= MAX_NAME && name.split('.').all(is_label);
        (is_name && !last.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| Self::Name(name.to_ascii_lowercase()))
    }

    /// Reads a host that a port may follow, as the header `Host` has it (RFC 9110, section 7.2).
    #[must_use]
    pub fn parse_with_port(text: &str) -> Option<(Self, Option<u16>)> {
        match text.rsplit_once(':') {
            // A colon inside brackets is none before a port.
            Some((host, port)) if !port.contains(']') => {
                let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                let port = if is_port { Some(port.parse().ok()?) } else { None };
                (is_port && port != Some(0)).then_some(())?;
                Some((Self::parse(host)?, port))
            }
            _ => Some((Self::parse(text)?, None)),
        }
    }

    /// The host itself, as a browser on it calls it.
    #[must_use]
    pub fn here() -> Self {
        Self::Name("localhost".to_owned())
    }

    /// Whether it names the host that asks.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Address(address) => address.is_loopback(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// How clients reach the tracker, as the operator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicHost {
    /// By this name or address.
    pub host: Host,
    /// Where a proxy serves HTTP and WebSocket there, if one does.
    pub proxy: Option<Proxy>,
}

/// Where a proxy serves HTTP and WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Its port, if it is not the protocol's own.
    pub port: Option<u16>,
}

impl PublicHost {
    /// Reads `tracker.example.org`, or `https://tracker.example.org:8443` where a proxy serves that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (tls, rest) = match text.split_once("://") {
            None => return Some(Self { host: Host::parse(text)?, proxy: None }),
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(_) => return None,
        };
        let (host, port) = Host::parse_with_port(rest.strip_suffix('/').unwrap_or(rest))?;
        Some(Self { host, proxy: Some(Proxy { tls, port }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        for (text, shown) in [
            ("tracker.example.org", "tracker.example.org"),
            ("Tracker.Example.ORG.", "tracker.example.org"),
            ("localhost", "localhost"),
            ("a_b-c.xn--p1ai", "a_b-c.xn--p1ai"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(Host::parse(text).map(|host| host.to_string()).as_deref(), Some(shown), "{text}");
        }
        let long = ["a".repeat(63).as_str(); 4].join(".");
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "a/b",
            "a:1",
            "user@a",
            "<b>",
            "\"",
            "&amp",
            "é.example",
            "192.0.2",
            "192.0.2.256",
            "2001:db8::1",
            "[2001:db8::1",
            "[192.0.2.1]",
            "[fe80::1%eth0]",
            "[]",
            long.as_str(),
            &"a".repeat(64),
        ] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_port_may_follow() {
        for (text, host, port) in [
            ("a.example", "a.example", None),
            ("a.example:6969", "a.example", Some(6969)),
            ("192.0.2.1:80", "192.0.2.1", Some(80)),
            ("[2001:db8::1]", "[2001:db8::1]", None),
            ("[2001:db8::1]:65535", "[2001:db8::1]", Some(65_535)),
        ] {
            let (found, found_port) = Host::parse_with_port(text).unwrap();
            assert_eq!((found.to_string().as_str(), found_port), (host, port), "{text}");
        }
        for text in ["a:", "a:0", "a:65536", "a:+1", "a:x", ":1", "a:1:2", "[::1]:", "[::1]x:1"] {
            assert_eq!(Host::parse_with_port(text), None, "{text}");
        }
    }

    #[test]
    fn some_hosts_are_whoever_asks() {
        for text in ["localhost", "a.localhost", "127.0.0.1", "127.6.9.69", "[::1]"] {
            assert!(Host::parse(text).unwrap().is_loopback(), "{text}");
        }
        for text in ["localhost.example", "192.0.2.1", "[2001:db8::1]"] {
            assert!(!Host::parse(text).unwrap().is_loopback(), "{text}");
        }
    }

    #[test]
    fn what_is_public_may_be_a_proxys() {
        let read = |text: &str| {
            PublicHost::parse(text)
                .map(|public| (public.host.to_string(), public.proxy.map(|p| (p.tls, p.port))))
        };
        for (text, host, proxy) in [
            ("a.example", "a.example", None),
            ("http://a.example", "a.example", Some((false, None))),
            ("https://a.example/", "a.example", Some((true, None))),
            ("https://[2001:db8::1]:8443", "[2001:db8::1]", Some((true, Some(8443)))),
        ] {
            assert_eq!(read(text), Some((host.to_owned(), proxy)), "{text}");
        }
        for text in ["", "a.example:80", "udp://a.example", "https://", "https://a.example/x", "https://a@b"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
