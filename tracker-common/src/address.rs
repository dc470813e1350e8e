//! Internet addresses in one canonical form, in which an IPv4-mapped IPv6 address is the IPv4 address.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IP version that a peer speaks to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Family {
    /// IPv4, and IPv4-mapped IPv6.
    Ipv4 = 0,
    /// IPv6.
    Ipv6 = 1,
}

impl Family {
    /// Every family, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The value of the `family` label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// An IP address as sixteen bytes in network order; IPv4 is `::ffff:a.b.c.d` (RFC 4291, section 2.5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct Address(pub [u8; 16]);

impl Address {
    /// The canonical form of an IPv4 address, given in network order.
    #[inline(always)]
    #[must_use]
    pub const fn from_ipv4(a: [u8; 4]) -> Self {
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a[0], a[1], a[2], a[3]])
    }

    /// The last four bytes: the IPv4 address, where [`Address::family`] says so.
    #[inline(always)]
    #[must_use]
    pub const fn ipv4_bytes(&self) -> [u8; 4] {
        [self.0[12], self.0[13], self.0[14], self.0[15]]
    }

    /// The two halves as little-endian words, the form that is hashed.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> [u64; 2] {
        let b = &self.0;
        [
            u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]),
            u64::from_le_bytes([b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]]),
        ]
    }

    /// Which family the address belongs to.
    #[inline(always)]
    #[must_use]
    pub const fn family(&self) -> Family {
        let [high, low] = self.words();
        if high == 0 && low as u32 == u32::from_le_bytes([0, 0, 0xff, 0xff]) {
            Family::Ipv4
        } else {
            Family::Ipv6
        }
    }

    /// Whether a datagram from here could be answered at all: neither unspecified, multicast nor broadcast.
    #[inline(always)]
    #[must_use]
    pub const fn is_unicast(&self) -> bool {
        match self.family() {
            // 0.0.0.0/8 is "this network" (RFC 1122), 224.0.0.0/3 holds multicast, reserved and broadcast.
            Family::Ipv4 => self.0[12] != 0 && self.0[12] < 224,
            Family::Ipv6 => {
                let [high, low] = self.words();
                self.0[0] != 0xff && (high != 0 || low != 0)
            }
        }
    }

    /// Whether this is a loopback address, 127.0.0.0/8 or `::1`.
    #[inline(always)]
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        match self.family() {
            Family::Ipv4 => self.0[12] == 127,
            Family::Ipv6 => {
                let [high, low] = self.words();
                high == 0 && low == 1 << 56
            }
        }
    }

    /// The standard library's type, IPv4 where it is IPv4.
    #[must_use]
    pub const fn to_ip(self) -> IpAddr {
        match self.family() {
            Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(self.0[12], self.0[13], self.0[14], self.0[15])),
            Family::Ipv6 => IpAddr::V6(Ipv6Addr::from_octets(self.0)),
        }
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(a) => Self::from_ipv4(a.octets()),
            IpAddr::V6(a) => Self(a.octets()),
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
    fn mapped_addresses_are_ipv4() {
        assert_eq!(address("::ffff:1.2.3.4"), address("1.2.3.4"));
        assert_eq!(address("::ffff:1.2.3.4").to_ip(), "1.2.3.4".parse::<IpAddr>().unwrap());
        assert_eq!(address("1.2.3.4").family(), Family::Ipv4);
        for v6 in ["::1", "::", "::1.2.3.4", "2001:db8::1", "::fffe:1.2.3.4", "1::ffff:1.2.3.4", "::1:ffff:1.2.3.4"] {
            assert_eq!(address(v6).family(), Family::Ipv6, "{v6}");
        }
    }

    #[test]
    fn only_unicast_can_be_answered() {
        for no in ["0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "255.255.255.255", "::", "ff02::1"] {
            assert!(!address(no).is_unicast(), "{no}");
        }
        for yes in ["1.0.0.1", "10.0.0.1", "192.168.255.255", "223.255.255.255", "2001:db8::1", "fe80::1", "::1"] {
            assert!(address(yes).is_unicast(), "{yes}");
        }
    }

    #[test]
    fn loopback_is_known() {
        for (text, expected) in
            [("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("128.0.0.1", false), ("::2", false), ("100::1", false)]
        {
            assert_eq!(address(text).is_loopback(), expected, "{text}");
        }
    }
}
