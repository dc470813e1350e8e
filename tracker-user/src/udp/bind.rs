//! Opens the ordinary UDP sockets: for each address one per worker, sharing the port.

use crate::config::Udp;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

/// Payload that fits the least MTU of IPv6 (RFC 8200 section 5), which links of IPv4 hardly ever stay below: there, longer
/// replies would be lost.
const FITS_ANYWHERE: usize = 1280 - 40 - 8;

/// A socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("udp {address}: {reason}{hint}", reason = describe(.source), hint = hint(.source, *.own))]
pub struct Error {
    /// Where.
    pub address: SocketAddr,
    /// An earlier listener of the same configuration has the port.
    pub own: bool,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// What the system said, in words in which nobody can find the word that tells of a finished start.
pub(crate) fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the address is in use".to_owned(),
        _ => error.to_string(),
    }
}

fn hint(error: &io::Error, own: bool) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse if own => {
            "; another listener of this configuration covers it: leave one of the two out"
        }
        io::ErrorKind::InvalidInput => {
            "; a link-local address needs its interface: write [fe80::1%2]:6969 with its number"
        }
        io::ErrorKind::AddrInUse => {
            "; another program has this port (`ss -lunp` names it): stop it, or choose another with --udp"
        }
        io::ErrorKind::AddrNotAvailable => "; no interface has this address (`ip address` lists them)",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    }
}

/// The sockets of one listening address.
#[derive(Debug)]
pub struct Listener {
    /// As the configuration says.
    pub configured: SocketAddr,
    /// Where it listens, the port filled in.
    pub address: SocketAddr,
    /// One for each worker of the process that opened them.
    pub sockets: Vec<UdpSocket>,
}

/// Opens all sockets of all addresses. A default address whose family the host lacks is left out and named.
///
/// # Errors
/// At the first address that cannot be had.
pub fn bind_all(config: &Udp, workers: usize) -> Result<Vec<Listener>, Error> {
    have_all(config, workers, |_| None)
}

/// As [`bind_all`], but for those that are open already: `opened` gives the listener of a configured address.
///
/// # Errors
/// As [`bind_all`].
pub fn have_all(
    config: &Udp,
    workers: usize,
    mut opened: impl FnMut(SocketAddr) -> Option<Listener>,
) -> Result<Vec<Listener>, Error> {
    let mut listeners = Vec::new();
    for address in &config.listen.addresses {
        if let Some(listener) = opened(*address) {
            listeners.push(listener);
            continue;
        }
        match bind_address(config, *address, workers) {
            Ok(listener) => listeners.push(listener),
            Err(error) if config.listen.is_default && lacks_family(&error.source) => {
                tracing::info!("udp {address} is left out: this host has no {}", family_name(*address));
            }
            Err(mut error) => {
                error.own =
                    listeners.iter().any(|listener: &Listener| listener.address.port() == address.port());
                return Err(error);
            }
        }
    }
    Ok(listeners)
}

fn bind_address(config: &Udp, configured: SocketAddr, workers: usize) -> Result<Listener, Error> {
    let mut address = configured;
    // Without SO_REUSEPORT, so that another tracker on the port is an error and not a silent half of the traffic.
    let alone = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))
        .and_then(|probe| {
            if address.is_ipv6() {
                probe.set_only_v6(true)?;
            }
            probe.bind(&address.into())?;
            probe.local_addr()
        })
        .map_err(|source| Error { address, own: false, source })?;
    if let Some(bound) = alone.as_socket() {
        address.set_port(bound.port());
    }
    let sockets = (0..workers)
        .map(|_| open(config, address, workers > 1).map_err(|source| Error { address, own: false, source }))
        .collect::<Result<_, _>>()?;
    Ok(Listener { configured, address, sockets })
}

fn open(config: &Udp, address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if address.ip().is_unspecified() {
        // Tells which of our addresses was asked, for the reply to come from it.
        super::socket::request_packet_info(&socket, address.is_ipv6())?;
    }
    fit(config, &SockRef::from(&socket), address)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Gives sockets that another process opened what the configuration says of them.
///
/// # Errors
/// At the first that does not take it.
pub fn adopt(config: &Udp, listeners: &[Listener]) -> Result<(), Error> {
    for Listener { address, sockets, .. } in listeners {
        for socket in sockets {
            let failed = |source| Error { address: *address, own: false, source };
            fit(config, &SockRef::from(socket), *address).map_err(failed)?;
        }
    }
    Ok(())
}

fn fit(config: &Udp, socket: &SockRef<'_>, address: SocketAddr) -> io::Result<()> {
    socket.set_recv_buffer_size(config.receive_buffer)?;
    socket.set_send_buffer_size(config.send_buffer)?;
    if address.is_ipv4() {
        super::socket::permit_fragments(&**socket, config.max_datagram > FITS_ANYWHERE)?;
    }
    Ok(())
}

fn lacks_family(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

fn family_name(address: SocketAddr) -> &'static str {
    if address.is_ipv6() { "IPv6" } else { "IPv4" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn config(addresses: &[&str], is_default: bool) -> Udp {
        let mut udp = Config::default().udp;
        udp.listen.addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        udp.listen.is_default = is_default;
        udp
    }

    #[test]
    fn workers_share_one_port_that_the_system_chose() {
        let listeners = bind_all(&config(&["127.0.0.1:0"], false), 3).unwrap();
        let [listener] = listeners.as_slice() else { panic!("one listener") };
        assert_ne!(listener.address.port(), 0);
        for socket in &listener.sockets {
            assert_eq!(socket.local_addr().unwrap(), listener.address);
        }
        assert_eq!(listener.sockets.len(), 3);
    }

    #[test]
    fn a_port_in_use_is_an_error_that_says_what_to_do() {
        let first = bind_all(&config(&["127.0.0.1:0"], false), 1).unwrap();
        let taken = first[0].address.to_string();
        let error = bind_all(&config(&[&taken], true), 1).unwrap_err();
        assert!(
            error.to_string().contains(&taken) && error.to_string().contains("another program"),
            "{error}"
        );
    }

    #[test]
    fn an_address_of_nobody_is_an_error_where_it_was_asked_for() {
        let error = bind_all(&config(&["192.0.2.77:0"], false), 1).unwrap_err();
        assert!(error.to_string().contains("no interface"), "{error}");
        assert!(bind_all(&config(&["192.0.2.77:0"], true), 1).unwrap().is_empty());
    }

    #[test]
    fn what_is_open_already_is_taken_and_the_rest_is_opened() {
        let wanted = config(&["127.0.0.1:0", "[::1]:0", "127.0.0.1:0"], false);
        let mut open = bind_all(&config(&["127.0.0.1:0"], false), 2).unwrap();
        let first = open[0].address;
        let all = have_all(&wanted, 1, |address| open.pop_if(|listener| listener.configured == address));
        let all = all.unwrap();
        let told: Vec<_> = all.iter().map(|l| (l.configured, l.sockets.len())).collect();
        let expected: Vec<_> = wanted.listen.addresses.iter().copied().zip([2, 1, 1]).collect();
        assert_eq!(told, expected);
        assert!(all[0].address == first && all[2].address != first);
    }
}
