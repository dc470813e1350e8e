//! Where HTTP is listened for: opens TCP ports and Unix sockets.

use crate::{
    config::{Http, ListenAddress, Tls},
    unix::{self, BACKLOG, SocketFile},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::Path,
};

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{protocol} {address}: {reason}{hint}", protocol = protocol(*.tls), reason = unix::describe(.source), hint = self.hint())]
pub struct Error {
    /// Where.
    pub address: ListenAddress,
    /// Whether TLS was to be spoken there.
    pub tls: bool,
    /// An earlier listener of the same configuration has the port.
    pub own: bool,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl Error {
    fn hint(&self) -> &'static str {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable, InvalidInput, PermissionDenied};
        match (&self.address, self.source.kind()) {
            (_, AddrInUse) if self.own => {
                "; another listener of this configuration covers it: leave one of the two out"
            }
            (ListenAddress::Tcp(_), AddrInUse) if self.tls => {
                "; another program has this port (`ss -ltnp` names it): stop it, or choose another with --https"
            }
            (ListenAddress::Tcp(_), AddrInUse) => {
                "; another program has this port (`ss -ltnp` names it): stop it, or choose another with --http"
            }
            (ListenAddress::Tcp(_), InvalidInput) => {
                "; a link-local address needs its interface: write [fe80::1%2]:6969 with its number"
            }
            (ListenAddress::Tcp(_), AddrNotAvailable) => {
                "; no interface has this address (`ip address` lists them)"
            }
            (ListenAddress::Tcp(_), PermissionDenied) => "; ports below 1024 need CAP_NET_BIND_SERVICE",
            (ListenAddress::Unix(_), kind) => unix::hint(kind),
            _ => "",
        }
    }
}

fn protocol(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

/// An open listener.
#[derive(Debug)]
pub struct Bound {
    /// As the configuration says.
    pub configured: ListenAddress,
    /// Where it listens, the port filled in.
    pub address: ListenAddress,
    /// Whether TLS is spoken there.
    pub tls: bool,
    /// What accepts the connections; it does not block.
    pub listener: Listening,
}

impl Bound {
    /// The path of a Unix socket.
    #[must_use]
    pub fn unix_path(&self) -> Option<&Path> {
        match &self.listener {
            Listening::Tcp(_) => None,
            Listening::Unix(_, file) => Some(file.path()),
        }
    }
}

impl std::fmt::Display for Bound {
    /// As in `https 192.0.2.1:443`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", protocol(self.tls), self.address)
    }
}

/// What accepts connections.
#[derive(Debug)]
pub enum Listening {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket, and its name in the file system.
    Unix(UnixListener, SocketFile),
}

impl Listening {
    /// The same by a further descriptor, for another process.
    ///
    /// # Errors
    /// When descriptors are short.
    pub fn share(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => Ok(listener.try_clone()?.into()),
            Self::Unix(listener, _) => Ok(listener.try_clone()?.into()),
        }
    }
}

/// Opens all listeners. A default address whose family the host lacks is left out and named.
///
/// # Errors
/// At the first that cannot be had. What was opened before is closed again.
pub fn bind_all(http: &Http, tls: &Tls) -> Result<Vec<Bound>, Error> {
    have_all(http, tls, |_| None)
}

/// As [`bind_all`], but for those that are open already: `opened` gives what listens at a configured address, and where
/// that is.
///
/// # Errors
/// As [`bind_all`].
pub fn have_all(
    http: &Http,
    tls: &Tls,
    mut opened: impl FnMut(&ListenAddress) -> Option<(ListenAddress, Listening)>,
) -> Result<Vec<Bound>, Error> {
    let plain = http.listen.addresses.iter().map(|address| (address.clone(), false, http.listen.is_default));
    let secure = tls.listen.addresses.iter().map(|address| (ListenAddress::Tcp(*address), true, false));
    let mut all: Vec<Bound> = Vec::new();
    for (configured, tls, is_default) in plain.chain(secure) {
        let listening = match (opened(&configured), &configured) {
            (Some(listening), _) => Ok(listening),
            (None, ListenAddress::Tcp(address)) => open_tcp(*address),
            (None, ListenAddress::Unix(path)) => open_unix(path, http.unix_mode),
        };
        match listening {
            Ok((address, listener)) => all.push(Bound { configured, address, tls, listener }),
            Err(source) if is_default && lacks_family(&source) => {
                let family =
                    if matches!(&configured, ListenAddress::Tcp(a) if a.is_ipv6()) { "IPv6" } else { "IPv4" };
                tracing::info!("http {configured} is left out: this host has no {family}");
            }
            Err(source) => {
                let own = all.iter().any(|bound| covers(&bound.address, &configured));
                return Err(Error { address: configured, tls, own, source });
            }
        }
    }
    Ok(all)
}

fn covers(first: &ListenAddress, second: &ListenAddress) -> bool {
    match (first, second) {
        (ListenAddress::Tcp(first), ListenAddress::Tcp(second)) => first.port() == second.port(),
        _ => first == second,
    }
}

fn open_tcp(address: SocketAddr) -> io::Result<(ListenAddress, Listening)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for the old connections; two listeners on one port are still refused.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok((ListenAddress::Tcp(address), Listening::Tcp(listener)))
}

fn open_unix(path: &Path, mode: u32) -> io::Result<(ListenAddress, Listening)> {
    let (listener, file) = unix::open(path, mode)?;
    Ok((ListenAddress::Unix(path.to_owned()), Listening::Unix(listener, file)))
}

fn lacks_family(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Listen};
    use std::{
        fs,
        net::TcpStream,
        os::unix::{
            fs::PermissionsExt as _,
            net::{UnixDatagram, UnixStream},
        },
    };

    fn http(addresses: &[&str], is_default: bool) -> Http {
        let mut http = Config::default().http;
        let addresses = addresses.iter().map(|text| match text.strip_prefix("unix:") {
            Some(path) => ListenAddress::Unix(path.into()),
            None => ListenAddress::Tcp(text.parse().unwrap()),
        });
        http.listen = Listen { addresses: addresses.collect(), is_default };
        http
    }

    fn tls(addresses: &[&str]) -> Tls {
        let mut tls = Config::default().tls;
        tls.listen.addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        tls
    }

    fn bind(addresses: &[&str]) -> Result<Vec<Bound>, Error> {
        bind_all(&http(addresses, false), &tls(&[]))
    }

    fn tcp(bound: &Bound) -> SocketAddr {
        let ListenAddress::Tcp(address) = bound.address else { panic!("not TCP: {bound}") };
        address
    }

    #[test]
    fn each_listener_has_a_port_and_does_not_block() {
        let all = bind_all(&http(&["127.0.0.1:0", "[::1]:0"], false), &tls(&["127.0.0.1:0"])).unwrap();
        assert_eq!(all.iter().map(|bound| bound.tls).collect::<Vec<_>>(), [false, false, true]);
        for bound in &all {
            assert_ne!(tcp(bound).port(), 0);
            let Listening::Tcp(listener) = &bound.listener else { panic!("{bound}") };
            assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
            TcpStream::connect(tcp(bound)).unwrap();
        }
        assert_eq!(all[2].to_string(), format!("https {}", tcp(&all[2])));
    }

    #[test]
    fn both_families_have_the_port() {
        // The port that is free in one family may be taken in the other.
        let both = (0..20).find_map(|_| {
            let first = bind(&["[::]:0"]).unwrap();
            let second = bind(&[&format!("0.0.0.0:{}", tcp(&first[0]).port())]).ok()?;
            Some((tcp(&first[0]), tcp(&second[0])))
        });
        let (first, second) = both.unwrap();
        assert_eq!(first.port(), second.port());
    }

    #[test]
    fn a_port_in_use_is_an_error_that_says_what_to_do() {
        // An address of its own, so that no other test is given the port once it is free.
        let taken = bind(&["127.6.9.69:0"]).unwrap();
        let address = tcp(&taken[0]).to_string();
        let error = bind_all(&http(&[&address], true), &tls(&[])).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("http {address}: the address is in use; another program")),
            "{error}"
        );
        assert!(error.ends_with("--http"), "{error}");
        let error = bind_all(&http(&[], false), &tls(&[&address])).unwrap_err().to_string();
        assert!(error.starts_with("https ") && error.ends_with("--https"), "{error}");
        drop(taken);
        let error = bind_all(&http(&[&address], false), &tls(&[&address])).unwrap_err().to_string();
        assert!(
            error.starts_with("https ") && error.contains("another listener of this configuration"),
            "{error}"
        );
    }

    #[test]
    fn an_address_of_nobody_is_an_error_where_it_was_asked_for() {
        let error = bind(&["192.0.2.77:0"]).unwrap_err().to_string();
        assert!(error.contains("no interface has this address"), "{error}");
        assert!(bind_all(&http(&["192.0.2.77:0"], true), &tls(&[])).unwrap().is_empty());
    }

    #[test]
    fn a_unix_socket_has_its_mode_and_goes_with_its_listener() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("http.sock");
        let name = format!("unix:{}", path.display());
        for mode in [0o660, 0o666, 0o600] {
            let mut config = http(&[&name], false);
            config.unix_mode = mode;
            let all = bind_all(&config, &tls(&[])).unwrap();
            assert_eq!(all[0].to_string(), format!("http {name}"));
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
            UnixStream::connect(&path).unwrap();
            let Listening::Unix(listener, file) = &all[0].listener else { panic!("not a Unix socket") };
            listener.accept().unwrap();
            assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
            assert_eq!(file.path(), path);
            file.give_to(nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()).unwrap();
            drop(all);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("http.sock");
        let name = format!("unix:{}", path.display());
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let first = bind(&[&name]).unwrap();
        UnixStream::connect(&path).unwrap();

        let error = bind(&[&name]).unwrap_err().to_string();
        assert!(error.contains("in use; another program answers there"), "{error}");
        UnixStream::connect(&path).unwrap();

        // The socket of a program that came later stays.
        fs::remove_file(&path).unwrap();
        let later = UnixListener::bind(&path).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
        drop(later);

        fs::remove_file(&path).unwrap();
        let datagrams = UnixDatagram::bind(&path).unwrap();
        let error = bind(&[&name]).unwrap_err().to_string();
        assert!(error.contains("in use"), "{error}");
        drop(datagrams);
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "mine").unwrap();
        let error = bind(&[&format!("unix:{}", path.display())]).unwrap_err().to_string();
        assert!(error.contains("there is something that is no socket; remove what is there"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        // Nor is a link followed, wherever it leads.
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        bind(&[&format!("unix:{}", link.display())]).unwrap_err();
        let error =
            bind(&[&format!("unix:{}/none/http.sock", directory.path().display())]).unwrap_err().to_string();
        assert!(error.contains("create the directory"), "{error}");
    }
}
