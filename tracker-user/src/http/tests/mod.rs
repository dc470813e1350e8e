//! HTTP over loopback, byte by byte.

mod events;
mod limits_and_drain;

use super::{
    Http, Remarks, Shared, Stage, Statistics,
    counters::{Action, Closed, Counters, Outcome, Pause},
    endpoint::{Bound, Listening},
    limits::MostConnections,
};
use crate::{
    clock::Clock,
    config::{self, Config, ListenAddress},
    policy,
    ws::Hub,
};
use parking_lot::Mutex;
use socket2::SockRef;
use std::{
    fmt::Write as _,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{runtime::Runtime, sync::mpsc};
use tracker_common::address::Family;
use tracker_core::engine::Engine;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);
const ANNOUNCE: &str = "GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=6881 HTTP/1.1\r\nHost: t\r\n\r\n";

/// The HTTP side on a port of its own.
struct Rig {
    address: SocketAddr,
    http: Arc<Http>,
    counters: Arc<Counters>,
    ended: mpsc::UnboundedReceiver<String>,
    remarked: Arc<Remarked>,
    runtime: Runtime,
}

/// What is remarked.
#[derive(Debug, Default)]
struct Remarked(Mutex<Option<&'static str>>);

impl Remarks for Remarked {
    fn remark(&self) -> Option<&'static str> {
        *self.0.lock()
    }
}

impl Rig {
    fn new(change: impl FnOnce(&mut config::Http)) -> Self {
        Self::with(1, change)
    }

    /// With so many listeners, of which clients come to the last.
    fn with(listeners: usize, change: impl FnOnce(&mut config::Http)) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self::on(runtime, listeners, None, change)
    }

    /// With pages of numbers.
    fn showing(stats: impl Statistics + 'static, change: impl FnOnce(&mut config::Http)) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self::on(runtime, 1, Some(Arc::new(stats)), change)
    }

    fn on(
        runtime: Runtime,
        listeners: usize,
        stats: Option<Arc<dyn Statistics>>,
        change: impl FnOnce(&mut config::Http),
    ) -> Self {
        let mut config = Config::default();
        change(&mut config.http);
        let engine = Arc::new(Engine::new(policy::from_config(&config), [1, 2]));
        let _inside = runtime.enter();
        let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = (0..listeners)
            .map(|_| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                listener.set_nonblocking(true).unwrap();
                address = listener.local_addr().unwrap();
                let (address, listener) = (ListenAddress::Tcp(address), Listening::Tcp(listener));
                Bound { configured: address.clone(), address, tls: false, listener }
            })
            .collect();
        let (farewells, ended) = mpsc::unbounded_channel();
        let most = MostConnections::wanted(&config.http, &config.websocket);
        let hub =
            Some(Hub::new(&config.websocket, most.websockets, engine.clone(), Clock::new(0), [3, 4], [5, 6]));
        let counters = Arc::new(Counters::new(2));
        let remarked = Arc::<Remarked>::default();
        let shared = Shared {
            engine,
            clock: Clock::new(0),
            threads: 2,
            connections: most.http,
            counters: counters.clone(),
            hub,
            front: None,
            stats,
            remarks: Some(remarked.clone()),
        };
        let http = Http::start(&config.http, config.websocket.send_timeout, bound, None, shared, &farewells)
            .unwrap();
        http.serving();
        drop(_inside);
        Self { address, http: Arc::new(http), counters, ended, remarked, runtime }
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, read: Vec::new() }
    }

    fn answered(&self, action: Action, outcome: Outcome) -> u64 {
        self.counters.requests(action, Some(Family::Ipv4), outcome)
    }

    /// Waits until a number is what it should be.
    fn until(&self, what: &str, mut good: impl FnMut(&Counters) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !good(&self.counters) {
            assert!(Instant::now() < deadline, "never: {what}: {:?}", self.counters);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Debug)]
struct Reply {
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Client {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// The next reply, whose body has a length.
    fn reply(&mut self) -> Reply {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.more() > 0, "the end instead of a reply, after {:?}", self.read);
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let mut reply = Reply { head, body: Vec::new() };
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            assert!(self.more() > 0, "the end within a body");
        }
        reply.body = self.read.drain(..length).collect();
        reply
    }

    fn ask(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.send(request);
        self.reply()
    }

    fn more(&mut self) -> usize {
        let mut buffer = [0; 4096];
        let length = self.stream.read(&mut buffer).unwrap();
        self.read.extend_from_slice(&buffer[..length]);
        length
    }

    /// Reads up to the end; a reset is one too.
    fn until_end(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.read);
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("no end: {error}, after {rest:?}"),
        }
        rest
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
}

#[test]
fn an_announce_is_answered_and_the_connection_kept() {
    let rig = Rig::new(|_| {});
    let mut client = rig.client();
    for n in 1..=3 {
        let reply = client.ask(ANNOUNCE);
        assert_eq!((reply.status(), reply.header("content-type")), (200, Some("text/plain")), "{reply:?}");
        assert!(
            reply.body.starts_with(b"d8:completei0e10:downloadedi0e11:external ip4:\x7f\0\0\x01"),
            "{reply:?}"
        );
        assert_eq!(rig.answered(Action::Announce, Outcome::Ok), n);
    }
    let reply = client.ask(get("/scrape?info_hash=aaaaaaaaaaaaaaaaaaaa"));
    assert!(reply.body.starts_with(b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei0e"), "{reply:?}");
    let reply = client.ask(get("/announce"));
    assert!(reply.status() == 200 && reply.body.starts_with(b"d14:failure reason"), "{reply:?}");
    assert_eq!(rig.answered(Action::Announce, Outcome::Failure), 1);
    assert_eq!(rig.answered(Action::Scrape, Outcome::Ok), 1);
    assert_eq!((rig.counters.connections(false), rig.counters.accepted(false)), (1, 1));
    drop(client);
    rig.until("the connection is gone", |counters| counters.connections(false) == 0);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let rig = Rig::new(|_| {});
    let mut client = rig.client();
    let hash = |n: usize| format!("{n:020}");
    let mut requests = String::new();
    for n in 0..300 {
        let _ = write!(requests, "GET /scrape?info_hash={} HTTP/1.1\r\nHost: t\r\n\r\n", hash(n));
    }
    // The last one is cut: its beginning must not hold up the replies before it.
    client.send(&requests[..requests.len() - 10]);
    for n in 0..299 {
        let reply = client.reply();
        assert!(reply.body.windows(20).any(|window| window == hash(n).as_bytes()), "{n}: {reply:?}");
    }
    client.send(&requests[requests.len() - 10..]);
    assert_eq!(client.reply().status(), 200);
}

#[test]
fn a_client_that_reads_nothing_is_not_answered_without_bound() {
    let rig = Rig::new(|_| {});
    let mut client = rig.client();
    client.stream.set_nonblocking(true).unwrap();
    // With requests cut anywhere, so that the server has always read the beginning of another.
    let requests = get("/nothing").repeat(100);
    let mut sent = 0;
    // Neither side takes any more: what waits is in the kernel's buffers and the connection's bounded one.
    let mut quiet_since = Instant::now();
    let mut seen = (0, 0);
    while quiet_since.elapsed() < Duration::from_millis(500) {
        match client.stream.write(&requests.as_bytes()[sent % requests.len()..]) {
            Ok(length) => sent += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
        let now = (sent, rig.answered(Action::Other, Outcome::Rejected));
        if now != seen {
            (seen, quiet_since) = (now, Instant::now());
        }
    }
    let asked = sent / get("/nothing").len();
    let answered = usize::try_from(seen.1).unwrap();
    assert!(answered > 0 && answered < asked, "{answered} of {asked} answered");
}

#[test]
fn announces_are_asked_for_by_get_alone() {
    let rig = Rig::new(|_| {});
    for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "DANCE"] {
        let mut client = rig.client();
        let target = if method == "CONNECT" { "t:80" } else { "/announce" };
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"));
        let text = String::from_utf8(client.until_end()).unwrap().to_lowercase();
        let allow = if method == "CONNECT" { "get, head, options" } else { "get" };
        let allow = format!("\r\nallow: {allow}\r\n");
        assert!(text.starts_with("http/1.1 405 ") && text.contains(&allow), "{method}: {text}");
        assert_eq!(text.ends_with("\r\n\r\n"), method == "HEAD", "{method}: {text}");
    }
    assert_eq!(rig.answered(Action::Announce, Outcome::Rejected), 6);
    // Whatever they ask to become.
    for method in ["HEAD", "POST", "PUT"] {
        let mut client = rig.client();
        client.send(format!(
            "{method} /announce HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ));
        let text = String::from_utf8(client.until_end()).unwrap();
        assert!(text.starts_with("HTTP/1.1 405 "), "{method}: {text}");
    }
    assert_eq!(rig.answered(Action::Websocket, Outcome::Rejected), 0);
}

#[test]
fn unknown_paths_are_not_found_and_the_connection_is_kept() {
    let rig = Rig::new(|_| {});
    let mut client = rig.client();
    for path in ["/x", "/announce/x", "/metrics", "/%ff", "/stats.jso"] {
        let reply = client.ask(get(path));
        assert_eq!(reply.status(), 404, "{path}: {reply:?}");
        assert!(!reply.body.is_empty());
    }
    assert_eq!(rig.answered(Action::Other, Outcome::Rejected), 5);
}

#[test]
fn forms_of_http_that_clients_use() {
    let rig = Rig::new(|_| {});
    let path = ANNOUNCE.split(' ').nth(1).unwrap();
    // Absolute form, tolerated paths, and a client that waits for leave to send its body.
    for request in [
        format!("GET http://tracker.example:6969{path} HTTP/1.1\r\nHost: t\r\n\r\n"),
        get(&path.replace("/announce", "//announce%20/")),
        format!("GET {path} HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n\r\n"),
        format!("GET {path} HTTP/1.1\r\n\r\n"),
    ] {
        let reply = rig.client().ask(&request);
        assert_eq!(reply.status(), 200, "{request}: {reply:?}");
        assert!(reply.body.starts_with(b"d8:complete"), "{request}: {reply:?}");
    }
    // HTTP/1.0 ends with the reply, unless asked to go on.
    let mut client = rig.client();
    client.send(format!("GET {path} HTTP/1.0\r\n\r\n"));
    let all = String::from_utf8_lossy(&client.until_end()).into_owned();
    assert!(all.starts_with("HTTP/1.0 200 ") && all.contains("d8:complete"), "{all}");
    let mut client = rig.client();
    for _ in 0..2 {
        let reply = client.ask(format!("GET {path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        assert_eq!(reply.status(), 200, "{reply:?}");
    }
}

#[test]
fn a_client_that_ends_its_side_once_it_has_asked_is_answered() {
    let rig = Rig::new(|_| {});
    let mut client = rig.client();
    assert_eq!(client.ask(ANNOUNCE).status(), 200);
    // The kernel waits for more and finds the end, so both come in one segment.
    let socket = SockRef::from(&client.stream);
    assert_eq!(socket.send_with_flags(ANNOUNCE.as_bytes(), libc::MSG_MORE).unwrap(), ANNOUNCE.len());
    socket.shutdown(Shutdown::Write).unwrap();
    let all = String::from_utf8_lossy(&client.until_end()).into_owned();
    assert!(all.starts_with("HTTP/1.1 200 ") && all.contains("d8:complete"), "{all}");
}

#[test]
fn bodies_are_taken_and_ignored_up_to_their_limit() {
    let rig = Rig::new(|http| http.max_body_size = 100);
    let head = ANNOUNCE.trim_end();
    let mut client = rig.client();
    for body in ["", "x", &"x".repeat(100)] {
        let reply = client.ask(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        assert!(reply.body.starts_with(b"d8:complete"), "{reply:?}");
    }
    let chunked = format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let reply = client.ask(format!("{chunked}5\r\nhello\r\n0\r\n\r\n"));
    assert!(reply.body.starts_with(b"d8:complete"), "{reply:?}");
    // Leave to send is given only where something is to be sent.
    client.send(format!("{head}\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
    assert!(client.reply().head.starts_with("HTTP/1.1 100 "));
    assert_eq!(client.ask("xx").status(), 200);

    // Too long as told, and too long as found: refused, and the reply arrives though the client is still sending.
    for (request, rest) in [
        (format!("{head}\r\nContent-Length: 100000\r\n\r\n"), "x".repeat(100_000)),
        (chunked, "65\r\n".to_owned() + &"x".repeat(0x65) + "\r\n" + &"1\r\nx\r\n".repeat(10_000)),
    ] {
        let mut client = rig.client();
        client.send(request);
        client.send(rest);
        let reply = client.reply();
        assert_eq!((reply.status(), reply.header("connection")), (413, Some("close")), "{reply:?}");
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert!(client.until_end().is_empty());
    }
    assert_eq!(rig.answered(Action::Announce, Outcome::Rejected), 2);
}

#[test]
fn heads_that_are_too_long_or_no_http_are_refused() {
    let rig = Rig::new(|http| http.max_header_size = 8 << 10);
    for (request, status) in [
        (format!("GET /announce?{} HTTP/1.1\r\n", "x".repeat(10_000)), "431"),
        (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(8 << 10)), "431"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(200)), "431"),
        ("GET / HTTP/1.1\r\nno header\r\n\r\n".to_owned(), "400"),
        ("GET /a b HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("\x16\x03\x01 a TLS client\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), "400"),
    ] {
        let mut client = rig.client();
        client.send(&request);
        let text = String::from_utf8(client.until_end()).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.40}: {text}");
    }
    rig.until("all are counted", |counters| counters.closed.of(Closed::Broken) == 7);
    assert_eq!(rig.answered(Action::Other, Outcome::Rejected), 7);
    // Just fits.
    let head = "GET /health HTTP/1.1\r\nX: ";
    let reply = rig.client().ask(format!("{head}{}\r\n\r\n", "x".repeat((8 << 10) - head.len() - 4)));
    assert_eq!(reply.status(), 200, "{reply:?}");
}

#[test]
fn health_follows_the_life_of_the_tracker() {
    let rig = Rig::new(|_| {});
    let mut client = rig.client();
    let mut health = |stage| {
        rig.http.stage.send_replace(stage);
        let reply = client.ask(get("/health"));
        (reply.status(), String::from_utf8(reply.body).unwrap())
    };
    assert_eq!(health(Stage::Starting), (503, "starting\n".to_owned()));
    assert_eq!(health(Stage::Serving), (200, "ok\n".to_owned()));
    *rig.remarked.0.lock() = Some("alone");
    assert_eq!(health(Stage::Serving), (200, "ok\nalone\n".to_owned()));
    assert_eq!(rig.answered(Action::Health, Outcome::Ok), 2);
    assert_eq!(rig.answered(Action::Health, Outcome::Rejected), 1);
    // Who does not serve has nothing to add.
    assert_eq!(health(Stage::Draining), (503, "draining\n".to_owned()));
}

#[test]
fn a_websocket_is_opened_at_any_path_and_is_no_longer_a_connection_of_http() {
    let rig = Rig::new(|http| {
        http.max_connections = Some(1);
        http.max_connections_per_address = Some(2);
    });
    let handshake = |path: &str, key: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c, WebSocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        )
    };
    let mut client = rig.client();
    let reply = client.ask(handshake("/announce", "dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(
        (reply.status(), reply.header("sec-websocket-accept")),
        (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
    );
    // The only permit is free again, but the address has a place less.
    let mut other = rig.client();
    assert_eq!(other.ask(handshake("/", "none")).status(), 400);
    assert_eq!(other.ask(ANNOUNCE).status(), 200);
    drop(other);
    let mut second = rig.client();
    assert_eq!(second.ask(handshake("/x?y", "dGhlIHNhbXBsZSBub25jZQ==")).status(), 101);
    assert!(rig.client().until_end().is_empty());
    rig.until("the third is refused", |counters| counters.closed.of(Closed::AddressLimit) == 1);
    assert_eq!(rig.answered(Action::Websocket, Outcome::Ok), 2);
    assert_eq!(rig.answered(Action::Websocket, Outcome::Rejected), 1);
    // A drain closes them: an unmasked close frame with 1001, whose answer ends it.
    let http = rig.http.clone();
    let drained = rig.runtime.spawn(async move { http.drain().await });
    for mut client in [client, second] {
        while client.read.len() < 4 {
            assert!(client.more() > 0);
        }
        assert_eq!((client.read[0], &client.read[2..4]), (0x88, &1001_u16.to_be_bytes()[..]));
        client.send([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]);
        client.until_end();
    }
    rig.runtime.block_on(drained).unwrap();
}
