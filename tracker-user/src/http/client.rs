//! Whose request this is: the peer of the connection, or whom a trusted proxy names.

use crate::{config, policy::networks};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tracker_common::address::Address;
use tracker_core::networks::Network;

/// Tells the addresses of clients, as configured.
#[derive(Debug)]
pub(super) struct Clients {
    trusted: Vec<Network>,
    header: Option<HeaderName>,
}

/// Why a request has no client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAddress {
    /// It came by a Unix socket and the proxy names nobody.
    #[error("the proxy does not tell the client's address")]
    Missing,
    /// What the proxy names is no address.
    #[error("the proxy tells a client's address that is none")]
    Malformed,
    /// The address is not one that a peer can have.
    #[error("the client's address is not unicast")]
    NotUnicast,
}

impl Clients {
    /// By `http.trusted_proxies` and `http.client_address_header`.
    pub(super) fn new(config: &config::Http) -> Self {
        Self { trusted: networks(&config.trusted_proxies), header: config.client_address_header.clone() }
    }

    /// Whether the word of this peer of a connection counts; `None` is that of a Unix socket, which counts.
    pub(super) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_none_or(|peer| self.trusted.iter().any(|network| network.contains(peer.into())))
    }

    /// The address of the client whose request came from this peer with these headers.
    ///
    /// It is the peer, unless that is a trusted proxy. Then it is the right-most address of the header that is not
    /// itself a trusted proxy's: everything left of it the client may have written. Several lines of the header are one
    /// list (RFC 9110, section 5.3). If all are trusted it is the left-most, and without the header the peer.
    ///
    /// # Errors
    /// If there is none, or none that a peer can have.
    pub(super) fn address(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<Address, NoAddress> {
        let named = match &self.header {
            Some(name) if self.trusts(peer) => self.named(name, headers)?,
            _ => None,
        };
        let address = Address::from(named.or(peer).ok_or(NoAddress::Missing)?);
        if address.is_unicast() { Ok(address) } else { Err(NoAddress::NotUnicast) }
    }

    fn named(&self, name: &HeaderName, headers: &HeaderMap) -> Result<Option<IpAddr>, NoAddress> {
        let forwarded = name == header::FORWARDED;
        let mut left_most = None;
        for line in headers.get_all(name).iter().rev().map(HeaderValue::as_bytes) {
            let mut rest = Some(line);
            while let Some(list) = rest {
                let (before, element) = if forwarded { split_last(list, b',') } else { split_comma(list) };
                rest = before;
                let element = element.trim_ascii();
                // Empty elements of a list do not count (RFC 9110, section 5.6.1.2).
                if element.is_empty() {
                    continue;
                }
                let node = if forwarded { forwarded_for(element) } else { Some(element) };
                let address = node.and_then(parse_node).ok_or(NoAddress::Malformed)?;
                if !self.trusts(Some(address)) {
                    return Ok(Some(address));
                }
                left_most = Some(address);
            }
        }
        Ok(left_most)
    }
}

/// What is before the last comma, if there is one, and what is after it.
fn split_comma(list: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match list.iter().rposition(|byte| *byte == b',') {
        Some(at) => (Some(&list[..at]), &list[at + 1..]),
        None => (None, list),
    }
}

/// The same for a separator that counts outside quoted strings only.
///
/// The text is read from its end, which the trusted proxy wrote, so that nothing a client wrote before it, such as an
/// opening quotation mark, changes its meaning.
fn split_last(list: &[u8], separator: u8) -> (Option<&[u8]>, &[u8]) {
    let mut quoted = false;
    for at in (0..list.len()).rev() {
        if list[at] == b'"' {
            let backslashes = list[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
            // Behind an odd number of them the mark is part of the string.
            quoted ^= backslashes.is_multiple_of(2);
        } else if list[at] == separator && !quoted {
            return (Some(&list[..at]), &list[at + 1..]);
        }
    }
    (None, list)
}

/// The node that a forwarded-element names by its one `for` parameter (RFC 7239, section 4).
fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    let mut rest = Some(element);
    while let Some(pairs) = rest {
        let (before, pair) = split_last(pairs, b';');
        rest = before;
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"for") {
            let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
            // A second one is against the grammar, and nobody knows which was meant.
            if found.replace(unquoted.unwrap_or(value)).is_some() {
                return None;
            }
        }
    }
    found
}

/// Reads an address, alone or with a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`,
/// `[2001:db8::1]:80`. The port may be hidden behind a word with an underscore (RFC 7239, section 6).
fn parse_node(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let address = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        IpAddr::V6(address.parse::<Ipv6Addr>().ok()?)
    } else {
        match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => {
                let address = address.parse::<Ipv4Addr>().ok()?;
                is_port(port).then_some(IpAddr::V4(address))?
            }
            _ => text.parse().ok()?,
        }
    };
    Some(address.to_canonical())
}

fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(word) => {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        }
        None => (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const PROXY: &str = "10.0.0.1";

    fn clients(header: &str) -> Clients {
        let mut config = Config::default().http;
        config.trusted_proxies =
            ["10.0.0.0/8", "2001:db8:aaaa::/48"].map(|network| network.parse().unwrap()).into();
        config.client_address_header = (!header.is_empty()).then(|| header.parse().unwrap());
        Clients::new(&config)
    }

    fn headers(name: &str, lines: &[&str]) -> HeaderMap {
        let name: HeaderName = name.parse().unwrap();
        let values = lines.iter().map(|line| HeaderValue::from_bytes(line.as_bytes()).unwrap());
        values.map(|value| (name.clone(), value)).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The lines of the header, and the address they tell of, or an error.
    fn check(name: &str, table: &[(&[&str], Result<&str, NoAddress>)]) {
        for (lines, expected) in table {
            let found = clients(name).address(Some(ip(PROXY)), &headers(name, lines));
            assert_eq!(found, expected.map(|text| Address::from(ip(text))), "{lines:?}");
        }
    }

    #[test]
    fn the_right_most_stranger_is_the_client() {
        check(
            "x-forwarded-for",
            &[
                (&["192.0.2.1"], Ok("192.0.2.1")),
                (&["198.51.100.7, 192.0.2.1"], Ok("192.0.2.1")),
                (&["198.51.100.7,192.0.2.1,10.1.1.1 , 2001:db8:aaaa::5"], Ok("192.0.2.1")),
                (&["198.51.100.7", "192.0.2.1", "10.1.1.1"], Ok("192.0.2.1")),
                (&["192.0.2.1", "10.1.1.1, 10.1.1.2"], Ok("192.0.2.1")),
                // What the client wrote is not looked at, whatever it is.
                (&["no address, \u{e9}, \", 192.0.2.1"], Ok("192.0.2.1")),
                (&["10.0.0.9, 127.0.0.1, 192.0.2.1"], Ok("192.0.2.1")),
                // All trusted: the one farthest away.
                (&["10.3.3.3, 10.2.2.2"], Ok("10.3.3.3")),
                (&["10.3.3.3", "10.2.2.2"], Ok("10.3.3.3")),
                // Empty elements and lines do not count.
                (&["192.0.2.1, ,", "", " , "], Ok("192.0.2.1")),
                (&[""], Ok(PROXY)),
                (&[], Ok(PROXY)),
            ],
        );
    }

    #[test]
    fn addresses_are_read_with_ports_and_brackets() {
        check(
            "x-forwarded-for",
            &[
                (&["192.0.2.1:50000"], Ok("192.0.2.1")),
                (&["2001:db8::1"], Ok("2001:db8::1")),
                (&["[2001:db8::1]"], Ok("2001:db8::1")),
                (&["[2001:db8::1]:443"], Ok("2001:db8::1")),
                (&["::ffff:192.0.2.1"], Ok("192.0.2.1")),
                (&["[::ffff:c000:201]:1"], Ok("192.0.2.1")),
                (&["::ffff:10.0.0.1"], Ok("10.0.0.1")),
                (&["192.0.2.1, ::ffff:10.9.9.9"], Ok("192.0.2.1")),
            ],
        );
        let wrong = [
            "unknown",
            "_hidden",
            "192.0.2",
            "192.0.2.1:",
            "192.0.2.1:x",
            "192.0.2.1:123456",
            "192.0.2.01",
            "[192.0.2.1]",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]443",
            "[2001:db8::1]:",
            "fe80::1%eth0",
            "192.0.2.1 192.0.2.2",
            "\"192.0.2.1\"",
            "\u{fc}",
            "for=192.0.2.1",
        ];
        for text in wrong {
            check("x-forwarded-for", &[(&[text], Err(NoAddress::Malformed))]);
            // A wrong word of a trusted proxy is not passed over.
            check("x-forwarded-for", &[(&["192.0.2.1", text], Err(NoAddress::Malformed))]);
        }
        for text in
            ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "[ff02::1]:80", "::ffff:239.1.1.1"]
        {
            check("x-forwarded-for", &[(&[text], Err(NoAddress::NotUnicast))]);
        }
    }

    #[test]
    fn forwarded_is_read_by_its_own_grammar() {
        check(
            "forwarded",
            &[
                // The examples of RFC 7239, sections 4 and 7.1.
                (&["for=192.0.2.43, for=198.51.100.17"], Ok("198.51.100.17")),
                (&["For=\"[2001:db8:cafe::17]:4711\""], Ok("2001:db8:cafe::17")),
                (&["for=192.0.2.60;proto=http;by=203.0.113.43"], Ok("192.0.2.60")),
                (&["for=192.0.2.43, for=\"[2001:db8:aaaa::17]\""], Ok("192.0.2.43")),
                (&["for=unknown"], Err(NoAddress::Malformed)),
                (&["for=_hidden, for=_SEVKISEK"], Err(NoAddress::Malformed)),
                (&["for=\"_gazonk\""], Err(NoAddress::Malformed)),
                // Spaces, ports, and names in any case.
                (&["proto=http ; FOR = \"192.0.2.1:_port\" ; by=_x"], Ok("192.0.2.1")),
                (&["for=192.0.2.1:80;by=\"a,b;for=1.1.1.1\""], Ok("192.0.2.1")),
                (&["for=192.0.2.1;host=\"a\\\", for=1.1.1.1\""], Ok("192.0.2.1")),
                (&["for=192.0.2.1;host=\"a\\\\\", for=198.51.100.1"], Ok("198.51.100.1")),
                // What a client wrote before does not change what the proxy wrote.
                (&["for=\"1.1.1.1, for=192.0.2.1"], Ok("192.0.2.1")),
                (&["for=1.1.1.1;x=\"\\", "for=192.0.2.1"], Ok("192.0.2.1")),
                (&["for=192.0.2.1, for=10.1.1.1;by=10.0.0.1"], Ok("192.0.2.1")),
                (&["for=10.2.2.2", "for=10.1.1.1"], Ok("10.2.2.2")),
                // An element that names nobody, or two.
                (&["for=192.0.2.1, by=10.0.0.1"], Err(NoAddress::Malformed)),
                (&["for=192.0.2.1;for=192.0.2.2"], Err(NoAddress::Malformed)),
                (&["192.0.2.1"], Err(NoAddress::Malformed)),
                (&["for=\"192.0.2.1"], Err(NoAddress::Malformed)),
                (&["for="], Err(NoAddress::Malformed)),
                (&[", ,"], Ok(PROXY)),
            ],
        );
    }

    #[test]
    fn nothing_a_client_writes_changes_what_the_proxy_wrote() {
        let pieces = [
            "\"",
            "\\",
            ",",
            ";",
            "=",
            " ",
            "for",
            "for=",
            "for=1.1.1.1",
            "10.0.0.1",
            "1.1.1.1",
            "[",
            "]",
            ":",
            "\u{e9}",
            "_",
        ];
        let mut rng = tracker_core::rng::Rng::new([1, 2]);
        let [list, forwarded] = ["x-forwarded-for", "forwarded"].map(clients);
        for _ in 0..5_000 {
            let count = rng.below(12);
            let theirs: String = (0..count).map(|_| pieces[rng.below(pieces.len())]).collect();
            for (clients, name, ours) in [
                (&list, "x-forwarded-for", "192.0.2.1"),
                (&forwarded, "forwarded", "for=192.0.2.1"),
                (&forwarded, "forwarded", "for=\"192.0.2.1:80\";host=\"a, b\\\"\""),
            ] {
                let one_line = headers(name, &[&format!("{theirs}, {ours}")]);
                let two_lines = headers(name, &[&theirs, ours]);
                for sent in [one_line, two_lines] {
                    let found = clients.address(Some(ip(PROXY)), &sent);
                    assert_eq!(found, Ok(Address::from(ip("192.0.2.1"))), "{sent:?}");
                }
                // Alone it may be anything, and is read without a panic.
                let _ = clients.address(Some(ip(PROXY)), &headers(name, &[&theirs]));
            }
        }
    }

    #[test]
    fn strangers_speak_for_themselves() {
        let sent = headers("x-forwarded-for", &["192.0.2.1"]);
        let clients = clients("x-forwarded-for");
        for peer in ["198.51.100.1", "2001:db8:bbbb::1", "127.0.0.1", "::ffff:198.51.100.1"] {
            assert_eq!(clients.address(Some(ip(peer)), &sent), Ok(Address::from(ip(peer))), "{peer}");
            assert!(!clients.trusts(Some(ip(peer))));
        }
        for peer in [PROXY, "2001:db8:aaaa::1", "::ffff:10.0.0.1"] {
            assert_eq!(clients.address(Some(ip(peer)), &sent), Ok(Address::from(ip("192.0.2.1"))), "{peer}");
            assert!(clients.trusts(Some(ip(peer))));
        }
        // Other headers are nothing, and nor is the right one in a list of none.
        let other = headers("x-real-ip", &["192.0.2.1"]);
        assert_eq!(clients.address(Some(ip(PROXY)), &other), Ok(Address::from(ip(PROXY))));
    }

    #[test]
    fn without_a_header_the_peer_is_the_client() {
        let sent = headers("x-forwarded-for", &["192.0.2.1"]);
        assert_eq!(clients("").address(Some(ip(PROXY)), &sent), Ok(Address::from(ip(PROXY))));
        assert_eq!(clients("").address(None, &sent), Err(NoAddress::Missing));
        assert_eq!(clients("").address(Some(ip("0.0.0.0")), &sent), Err(NoAddress::NotUnicast));
    }

    #[test]
    fn a_unix_sockets_peer_is_a_proxy_without_an_address() {
        let clients = clients("x-forwarded-for");
        assert!(clients.trusts(None));
        let sent = headers("x-forwarded-for", &["198.51.100.1, 192.0.2.1, 10.0.0.1"]);
        assert_eq!(clients.address(None, &sent), Ok(Address::from(ip("192.0.2.1"))));
        assert_eq!(clients.address(None, &HeaderMap::new()), Err(NoAddress::Missing));
        let all_trusted = headers("x-forwarded-for", &["10.0.0.1"]);
        assert_eq!(clients.address(None, &all_trusted), Ok(Address::from(ip("10.0.0.1"))));
    }
}
