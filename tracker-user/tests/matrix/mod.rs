//! The frame matrix: frames built by etherparse, each with the verdict that it must get, written by hand.

pub(crate) mod loaded;

use etherparse::{
    EtherType, Ethernet2Header, IpFragOffset, IpNumber, Ipv4Header, Ipv4Options, Ipv6Header,
    SingleVlanHeader, UdpHeader, VlanId,
};
use std::{collections::HashSet, net::IpAddr};
use tracker_common::{
    address::Address,
    connection_id::{self, ConnectionIds},
    maps::{Counter, Destination, Settings, Vlan},
    siphash::Key,
};
use tracker_user::clock::Clock;

pub(crate) const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const THEIR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub(crate) const MASTER: Key = Key { k0: 0x1122_3344_5566_7788, k1: 0x99aa_bbcc_ddee_ff00 };
pub(crate) const BASE_NS: u64 = 1_700_000_000_000_000_000;
pub(crate) const LIFETIME_SLOTS: u32 = 18;
pub(crate) const SLOT_NS: u64 = 1 << connection_id::SLOT_SHIFT;

/// What must become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Answer,
    Redirect,
    Drop(Counter),
    Pass(Counter),
}

/// A frame to be built, beginning from an ordinary connect over IPv4.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) destination_mac: [u8; 6],
    pub(crate) source_mac: [u8; 6],
    pub(crate) ip_checksum: Option<u16>,
    pub(crate) vlans: Vec<(u16, u16)>,
    pub(crate) ethertype: Option<u16>,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) payload: Vec<u8>,
    pub(crate) padding: usize,
    pub(crate) ip_options: bool,
    pub(crate) fragment: Option<(u16, bool)>,
    pub(crate) extension_header: bool,
    pub(crate) protocol: u8,
    pub(crate) udp_length: Option<u16>,
    pub(crate) udp_checksum: Option<u16>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            destination_mac: OUR_MAC,
            source_mac: THEIR_MAC,
            ip_checksum: None,
            vlans: Vec::new(),
            ethertype: None,
            source: ip("198.51.100.7"),
            destination: ip("192.0.2.1"),
            source_port: 40_000,
            destination_port: 6969,
            payload: connect(),
            padding: 0,
            ip_options: false,
            fragment: None,
            extension_header: false,
            protocol: 17,
            udp_length: None,
            udp_checksum: None,
        }
    }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn v6(recipe: Recipe) -> Recipe {
    Recipe { source: ip("2001:db8::7"), destination: ip("2001:db8::1"), ..recipe }
}

pub(crate) fn connect() -> Vec<u8> {
    [&[0x00, 0x00, 0x04, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0][..], b"\xde\xad\xbe\xef"].concat()
}

pub(crate) fn request(action: u32, connection_id: [u8; 8], rest: usize) -> Vec<u8> {
    let mut bytes = connection_id.to_vec();
    bytes.extend(action.to_be_bytes());
    bytes.extend(b"\x01\x02\x03\x04");
    bytes.resize(16 + rest, 0x5a);
    bytes
}

/// The connection ID that `address` got so many slots ago.
pub(crate) fn id_for(address: IpAddr, slots_ago: i64) -> [u8; 8] {
    let now = Clock::new(BASE_NS).now_ns();
    let then = now.wrapping_add_signed(-slots_ago * SLOT_NS.cast_signed());
    ConnectionIds::new(MASTER, LIFETIME_SLOTS, then).issue(&Address::from(address))
}

impl Recipe {
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut udp =
            UdpHeader::without_ipv4_checksum(self.source_port, self.destination_port, self.payload.len())
                .unwrap();
        let mut ip_bytes = Vec::new();
        let transport_len = 8 + self.payload.len();
        let ethertype = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header = Ipv4Header::new(
                    transport_len as u16,
                    9,
                    IpNumber(self.protocol),
                    source.octets(),
                    destination.octets(),
                )
                .unwrap();
                if self.ip_options {
                    header.options = Ipv4Options::try_from(&[1_u8, 1, 1, 0][..]).unwrap();
                }
                if let Some((offset, more)) = self.fragment {
                    header.dont_fragment = false;
                    header.fragment_offset = IpFragOffset::try_new(offset).unwrap();
                    header.more_fragments = more;
                }
                header.header_checksum = self.ip_checksum.unwrap_or(header.calc_header_checksum());
                udp.checksum = udp.calc_checksum_ipv4(&header, &self.payload).unwrap();
                header.write_raw(&mut ip_bytes).unwrap();
                EtherType::IPV4
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let extra = if self.extension_header { 8 } else { 0 };
                let header = Ipv6Header {
                    payload_length: (transport_len + extra) as u16,
                    next_header: IpNumber(if self.extension_header { 60 } else { self.protocol }),
                    hop_limit: 9,
                    source: source.octets(),
                    destination: destination.octets(),
                    ..Ipv6Header::default()
                };
                udp.checksum = udp.calc_checksum_ipv6(&header, &self.payload).unwrap();
                header.write(&mut ip_bytes).unwrap();
                if self.extension_header {
                    ip_bytes.extend([self.protocol, 0, 1, 4, 0, 0, 0, 0]);
                }
                EtherType::IPV6
            }
            _ => panic!("one family"),
        };
        if let Some(length) = self.udp_length {
            udp.length = length;
        }
        if let Some(checksum) = self.udp_checksum {
            udp.checksum = checksum;
        }
        let mut types: Vec<u16> = self.vlans.iter().map(|(kind, _)| *kind).collect();
        types.push(self.ethertype.unwrap_or(ethertype.0));
        let mut frame = Vec::new();
        Ethernet2Header {
            source: self.source_mac,
            destination: self.destination_mac,
            ether_type: EtherType(types[0]),
        }
        .write(&mut frame)
        .unwrap();
        for ((_, id), next) in self.vlans.iter().zip(&types[1..]) {
            SingleVlanHeader {
                vlan_id: VlanId::try_new(*id).unwrap(),
                ether_type: EtherType(*next),
                ..SingleVlanHeader::default()
            }
            .write(&mut frame)
            .unwrap();
        }
        frame.extend(ip_bytes);
        udp.write(&mut frame).unwrap();
        frame.extend(&self.payload);
        frame.extend(std::iter::repeat_n(0xcc, self.padding));
        frame
    }
}

/// The tracker's addresses: one of each family, one behind VLAN 10, one behind VLAN 20 in VLAN 10, and an anycast one.
pub(crate) fn destinations() -> HashSet<Destination> {
    let tag = |id| id | Vlan::PRESENT;
    [
        ("192.0.2.1", Vlan::NONE),
        ("203.0.113.53", Vlan::NONE),
        ("2001:db8::1", Vlan::NONE),
        ("10.10.0.1", Vlan { outer: tag(10), inner: 0 }),
        ("10.20.0.1", Vlan { outer: tag(10), inner: tag(20) }),
        ("2001:db8:20::1", Vlan { outer: tag(10), inner: tag(20) }),
    ]
    .into_iter()
    .map(|(address, vlan)| Destination::new(ip(address).into(), 6969, vlan))
    .collect()
}

pub(crate) fn settings() -> Settings {
    Settings {
        clock_base_ns: BASE_NS,
        enabled: 1,
        lifetime_slots: LIFETIME_SLOTS,
        mac: 0x0200_0000_0001,
        allow_loopback: 0,
        removals: 0,
        key_changes: 0,
        limited: 0,
        banned: 0,
        reserved: 0,
    }
}

#[expect(clippy::too_many_lines, reason = "it is a table")]
pub(crate) fn matrix() -> Vec<(&'static str, Recipe, Expect)> {
    use Counter as C;
    use Expect::{Answer, Drop, Pass, Redirect};
    let base = Recipe::default;
    let peer = ip("198.51.100.7");
    let peer6 = ip("2001:db8::7");
    let announce = || Recipe { payload: request(1, id_for(peer, 0), 82), ..base() };
    let announce6 = || v6(Recipe { payload: request(1, id_for(peer6, 0), 82), ..base() });
    let scrape = |rest| Recipe { payload: request(2, id_for(peer, 0), rest), ..base() };
    let with_payload = |payload| Recipe { payload, ..base() };
    let (dot1q, dot1ad) = (0x8100, 0x88a8);
    vec![
        ("connect", base(), Answer),
        ("connect over IPv6", v6(base()), Answer),
        ("connect, padded", Recipe { padding: 18, ..base() }, Answer),
        ("connect, longer", with_payload([connect(), vec![9; 40]].concat()), Answer),
        ("connect, longer, IPv6", v6(with_payload([connect(), vec![9; 41]].concat())), Answer),
        ("connect to an anycast address", Recipe { destination: ip("203.0.113.53"), ..base() }, Answer),
        ("connect without a UDP checksum", Recipe { udp_checksum: Some(0), ..base() }, Answer),
        ("connect with a partial UDP checksum", v6(Recipe { udp_checksum: Some(0x1234), ..base() }), Answer),
        (
            "connect in 802.1Q",
            Recipe { vlans: vec![(dot1q, 10)], destination: ip("10.10.0.1"), ..base() },
            Answer,
        ),
        (
            "connect in QinQ",
            Recipe { vlans: vec![(dot1ad, 10), (dot1q, 20)], destination: ip("10.20.0.1"), ..base() },
            Answer,
        ),
        (
            "connect in QinQ over IPv6",
            Recipe {
                vlans: vec![(dot1ad, 10), (dot1q, 20)],
                destination: ip("2001:db8:20::1"),
                ..v6(base())
            },
            Answer,
        ),
        ("announce", announce(), Redirect),
        ("announce over IPv6", announce6(), Redirect),
        (
            "announce with options",
            Recipe { payload: request(1, id_for(peer, 0), 82 + 30), ..base() },
            Redirect,
        ),
        (
            "announce in 802.1Q",
            Recipe { vlans: vec![(dot1q, 10)], destination: ip("10.10.0.1"), ..announce() },
            Redirect,
        ),
        (
            "announce with the oldest ID",
            with_payload(request(1, id_for(peer, LIFETIME_SLOTS.into()), 82)),
            Redirect,
        ),
        ("announce from another port", Recipe { source_port: 1, ..announce() }, Redirect),
        ("scrape", scrape(20), Redirect),
        ("scrape of 70", scrape(1400), Redirect),
        (
            "announce, expired",
            with_payload(request(1, id_for(peer, i64::from(LIFETIME_SLOTS) + 2), 82)),
            Drop(C::BadConnectionId),
        ),
        (
            "announce, from the future",
            with_payload(request(1, id_for(peer, -3), 82)),
            Drop(C::BadConnectionId),
        ),
        (
            "announce, another's ID",
            with_payload(request(1, id_for(ip("198.51.100.8"), 0), 82)),
            Drop(C::BadConnectionId),
        ),
        (
            "announce, forged",
            with_payload(request(1, *b"\x41\x41\x41\x41\x41\x41\x41\x41", 82)),
            Drop(C::BadConnectionId),
        ),
        ("scrape, forged", with_payload(request(2, [0; 8], 20)), Drop(C::BadConnectionId)),
        ("announce, a byte short", with_payload(request(1, id_for(peer, 0), 81)), Drop(C::Malformed)),
        ("scrape of nothing", scrape(0), Drop(C::Malformed)),
        ("scrape of 19 bytes", scrape(19), Drop(C::Malformed)),
        ("connect, a byte short", with_payload(connect()[..15].to_vec()), Drop(C::Malformed)),
        ("empty datagram", with_payload(Vec::new()), Drop(C::Malformed)),
        ("connect without the protocol ID", with_payload(request(0, [7; 8], 0)), Drop(C::Malformed)),
        ("error from a client", with_payload(request(3, id_for(peer, 0), 82)), Drop(C::Malformed)),
        ("unknown action", with_payload(request(0x0100_0000, id_for(peer, 0), 82)), Drop(C::Malformed)),
        ("UDP longer than IP", Recipe { udp_length: Some(200), padding: 300, ..base() }, Drop(C::Malformed)),
        ("UDP shorter than its header", Recipe { udp_length: Some(7), ..base() }, Drop(C::Malformed)),
        ("source port 0", Recipe { source_port: 0, ..base() }, Drop(C::BadSource)),
        ("source multicast", Recipe { source: ip("239.1.2.3"), ..base() }, Drop(C::BadSource)),
        ("source broadcast", Recipe { source: ip("255.255.255.255"), ..base() }, Drop(C::BadSource)),
        ("source unspecified", Recipe { source: ip("0.0.0.0"), ..base() }, Drop(C::BadSource)),
        ("source loopback", Recipe { source: ip("127.0.0.1"), ..base() }, Drop(C::BadSource)),
        ("source loopback, IPv6", Recipe { source: ip("::1"), ..v6(base()) }, Drop(C::BadSource)),
        ("source multicast, IPv6", Recipe { source: ip("ff02::1"), ..v6(base()) }, Drop(C::BadSource)),
        (
            "source IPv4-mapped",
            Recipe { source: ip("::ffff:198.51.100.7"), ..v6(base()) },
            Drop(C::BadSource),
        ),
        ("another station's MAC", Recipe { destination_mac: THEIR_MAC, ..base() }, Pass(C::ForeignMac)),
        ("from the broadcast MAC", Recipe { source_mac: [0xff; 6], ..base() }, Pass(C::ForeignMac)),
        ("from a multicast MAC", Recipe { source_mac: [1, 0, 0x5e, 0, 0, 1], ..base() }, Pass(C::ForeignMac)),
        ("from our own MAC", Recipe { source_mac: OUR_MAC, ..base() }, Pass(C::ForeignMac)),
        ("wrong IP checksum", Recipe { ip_checksum: Some(0x1234), ..base() }, Pass(C::BadChecksum)),
        ("source is the destination", Recipe { source: ip("192.0.2.1"), ..base() }, Drop(C::BadSource)),
        ("broadcast MAC", Recipe { destination_mac: [0xff; 6], ..base() }, Pass(C::ForeignMac)),
        ("multicast MAC", Recipe { destination_mac: [1, 0, 0x5e, 1, 2, 3], ..base() }, Pass(C::ForeignMac)),
        ("another address", Recipe { destination: ip("192.0.2.2"), ..base() }, Pass(C::ForeignDestination)),
        (
            "another address, IPv6",
            Recipe { destination: ip("2001:db8::2"), ..v6(base()) },
            Pass(C::ForeignDestination),
        ),
        (
            "multicast address",
            Recipe { destination: ip("239.192.0.0"), ..base() },
            Pass(C::ForeignDestination),
        ),
        ("another port", Recipe { destination_port: 6970, ..base() }, Pass(C::ForeignDestination)),
        (
            "wrong VLAN",
            Recipe { vlans: vec![(dot1q, 11)], destination: ip("10.10.0.1"), ..base() },
            Pass(C::ForeignDestination),
        ),
        (
            "a VLAN's address untagged",
            Recipe { destination: ip("10.10.0.1"), ..base() },
            Pass(C::ForeignDestination),
        ),
        (
            "an untagged address in a VLAN",
            Recipe { vlans: vec![(dot1q, 10)], ..base() },
            Pass(C::ForeignDestination),
        ),
        ("priority tag", Recipe { vlans: vec![(dot1q, 0)], ..base() }, Pass(C::ForeignDestination)),
        (
            "QinQ in the wrong order",
            Recipe { vlans: vec![(dot1ad, 20), (dot1q, 10)], destination: ip("10.20.0.1"), ..base() },
            Pass(C::ForeignDestination),
        ),
        (
            "three tags",
            Recipe { vlans: vec![(dot1ad, 10), (dot1q, 20), (dot1q, 30)], ..base() },
            Pass(C::NotIp),
        ),
        ("ARP", Recipe { ethertype: Some(0x0806), ..base() }, Pass(C::NotIp)),
        ("IPv4 called IPv6", Recipe { ethertype: Some(0x86dd), ..base() }, Pass(C::NotIp)),
        ("IPv6 called IPv4", Recipe { ethertype: Some(0x0800), ..v6(base()) }, Pass(C::NotIp)),
        ("IP options", Recipe { ip_options: true, ..base() }, Pass(C::IpOptions)),
        ("first fragment", Recipe { fragment: Some((0, true)), ..base() }, Pass(C::Fragment)),
        ("later fragment", Recipe { fragment: Some((185, false)), ..base() }, Pass(C::Fragment)),
        ("extension header", Recipe { extension_header: true, ..v6(base()) }, Pass(C::NotUdp)),
        ("TCP", Recipe { protocol: 6, ..base() }, Pass(C::NotUdp)),
        ("ICMPv6", Recipe { protocol: 58, ..v6(base()) }, Pass(C::NotUdp)),
    ]
}
