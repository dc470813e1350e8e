//! The addresses that requests come from.

use crate::error::Error;
use ipnet::IpNet;
use nix::ifaddrs::getifaddrs;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    str::FromStr,
};

/// The largest network whose addresses are all tried; of a larger one, only what interfaces name is used.
const TRIED: u128 = 65_536;
/// The most sources: each has a socket of its own.
pub const MOST: u64 = 65_536;

/// Which addresses to send from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// This many.
    Count(u64),
    /// All that this host has in a network.
    Network(IpNet),
}

impl FromStr for Sources {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        match text.parse() {
            Ok(count) if (1..=MOST).contains(&count) => Ok(Self::Count(count)),
            _ => Err(format!("either a number from 1 to {MOST}, or a network such as 10.1.0.0/24")),
        }
    }
}

impl Sources {
    /// The first address of a network for hosts, and how many follow each other; none has to be this host's own.
    ///
    /// # Errors
    /// [`Error::Usage`] if this names no network of IPv4.
    pub fn block(self) -> Result<(Ipv4Addr, u32), Error> {
        match self {
            Self::Network(IpNet::V4(network)) => {
                let hosts = network.hosts();
                let first = hosts.clone().next().unwrap_or(network.addr());
                Ok((first, u32::try_from(hosts.take(MOST as usize).count()).unwrap_or(u32::MAX)))
            }
            _ => Err(Error::Usage(
                "--sources: the kernel engine needs an IPv4 network to send from, such as 10.99.0.0/22"
                    .to_owned(),
            )),
        }
    }

    /// The addresses to send from to this target, each of them this host's own; in order, none twice. Empty where the
    /// kernel may choose.
    ///
    /// # Errors
    /// [`Error::Sources`] if there are too few.
    pub fn addresses(self, target: IpAddr) -> Result<BTreeSet<IpAddr>, Error> {
        match self {
            Self::Count(1) => Ok(BTreeSet::new()),
            Self::Count(count) => first(count, target),
            Self::Network(network) => within(network, target),
        }
    }
}

fn first(count: u64, target: IpAddr) -> Result<BTreeSet<IpAddr>, Error> {
    let wanted = usize::try_from(count).unwrap_or(usize::MAX);
    let own: BTreeSet<IpAddr> = match target {
        // All of 127.0.0.0/8 belongs to the host.
        IpAddr::V4(v4) if v4.is_loopback() => {
            (1..).map(|n: u32| IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0000 + n))).take(wanted).collect()
        }
        _ => configured()?
            .into_iter()
            .filter(|address| {
                address.is_ipv4() == target.is_ipv4() && address.is_loopback() == target.is_loopback()
            })
            .take(wanted)
            .collect(),
    };
    if own.len() < wanted {
        return Err(Error::Sources(format!(
            "--sources {count}: this host has only {} addresses to reach {target} from; configure more \
             (ip address add), or name a network that is local as a whole (ip route add local)",
            own.len()
        )));
    }
    Ok(own)
}

fn within(network: IpNet, target: IpAddr) -> Result<BTreeSet<IpAddr>, Error> {
    if network.addr().is_ipv4() != target.is_ipv4() {
        return Err(Error::Usage(format!(
            "--sources {network} and the target {target} are of different families"
        )));
    }
    let host_bits = u32::from(network.max_prefix_len() - network.prefix_len());
    let small = host_bits < u128::BITS && (1_u128 << host_bits) <= TRIED;
    let own: BTreeSet<IpAddr> = if small {
        network.hosts().filter(|&address| is_own(address)).collect()
    } else {
        configured()?.into_iter().filter(|address| network.contains(address)).collect()
    };
    if own.is_empty() {
        return Err(Error::Sources(format!(
            "--sources {network}: this host has no address there; configure some (ip address add)"
        )));
    }
    Ok(own)
}

/// Whether a socket can be bound to it: true for what interfaces name, and for ranges that are local as a whole.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

/// The unicast addresses that interfaces name, but not link-local ones, which mean nothing without their interface.
fn configured() -> Result<BTreeSet<IpAddr>, Error> {
    let all = getifaddrs().map_err(Error::system("the host's addresses cannot be listed"))?;
    Ok(all
        .filter_map(|entry| {
            let storage = entry.address?;
            let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        })
        .filter(|address| match address {
            IpAddr::V4(_) => true,
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_and_networks_are_read() {
        assert_eq!("7".parse(), Ok(Sources::Count(7)));
        assert_eq!("10.1.0.0/24".parse(), Ok(Sources::Network("10.1.0.0/24".parse().unwrap())));
        assert_eq!("fd00::/64".parse(), Ok(Sources::Network("fd00::/64".parse().unwrap())));
        for text in ["", "0", "-1", "65537", "10.1.0.0/33", "x"] {
            assert!(text.parse::<Sources>().is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_has_many_addresses() {
        let target = ip("127.0.0.1");
        assert!(Sources::Count(1).addresses(target).unwrap().is_empty());
        let three = Sources::Count(3).addresses(target).unwrap();
        assert_eq!(three, BTreeSet::from([ip("127.0.0.1"), ip("127.0.0.2"), ip("127.0.0.3")]));
        let six = "127.3.0.0/29".parse::<Sources>().unwrap().addresses(target).unwrap();
        assert_eq!((six.len(), six.first().copied()), (6, Some(ip("127.3.0.1"))));
    }

    #[test]
    fn too_few_addresses_are_an_error() {
        // 0.0.0.0/8 is nobody's, and no socket binds to any of it but its first address.
        let network = "0.1.2.0/28".parse::<Sources>().unwrap();
        assert!(matches!(network.addresses(ip("127.0.0.1")), Err(Error::Sources(_))));
        assert!(matches!(network.addresses(ip("::1")), Err(Error::Usage(_))));
        assert!(matches!(Sources::Count(60_000).addresses(ip("192.0.2.1")), Err(Error::Sources(_))));
    }
}
