//! More WebSockets than memory has room for, none of which reads: the tracker stays within its control group and serves
//! whom it knows. Root only: it makes a control group.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test fails"
)]

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use socket2::{Domain, Socket as TcpSocket, Type};
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
};
use tests::{
    cgroup::Cgroup,
    riptide::{Riptide, Start},
    udp::{Id20, id20},
    web::{
        http::{Announce, Announced, Connection},
        stream::tcp,
        websocket::{Socket, announce, counts, handshake, latin, offering, opcode},
    },
};

const MIB: u64 = 1 << 20;
const LIMIT: u64 = 256 * MIB;
const CROWD: u32 = 10_000;
/// Descriptors of this process beside the crowd's.
const OTHERS: u64 = 200;

/// A client that shakes hands, announces with offers, and takes nothing: its own kernel holds next to nothing for it.
struct Mute(TcpStream);

impl Mute {
    fn new(to: SocketAddr, first_words: &[u8]) -> Self {
        let socket = TcpSocket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(2048).expect("a small buffer");
        socket.connect(&to.into()).expect("to connect");
        let stream = TcpStream::from(socket);
        stream.set_nonblocking(true).expect("a socket");
        let mut mute = Self(stream);
        mute.say(first_words);
        mute
    }

    /// Says as much as the tracker takes at once.
    fn say(&mut self, bytes: &[u8]) {
        let _ = self.0.write(bytes);
    }

    /// How it was answered, once it does read: the status, or none if the tracker has closed it without.
    fn status(mut self) -> Option<u16> {
        self.0.set_nonblocking(false).expect("a socket");
        let mut head = [0; 12];
        self.0.read_exact(&mut head).ok()?;
        std::str::from_utf8(&head).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
    }
}

fn http(riptide: &Riptide) -> Connection {
    Connection::new(tcp(Ipv4Addr::LOCALHOST.into(), riptide.http()[0]), "")
}

fn websocket(riptide: &Riptide) -> Socket {
    Socket::open(http(riptide), "/", "").unwrap_or_else(|answer| panic!("{answer:?}"))
}

/// Announces with ten offers of about a kilobyte each, as browsers send them.
struct Words {
    text: String,
    someone: String,
}

impl Words {
    fn new() -> Self {
        let mut message = offering(id20("crowd", 0), id20("someone", 0), 0, 10);
        for offer in message["offers"].as_array_mut().expect("offers") {
            offer["offer"]["sdp"] = json!("x".repeat(1_000));
        }
        Self { text: message.to_string(), someone: Self::id(id20("someone", 0)) }
    }

    fn id(id: Id20) -> String {
        json!(latin(&id)).to_string()
    }

    /// Those of a client of its own.
    fn of(&self, n: u32) -> Vec<u8> {
        let text = self.text.replacen(&self.someone, &Self::id(id20("mute", n)), 1);
        Socket::frame(true, opcode::TEXT, text.as_bytes())
    }
}

#[test]
fn root_ten_thousand_websockets_that_never_read_leave_room_for_others() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    assert!(hard >= u64::from(CROWD) + OTHERS, "{hard} descriptors are too few");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the hard limit is permitted");
    let cgroup = Cgroup::new(LIMIT);
    let riptide = Start::new(None)
        .cgroup(&cgroup)
        .arguments("--udp 127.0.0.1:0")
        .http("listen = [\"127.0.0.1:0\"]")
        .ready();
    let address = riptide.http()[0];

    // Whom it knows.
    let known = id20("known", 0);
    let mut friends: Vec<Socket> = (0..10).map(|_| websocket(&riptide)).collect();
    let greet = |friends: &mut [Socket]| {
        for (n, friend) in (0..).zip(friends) {
            let (_, leechers) = counts(&friend.ask(&announce(known, id20("friend", n))), known);
            assert!(leechers > u64::from(n));
        }
    };
    greet(&mut friends);

    let hello = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", handshake());
    let words = Words::new();
    let mut crowd = Vec::with_capacity(CROWD as usize);
    let mut worst = 0;
    for n in 0..CROWD {
        crowd.push(Mute::new(address, &[hello.as_bytes(), &words.of(n)].concat()));
        if n % 500 == 0 {
            greet(&mut friends);
            worst = worst.max(cgroup.used());
        }
    }
    // Whoever is still there offers once more: a hundred megabytes, if all were taken.
    for (n, mute) in (0..).zip(&mut crowd) {
        mute.say(&words.of(n));
        if n % 500 == 0 {
            greet(&mut friends);
            worst = worst.max(cgroup.used());
        }
    }
    let metrics = riptide.metrics();
    let sum = |name: &str, label: &str| metrics.sum(name, &[("reason", label)]);
    eprintln!(
        "at most {} MiB, sockets {} MiB now; {} connections, refused {} {}, lost {}, closed {} {}",
        worst / MIB,
        cgroup.sockets() / MIB,
        metrics.sum("riptide_ws_connections", &[]),
        sum("riptide_ws_refused_connections_total", "memory"),
        sum("riptide_ws_refused_connections_total", "connections"),
        sum("riptide_ws_lost_messages_total", "memory"),
        sum("riptide_ws_closed_connections_total", "memory"),
        sum("riptide_ws_closed_connections_total", "reclaimed"),
    );
    assert!(worst < LIMIT, "{} MiB", worst / MIB);
    assert!(sum("riptide_ws_refused_connections_total", "memory") > 1000.0, "{}", metrics.text);
    let limit = metrics.sum("riptide_ws_memory_limit_bytes", &[]);
    assert!(limit == LIMIT as f64 / 8.0 && metrics.sum("riptide_ws_memory_bytes", &[]) <= limit);

    // Everybody else is served as ever.
    let answer = Announced::read(&http(&riptide).get(&Announce::leecher(known, 1).target()));
    assert_eq!(answer.counts(), (0, 0, 11));
    greet(&mut friends);
    let statuses: Vec<Option<u16>> = crowd.into_iter().rev().take(100).map(Mute::status).collect();
    assert!(statuses.iter().all(|status| matches!(status, None | Some(503))), "{statuses:?}");
    // Once the crowd is gone there is room again.
    riptide.metrics_until("the friends alone", |m| m.sum("riptide_ws_connections", &[]) == 10.0);
    websocket(&riptide).close();
    assert_eq!(cgroup.kills(), 0);
    riptide.stop();
}
