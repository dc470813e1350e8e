//! Records of peers as nodes tell them, byte by byte.

use crate::udp::Id20;
use std::net::{IpAddr, SocketAddr};

/// A peer that went.
pub const GONE: u64 = 1;
/// A peer that wants more.
pub const LEECHER: u64 = 2;
/// A peer that has all, and whose download is not counted.
pub const SEEDER: u64 = 6;

/// A number in as few bytes as do: seven bits a byte, the lowest first, the high bit set in all but the last.
#[must_use]
pub fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A torrent of which a node counted so many downloads, and its peers: those of IPv4, then those of IPv6, each with what
/// it is and its age in seconds.
#[must_use]
pub fn torrent(hash: Id20, downloaded: u64, peers: &[(SocketAddr, u64, u64)]) -> Vec<u8> {
    let of = |ipv6| peers.iter().filter(move |(address, _, _)| address.is_ipv6() == ipv6);
    let mut bytes = hash.to_vec();
    bytes.extend(varint(downloaded));
    bytes.push(0);
    for ipv6 in [false, true] {
        bytes.extend(varint(of(ipv6).count() as u64));
    }
    for (address, kind, age) in of(false).chain(of(true)) {
        match address.ip() {
            IpAddr::V4(ip) => bytes.extend(ip.octets()),
            IpAddr::V6(ip) => bytes.extend(ip.octets()),
        }
        bytes.extend(address.port().to_be_bytes());
        bytes.extend(varint(age << 3 | kind));
    }
    bytes
}
