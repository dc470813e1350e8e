//! Internet addresses in one canonical form, in which an IPv4-mapped IPv6 address is the IPv4 address.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

labelled! {
    /// The IP version that a peer speaks to us.
    #[repr(u8)]
    pub enum Family {
        /// IPv4, and IPv4-mapped IPv6.
        Ipv4 = "ipv4",
        /// IPv6.
        Ipv6 = "ipv6",
    }
}

/// An IP address as sixteen bytes in network order; IPv4 is `::ffff:a.b.c.d` (RFC 4291, section 2.5.5.2).
///
/// The bytes are held as two words in memory order: the XDP program has few registers and a small stack, and sixteen
/// single bytes fill both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct Address([u64; 2]);

/// The third 32-bit word of an IPv4-mapped address, in memory order.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
/// The last word of `::1`, in memory order.
const LAST_BYTE_ONE: u64 = u64::from_ne_bytes([0, 0, 0, 0, 0, 0, 0, 1]);

impl Address {
    /// From two words in memory order: the bytes as they lie in an IPv6 header.
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: [u64; 2]) -> Self {
        Self(words)
    }

    /// The canonical form of an IPv4 address, given as a word in memory order.
    #[inline(always)]
    #[must_use]
    pub const fn from_ipv4_word(word: u32) -> Self {
        Self([0, join(MAPPED, word)])
    }

    /// The canonical form of an IPv4 address, given in network order.
    #[inline(always)]
    #[must_use]
    pub const fn from_ipv4(octets: [u8; 4]) -> Self {
        Self::from_ipv4_word(u32::from_ne_bytes(octets))
    }

    /// From sixteen bytes in network order.
    #[inline(always)]
    #[must_use]
    pub fn from_octets(octets: [u8; 16]) -> Self {
        bytemuck::cast(octets)
    }

    /// The sixteen bytes in network order.
    #[inline(always)]
    #[must_use]
    pub fn octets(self) -> [u8; 16] {
        bytemuck::cast(self)
    }

    /// The two halves in memory order.
    #[inline(always)]
    #[must_use]
    pub const fn words(self) -> [u64; 2] {
        self.0
    }

    /// The IPv4 address as a word in memory order, where [`Address::family`] says that it is one.
    #[inline(always)]
    #[must_use]
    pub const fn ipv4_word(self) -> u32 {
        split(self.0[1])[1]
    }

    /// The IPv4 address in network order, where [`Address::family`] says that it is one.
    #[inline(always)]
    #[must_use]
    pub const fn ipv4_bytes(self) -> [u8; 4] {
        self.ipv4_word().to_ne_bytes()
    }

    /// Which family the address belongs to.
    #[inline(always)]
    #[must_use]
    pub const fn family(self) -> Family {
        if self.0[0] == 0 && split(self.0[1])[0] == MAPPED { Family::Ipv4 } else { Family::Ipv6 }
    }

    /// Whether a datagram from here could be answered at all: neither unspecified, multicast nor broadcast.
    #[inline(always)]
    #[must_use]
    pub const fn is_unicast(self) -> bool {
        match self.family() {
            // 0.0.0.0/8 is "this network" (RFC 1122), 224.0.0.0/3 holds multicast, reserved and broadcast.
            Family::Ipv4 => {
                let first = u32::from_be(self.ipv4_word()) >> 24;
                first != 0 && first < 224
            }
            Family::Ipv6 => u64::from_be(self.0[0]) >> 56 != 0xff && (self.0[0] != 0 || self.0[1] != 0),
        }
    }

    /// Whether this is a loopback address, 127.0.0.0/8 or `::1`.
    #[inline(always)]
    #[must_use]
    pub const fn is_loopback(self) -> bool {
        match self.family() {
            Family::Ipv4 => u32::from_be(self.ipv4_word()) >> 24 == 127,
            Family::Ipv6 => self.0[0] == 0 && self.0[1] == LAST_BYTE_ONE,
        }
    }

    /// Whether this is an address that only a private network knows: those of RFC 1918 and RFC 6598, link-local ones
    /// (RFC 3927, RFC 4291) and unique local ones (RFC 4193).
    #[must_use]
    pub const fn is_private(self) -> bool {
        match self.family() {
            Family::Ipv4 => matches!(
                self.ipv4_bytes(),
                [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [169, 254, ..] | [100, 64..=127, ..]
            ),
            Family::Ipv6 => {
                let first = u64::from_be(self.0[0]) >> 48;
                first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80
            }
        }
    }

    /// What limits on one client count by: an IPv4 address, or the /64 of an IPv6 one, which a single subscriber has at
    /// least (RFC 6177) and may send from any address of.
    #[inline]
    #[must_use]
    pub const fn client_network(self) -> Self {
        match self.family() {
            Family::Ipv4 => self,
            Family::Ipv6 => Self([self.0[0], 0]),
        }
    }

    /// The same in one word, for keyed hashes: no unicast /64 looks like an IPv4 address, since 0::/8 is nobody's (RFC 4291).
    #[inline(always)]
    #[must_use]
    pub const fn client_network_word(&self) -> u64 {
        match self.family() {
            Family::Ipv4 => self.0[1].to_le(),
            Family::Ipv6 => self.0[0].to_le(),
        }
    }

    /// The standard library's type, IPv4 where it is IPv4.
    #[must_use]
    pub fn to_ip(self) -> IpAddr {
        match self.family() {
            Family::Ipv4 => IpAddr::V4(Ipv4Addr::from_octets(self.ipv4_bytes())),
            Family::Ipv6 => IpAddr::V6(Ipv6Addr::from_octets(self.octets())),
        }
    }
}

/// Two 32-bit words in memory order as one of 64 bits.
#[inline(always)]
#[must_use]
pub const fn join(first: u32, second: u32) -> u64 {
    if cfg!(target_endian = "little") {
        first as u64 | (second as u64) << 32
    } else {
        (first as u64) << 32 | second as u64
    }
}

/// What [`join`] joined.
#[inline(always)]
const fn split(word: u64) -> [u32; 2] {
    if cfg!(target_endian = "little") {
        [word as u32, (word >> 32) as u32]
    } else {
        [(word >> 32) as u32, word as u32]
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(a) => Self::from_ipv4(a.octets()),
            IpAddr::V6(a) => Self::from_octets(a.octets()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn private_addresses_are_those_of_the_registries() {
        let private = |text| address(text).is_private();
        for yes in [
            "10.0.0.0",
            "10.255.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.1.1",
            "100.64.0.0",
            "100.127.255.255",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "::ffff:10.1.2.3",
        ] {
            assert!(private(yes), "{yes}");
        }
        for no in [
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.1.1",
            "192.169.1.1",
            "169.253.1.1",
            "100.63.1.1",
            "100.128.0.0",
            "127.0.0.1",
            "fbff::1",
            "fe00::1",
            "fec0::1",
            "2001:db8::1",
            "::1",
        ] {
            assert!(!private(no), "{no}");
        }
    }

    #[test]
    fn a_client_network_is_an_ipv4_address_or_a_64() {
        for (text, network) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("::1", "::"),
        ] {
            assert_eq!(address(text).client_network(), address(network), "{text}");
        }
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        assert_eq!(address("::ffff:1.2.3.4"), address("1.2.3.4"));
        assert_eq!(address("::ffff:1.2.3.4").to_ip(), "1.2.3.4".parse::<IpAddr>().unwrap());
        assert_eq!(address("1.2.3.4").family(), Family::Ipv4);
        for v6 in
            ["::1", "::", "::1.2.3.4", "2001:db8::1", "::fffe:1.2.3.4", "1::ffff:1.2.3.4", "::1:ffff:1.2.3.4"]
        {
            assert_eq!(address(v6).family(), Family::Ipv6, "{v6}");
        }
    }

    #[test]
    fn only_unicast_can_be_answered() {
        for no in ["0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "255.255.255.255", "::", "ff02::1"] {
            assert!(!address(no).is_unicast(), "{no}");
        }
        for yes in
            ["1.0.0.1", "10.0.0.1", "192.168.255.255", "223.255.255.255", "2001:db8::1", "fe80::1", "::1"]
        {
            assert!(address(yes).is_unicast(), "{yes}");
        }
    }

    #[test]
    fn loopback_is_known() {
        for (text, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("128.0.0.1", false),
            ("::2", false),
            ("100::1", false),
        ] {
            assert_eq!(address(text).is_loopback(), expected, "{text}");
        }
    }
}
