//! Workers on ordinary sockets when the master key of connection IDs is swapped.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;
use tracker_common::{address::Address, connection_id::ConnectionIds, siphash::Key};
use tracker_core::{engine::Engine, policy::Policy};
use tracker_user::{
    cli::RunArgs,
    clock::Clock,
    config::Config,
    shared_key::SharedKey,
    state::ConnectionIdState,
    threads::Threads,
    udp::{
        bind,
        pool::{Pool, Shared},
    },
};

const BASE_NS: u64 = 1_700_000_000_000_000_000;
const LIFETIME_SLOTS: u32 = 4;
const WORKERS: usize = 2;

fn defaults() -> Config {
    Config::load(&RunArgs::default(), &[]).config.unwrap()
}

fn key(n: u8) -> Key {
    Key::from_bytes([n; 16])
}

/// A client, whose address is that of the host itself.
struct Client(UdpSocket);

impl Client {
    fn of(tracker: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(tracker).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(socket)
    }

    fn receive(&self) -> Vec<u8> {
        let mut buffer = [0; 1500];
        let length = self.0.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    /// The connection ID that the tracker gives.
    fn connect(&self) -> [u8; 8] {
        self.0.send(b"\x00\x00\x04\x17\x27\x10\x19\x80\0\0\0\0conn").unwrap();
        let reply = self.receive();
        assert_eq!(reply[..8], *b"\0\0\0\0conn");
        reply[8..].try_into().unwrap()
    }

    fn scrape(&self, id: [u8; 8], transaction: [u8; 4]) {
        let request = [&id[..], b"\0\0\0\x02", &transaction, &[7; 20]].concat();
        self.0.send(&request).unwrap();
    }

    /// Whether a scrape with this ID is answered. One worker reads what this client sends and answers scrapes in order, so
    /// another behind it with an ID that the tracker just gave is answered after it.
    fn is_served(&self, id: [u8; 8]) -> bool {
        let valid = self.connect();
        self.scrape(id, *b"scra");
        self.scrape(valid, *b"last");
        let first = self.receive();
        if first[..8] == *b"\0\0\0\x02last" {
            return false;
        }
        assert_eq!(first[..8], *b"\0\0\0\x02scra");
        assert_eq!(self.receive()[..8], *b"\0\0\0\x02last");
        true
    }
}

/// The ID of a client on this host by this key.
fn id_of(master: Key) -> [u8; 8] {
    let ids = ConnectionIds::new(master, LIFETIME_SLOTS, Clock::new(BASE_NS).now_ns());
    ids.issue(&Address::from(IpAddr::from([127, 0, 0, 1])))
}

#[test]
fn workers_refuse_ids_of_the_key_before_and_take_those_of_the_new_one() {
    let mut config = defaults().udp;
    config.listen.addresses = vec!["127.0.0.1:0".parse().unwrap()];
    let listeners = bind::bind_all(&config, WORKERS).unwrap();
    let tracker = listeners[0].address;
    let clock = Clock::new(BASE_NS);
    let key_of_all = SharedKey::new(ConnectionIdState { master: key(0), clock_base_ns: BASE_NS });
    let shared = Shared {
        engine: Arc::new(Engine::new(Policy::default(), [1, 2])),
        clock,
        key: key_of_all.clone(),
        lifetime_slots: LIFETIME_SLOTS,
        busy_poll: false,
        backlog: None,
        threads: Arc::new(Threads::new(WORKERS)),
        patiences: Vec::new(),
    };
    let (ended, _heard) = mpsc::unbounded_channel();
    let _pool = Pool::spawn(&config, listeners, WORKERS, &shared, &ended).unwrap();
    // Enough that each worker has some with near certainty: the kernel spreads clients by their ports.
    let clients: Vec<Client> = (0..16).map(|_| Client::of(tracker)).collect();
    for client in &clients {
        assert!(client.is_served(client.connect()));
        assert!(client.is_served(id_of(key(0))) && !client.is_served(id_of(key(1))));
    }
    for n in 1..4 {
        key_of_all.swap(key(n));
        for (index, client) in clients.iter().enumerate() {
            let before = id_of(key(n - 1));
            assert!(!client.is_served(before), "swap {n}, client {index}: an ID of the key before");
            assert!(client.is_served(id_of(key(n))), "swap {n}, client {index}: an ID of the new key");
            assert_ne!(client.connect(), before);
            assert!(client.is_served(client.connect()), "swap {n}, client {index}: its own");
        }
    }
}
