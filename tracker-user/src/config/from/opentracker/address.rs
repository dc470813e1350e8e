//! How opentracker writes an address.

use crate::config::{from::sheet::shown, readers::listening_address};
use std::net::{IpAddr, SocketAddr};

/// Where opentracker listens if nothing says another port.
const PORT: u16 = 6969;

/// Reads an address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`,
/// `2001:db8::1.80`.
pub(super) fn read(text: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("{} is not an address, with or without a port", shown(text));
    let (ip, port) = split(text).ok_or_else(wrong)?;
    let port = port.map_or(Ok(PORT), |port| port.parse().map_err(|_| wrong()))?;
    listening_address(&SocketAddr::new(ip.to_canonical(), port).to_string())
}

/// An address and the port behind it.
fn split(text: &str) -> Option<(IpAddr, Option<&str>)> {
    if let Some((ip, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix([':', '.'])?) };
        return Some((ip.parse().ok()?, port));
    }
    if let Ok(ip) = text.parse() {
        return Some((ip, None));
    }
    // Behind a bare address of IPv6 a colon would be part of it.
    let (ip, port) = text.rsplit_once([':', '.'])?;
    let ip: IpAddr = ip.parse().ok()?;
    let colon = text.as_bytes().get(text.len() - port.len() - 1) == Some(&b':');
    (colon == ip.to_canonical().is_ipv4()).then_some((ip, Some(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_in_each_of_its_ways() {
        for (text, written) in [
            ("0.0.0.0", "0.0.0.0:6969"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("[192.0.2.1]:80", "192.0.2.1:80"),
            ("::", "[::]:6969"),
            ("[::]", "[::]:6969"),
            ("[2001:db8::1]:2710", "[2001:db8::1]:2710"),
            ("[2001:db8::1].2710", "[2001:db8::1]:2710"),
            ("2001:db8::1.2710", "[2001:db8::1]:2710"),
            ("::ffff:192.0.2.1", "192.0.2.1:6969"),
            ("::ffff:192.0.2.1:80", "192.0.2.1:80"),
            ("127.0.0.1:0", "127.0.0.1:0"),
        ] {
            assert_eq!(read(text), Ok(written.parse().unwrap()), "{text}");
        }
        // The last one is an address of IPv6 as a whole.
        assert_eq!(read("2001:db8::1:2710"), Ok("[2001:db8::1:2710]:6969".parse().unwrap()));
        for text in [
            "",
            "*",
            "localhost",
            "192.0.2.1:",
            "192.0.2.1:65536",
            "192.0.2.1.80",
            "192.0.2.1:80abc",
            "[::]80",
            "[::",
            "300.0.0.1",
            "224.0.0.1",
            "6969",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
