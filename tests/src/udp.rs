//! A BEP 15 client, which takes nothing on trust: every reply must come from the address that was
//! asked, carry the transaction ID of the request in hand, and have exactly the length that its content needs.

use crate::PATIENCE;
use std::{
    cell::Cell,
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
pub use tracker_load::udp::wire::PROTOCOL_ID;
use tracker_load::{
    peers::{self, Family},
    udp::wire,
};

/// An info hash or a peer ID.
pub type Id20 = [u8; 20];

/// A 20-byte value that differs for every label and number.
#[must_use]
pub fn id20(label: &str, number: u32) -> Id20 {
    // FNV-1a, run on for each output byte: no need for more than difference.
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    let mut step = |byte: u8| {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        state.to_be_bytes()[0]
    };
    label.bytes().chain(number.to_be_bytes()).for_each(|byte| {
        step(byte);
    });
    std::array::from_fn(|n| step(u8::try_from(n).expect("under 20")))
}

/// An info hash or a peer ID in hexadecimal, as lists of torrents have it.
#[must_use]
pub fn hex(id: Id20) -> String {
    id.map(|byte| format!("{byte:02x}")).concat()
}

/// The events of BEP 15, and the one of BEP 21.
pub mod event {
    /// None.
    pub const NONE: u32 = 0;
    /// The download is complete.
    pub const COMPLETED: u32 = 1;
    /// The client has started.
    pub const STARTED: u32 = 2;
    /// The client leaves.
    pub const STOPPED: u32 = 3;
    /// BEP 21's partial seed.
    pub const PAUSED: u32 = 4;
}

/// An announce request without its connection and transaction IDs.
#[derive(Clone, Debug)]
pub struct Announce {
    /// The torrent.
    pub info_hash: Id20,
    /// The client.
    pub peer_id: Id20,
    /// Bytes still wanted.
    pub left: u64,
    /// See [`event`].
    pub event: u32,
    /// An address that the client claims.
    pub ip: [u8; 4],
    /// Peers wanted.
    pub num_want: i32,
    /// The port that other peers should use.
    pub port: u16,
    /// What follows the 98 bytes.
    pub tail: Vec<u8>,
}

impl Announce {
    /// One that still downloads.
    #[must_use]
    pub fn leecher(info_hash: Id20, port: u16) -> Self {
        Self {
            info_hash,
            peer_id: id20("peer", u32::from(port)),
            left: 1000,
            event: event::STARTED,
            ip: [0; 4],
            num_want: -1,
            port,
            tail: Vec::new(),
        }
    }

    /// One that has everything.
    #[must_use]
    pub fn seeder(info_hash: Id20, port: u16) -> Self {
        Self { left: 0, ..Self::leecher(info_hash, port) }
    }

    /// The same with another event.
    #[must_use]
    pub fn event(self, event: u32) -> Self {
        Self { event, ..self }
    }

    /// The same with another number of peers wanted.
    #[must_use]
    pub fn num_want(self, num_want: i32) -> Self {
        Self { num_want, ..self }
    }

    /// The request's bytes.
    #[must_use]
    pub fn bytes(&self, connection: [u8; 8], transaction: u32) -> Vec<u8> {
        let Self { info_hash, peer_id, left, event, ip, num_want, port, ref tail } = *self;
        let (downloaded, uploaded, key) = (12_345, 678, 0xdead_beef);
        let request =
            wire::Announce { info_hash, peer_id, downloaded, left, uploaded, event, ip, key, num_want, port };
        [&request.bytes(connection, transaction)[..], tail].concat()
    }
}

/// A connect request.
#[must_use]
pub fn connect_bytes(transaction: u32) -> Vec<u8> {
    let mut buffer = [0; wire::REQUEST_LEN];
    let length = wire::connect(&mut buffer, transaction);
    buffer[..length].to_vec()
}

/// A scrape request.
#[must_use]
pub fn scrape_bytes(connection: [u8; 8], transaction: u32, hashes: &[Id20]) -> Vec<u8> {
    let mut buffer = [0; wire::REQUEST_LEN];
    let connection = u64::from_be_bytes(connection);
    let length = wire::scrape(&mut buffer, connection, transaction, hashes.iter().copied());
    [&buffer[..length], &hashes[(length - 16) / 20..].concat()].concat()
}

/// What an announce is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Seconds until the next announce.
    pub interval: u32,
    /// Leechers in the whole swarm.
    pub leechers: u32,
    /// Seeders in the whole swarm.
    pub seeders: u32,
    /// Peers of the client's family.
    pub peers: Vec<SocketAddr>,
    /// The reply's payload, bytes.
    pub len: usize,
}

impl Announced {
    /// The ports of the peers, in ascending order: enough to tell them apart in most tests.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.peers.iter().map(SocketAddr::port).collect();
        ports.sort_unstable();
        ports
    }
}

/// One torrent's row in a scrape reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Seeders.
    pub seeders: u32,
    /// Downloads completed.
    pub completed: u32,
    /// Leechers.
    pub leechers: u32,
}

/// What a request was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A connection ID.
    Connected([u8; 8]),
    /// A list of peers.
    Announced(Announced),
    /// Rows in the order of the request.
    Scraped(Vec<Row>),
    /// The text of an error.
    Error(String),
}

/// A client with a socket of its own.
pub struct Client {
    socket: UdpSocket,
    tracker: SocketAddr,
    connection: Cell<Option<[u8; 8]>>,
    transaction: Cell<u32>,
    received: Cell<BTreeMap<&'static str, u64>>,
    total: Arc<AtomicU64>,
}

impl Client {
    /// A client on the host of this thread, with this address, that asks this tracker.
    #[must_use]
    pub fn new(address: IpAddr, tracker: SocketAddr) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap_or_else(|e| panic!("{address}: {e}"));
        Self::with_socket(socket, tracker)
    }

    /// A client that uses this socket.
    #[must_use]
    pub fn with_socket(socket: UdpSocket, tracker: SocketAddr) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let transaction = Cell::new(u32::from(socket.local_addr().expect("an address").port()) << 16);
        Self {
            socket,
            tracker,
            connection: Cell::new(None),
            transaction,
            received: Cell::default(),
            total: Arc::default(),
        }
    }

    /// Its own address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("an address")
    }

    /// The tracker it asks.
    #[must_use]
    pub fn tracker(&self) -> SocketAddr {
        self.tracker
    }

    /// Asks another from now on, with the connection ID that it has.
    #[must_use]
    pub fn at(self, tracker: SocketAddr) -> Self {
        Self { tracker, ..self }
    }

    /// Uses this connection ID from now on.
    #[must_use]
    pub fn with_connection(self, connection: [u8; 8]) -> Self {
        self.connection.set(Some(connection));
        self
    }

    /// Counts its replies here too.
    #[must_use]
    pub fn counted_in(self, total: Arc<AtomicU64>) -> Self {
        Self { total, ..self }
    }

    /// A transaction ID that it has not used yet.
    #[must_use]
    pub fn transaction(&self) -> u32 {
        self.transaction.set(self.transaction.get().wrapping_add(1));
        self.transaction.get()
    }

    /// How many replies of each kind (`connect`, `announce`, `scrape`, `error`) it has had.
    #[must_use]
    pub fn received(&self) -> BTreeMap<&'static str, u64> {
        let received = self.received.take();
        self.received.set(received.clone());
        received
    }

    /// Sends bytes as they are.
    pub fn send(&self, bytes: &[u8]) {
        let sent =
            self.socket.send_to(bytes, self.tracker).unwrap_or_else(|e| panic!("{}: {e}", self.tracker));
        assert_eq!(sent, bytes.len());
    }

    /// Waits for the next datagram, which must be from the tracker.
    #[must_use]
    pub fn receive(&self) -> Vec<u8> {
        let mut buffer = [0; 65_536];
        let (length, source) = self
            .socket
            .recv_from(&mut buffer)
            .unwrap_or_else(|e| panic!("{} had no reply from {}: {e}", self.address(), self.tracker));
        assert_eq!(source, self.tracker, "the reply's source");
        buffer[..length].to_vec()
    }

    /// Takes whatever has arrived already, without waiting.
    #[must_use]
    pub fn take_arrived(&self) -> Vec<Vec<u8>> {
        self.socket.set_nonblocking(true).expect("a non-blocking socket");
        let mut arrived = Vec::new();
        let mut buffer = [0; 65_536];
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, _)) => arrived.push(buffer[..length].to_vec()),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => panic!("{}: {e}", self.address()),
            }
        }
        self.socket.set_nonblocking(false).expect("a blocking socket");
        arrived
    }

    /// Sends a request and reads its reply.
    #[must_use]
    pub fn ask(&self, request: &[u8]) -> Reply {
        let transaction = u32::from_be_bytes(request[12..16].try_into().expect("four bytes"));
        self.send(request);
        self.read(&self.receive(), transaction)
    }

    /// Reads a reply that must be to this transaction.
    #[must_use]
    pub fn read(&self, bytes: &[u8], transaction: u32) -> Reply {
        let family = if self.address().is_ipv6() { Family::Ipv6 } else { Family::Ipv4 };
        let read = wire::read(bytes).unwrap_or_else(|wrong| panic!("{wrong:?} of {bytes:02x?}"));
        assert_eq!(wire::transaction(bytes), Some(transaction), "the transaction ID of {bytes:02x?}");
        let (kind, reply) = match read {
            wire::Reply::Connected(id) => ("connect", Reply::Connected(id)),
            wire::Reply::Announced { interval, leechers, seeders, peers } => {
                let peers = peers::read(peers, family).unwrap_or_else(|| panic!("peers of {bytes:02x?}"));
                let len = bytes.len();
                ("announce", Reply::Announced(Announced { interval, leechers, seeders, peers, len }))
            }
            wire::Reply::Scraped(rows) => {
                let rows = rows.iter().map(|row| {
                    let [seeders, completed, leechers] = wire::counts(row);
                    Row { seeders, completed, leechers }
                });
                ("scrape", Reply::Scraped(rows.collect()))
            }
            wire::Reply::Error(text) => {
                assert!(text.iter().all(|b| (0x20..0x7f).contains(b)), "an error's text: {text:02x?}");
                ("error", Reply::Error(String::from_utf8_lossy(text).into_owned()))
            }
        };
        let mut received = self.received.take();
        *received.entry(kind).or_default() += 1;
        self.received.set(received);
        self.total.fetch_add(1, Ordering::Relaxed);
        reply
    }

    /// Asks for a connection ID and keeps it.
    pub fn connect(&self) -> [u8; 8] {
        match self.ask(&connect_bytes(self.transaction())) {
            Reply::Connected(id) => {
                self.connection.set(Some(id));
                id
            }
            other => panic!("a connect was answered with {other:?}"),
        }
    }

    /// The connection ID that it has, or a new one.
    pub fn connection(&self) -> [u8; 8] {
        self.connection.get().unwrap_or_else(|| self.connect())
    }

    /// Announces, connecting first if it has not yet.
    pub fn announce(&self, announce: &Announce) -> Announced {
        match self.try_announce(announce) {
            Reply::Announced(reply) => reply,
            other => panic!("an announce was answered with {other:?}"),
        }
    }

    /// Announces, whatever the answer may be.
    #[must_use]
    pub fn try_announce(&self, announce: &Announce) -> Reply {
        self.ask(&announce.bytes(self.connection(), self.transaction()))
    }

    /// Scrapes, connecting first if it has not yet.
    #[must_use]
    pub fn scrape(&self, hashes: &[Id20]) -> Vec<Row> {
        match self.ask(&scrape_bytes(self.connection(), self.transaction(), hashes)) {
            Reply::Scraped(rows) => rows,
            other => panic!("a scrape was answered with {other:?}"),
        }
    }

    /// One torrent's row.
    #[must_use]
    pub fn row(&self, hash: Id20) -> Row {
        self.scrape(&[hash])[0]
    }

    /// Proves that nothing sent before will be answered any more: what is asked now, on every path, is answered next.
    pub fn fence(&self) {
        self.connect();
        let _ = self.scrape(&[id20("fence", 0)]);
    }
}
