//! Ranges of addresses, as operators name them.

use std::{cmp::Ordering, fmt, net::IpAddr};
use tracker_common::address::{Address, Family};

/// Bits before the IPv4 address in an IPv4-mapped one.
const MAPPED_BITS: u8 = 96;

/// The addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNetwork {
    /// It is something else.
    #[error("expected a network such as 192.0.2.0/24 or 2001:db8::/32, or an address")]
    Malformed,
    /// It is all that there are of a family.
    #[error("a network of all addresses is refused")]
    Everything,
}

/// A network as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The network.
    pub network: Network,
    /// Whether the address has bits beyond the prefix, which do not count.
    pub has_host_bits: bool,
}

impl Network {
    /// Reads a network in CIDR notation (RFC 4632), or an address, which is a network of its own.
    ///
    /// # Errors
    /// If it is something else, or all addresses of a family.
    pub fn parse(text: &str) -> Result<Written, NoNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NoNetwork::Malformed)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let prefix: u8 = digits.parse().map_err(|_| NoNetwork::Malformed)?;
                if prefix > longest {
                    return Err(NoNetwork::Malformed);
                }
                prefix
            }
            Some(_) => return Err(NoNetwork::Malformed),
        };
        let network = Self::new(address, prefix);
        if network.prefix() == 0 {
            return Err(NoNetwork::Everything);
        }
        let has_host_bits = network.bits != bits(address.into());
        Ok(Written { network, has_host_bits })
    }

    /// The family of its addresses.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The first of its addresses.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::from_octets(self.bits.to_be_bytes())
    }

    /// How many bits its addresses have in common: up to 32 for IPv4, up to 128 for IPv6.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        let ones = self.mask.leading_ones() as u8;
        match self.family {
            Family::Ipv4 => ones.saturating_sub(MAPPED_BITS),
            Family::Ipv6 => ones,
        }
    }
}

impl Ord for Network {
    /// IPv4 first, then by address, the larger one first.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |network: &Self| (network.family as u8, network.bits, network.mask);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Network {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Network {
    /// In CIDR notation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address().to_ip(), self.prefix())
    }
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

    #[test]
    fn networks_are_read_and_written_in_cidr_notation() {
        for (text, written, has_host_bits) in [
            ("192.0.2.0/24", "192.0.2.0/24", false),
            ("192.0.2.7/24", "192.0.2.0/24", true),
            ("192.0.2.7", "192.0.2.7/32", false),
            ("128.0.0.0/1", "128.0.0.0/1", false),
            ("2001:DB8::/32", "2001:db8::/32", false),
            ("2001:db8::1/064", "2001:db8::/64", true),
            ("2001:db8::1", "2001:db8::1/128", false),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24", true),
            ("::ffff:192.0.2.7", "192.0.2.7/32", false),
            ("::/95", "::/95", false),
        ] {
            let read = Network::parse(text).unwrap();
            assert_eq!((&*read.network.to_string(), read.has_host_bits), (written, has_host_bits), "{text}");
            assert_eq!(Network::parse(written).unwrap().network, read.network, "{text}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/",
            "/8",
            "192.0.2.0/",
            "192.0.2.0/33",
            "192.0.2.0/-1",
            "192.0.2.0/+8",
            "192.0.2.0/8/8",
            "192.0.2.0/ 8",
            "192.0.2.0/256",
            "192.0.2/24",
            "192.0.2.0/255.255.255.0",
            "2001:db8::/129",
            "fe80::1%eth0/64",
            "[2001:db8::]/32",
            "localhost",
            "192.0.2.010",
        ] {
            assert_eq!(Network::parse(text), Err(NoNetwork::Malformed), "{text}");
        }
        for text in ["0.0.0.0/0", "1.2.3.4/0", "::/0", "::ffff:0.0.0.0/96"] {
            assert_eq!(Network::parse(text), Err(NoNetwork::Everything), "{text}");
        }
    }
}
