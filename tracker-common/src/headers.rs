//! The headers of a reply, built from scratch: the request's bytes are not trusted for anything but addresses.

use crate::checksum::Sum;

/// Ethernet without tags.
pub const ETHERNET_LEN: usize = 14;
/// One 802.1Q or 802.1ad tag.
pub const VLAN_TAG_LEN: usize = 4;
/// IPv4 without options.
pub const IPV4_LEN: usize = 20;
/// IPv6 without extension headers.
pub const IPV6_LEN: usize = 40;
/// UDP.
pub const UDP_LEN: usize = 8;
/// The time to live, or hop limit, of a reply.
pub const HOP_LIMIT: u8 = 64;
/// The IP protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;

/// An IPv4 header for a UDP payload of `payload_len` bytes, unfragmentable, with its checksum.
#[inline(always)]
#[must_use]
pub fn ipv4(source: [u8; 4], destination: [u8; 4], payload_len: u16) -> [u8; IPV4_LEN] {
    let l = (IPV4_LEN as u16 + UDP_LEN as u16 + payload_len).to_be_bytes();
    let (s, d) = (source, destination);
    #[rustfmt::skip]
    let mut header = [
        0x45, 0, l[0], l[1],
        0, 0, 0x40, 0,
        HOP_LIMIT, PROTOCOL_UDP, 0, 0,
        s[0], s[1], s[2], s[3],
        d[0], d[1], d[2], d[3],
    ];
    let checksum = Sum::ZERO.array(&header).finish().to_be_bytes();
    header[10] = checksum[0];
    header[11] = checksum[1];
    header
}

/// The first eight bytes of an IPv6 header for a UDP payload of `payload_len` bytes; the addresses follow.
#[inline(always)]
#[must_use]
pub const fn ipv6_head(payload_len: u16) -> [u8; 8] {
    let l = (UDP_LEN as u16 + payload_len).to_be_bytes();
    [0x60, 0, 0, 0, l[0], l[1], PROTOCOL_UDP, HOP_LIMIT]
}

/// A UDP header; `sum` covers both addresses and the payload.
#[inline(always)]
#[must_use]
pub const fn udp(source_port: u16, destination_port: u16, payload_len: u16, sum: Sum) -> [u8; UDP_LEN] {
    let length = UDP_LEN as u16 + payload_len;
    // The pseudo-header's length and protocol, then the header itself (RFC 768; RFC 8200, section 8.1).
    let sum = sum.word(length).word(PROTOCOL_UDP as u16).word(source_port).word(destination_port).word(length);
    let (s, d, l, c) = (
        source_port.to_be_bytes(),
        destination_port.to_be_bytes(),
        length.to_be_bytes(),
        sum.finish_udp().to_be_bytes(),
    );
    [s[0], s[1], d[0], d[1], l[0], l[1], c[0], c[1]]
}
