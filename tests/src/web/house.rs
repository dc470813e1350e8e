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
    path::PathBuf,
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
    plan: Plan,
    // Holds the Unix socket.
    _directory: TempDir,
}

/// What a tracker of a house is started with.
struct Plan {
    /// Keys of `[http]`.
    http: String,
    tables: String,
}

impl Plan {
    fn start(&self) -> Start<'static> {
        Start::new(None).arguments("--udp 127.0.0.1:0 --udp [::1]:0").http(&self.http).config(&self.tables)
    }
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
        let directory = directory();
        let places = r#"listen = ["127.0.0.1:0", "[::1]:0"]"#;
        let behind = r#"trusted_proxies = ["127.0.0.1", "192.0.2.0/24"]"#;
        let keys = match door {
            Door::Plain => places.to_owned(),
            Door::Tls => "listen = []".to_owned(),
            Door::Header => format!("{places}\n{behind}"),
            Door::ProxyV1 | Door::ProxyV2 => format!("{places}\n{behind}\nproxy_protocol = true"),
            Door::Unix => format!("listen = [\"{}\"]\n{behind}", socket(&directory)),
        };
        let certificate = (door == Door::Tls).then(Certificate::new);
        Self::build(door, &format!("{keys}\n{http}"), tables, certificate, directory)
    }

    /// Starts a tracker with these keys in `[http]` and these tables, behind all doors but those with a PROXY header;
    /// [`House::client`] comes in plainly.
    #[must_use]
    pub fn every(http: &str, tables: &str) -> Self {
        let directory = directory();
        let keys = format!(
            "listen = [\"127.0.0.1:0\", \"[::1]:0\", \"{}\"]\ntrusted_proxies = [\"127.0.0.1\", \"192.0.2.0/24\"]\n{http}",
            socket(&directory)
        );
        Self::build(Door::Plain, &keys, tables, Some(Certificate::new()), directory)
    }

    fn build(
        door: Door,
        http: &str,
        tables: &str,
        certificate: Option<Certificate>,
        directory: TempDir,
    ) -> Self {
        let tls = certificate.as_ref().map_or_else(String::new, |certificate| {
            format!("[tls]\nlisten = [\"127.0.0.1:0\", \"[::1]:0\"]\n{}", certificate.keys())
        });
        let plan = Plan { http: http.to_owned(), tables: format!("{tls}\n{tables}") };
        Self { riptide: plan.start().ready(), door, certificate, plan, _directory: directory }
    }

    /// Has another process take over, and gives the one before, whose last clients may still be there.
    #[must_use]
    pub fn hand_over(&mut self) -> Riptide {
        let next = self.plan.start().directory(self.riptide.directory()).arguments("--take-over").ready();
        assert_eq!(next.http(), self.riptide.http());
        assert_eq!(next.https(), self.riptide.https());
        assert_eq!(next.unix(), self.riptide.unix());
        std::mem::replace(&mut self.riptide, next)
    }

    /// Puts another certificate in place of the one that it has, which the tracker is not told.
    pub fn renew_certificate(&mut self) {
        self.certificate = self.certificate.as_ref().map(Certificate::renewed);
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
    pub fn client(&self, family: Family, number: u8) -> Client {
        self.client_by(self.door, family, number)
    }

    /// A client, which comes in by this door.
    #[must_use]
    pub fn client_by(&self, door: Door, family: Family, number: u8) -> Client {
        let address = address_at(door, family, number);
        // A proxy is on this host.
        let reached = match door {
            Door::Plain | Door::Tls => family,
            _ => Family::V4,
        };
        let place = match door {
            Door::Unix => Place::Unix(self.riptide.unix()[0].clone()),
            _ => Place::Tcp(self.address_of(door, reached)),
        };
        let certificate = self.certificate.clone().filter(|_| door == Door::Tls);
        Client { door, place, certificate, address, connection: RefCell::new(None) }
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

fn directory() -> TempDir {
    TempDir::with_prefix("riptide-house-").expect("a directory")
}

/// A Unix socket in a house's directory.
fn socket(directory: &TempDir) -> String {
    format!("unix:{}", directory.path().join("http.sock").display())
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

/// Where a door is.
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// An HTTP client at a door, with one connection that it keeps.
pub struct Client {
    door: Door,
    place: Place,
    certificate: Option<Certificate>,
    address: IpAddr,
    connection: RefCell<Option<Connection>>,
}

impl Client {
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
        let forged = "X-Forwarded-For: 203.0.113.66\r\n".to_owned();
        let told =
            format!("X-Forwarded-For: 203.0.113.66, {}\r\nX-Forwarded-For: 192.0.2.7\r\n", self.address);
        let below = |from: IpAddr| match &self.place {
            Place::Tcp(tracker) => tcp(from, *tracker),
            Place::Unix(path) => unix(path),
        };
        let (direct, behind) = (|| below(self.address), || below(Ipv4Addr::LOCALHOST.into()));
        let source = SocketAddr::new(self.address, 40_000);
        let (stream, headers) = match self.door {
            Door::Plain => (direct(), forged),
            Door::Tls => {
                let config = self.certificate.as_ref().expect("a certificate").any_client();
                (handshake(config, direct()).unwrap_or_else(|e| panic!("TLS: {e}")), forged)
            }
            Door::Header | Door::Unix => (behind(), told),
            Door::ProxyV1 | Door::ProxyV2 => {
                let mut stream = behind();
                let header = if self.door == Door::ProxyV1 { proxy::v1(source) } else { proxy::v2(source) };
                stream.write_all(&header).expect("to send");
                (stream, forged)
            }
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
