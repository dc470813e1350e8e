//! Where aquatic listens.

use super::given::Keys;
use crate::config::readers::listening_address;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const ADDRESS: [&str; 2] = ["network.address", "network.only_ipv6"];
const ADDRESSES: [&str; 5] = [
    "network.use_ipv4",
    "network.use_ipv6",
    "network.address_ipv4",
    "network.address_ipv6",
    "network.set_only_ipv6",
];

/// Where aquatic listens, and what says so.
pub(super) struct Listeners {
    pub(super) addresses: Vec<String>,
    pub(super) source: String,
}

impl Listeners {
    /// Whether each is of this host alone.
    pub(super) fn are_local(&self) -> bool {
        let ip = |address: &String| address.parse::<SocketAddr>().map(|address| address.ip());
        self.addresses.iter().all(|address| ip(address).is_ok_and(|ip| ip.is_loopback()))
    }

    fn add(&mut self, address: SocketAddr, only_ipv6: bool) {
        // A socket of IPv6 takes IPv4 as well, unless it is told not to.
        if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && !only_ipv6 {
            self.push(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())));
        }
        self.push(address);
    }

    fn push(&mut self, address: SocketAddr) {
        let address = address.to_string();
        if !self.addresses.contains(&address) {
            self.addresses.push(address);
        }
    }
}

/// One address for both families: `aquatic_ws`, and in version 0.9.0 all of them.
pub(super) fn one(keys: &mut Keys<'_>) -> Listeners {
    let mut listeners = Listeners { addresses: Vec::new(), source: keys.source(&ADDRESS, ADDRESS[0]) };
    let only_ipv6 = keys.switch("network.only_ipv6", false);
    if let Some(address) = address(keys, "network.address", "0.0.0.0:3000") {
        listeners.add(address, only_ipv6);
    }
    listeners
}

/// A socket for each family.
pub(super) fn by_family(keys: &mut Keys<'_>) -> Listeners {
    if ADDRESS.iter().any(|name| keys.has(name)) {
        keys.idle(&ADDRESSES, "version 0.9.0 has network.address and network.only_ipv6 instead");
        return one(keys);
    }
    let mut listeners = Listeners {
        addresses: Vec::new(),
        source: keys.source(&ADDRESSES, "network.address_ipv4, network.address_ipv6"),
    };
    if keys.switch("network.use_ipv4", true) {
        if let Some(address) = address(keys, "network.address_ipv4", "0.0.0.0:3000") {
            listeners.add(address, true);
        }
    } else {
        keys.idle(&["network.address_ipv4"], "network.use_ipv4 is false");
    }
    if keys.switch("network.use_ipv6", true) {
        let only_ipv6 = keys.switch("network.set_only_ipv6", true);
        if let Some(address) = address(keys, "network.address_ipv6", "[::]:3000") {
            listeners.add(address, only_ipv6);
        }
    } else {
        keys.idle(&["network.address_ipv6", "network.set_only_ipv6"], "network.use_ipv6 is false");
    }
    listeners
}

/// The address of a key; none where the file's cannot be listened at, for aquatic would not take its default then.
fn address(keys: &mut Keys<'_>, name: &'static str, default: &str) -> Option<SocketAddr> {
    let text = if keys.has(name) { keys.given_text(name)? } else { default.to_owned() };
    let canonical = match text.parse::<SocketAddr>() {
        Ok(address) => SocketAddr::new(address.ip().to_canonical(), address.port()).to_string(),
        Err(_) => text,
    };
    match listening_address(&canonical) {
        Ok(address) => Some(address),
        Err(problem) => {
            keys.wrong(name, &problem);
            None
        }
    }
}
