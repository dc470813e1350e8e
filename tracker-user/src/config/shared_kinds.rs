//! Kinds of values that several keys have.

use super::{
    kinds::{Auto, Count, Limit, Listeners, Many},
    readers::{listening_address, network, origin, stream_address},
    values::ListenAddress,
};
use ipnet::IpNet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// The port of the built-in listeners.
const PORT: u16 = 6969;

fn default_listeners() -> Vec<SocketAddr> {
    vec![(Ipv4Addr::UNSPECIFIED, PORT).into(), (Ipv6Addr::UNSPECIFIED, PORT).into()]
}

pub(super) const ADDRESSES: Listeners<SocketAddr> = Listeners {
    what: "addresses with ports",
    most: 64,
    default: default_listeners,
    read: listening_address,
    may_repeat: |address| address.port() == 0,
};
pub(super) const TLS_ADDRESSES: Listeners<SocketAddr> = Listeners { default: Vec::new, ..ADDRESSES };
pub(super) const STREAMS: Listeners<ListenAddress> = Listeners {
    what: "addresses with ports or \"unix:/absolute/path\"",
    most: 64,
    default: || default_listeners().into_iter().map(ListenAddress::Tcp).collect(),
    read: stream_address,
    may_repeat: |address| matches!(address, ListenAddress::Tcp(address) if address.port() == 0),
};
pub(super) const NETWORKS: Many<IpNet> = Many { what: "networks", most: 1024, read: network };
pub(super) const RATE: Limit = Limit { most: 1_000_000 };
pub(super) const CONNECTIONS: Auto<Count<usize>> = Auto(Count::new(1, 4_000_000));
pub(super) const BURST: Auto<Count<u32>> = Auto(Count::new(1, 1_000_000));
pub(super) const ORIGINS: Many<String> = Many { what: "origins", most: 1024, read: origin };
