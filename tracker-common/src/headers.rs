//! The headers of a reply, built from scratch: the request's bytes are not trusted for anything but addresses.

use crate::{
    address::{Address, Family},
    checksum::Sum,
};

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

/// The two MAC addresses that begin an Ethernet frame in each other's place, as its first eight bytes and the next four. All
/// words are in memory order, whichever that is.
#[inline(always)]
#[must_use]
pub const fn swap_macs(first: u64, last: u32) -> (u64, u32) {
    (first >> 48 | (last as u64) << 16 | first << 48, (first >> 16) as u32)
}

/// An IPv4 header for a UDP payload of `payload_len` bytes, unfragmentable, with its checksum. The addresses and the
/// result are words in memory order.
#[inline(always)]
#[must_use]
pub const fn ipv4(source: u32, destination: u32, payload_len: u16) -> [u32; IPV4_LEN / 4] {
    let total = IPV4_LEN as u32 + UDP_LEN as u32 + payload_len as u32;
    let length = (0x4500_0000 | total).to_be();
    let dont_fragment = 0x4000_u32.to_be();
    let hops = (HOP_LIMIT as u32) << 24 | (PROTOCOL_UDP as u32) << 16;
    let sum = Sum::ZERO.u32(length).u32(dont_fragment).u32(hops.to_be()).u32(source).u32(destination);
    let checksum = u16::from_be(sum.finish()) as u32;
    [length, dont_fragment, (hops | checksum).to_be(), source, destination]
}

/// The first eight bytes of an IPv6 header for a UDP payload of `payload_len` bytes, in memory order; the addresses
/// follow.
#[inline(always)]
#[must_use]
pub const fn ipv6_head(payload_len: u16) -> u64 {
    let length = UDP_LEN as u64 + payload_len as u64;
    (0x6000_0000_0000_0000 | length << 16 | (PROTOCOL_UDP as u64) << 8 | HOP_LIMIT as u64).to_be()
}

/// A UDP header, in memory order; `sum` covers both addresses and the payload.
#[inline(always)]
#[must_use]
pub const fn udp(source_port: u16, destination_port: u16, payload_len: u16, sum: Sum) -> u64 {
    let length = UDP_LEN as u64 + payload_len as u64;
    let header = (source_port as u64) << 48 | (destination_port as u64) << 32 | length << 16;
    // The pseudo-header's protocol and length (RFC 768; RFC 8200, section 8.1).
    let pseudo = ((PROTOCOL_UDP as u32) << 16 | length as u32).to_be();
    let checksum = u16::from_be(sum.u64(header.to_be()).u32(pseudo).finish_udp()) as u64;
    (header | checksum).to_be()
}

/// The sum of the pseudo-header that a UDP checksum covers before the datagram (RFC 768; RFC 8200, section 8.1).
#[must_use]
pub const fn udp_pseudo(family: Family, source: Address, destination: Address, payload_len: usize) -> Sum {
    let ([s0, s1], [d0, d1]) = (source.words(), destination.words());
    let addresses = match family {
        Family::Ipv4 => Sum::ZERO.u32(source.ipv4_word()).u32(destination.ipv4_word()),
        Family::Ipv6 => Sum::ZERO.u64(s0).u64(s1).u64(d0).u64(d1),
    };
    addresses.u32(((PROTOCOL_UDP as u32) << 16 | (UDP_LEN + payload_len) as u32).to_be())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mac_address_takes_the_others_place() {
        let (first, last) = swap_macs(u64::from_ne_bytes(*b"abcdefgh"), u32::from_ne_bytes(*b"ijkl"));
        assert_eq!((first.to_ne_bytes(), last.to_ne_bytes()), (*b"ghijklab", *b"cdef"));
    }
}
