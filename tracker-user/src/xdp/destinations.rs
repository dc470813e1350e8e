//! Which frames are the tracker's: from listening addresses and the host's network to entries of the program's map.

use super::network::{Link, LocalAddress, Network};
use std::{collections::HashSet, net::SocketAddr};
use tracker_common::{
    address::{Address, Family},
    maps::{Destination, Vlan},
};

/// The destinations that the program on `interface` serves.
///
/// A listener on one address serves that address, a wildcard every address of its family in the `local` routing table
/// outside loopback scope. Tagged frames may name the addresses of their VLAN's own device. Untagged frames may name any
/// address, but on an interface with VLAN devices only its own: with receive VLAN offload a tagged frame looks untagged,
/// and its reply would leave without its tag. Link-local addresses count on their own device alone.
#[must_use]
pub fn destinations(network: &Network, interface: &Link, listeners: &[SocketAddr]) -> HashSet<Destination> {
    let mut wanted = HashSet::new();
    let vlan_devices: Vec<u32> = network
        .links
        .iter()
        .filter(|device| tags_over(network, interface, device).is_some())
        .map(|device| device.index)
        .collect();
    for local in &network.addresses {
        let Some(device) = network.links.iter().find(|link| link.index == local.device) else { continue };
        // A real interface never sees frames for loopback addresses; a loopback one sees no others.
        if local.address.is_loopback() && !interface.is_loopback {
            continue;
        }
        let stacked = tags_over(network, interface, device);
        let elsewhere = stacked.is_none() && local.device != interface.index;
        if elsewhere && (is_link_local(local.address) || !vlan_devices.is_empty()) {
            continue;
        }
        // VLAN devices have their interface's MAC, and so its link-local address, unless told otherwise.
        let shared =
            |other: &LocalAddress| other.address == local.address && vlan_devices.contains(&other.device);
        if stacked.is_none() && network.addresses.iter().any(shared) {
            continue;
        }
        let vlan = stacked.unwrap_or(Vlan::NONE);
        for listener in listeners {
            if serves(*listener, local.address) {
                wanted.insert(Destination::new(local.address, listener.port(), vlan));
            }
        }
    }
    wanted
}

/// The tags that a frame on `interface` carries when it is for `device`, if that is a VLAN device on it.
fn tags_over(network: &Network, interface: &Link, device: &Link) -> Option<Vlan> {
    let (inner_id, below) = device.vlan?;
    let tag = |id| id | Vlan::PRESENT;
    if below == interface.index {
        return Some(Vlan { outer: tag(inner_id), inner: 0 });
    }
    let middle = network.links.iter().find(|link| link.index == below)?;
    let (outer_id, below) = middle.vlan?;
    (below == interface.index).then(|| Vlan { outer: tag(outer_id), inner: tag(inner_id) })
}

fn serves(listener: SocketAddr, address: Address) -> bool {
    let listening = Address::from(listener.ip());
    if listener.ip().is_unspecified() {
        let family = if listener.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        address.family() == family
    } else {
        listening == address
    }
}

fn is_link_local(address: Address) -> bool {
    let [first, second, ..] = address.octets();
    first == 0xfe && second & 0xc0 == 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn link(index: u32, name: &str, vlan: Option<(u16, u32)>) -> Link {
        Link {
            index,
            name: name.into(),
            mac: Some(index.into()),
            is_loopback: index == 1,
            vlan,
            is_bond: false,
            xdp_program: None,
        }
    }

    /// eth0 with VLAN 10 and, in it, VLAN 20; eth1; an anycast address on lo.
    fn host() -> Network {
        let addresses = [
            (1, "127.0.0.1"),
            (1, "::1"),
            (1, "192.0.2.53"),
            (2, "10.0.0.1"),
            (2, "fe80::2"),
            (2, "2001:db8::2"),
            (3, "10.1.0.1"),
            (3, "fe80::3"),
            (4, "10.2.0.1"),
            (5, "10.0.1.1"),
            (5, "fe80::5"),
        ];
        Network {
            links: vec![
                link(1, "lo", None),
                link(2, "eth0", None),
                link(3, "eth0.10", Some((10, 2))),
                link(4, "eth0.10.20", Some((20, 3))),
                link(5, "eth1", None),
            ],
            addresses: addresses
                .iter()
                .map(|(device, text)| LocalAddress {
                    device: *device,
                    address: text.parse::<IpAddr>().unwrap().into(),
                })
                .collect(),
        }
    }

    fn on(interface: u32, listeners: &[&str]) -> HashSet<(String, u16, u16, u16)> {
        let host = host();
        let listeners: Vec<SocketAddr> = listeners.iter().map(|text| text.parse().unwrap()).collect();
        let link = host.links.iter().find(|link| link.index == interface).unwrap();
        destinations(&host, link, &listeners)
            .into_iter()
            .map(|d| {
                let id = |tag: u16| tag & !Vlan::PRESENT;
                (d.address.to_ip().to_string(), d.port, id(d.vlan.outer), id(d.vlan.inner))
            })
            .collect()
    }

    fn set(expected: &[(&str, u16, u16, u16)]) -> HashSet<(String, u16, u16, u16)> {
        expected.iter().map(|(ip, port, outer, inner)| (ip.to_string(), *port, *outer, *inner)).collect()
    }

    #[test]
    fn an_interface_with_vlans_serves_its_own_addresses_behind_their_own_tags() {
        assert_eq!(
            on(2, &["0.0.0.0:6969"]),
            set(&[("10.0.0.1", 6969, 0, 0), ("10.1.0.1", 6969, 10, 0), ("10.2.0.1", 6969, 10, 20),])
        );
        assert_eq!(
            on(2, &["[::]:1"]),
            set(&[("fe80::2", 1, 0, 0), ("2001:db8::2", 1, 0, 0), ("fe80::3", 1, 10, 0)])
        );
    }

    #[test]
    fn an_interface_without_vlans_serves_every_address_of_the_host() {
        assert_eq!(
            on(5, &["0.0.0.0:1"]),
            set(&[
                ("192.0.2.53", 1, 0, 0),
                ("10.0.0.1", 1, 0, 0),
                ("10.0.1.1", 1, 0, 0),
                ("10.1.0.1", 1, 0, 0),
                ("10.2.0.1", 1, 0, 0),
            ])
        );
        assert_eq!(on(5, &["[::]:1"]), set(&[("fe80::5", 1, 0, 0), ("2001:db8::2", 1, 0, 0)]));
    }

    #[test]
    fn a_link_local_address_that_a_vlan_shares_is_served_behind_the_tag_alone() {
        let mut host = host();
        host.addresses.push(LocalAddress { device: 3, address: "fe80::2".parse::<IpAddr>().unwrap().into() });
        let link = host.link("eth0").unwrap();
        let served: Vec<Vlan> = destinations(&host, link, &["[fe80::2]:1".parse().unwrap()])
            .into_iter()
            .map(|destination| destination.vlan)
            .collect();
        assert_eq!(served, [Vlan { outer: 10 | Vlan::PRESENT, inner: 0 }]);
    }

    #[test]
    fn one_address_serves_itself_alone_and_only_while_the_host_has_it() {
        assert_eq!(
            on(2, &["10.0.0.1:80", "[2001:db8::2]:81"]),
            set(&[("10.0.0.1", 80, 0, 0), ("2001:db8::2", 81, 0, 0)])
        );
        assert_eq!(on(2, &["10.9.9.9:80"]), set(&[]));
        assert_eq!(on(2, &["127.0.0.1:80"]), set(&[]));
        assert_eq!(on(1, &["127.0.0.1:80"]), set(&[("127.0.0.1", 80, 0, 0)]));
    }
}
