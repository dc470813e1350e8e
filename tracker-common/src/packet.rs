//! Finds the UDP datagram in an Ethernet frame: up to two VLAN tags, IPv4 or IPv6, UDP.

use crate::{
    address::{Address, Family},
    headers::{ETHERNET_LEN, IPV4_LEN, IPV6_LEN, PROTOCOL_UDP, UDP_LEN, VLAN_TAG_LEN},
    maps::Vlan,
};

/// Bounds-checked access to the bytes of a frame.
pub trait Bytes {
    /// How many bytes the frame has, padding included.
    fn len(&self) -> usize;
    /// The `N` bytes at `offset`, or `None` if the frame is shorter.
    fn get<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
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
    fn get<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }
}

/// The longest way to a UDP payload: Ethernet, two tags, IPv6, UDP.
pub const MAX_PAYLOAD_OFFSET: usize = ETHERNET_LEN + 2 * VLAN_TAG_LEN + IPV6_LEN + UDP_LEN;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_8021Q: u16 = 0x8100;
const ETHERTYPE_8021AD: u16 = 0x88a8;
const VLAN_ID_MASK: u16 = 0x0fff;
const IPV4_MORE_FRAGMENTS_AND_OFFSET: u16 = 0x3fff;

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
    /// The sender's UDP port.
    pub source_port: u16,
    /// Our UDP port.
    pub destination_port: u16,
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

/// Why a frame holds no datagram that we could read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It ends before its headers or its IP length do.
    Truncated,
    /// Neither IPv4 nor IPv6 behind at most two VLAN tags.
    NotIp,
    /// An IPv4 header with options.
    IpOptions,
    /// A fragment, the first one too.
    Fragment,
    /// Another transport, or IPv6 extension headers before it.
    NotUdp,
}

/// The destination MAC address of a frame.
#[inline(always)]
pub fn destination_mac<B: Bytes + ?Sized>(frame: &B) -> Option<[u8; 6]> {
    frame.get(0)
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
    let header: [u8; IPV4_LEN] = frame.get(offset).ok_or(Unread::Truncated)?;
    if header[0] >> 4 != 4 {
        return Err(Unread::NotIp);
    }
    if header[0] & 0x0f != 5 {
        return Err(Unread::IpOptions);
    }
    if u16::from_be_bytes([header[6], header[7]]) & IPV4_MORE_FRAGMENTS_AND_OFFSET != 0 {
        return Err(Unread::Fragment);
    }
    if header[9] != PROTOCOL_UDP {
        return Err(Unread::NotUdp);
    }
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if total < IPV4_LEN + UDP_LEN {
        return Err(Unread::Truncated);
    }
    let source = Address::from_ipv4([header[12], header[13], header[14], header[15]]);
    let destination = Address::from_ipv4([header[16], header[17], header[18], header[19]]);
    parse_udp(frame, Family::Ipv4, vlan, offset, IPV4_LEN, total - IPV4_LEN, source, destination)
}

#[inline(always)]
fn parse_ipv6<B: Bytes + ?Sized>(frame: &B, offset: usize, vlan: Vlan) -> Result<Datagram, Unread> {
    let head: [u8; 8] = frame.get(offset).ok_or(Unread::Truncated)?;
    if head[0] >> 4 != 6 {
        return Err(Unread::NotIp);
    }
    if head[6] != PROTOCOL_UDP {
        return Err(Unread::NotUdp);
    }
    let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
    if length < UDP_LEN {
        return Err(Unread::Truncated);
    }
    let source = Address(frame.get(offset + 8).ok_or(Unread::Truncated)?);
    let destination = Address(frame.get(offset + 24).ok_or(Unread::Truncated)?);
    parse_udp(frame, Family::Ipv6, vlan, offset, IPV6_LEN, length, source, destination)
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one inlined tail for both families; a struct would only rename these")]
fn parse_udp<B: Bytes + ?Sized>(
    frame: &B,
    family: Family,
    vlan: Vlan,
    ip_offset: usize,
    header_len: usize,
    ip_payload_len: usize,
    source: Address,
    destination: Address,
) -> Result<Datagram, Unread> {
    let offset = ip_offset + header_len;
    if offset + ip_payload_len > frame.len() {
        return Err(Unread::Truncated);
    }
    let [s0, s1, d0, d1, l0, l1, _, _]: [u8; UDP_LEN] = frame.get(offset).ok_or(Unread::Truncated)?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let fits = length >= UDP_LEN && length <= ip_payload_len;
    Ok(Datagram {
        family,
        vlan,
        ip_offset,
        source,
        destination,
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        payload_len: if fits { Some(length - UDP_LEN) } else { None },
    })
}

#[inline(always)]
const fn is_vlan(ethertype: u16) -> bool {
    ethertype == ETHERTYPE_8021Q || ethertype == ETHERTYPE_8021AD
}

#[inline(always)]
fn read_u16<B: Bytes + ?Sized>(frame: &B, offset: usize) -> Result<u16, Unread> {
    match frame.get(offset) {
        Some(bytes) => Ok(u16::from_be_bytes(bytes)),
        None => Err(Unread::Truncated),
    }
}
