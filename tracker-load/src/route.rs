//! Whether a target is near: this host itself, or on a link that this host is attached to.
//!
//! A load generator pointed at somebody else's tracker is an attack. What can be reached without a gateway is in the
//! hands of whoever runs this host's network; everything else needs a word from the person who asks.

use crate::error::Error;
use futures_util::TryStreamExt as _;
use rtnetlink::{
    RouteMessageBuilder, new_connection,
    packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia},
};
use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// How long the kernel is given to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the kernel would send to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is an address of this host.
    Own,
    /// It is on an attached link.
    OnLink,
    /// A gateway stands between.
    Gateway(String),
    /// It is no address of a single host, or nothing may be sent there.
    Nowhere(String),
}

/// Makes sure that the target is near, for each source address in use (routing may depend on it); none is the kernel's
/// choice.
///
/// # Errors
/// [`Error::Gateway`] if it is not near, [`Error::Unreachable`] if there is no way at all, [`Error::Route`] if the
/// kernel does not say.
pub fn refuse_far(target: IpAddr, sources: &BTreeSet<IpAddr>) -> Result<(), Error> {
    let whole = sources.iter().map(|&source| Some(source));
    for source in std::iter::once(None).chain(whole) {
        match ask(target, source)? {
            Way::Own | Way::OnLink => {}
            Way::Gateway(gateway) => return Err(Error::Gateway { target, gateway }),
            Way::Nowhere(reason) => return Err(Error::Unreachable { target: target.to_string(), reason }),
        }
    }
    Ok(())
}

fn ask(target: IpAddr, source: Option<IpAddr>) -> Result<Way, Error> {
    let failed = |reason: String| Error::Route { target, reason };
    // Link-local addresses never leave their link, and their route depends on an interface.
    if let IpAddr::V6(address) = target
        && address.is_unicast_link_local()
    {
        return Ok(Way::OnLink);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(error.to_string()))?;
    runtime.block_on(async {
        let (connection, handle, _) = new_connection().map_err(|error| failed(error.to_string()))?;
        tokio::spawn(connection);
        let mut answers = handle.route().get(question(target, source)).execute();
        match tokio::time::timeout(PATIENCE, answers.try_next()).await {
            Ok(Ok(Some(answer))) => Ok(judge(&answer)),
            Ok(Err(rtnetlink::Error::NetlinkError(error))) => Ok(Way::Nowhere(plain(&error.to_io()))),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Ok(Ok(None)) => Err(failed("no answer".into())),
            Err(_) => Err(failed("no answer in time".into())),
        }
    })
}

/// What the kernel's refusal means, without the number.
fn plain(error: &io::Error) -> String {
    match error.raw_os_error().map(nix::errno::Errno::from_raw) {
        Some(errno) => errno.desc().to_owned(),
        None => error.to_string(),
    }
}

fn question(target: IpAddr, source: Option<IpAddr>) -> RouteMessage {
    let (mut message, whole) = match target {
        IpAddr::V4(to) => (RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to, 32).build(), 32),
        IpAddr::V6(to) => (RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(to, 128).build(), 128),
    };
    let source = match (target, source) {
        (IpAddr::V4(_), Some(IpAddr::V4(from))) => Some(RouteAddress::Inet(from)),
        (IpAddr::V6(_), Some(IpAddr::V6(from))) => Some(RouteAddress::Inet6(from)),
        _ => None,
    };
    if let Some(source) = source {
        message.header.source_prefix_length = whole;
        message.attributes.push(RouteAttribute::Source(source));
    }
    message
}

/// What the kernel's answer means.
#[must_use]
pub fn judge(answer: &RouteMessage) -> Way {
    match answer.header.kind {
        RouteType::Local => return Way::Own,
        RouteType::Unicast => {}
        RouteType::Broadcast | RouteType::Multicast | RouteType::Anycast => {
            return Way::Nowhere("it is no address of a single host".into());
        }
        _ => return Way::Nowhere("the routing table forbids it".into()),
    }
    for attribute in &answer.attributes {
        match attribute {
            RouteAttribute::Gateway(gateway) => return Way::Gateway(name(gateway)),
            RouteAttribute::Via(RouteVia::Inet(gateway)) => return Way::Gateway(gateway.to_string()),
            RouteAttribute::Via(RouteVia::Inet6(gateway)) => return Way::Gateway(gateway.to_string()),
            // Several ways are not told apart: one of them may have a gateway.
            RouteAttribute::Via(_) | RouteAttribute::MultiPath(_) => return Way::Gateway("unknown".into()),
            _ => {}
        }
    }
    Way::OnLink
}

fn name(address: &RouteAddress) -> String {
    match address {
        RouteAddress::Inet(address) => address.to_string(),
        RouteAddress::Inet6(address) => address.to_string(),
        _ => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: RouteType, attributes: Vec<RouteAttribute>) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.kind = kind;
        message.attributes = attributes;
        message
    }

    #[test]
    fn near_is_own_or_on_link() {
        assert_eq!(judge(&answer(RouteType::Local, vec![])), Way::Own);
        let on_link = vec![
            RouteAttribute::Oif(2),
            RouteAttribute::PrefSource(RouteAddress::Inet([10, 0, 0, 1].into())),
        ];
        assert_eq!(judge(&answer(RouteType::Unicast, on_link)), Way::OnLink);
    }

    #[test]
    fn a_gateway_of_any_kind_is_far() {
        let gateway = RouteAddress::Inet([10, 0, 0, 254].into());
        let way = judge(&answer(
            RouteType::Unicast,
            vec![RouteAttribute::Oif(2), RouteAttribute::Gateway(gateway)],
        ));
        assert_eq!(way, Way::Gateway("10.0.0.254".into()));
        // An IPv4 route by way of an IPv6 neighbour.
        let via = RouteVia::Inet6("fe80::1".parse().unwrap());
        let way = judge(&answer(RouteType::Unicast, vec![RouteAttribute::Via(via)]));
        assert_eq!(way, Way::Gateway("fe80::1".into()));
        let way = judge(&answer(RouteType::Unicast, vec![RouteAttribute::MultiPath(vec![])]));
        assert!(matches!(way, Way::Gateway(_)));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for kind in [RouteType::Broadcast, RouteType::Multicast, RouteType::BlackHole, RouteType::Prohibit] {
            assert!(matches!(judge(&answer(kind, vec![])), Way::Nowhere(_)), "{kind:?}");
        }
    }

    #[test]
    fn the_kernel_knows_this_host() {
        let sources = BTreeSet::from(["127.0.0.1".parse().unwrap(), "127.0.0.9".parse().unwrap()]);
        refuse_far("127.0.0.1".parse().unwrap(), &sources).unwrap();
        refuse_far("fe80::1".parse().unwrap(), &BTreeSet::new()).unwrap();
        let broadcast = refuse_far("255.255.255.255".parse().unwrap(), &BTreeSet::new());
        assert!(matches!(broadcast, Err(Error::Unreachable { .. })), "{broadcast:?}");
    }
}
