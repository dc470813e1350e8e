//! The addresses that a tracker's name has.

use super::target::Target;
use std::{collections::BTreeSet, io, net::SocketAddr, time::Duration};
use tokio::{net::lookup_host, time::timeout};

/// Addresses of a family that are asked; some names have dozens, of one and the same machine.
pub(super) const MOST_ADDRESSES: usize = 4;

/// The families that are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Families {
    /// Whatever the name has.
    Both,
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
}

impl Families {
    const fn wants(self, address: &SocketAddr) -> bool {
        match self {
            Self::Both => true,
            Self::Ipv4 => address.is_ipv4(),
            Self::Ipv6 => address.is_ipv6(),
        }
    }
}

/// Where to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    /// At most [`MOST_ADDRESSES`] of each family.
    pub(super) asked: Vec<SocketAddr>,
    /// How many more the name has.
    pub(super) more: usize,
}

/// Why there is no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum NameError {
    #[error("the name {0} has no address: {1}")]
    Unknown(String, String),
    #[error("the name {0} was not looked up in {time}: does the resolver of this machine answer?", time = super::shown::patience(*.1))]
    Silent(String, Duration),
    #[error("{0} has no {1} address")]
    NoneOf(String, &'static str),
}

/// Looks up the host of a tracker.
///
/// # Errors
/// Why there is no address to ask.
pub(super) async fn resolve(
    target: &Target,
    families: Families,
    patience: Duration,
) -> Result<Addresses, NameError> {
    let found = timeout(patience, find(target)).await;
    let found = found
        .map_err(|_| NameError::Silent(target.host.clone(), patience))?
        .map_err(|error| NameError::Unknown(target.host.clone(), reason(&error)))?;
    let addresses = choose(found, families);
    if addresses.asked.is_empty() {
        let family = if families == Families::Ipv6 { "IPv6" } else { "IPv4" };
        return Err(NameError::NoneOf(target.host.clone(), family));
    }
    Ok(addresses)
}

/// All addresses of a host; none, if it has none or cannot be looked up.
pub(super) async fn look_up(target: &Target) -> Vec<SocketAddr> {
    find(target).await.unwrap_or_default()
}

async fn find(target: &Target) -> io::Result<Vec<SocketAddr>> {
    match target.address() {
        Some(ip) => Ok(vec![SocketAddr::new(ip, target.port)]),
        None => Ok(lookup_host((target.host.as_str(), target.port)).await?.collect()),
    }
}

/// What the resolver said, without what it says before.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.rsplit(": ").next().map_or_else(|| text.clone(), str::to_owned)
}

/// The first of each family, in the order that the resolver gave.
fn choose(found: Vec<SocketAddr>, families: Families) -> Addresses {
    let (mut addresses, mut seen) = (Addresses::default(), BTreeSet::new());
    for address in found {
        if !families.wants(&address) || !seen.insert(address) {
            continue;
        }
        let family = addresses.asked.iter().filter(|asked| asked.is_ipv4() == address.is_ipv4());
        if family.count() < MOST_ADDRESSES {
            addresses.asked.push(address);
        } else {
            addresses.more += 1;
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_of_each_family_are_asked() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mut found: Vec<SocketAddr> = (1..=6).map(|n| address(&format!("192.0.2.{n}:1"))).collect();
        found.push(address("192.0.2.1:1"));
        found.push(address("[2001:db8::1]:1"));
        let both = choose(found.clone(), Families::Both);
        assert_eq!((both.asked.len(), both.more), (5, 2));
        assert_eq!(both.asked[4], address("[2001:db8::1]:1"));
        assert_eq!(choose(found.clone(), Families::Ipv4).asked.len(), 4);
        assert_eq!(choose(found, Families::Ipv6).asked, [address("[2001:db8::1]:1")]);
    }

    #[test]
    fn resolvers_are_quoted_shortly() {
        let error = io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(reason(&error), "Name or service not known");
    }
}
