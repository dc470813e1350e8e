//! Ranges of addresses, as operators name them.

use std::net::IpAddr;
use tracker_common::address::{Address, Family};

/// Bits before the IPv4 address in an IPv4-mapped one.
const MAPPED_BITS: u8 = 96;

/// The addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    family: Family,
    bits: u128,
    mask: u128,
}

impl Network {
    /// Those whose first `prefix` bits are the ones of `address`: up to 32 for IPv4, up to 128 for IPv6; more counts as
    /// that. A range of IPv4-mapped addresses is one of IPv4.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        let canonical = Address::from(address);
        let prefix = match address {
            IpAddr::V4(_) => MAPPED_BITS + prefix.min(32),
            IpAddr::V6(_) => prefix.min(128),
        };
        let family = if prefix < MAPPED_BITS { Family::Ipv6 } else { canonical.family() };
        let mask = u128::MAX.checked_shl(u32::from(128 - prefix)).unwrap_or(0);
        Self { family, bits: bits(canonical) & mask, mask }
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub fn contains(&self, address: Address) -> bool {
        self.family == address.family() && bits(address) & self.mask == self.bits
    }
}

fn bits(address: Address) -> u128 {
    u128::from_be_bytes(address.octets())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_by_prefix() {
        for (network, prefix, inside, outside) in [
            ("10.1.0.0", 16, "10.1.255.255", "10.2.0.0"),
            ("10.1.2.3", 16, "10.1.0.0", "10.0.255.255"),
            ("0.0.0.0", 0, "255.1.2.3", "2001:db8::1"),
            ("10.1.2.3", 32, "10.1.2.3", "10.1.2.2"),
            ("10.1.2.3", 255, "10.1.2.3", "10.1.2.2"),
            ("2001:db8::", 32, "2001:db8:ffff::", "2001:db9::"),
            ("::", 0, "2001:db8::1", "10.0.0.1"),
            ("::1", 128, "::1", "::2"),
            ("::1", 200, "::1", "::2"),
            ("::ffff:10.0.0.0", 104, "10.255.0.1", "11.0.0.1"),
            ("::ffff:0.0.0.0", 96, "8.8.8.8", "::8.8.8.8"),
            ("::ffff:0.0.0.0", 95, "::fffe:1.2.3.4", "1.2.3.4"),
        ] {
            let [network, inside, outside] =
                [network, inside, outside].map(|text| text.parse::<IpAddr>().unwrap());
            let network = Network::new(network, prefix);
            assert!(network.contains(inside.into()), "{inside} in {network:?}");
            assert!(!network.contains(outside.into()), "{outside} in {network:?}");
        }
    }
}
