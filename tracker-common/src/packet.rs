//! Finds the UDP datagram in an Ethernet frame: up to two VLAN tags, IPv4 or IPv6, UDP.

use crate::{
    address::{Address, Family},
    checksum::Sum,
    headers::{self, ETHERNET_LEN, IPV4_LEN, IPV6_LEN, PROTOCOL_UDP, UDP_LEN, VLAN_TAG_LEN},
    maps::Vlan,
};

/// Bounds-checked access to the bytes of a frame, in words: `None` where the frame is shorter.
pub trait Bytes {
    /// How many bytes the frame has, padding included.
    fn len(&self) -> usize;
    /// Two bytes, in memory order.
    fn u16(&self, offset: usize) -> Option<u16>;
    /// Four bytes, in memory order.
    fn u32(&self, offset: usize) -> Option<u32>;
    /// Eight bytes, in memory order.
    fn u64(&self, offset: usize) -> Option<u64>;
    /// Words of four bytes that follow each other, each in memory order, looked for once.
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]>;
    /// Whether there is no byte at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Bytes for [u8] {
    #[inline(always)]
    fn len(&self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn u16(&self, offset: usize) -> Option<u16> {
        self.get(offset..)?.first_chunk().copied().map(u16::from_ne_bytes)
    }

    #[inline(always)]
    fn u32(&self, offset: usize) -> Option<u32> {
        self.get(offset..)?.first_chunk().copied().map(u32::from_ne_bytes)
    }

    #[inline(always)]
    fn u64(&self, offset: usize) -> Option<u64> {
        self.get(offset..)?.first_chunk().copied().map(u64::from_ne_bytes)
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        let mut words = [0; N];
        for (i, word) in words.iter_mut().enumerate() {
            *word = self.u32(offset + 4 * i)?;
        }
        Some(words)
    }
}

/// The longest way to a UDP payload: Ethernet, two tags, IPv6, UDP.
pub const MAX_PAYLOAD_OFFSET: usize = ETHERNET_LEN + 2 * VLAN_TAG_LEN + IPV6_LEN + UDP_LEN;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_8021Q: u16 = 0x8100;
const ETHERTYPE_8021AD: u16 = 0x88a8;
const VLAN_ID_MASK: u16 = 0x0fff;
const IPV4_MORE_FRAGMENTS_AND_OFFSET: u32 = 0x3fff;

/// The ports of a datagram, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The sender's.
    pub source: u16,
    /// Ours.
    pub destination: u16,
}

/// Where a UDP datagram lies in its frame, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The IP version.
    pub family: Family,
    /// The VLAN tags, outer first.
    pub vlan: Vlan,
    /// Offset of the IP header.
    pub ip_offset: usize,
    /// Who sent it.
    pub source: Address,
    /// Whom it is for.
    pub destination: Address,
    /// The UDP ports.
    pub ports: Ports,
    /// Bytes of payload by the UDP header, or `None` where that contradicts the IP header.
    pub payload_len: Option<usize>,
}

impl Datagram {
    /// Offset of the UDP payload.
    #[inline(always)]
    #[must_use]
    pub const fn payload_offset(&self) -> usize {
        self.ip_offset
            + UDP_LEN
            + match self.family {
                Family::Ipv4 => IPV4_LEN,
                Family::Ipv6 => IPV6_LEN,
            }
    }
}

/// Whether the checksum of the datagram that [`parse`] found in `frame` says nothing against it: it is right, there is none,
/// as IPv4 alone permits (RFC 768; RFC 8200, section 8.1), or it is what a sender on the same host leaves for hardware to
/// complete, the sum of the pseudo-header. Damage passes as one of the latter as rarely as it passes as right.
#[must_use]
pub fn checksum_holds(frame: &[u8], datagram: &Datagram) -> bool {
    let udp = datagram.payload_offset() - UDP_LEN;
    let (Some(len), Some(stored)) = (datagram.payload_len, Bytes::u16(frame, udp + 6)) else { return false };
    let Some(bytes) = frame.get(udp..).and_then(|rest| rest.get(..UDP_LEN + len)) else { return false };
    if stored == 0 {
        return datagram.family == Family::Ipv4;
    }
    let pseudo = headers::udp_pseudo(datagram.family, datagram.source, datagram.destination, len);
    !pseudo.finish() == stored || pseudo.slice(bytes).finish() == 0
}

/// Why a frame holds no datagram that we could read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It ends before its headers or its IP length do.
    Truncated,
    /// Neither IPv4 nor IPv6 behind at most two VLAN tags.
    NotIp,
    /// An IPv4 header with options.
    IpOptions,
    /// An IPv4 header whose checksum is wrong: the stack discards it.
    BadChecksum,
    /// A fragment, the first one too.
    Fragment,
    /// Another transport, or IPv6 extension headers before it.
    NotUdp,
}

/// The group bit of a MAC address as [`macs`] reads it: multicast or broadcast.
pub const MAC_GROUP: u64 = 1 << 40;

/// The MAC addresses of a frame, the destination's and the source's, as numbers: their six bytes big-endian.
#[inline(always)]
pub fn macs<B: Bytes + ?Sized>(frame: &B) -> Option<(u64, u64)> {
    let first = u64::from_be(frame.u64(0)?);
    let last = u32::from_be(frame.u32(8)?);
    Some((first >> 16, (first & 0xffff) << 32 | u64::from(last)))
}

/// Finds the datagram. The lengths that count are those of the IP and UDP headers: a frame may be padded.
#[inline(always)]
pub fn parse<B: Bytes + ?Sized>(frame: &B) -> Result<Datagram, Unread> {
    let mut ethertype = read_u16(frame, 12)?;
    let mut offset = ETHERNET_LEN;
    let mut vlan = Vlan::NONE;
    if is_vlan(ethertype) {
        vlan.outer = read_u16(frame, offset)? & VLAN_ID_MASK | Vlan::PRESENT;
        ethertype = read_u16(frame, offset + 2)?;
        offset += VLAN_TAG_LEN;
        if is_vlan(ethertype) {
            vlan.inner = read_u16(frame, offset)? & VLAN_ID_MASK | Vlan::PRESENT;
            ethertype = read_u16(frame, offset + 2)?;
            offset += VLAN_TAG_LEN;
        }
    }
    match ethertype {
        ETHERTYPE_IPV4 => parse_ipv4(frame, offset, vlan),
        ETHERTYPE_IPV6 => parse_ipv6(frame, offset, vlan),
        _ => Err(Unread::NotIp),
    }
}

#[inline(always)]
fn parse_ipv4<B: Bytes + ?Sized>(frame: &B, offset: usize, vlan: Vlan) -> Result<Datagram, Unread> {
    let Some([word0, word1, word2, source, destination]) = frame.words(offset) else {
        return Err(Unread::Truncated);
    };
    // Version, header length, type of service, total length; identification, flags and fragment offset; time to live,
    // protocol, checksum.
    let (lengths, fragment, protocol) = (u32::from_be(word0), u32::from_be(word1), u32::from_be(word2));
    if lengths >> 28 != 4 {
        return Err(Unread::NotIp);
    }
    if lengths >> 24 & 0x0f != 5 {
        return Err(Unread::IpOptions);
    }
    if fragment & IPV4_MORE_FRAGMENTS_AND_OFFSET != 0 {
        return Err(Unread::Fragment);
    }
    if protocol >> 16 & 0xff != PROTOCOL_UDP as u32 {
        return Err(Unread::NotUdp);
    }
    let total = (lengths & 0xffff) as usize;
    if total < IPV4_LEN + UDP_LEN {
        return Err(Unread::Truncated);
    }
    // Summed with its own checksum, a right header gives zero.
    if Sum::ZERO.u32(word0).u32(word1).u32(word2).u32(source).u32(destination).finish() != 0 {
        return Err(Unread::BadChecksum);
    }
    let (ports, payload_len) = parse_udp(frame, offset + IPV4_LEN, total - IPV4_LEN)?;
    Ok(Datagram {
        family: Family::Ipv4,
        vlan,
        ip_offset: offset,
        source: Address::from_ipv4_word(source),
        destination: Address::from_ipv4_word(destination),
        ports,
        payload_len,
    })
}

#[inline(always)]
fn parse_ipv6<B: Bytes + ?Sized>(frame: &B, offset: usize, vlan: Vlan) -> Result<Datagram, Unread> {
    let [version, _] = read_u16(frame, offset)?.to_be_bytes();
    if version >> 4 != 6 {
        return Err(Unread::NotIp);
    }
    let [next_header, _] = read_u16(frame, offset + 6)?.to_be_bytes();
    if next_header != PROTOCOL_UDP {
        return Err(Unread::NotUdp);
    }
    let length = usize::from(read_u16(frame, offset + 4)?);
    if length < UDP_LEN {
        return Err(Unread::Truncated);
    }
    let source = read_address(frame, offset + 8)?;
    let destination = read_address(frame, offset + 24)?;
    let (ports, payload_len) = parse_udp(frame, offset + IPV6_LEN, length)?;
    Ok(Datagram { family: Family::Ipv6, vlan, ip_offset: offset, source, destination, ports, payload_len })
}

/// The ports, and the length of the payload where the UDP header agrees with the IP header.
#[inline(always)]
fn parse_udp<B: Bytes + ?Sized>(
    frame: &B,
    offset: usize,
    ip_payload_len: usize,
) -> Result<(Ports, Option<usize>), Unread> {
    if offset + ip_payload_len > frame.len() {
        return Err(Unread::Truncated);
    }
    let Some([ports, length_checksum]) = frame.words(offset) else { return Err(Unread::Truncated) };
    let ports = u32::from_be(ports);
    let ports = Ports { source: (ports >> 16) as u16, destination: ports as u16 };
    let length = (u32::from_be(length_checksum) >> 16) as usize;
    let fits = length >= UDP_LEN && length <= ip_payload_len;
    Ok((ports, if fits { Some(length - UDP_LEN) } else { None }))
}

#[inline(always)]
const fn is_vlan(ethertype: u16) -> bool {
    ethertype == ETHERTYPE_8021Q || ethertype == ETHERTYPE_8021AD
}

#[inline(always)]
fn read_u16<B: Bytes + ?Sized>(frame: &B, offset: usize) -> Result<u16, Unread> {
    match frame.u16(offset) {
        Some(word) => Ok(u16::from_be(word)),
        None => Err(Unread::Truncated),
    }
}

#[inline(always)]
fn read_address<B: Bytes + ?Sized>(frame: &B, offset: usize) -> Result<Address, Unread> {
    // One after the other: looked at together, the compiler joins ways that the verifier then cannot tell apart.
    let Some(high) = frame.u64(offset) else { return Err(Unread::Truncated) };
    let Some(low) = frame.u64(offset + 8) else { return Err(Unread::Truncated) };
    Ok(Address::from_words([high, low]))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use etherparse::PacketBuilder;
    use std::vec::Vec;

    const PAYLOADS: [&[u8]; 3] = [b"", b"odd", b"an announce, as good as any"];

    fn frames(payload: &[u8]) -> [Vec<u8>; 2] {
        let ethernet = || PacketBuilder::ethernet2([2; 6], [4; 6]);
        let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
        ethernet().ipv4([10, 0, 0, 2], [10, 0, 0, 1], 3).udp(5555, 6969).write(&mut ipv4, payload).unwrap();
        ethernet().ipv6([0xfd; 16], [1; 16], 3).udp(5555, 6969).write(&mut ipv6, payload).unwrap();
        [ipv4, ipv6]
    }

    fn holds(frame: &[u8]) -> bool {
        checksum_holds(frame, &parse(frame).unwrap())
    }

    #[test]
    fn a_right_checksum_holds_and_no_bit_of_the_datagram_can_be_turned() {
        for frame in PAYLOADS.into_iter().flat_map(frames) {
            assert!(holds(&frame));
            let udp = parse(frame.as_slice()).unwrap().payload_offset() - UDP_LEN;
            for bit in 0..(frame.len() - udp) * 8 {
                let mut turned = frame.clone();
                turned[udp + bit / 8] ^= 1 << (bit % 8);
                // A changed length is no longer that of the datagram, and is found first.
                if parse(turned.as_slice()).unwrap().payload_len.is_some() {
                    assert!(!holds(&turned), "bit {bit} of {frame:02x?}");
                }
            }
        }
    }

    #[test]
    fn none_at_all_holds_over_ipv4_alone_and_padding_does_not_count() {
        for (mut frame, without) in frames(PAYLOADS[1]).into_iter().zip([true, false]) {
            let udp = parse(frame.as_slice()).unwrap().payload_offset() - UDP_LEN;
            frame.resize(80, 0xff);
            assert!(holds(&frame));
            frame[udp + 6..udp + 8].fill(0);
            assert_eq!(holds(&frame), without);
        }
    }

    /// The sums are those of the pseudo-header as RFC 768 and RFC 8200 draw it, added up by hand.
    #[test]
    fn what_local_senders_leave_holds_for_any_payload_of_that_length() {
        // 0a00 + 0002 + 0a00 + 0001 + 0011 + (8 + 3), and 8 times fdfd and 0101 + 0011 + (8 + 3).
        let sums = [0x141f_u16, 0xf813];
        for (mut frame, sum) in frames(PAYLOADS[1]).into_iter().zip(sums) {
            let udp = parse(frame.as_slice()).unwrap().payload_offset() - UDP_LEN;
            frame[udp + 6..udp + 8].copy_from_slice(&sum.to_be_bytes());
            assert!(holds(&frame), "{sum:04x}");
            frame[udp + 8] ^= 0xff;
            assert!(holds(&frame), "{sum:04x}");
            frame[udp + 7] ^= 1;
            assert!(!holds(&frame), "{sum:04x}");
        }
    }
}
