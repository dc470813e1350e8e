//! A tracker over HTTP (BEP 3).

use super::Swarm;
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// What is asked.
#[derive(Debug)]
pub struct Request {
    /// The path with its query.
    pub target: String,
    /// All of the head.
    pub head: String,
}

impl Request {
    /// Whether it goes to this path.
    #[must_use]
    pub fn is_to(&self, path: &str) -> bool {
        self.target.split('?').next() == Some(path)
    }

    /// A parameter, as it was written.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What a client gets.
pub enum HttpAnswer {
    /// These bytes, and the end of the connection.
    Whole(Vec<u8>),
    /// These bytes, and no more, as long as the client stays.
    Stuck(Vec<u8>),
    /// These bytes, then this again and again, as long as the client takes it.
    Endless(Vec<u8>, Vec<u8>),
}

/// A good response with this body.
#[must_use]
pub fn ok(body: &[u8]) -> HttpAnswer {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    HttpAnswer::Whole([head.as_bytes(), body].concat())
}

/// Ends with its owner.
pub struct HttpTracker {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl HttpTracker {
    /// Answers as it should, but what it would answer (a body) goes through `bend`.
    #[must_use]
    pub fn new(mut bend: impl FnMut(&Request, Vec<u8>) -> HttpAnswer + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let address = listener.local_addr().expect("its address");
        let ends = Arc::new(AtomicBool::new(false));
        let worker = std::thread::spawn({
            let ends = Arc::clone(&ends);
            move || {
                let mut swarm = Swarm::default();
                for stream in listener.incoming() {
                    if ends.load(Ordering::SeqCst) {
                        return;
                    }
                    let mut stream = stream.expect("a connection");
                    // A client may look at the connection alone.
                    let Some(request) = receive(&mut stream) else { continue };
                    let body = answer(&request, &mut swarm);
                    send(&mut stream, bend(&request, body));
                }
            }
        });
        Self { address, ends, worker: Some(worker) }
    }

    /// An address at it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for HttpTracker {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let ended = self.worker.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || std::thread::panicking(), "the tracker panicked");
    }
}

fn receive(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("a head in ASCII");
    let target = head.split(' ').nth(1).expect("a target").to_owned();
    Some(Request { target, head })
}

fn answer(request: &Request, swarm: &mut Swarm) -> Vec<u8> {
    let number = |name| request.parameter(name).and_then(|text| text.parse::<u64>().ok());
    if request.parameter("peer_id").is_none() {
        let (seeders, leechers) = swarm.counts();
        let hash = unescaped(request.parameter("info_hash").expect("an info hash"));
        let row = format!("d8:completei{seeders}e10:downloadedi0e10:incompletei{leechers}ee");
        return [b"d5:filesd20:", &hash[..], row.as_bytes(), b"ee"].concat();
    }
    let port = u16::try_from(number("port").expect("a port")).expect("a port");
    let stopped = request.parameter("event") == Some("stopped");
    swarm.announced(port, number("left").expect("what is left"), stopped);
    let (seeders, leechers) = swarm.counts();
    let mut peers = Vec::new();
    for other in swarm.others(port).filter(|_| !stopped) {
        peers.extend([127, 0, 0, 1]);
        peers.extend(other.to_be_bytes());
    }
    let head =
        format!("d8:completei{seeders}e10:incompletei{leechers}e8:intervali1800e5:peers{}:", peers.len());
    [head.as_bytes(), &peers, b"e"].concat()
}

/// Bytes that a URL has escaped.
fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        let digits: Vec<u8> = if byte == b'%' { rest.by_ref().take(2).collect() } else { Vec::new() };
        bytes.push(match digits.is_empty() {
            true => byte,
            false => u8::from_str_radix(&String::from_utf8_lossy(&digits), 16).expect("two digits"),
        });
    }
    bytes
}

fn send(stream: &mut TcpStream, answer: HttpAnswer) {
    match answer {
        HttpAnswer::Whole(bytes) => {
            let _ = stream.write_all(&bytes);
        }
        HttpAnswer::Stuck(bytes) => {
            let _ = stream.write_all(&bytes);
            let mut until_it_goes = Vec::new();
            let _ = stream.read_to_end(&mut until_it_goes);
        }
        HttpAnswer::Endless(bytes, again) => {
            let _ = stream.write_all(&bytes);
            while stream.write_all(&again).is_ok() {}
        }
    }
}
