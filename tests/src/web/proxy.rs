//! PROXY protocol headers, written by hand.

use std::net::{IpAddr, SocketAddr};

/// Version 1: a line of text.
#[must_use]
pub fn v1(client: SocketAddr) -> Vec<u8> {
    let (family, here) = if client.is_ipv4() { ("TCP4", "192.0.2.1") } else { ("TCP6", "2001:db8:1::1") };
    format!("PROXY {family} {} {here} {} 443\r\n", client.ip(), client.port()).into_bytes()
}

/// Version 2: bytes, with a TLV behind the addresses that says nothing.
#[must_use]
pub fn v2(client: SocketAddr) -> Vec<u8> {
    let mut body = match client.ip() {
        IpAddr::V4(address) => [address.octets(), [192, 0, 2, 1]].concat(),
        IpAddr::V6(address) => [address.octets(), [0x20; 16]].concat(),
    };
    body.extend(client.port().to_be_bytes());
    body.extend(443_u16.to_be_bytes());
    body.extend([0x04, 0, 3, 1, 2, 3]);
    v2_header(0x21, if client.is_ipv4() { 0x11 } else { 0x21 }, &body)
}

/// Version 2 from the proxy itself, as for its health checks.
#[must_use]
pub fn v2_local() -> Vec<u8> {
    v2_header(0x20, 0, &[])
}

/// Version 2 with this command, family and body.
#[must_use]
pub fn v2_header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(body.len()).expect("a short body").to_be_bytes());
    bytes.extend(body);
    bytes
}
