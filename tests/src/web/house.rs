//! A tracker with its doors, and clients that come in by one of them.

use super::{
    http::{Announce, Announced, Answer, Connection, read_scrape},
    proxy,
    stream::{tcp, unix},
    tls::{Certificate, handshake},
    websocket::{Socket, announce, counts},
};
use crate::{
    metrics::Metrics,
    process::resident,
    rig::Family,
    riptide::{Riptide, Start},
    udp::{self, Id20, Row},
};
use std::{
    cell::{RefCell, RefMut},
    collections::BTreeMap,
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tempfile::TempDir;

/// A way into the tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// TCP.
    Plain,
    /// TLS over TCP.
    Tls,
    /// Behind proxies that tell the client's address in a header.
    Header,
    /// Behind a proxy that tells it by PROXY protocol, version 1.
    ProxyV1,
    /// Behind a proxy that tells it by PROXY protocol, version 2.
    ProxyV2,
    /// Behind a proxy on the same host, through a Unix socket.
    Unix,
}

/// A running tracker with one of its doors in use, and its UDP listeners.
pub struct House {
    riptide: Riptide,
    door: Door,
    certificate: Option<Certificate>,
    // Holds the Unix socket.
    _directory: TempDir,
}

impl House {
    /// Starts a tracker with its defaults.
    #[must_use]
    pub fn new(door: Door) -> Self {
        Self::with(door, "", "")
    }

    /// Starts a tracker with these keys in `[http]`, and these tables (not `[tls]`).
    #[must_use]
    pub fn with(door: Door, http: &str, tables: &str) -> Self {
        let directory = TempDir::with_prefix("riptide-house-").expect("a directory");
        let certificate = (door == Door::Tls).then(Certificate::new);
        let places = r#"listen = ["127.0.0.1:0", "[::1]:0"]"#;
        let behind = r#"trusted_proxies = ["127.0.0.1", "192.0.2.0/24"]"#;
        let socket = directory.path().join("http.sock");
        let keys = match door {
            Door::Plain => places.to_owned(),
            Door::Tls => "listen = []".to_owned(),
            Door::Header => format!("{places}\n{behind}"),
            Door::ProxyV1 | Door::ProxyV2 => format!("{places}\n{behind}\nproxy_protocol = true"),
            Door::Unix => format!("listen = [\"unix:{}\"]\n{behind}", socket.display()),
        };
        let mut start = Start::new(None).arguments("--udp 127.0.0.1:0 --udp [::1]:0").http(&keys).http(http);
        if let Some(certificate) = &certificate {
            start = start.config(&format!("[tls]\n{places}\n{}", certificate.keys()));
        }
        Self { riptide: start.config(tables).ready(), door, certificate, _directory: directory }
    }

    /// Starts a tracker with these keys in `[http]` and these tables, behind all doors but those with a PROXY header;
    /// [`House::client`] comes in plainly.
    #[must_use]
    pub fn every(http: &str, tables: &str) -> Self {
        let directory = TempDir::with_prefix("riptide-house-").expect("a directory");
        let certificate = Certificate::new();
        let keys = format!(
            "listen = [\"127.0.0.1:0\", \"[::1]:0\", \"unix:{}\"]\ntrusted_proxies = [\"127.0.0.1\", \"192.0.2.0/24\"]\n{http}",
            directory.path().join("http.sock").display()
        );
        let tls = format!("[tls]\nlisten = [\"127.0.0.1:0\", \"[::1]:0\"]\n{}", certificate.keys());
        let start = Start::new(None).arguments("--udp 127.0.0.1:0 --udp [::1]:0").http(&keys);
        let riptide = start.config(&tls).config(tables).ready();
        Self { riptide, door: Door::Plain, certificate: Some(certificate), _directory: directory }
    }

    /// The tracker.
    #[must_use]
    pub const fn riptide(&self) -> &Riptide {
        &self.riptide
    }

    /// The tracker, to be stopped.
    #[must_use]
    pub fn riptide_mut(&mut self) -> &mut Riptide {
        &mut self.riptide
    }

    /// Its metrics.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.riptide.metrics()
    }

    /// The door in use.
    #[must_use]
    pub const fn door(&self) -> Door {
        self.door
    }

    /// The certificate, if there is TLS.
    #[must_use]
    pub const fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// Where the door's TCP listener is.
    #[must_use]
    pub fn address(&self, family: Family) -> SocketAddr {
        self.address_of(self.door, family)
    }

    fn address_of(&self, door: Door, family: Family) -> SocketAddr {
        let all = if door == Door::Tls { self.riptide.https() } else { self.riptide.http() };
        let found = all.iter().find(|address| address.is_ipv6() == (family == Family::V6));
        *found.unwrap_or_else(|| panic!("no listener of {family:?}:\n{}", self.riptide.log_text()))
    }

    /// The address of a client with this number, from 1 on. Without a proxy there is but one in IPv6.
    #[must_use]
    pub fn client_address(&self, family: Family, number: u8) -> IpAddr {
        address_at(self.door, family, number)
    }

    /// A client, which comes in by the door.
    #[must_use]
    pub fn client(&self, family: Family, number: u8) -> Client<'_> {
        self.client_by(self.door, family, number)
    }

    /// A client, which comes in by this door.
    #[must_use]
    pub fn client_by(&self, door: Door, family: Family, number: u8) -> Client<'_> {
        Client {
            house: self,
            door,
            address: address_at(door, family, number),
            connection: RefCell::new(None),
        }
    }

    /// Checks that its memory does not grow by so many MiB meanwhile.
    pub fn bounded<T>(&self, mebibytes: u64, work: impl FnOnce() -> T) -> T {
        const MIB: u64 = 1024 * 1024;
        let before = resident(&self.riptide);
        let result = work();
        let after = resident(&self.riptide);
        assert!(after < before + mebibytes * MIB, "{} MiB became {} MiB", before / MIB, after / MIB);
        result
    }

    /// Checks that an announce, a UDP announce and a WebSocket are served as on any day, and that nothing has panicked.
    pub fn is_well(&self) {
        let client = self.client(Family::V4, 9);
        let hash = udp::id20("well", 0);
        client.announce(&Announce::leecher(hash, 1));
        self.udp(Family::V4, 9).announce(&udp::Announce::leecher(hash, 1));
        let mut socket = client.websocket();
        let _ = counts(&socket.ask(&announce(hash, udp::id20("webrtc", 0))), hash);
        socket.close();
        assert!(!self.riptide.log_text().contains("panicked"), "{}", self.riptide.log_text());
        let panics = [("reason", "panic")];
        assert_eq!(self.metrics().sum("riptide_http_closed_connections_total", &panics), 0.0);
    }

    /// A client that asks over UDP, with a loopback address.
    #[must_use]
    pub fn udp(&self, family: Family, number: u8) -> udp::Client {
        let address: IpAddr = match family {
            Family::V4 => Ipv4Addr::new(127, 0, 1, number).into(),
            Family::V6 => Ipv6Addr::LOCALHOST.into(),
        };
        let udp = self.riptide.udp().iter().find(|udp| udp.is_ipv4() == address.is_ipv4());
        udp::Client::new(address, *udp.expect("a UDP listener"))
    }
}

fn address_at(door: Door, family: Family, number: u8) -> IpAddr {
    match (door, family) {
        (Door::Plain | Door::Tls, Family::V4) => Ipv4Addr::new(127, 0, 1, number).into(),
        (Door::Plain | Door::Tls, Family::V6) => {
            assert_eq!(number, 1, "one IPv6 address on the loopback interface");
            Ipv6Addr::LOCALHOST.into()
        }
        (_, Family::V4) => Ipv4Addr::new(198, 51, 100, number).into(),
        (_, Family::V6) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()).into(),
    }
}

/// An HTTP client at a door, with one connection that it keeps.
pub struct Client<'a> {
    house: &'a House,
    door: Door,
    address: IpAddr,
    connection: RefCell<Option<Connection>>,
}

impl Client<'_> {
    /// Its address, as the tracker must see it.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Its address with a port that it announces.
    #[must_use]
    pub const fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    /// Opens a new connection through the door. Each of its requests carries an address that must not count.
    #[must_use]
    pub fn connect(&self) -> Connection {
        let family = if self.address.is_ipv4() { Family::V4 } else { Family::V6 };
        let forged = "X-Forwarded-For: 203.0.113.66\r\n".to_owned();
        let told =
            format!("X-Forwarded-For: 203.0.113.66, {}\r\nX-Forwarded-For: 192.0.2.7\r\n", self.address);
        let behind = || tcp(Ipv4Addr::LOCALHOST.into(), self.house.address_of(self.door, Family::V4));
        let source = SocketAddr::new(self.address, 40_000);
        let (stream, headers) = match self.door {
            Door::Plain => (tcp(self.address, self.house.address_of(self.door, family)), forged),
            Door::Tls => {
                let config = self.house.certificate.as_ref().expect("a certificate").any_client();
                let stream = handshake(config, tcp(self.address, self.house.address_of(self.door, family)));
                (stream.unwrap_or_else(|e| panic!("TLS: {e}")), forged)
            }
            Door::Header => (behind(), told),
            Door::ProxyV1 | Door::ProxyV2 => {
                let mut stream = behind();
                let header = if self.door == Door::ProxyV1 { proxy::v1(source) } else { proxy::v2(source) };
                stream.write_all(&header).expect("to send");
                (stream, forged)
            }
            Door::Unix => (unix(&self.house.riptide.unix()[0]), told),
        };
        Connection::new(stream, &headers)
    }

    /// The connection that it keeps.
    fn kept(&self) -> RefMut<'_, Connection> {
        RefMut::map(self.connection.borrow_mut(), |kept| kept.get_or_insert_with(|| self.connect()))
    }

    /// Asks for a target.
    #[must_use]
    pub fn get(&self, target: &str) -> Answer {
        self.kept().get(target)
    }

    /// Announces.
    pub fn announce(&self, announce: &Announce) -> Announced {
        Announced::read(&self.get(&announce.target()))
    }

    /// Scrapes; the rows by hash.
    #[must_use]
    pub fn scrape(&self, hashes: &[Id20]) -> BTreeMap<Id20, Row> {
        let query: Vec<String> =
            hashes.iter().map(|hash| format!("info_hash={}", super::http::escaped(hash))).collect();
        read_scrape(&self.get(&format!("/scrape?{}", query.join("&"))))
    }

    /// One torrent's row.
    #[must_use]
    pub fn row(&self, hash: Id20) -> Row {
        self.scrape(&[hash])[&hash]
    }

    /// Opens a WebSocket.
    #[must_use]
    pub fn websocket(&self) -> Socket {
        self.try_websocket("").unwrap_or_else(|answer| panic!("no WebSocket: {answer:?}"))
    }

    /// Opens a WebSocket, with more header lines (each with its end).
    ///
    /// # Errors
    /// The tracker's answer if it is not 101.
    pub fn try_websocket(&self, more: &str) -> Result<Socket, Answer> {
        Socket::open(self.connect(), "/announce", more)
    }
}
