//! The XDP program when the master key of connection IDs is swapped, through the kernel's test-run call, and as the manager
//! has it attached. Needs root: it loads the program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test fails"
)]

#[allow(dead_code, reason = "the frame matrix uses all of it")]
mod matrix;

use matrix::{BASE_NS, LIFETIME_SLOTS, Recipe, ip, loaded, request, v6};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use std::{
    io,
    net::{IpAddr, UdpSocket},
    process::Command,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tracker_common::{
    address::Address,
    connection_id::{ConnectionIds, keys_at, slot_at},
    maps::Rates,
    siphash::Key,
};
use tracker_core::banned::Banned;
use tracker_user::{
    cli::RunArgs,
    clock::Clock,
    config::{Config, Xdp, XdpMode},
    udp::pool::usable_cpus,
    xdp::{interface::Context, manager, program::Program, servers::Servers, socket::XskSocket},
};

const XDP_DROP: u32 = 1;
const XDP_TX: u32 = 3;
const XDP_REDIRECT: u32 = 4;

fn defaults() -> Config {
    Config::load(&RunArgs::default(), &[]).config.unwrap()
}

/// A master key of this test's, none of them that of the matrix.
fn key(n: u8) -> Key {
    Key::from_bytes([n; 16])
}

/// From here on this thread runs there.
fn pin(cpu: usize) {
    let mut mask = CpuSet::new();
    mask.set(cpu).unwrap();
    sched_setaffinity(Pid::from_raw(0), &mask).unwrap();
}

fn rekey(program: &mut Program, master: Key) {
    let slot = slot_at(Clock::new(BASE_NS).now_ns());
    program.set_keys(keys_at(master, slot, LIFETIME_SLOTS)).unwrap();
}

/// An announce of this client's with the ID that it has by this master key.
fn announce(recipe: Recipe, master: Key) -> Vec<u8> {
    let ids = ConnectionIds::new(master, LIFETIME_SLOTS, Clock::new(BASE_NS).now_ns());
    let id = ids.issue(&Address::from(recipe.source));
    Recipe { payload: request(1, id, 82), ..recipe }.build()
}

fn clients() -> [Recipe; 2] {
    [Recipe::default(), v6(Recipe::default())]
}

/// The ID in a connect reply to a client of this address: the last eight bytes of the frame.
fn is_of(reply: &[u8], master: Key, client: IpAddr) -> bool {
    let ids = ConnectionIds::new(master, LIFETIME_SLOTS, Clock::new(BASE_NS).now_ns());
    ids.is_valid(reply[reply.len() - 8..].try_into().unwrap(), &Address::from(client))
}

#[test]
fn root_after_a_swap_every_processor_takes_ids_of_the_new_key_alone() {
    let (mut program, _, _socket) = loaded::load();
    let cpus = usable_cpus();
    assert!(!cpus.is_empty());
    rekey(&mut program, key(0));
    for n in 1..5 {
        // Each processor prepares hashes with the key that is about to go.
        for during in [key(n - 1), key(n)] {
            rekey(&mut program, during);
            let gone = if during == key(n) { key(n - 1) } else { key(n) };
            for cpu in &cpus {
                pin(*cpu);
                for client in clients() {
                    let source = client.source;
                    let (action, _) = program.test_run(&announce(client.clone(), during)).unwrap();
                    assert_eq!(action, XDP_REDIRECT, "swap {n}, CPU {cpu}, {source}: the key that holds");
                    let (action, _) = program.test_run(&announce(client.clone(), gone)).unwrap();
                    assert_eq!(action, XDP_DROP, "swap {n}, CPU {cpu}, {source}: another");
                    let (action, reply) = program.test_run(&client.build()).unwrap();
                    assert_eq!(action, XDP_TX);
                    assert!(is_of(&reply, during, source), "swap {n}, CPU {cpu}, {source}: the ID it gives");
                }
            }
        }
    }
    assert_eq!(program.settings().enabled, 1);
}

/// Nobody serves `AF_XDP` sockets. On a loopback interface there are none anyway.
struct Nobody;

impl Servers for Nobody {
    fn give(&mut self, _: XskSocket, _: bool) -> bool {
        false
    }
    fn take_back(&mut self, _: u32) {}
}

/// A client on the loopback interface, and the ordinary socket of the tracker's to which the program passes what it neither
/// answers nor drops.
struct Loopback {
    client: UdpSocket,
    tracker: UdpSocket,
}

impl Loopback {
    fn new() -> Self {
        let [client, tracker] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        client.connect(tracker.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        tracker.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { client, tracker }
    }

    /// The ID that the program gives; `None` if it passes the connect.
    fn connect(&self) -> Option<[u8; 8]> {
        self.client.send(b"\x00\x00\x04\x17\x27\x10\x19\x80\0\0\0\0conn").unwrap();
        let mut reply = [0; 100];
        match self.client.recv(&mut reply) {
            Ok(length) => {
                assert_eq!((length, &reply[..8]), (16, &b"\0\0\0\0conn"[..]));
                Some(reply[8..16].try_into().unwrap())
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                None
            }
        }
    }

    /// Whether the program lets an announce with this ID through, seen by another behind it with an ID that is `valid`.
    fn is_let_through(&self, id: [u8; 8], valid: [u8; 8]) -> bool {
        let [asked, behind] = [request(1, id, 82), request(1, valid, 83)];
        self.client.send(&asked).unwrap();
        self.client.send(&behind).unwrap();
        let mut datagram = [0; 200];
        let length = self.tracker.recv(&mut datagram).unwrap();
        if datagram[..length] == behind {
            return false;
        }
        assert_eq!(datagram[..length], asked);
        let length = self.tracker.recv(&mut datagram).unwrap();
        assert_eq!(datagram[..length], behind);
        true
    }

    /// Nothing that was passed is left.
    fn forget(&self) {
        self.tracker.set_nonblocking(true).unwrap();
        while self.tracker.recv(&mut [0; 200]).is_ok() {}
        self.tracker.set_nonblocking(false).unwrap();
    }
}

#[test]
fn root_a_running_manager_swaps_the_key() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("root");
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    // What one processor sends on this interface it also receives, in order.
    pin(usable_cpus()[0]);
    let loopback = Loopback::new();
    let config = Xdp { interfaces: vec!["lo".to_owned()], mode: XdpMode::Generic, ..defaults().xdp };
    let context = Context {
        config,
        listeners: vec![loopback.tracker.local_addr().unwrap()],
        latency: Duration::ZERO,
        clock: Clock::new(BASE_NS),
        master: key(0),
        lifetime_slots: LIFETIME_SLOTS,
        rates: Rates::default(),
        banned: Banned::default(),
        keeps_rights: true,
    };
    let prepared = manager::prepare(context, &mut Vec::new()).unwrap();
    let (ended, _heard) = mpsc::unbounded_channel();
    let manager = prepared.run(Nobody, &ended).unwrap().expect("an interface");
    let lending = manager.lending();
    let ids = |master| ConnectionIds::new(master, LIFETIME_SLOTS, Clock::new(BASE_NS).now_ns());
    let address = Address::from(ip("127.0.0.1"));
    let is_of = |id: [u8; 8], master| ids(master).is_valid(id, &address);
    assert!(is_of(loopback.connect().expect("an answer"), key(0)));
    for n in 1..6 {
        let [before, now] = [n - 1, n].map(key);
        lending.rekey(now);
        let begun = Instant::now();
        loop {
            let id = loopback.connect();
            if id.is_some_and(|id| is_of(id, now)) {
                break;
            }
            // Until then it is as before, or passes.
            assert!(id.is_none_or(|id| is_of(id, before)), "swap {n}: an ID of no key");
            assert!(begun.elapsed() < Duration::from_secs(30), "swap {n}: it does not come");
        }
        loopback.forget();
        for _ in 0..10 {
            assert!(is_of(loopback.connect().expect("an answer"), now), "swap {n}");
            let [old, new] = [before, now].map(|master| ids(master).issue(&address));
            assert!(loopback.is_let_through(new, new), "swap {n}: the new key");
            assert!(!loopback.is_let_through(old, new), "swap {n}: the key before");
        }
    }
    // A swap that changes nothing is none.
    lending.rekey(key(5));
    for _ in 0..10 {
        assert!(is_of(loopback.connect().expect("an answer"), key(5)));
    }
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(manager.stop());
}
