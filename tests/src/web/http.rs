//! An HTTP/1.1 client written by hand, with an announce client of BEP 3, 7, 23 and 24 on top of it.

use super::{bencode::Value, stream::Stream};
use crate::udp::{Id20, Row, id20};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers in order, the names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The dictionary in it, which comes as trackers send it.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn dictionary(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/plain"), "{self:?}");
        Value::parse(&self.body).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The reason of a failure.
    ///
    /// # Panics
    /// If it is none.
    #[expect(clippy::must_use_candidate, reason = "that it is a failure is often all there is to know")]
    pub fn failure(&self) -> String {
        let dictionary = self.dictionary();
        for key in dictionary.keys() {
            assert!(["failure reason", "retry in"].contains(&key.as_str()), "{dictionary:?}");
        }
        let reason = dictionary.text("failure reason");
        assert!(!reason.is_empty() && reason.bytes().all(|b| (0x20..0x7f).contains(&b)), "{reason}");
        match dictionary.get("retry in") {
            Some(Value::Integer(minutes)) => assert!(*minutes > 0),
            Some(Value::Bytes(word)) => assert_eq!(word, b"never"),
            None => {}
            Some(other) => panic!("retry in {other:?}"),
        }
        reason
    }
}

/// A connection that speaks HTTP/1.1.
pub struct Connection {
    stream: Stream,
    // Received and not yet read.
    rest: Vec<u8>,
    headers: String,
}

impl Connection {
    /// Speaks over a stream; these lines (each with its end) go into each request.
    #[must_use]
    pub fn new(stream: Stream, headers: &str) -> Self {
        Self { stream, rest: Vec::new(), headers: headers.to_owned() }
    }

    /// What it speaks over.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// The stream and what was received behind the last answer.
    #[must_use]
    pub fn into_parts(self) -> (Stream, Vec<u8>) {
        (self.stream, self.rest)
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// If the connection is gone.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("to send");
        self.stream.flush().expect("to send");
    }

    /// The bytes of a request without a body, with more header lines (each with its end).
    #[must_use]
    pub fn request(&self, method: &str, target: &str, more: &str) -> Vec<u8> {
        format!("{method} {target} HTTP/1.1\r\nHost: tracker\r\n{}{more}\r\n", self.headers).into_bytes()
    }

    /// Asks for a target.
    #[must_use]
    pub fn get(&mut self, target: &str) -> Answer {
        let request = self.request("GET", target, "");
        self.send(&request);
        self.receive()
    }

    /// Reads the next response.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn receive(&mut self) -> Answer {
        self.try_receive(false).unwrap_or_else(|e| panic!("a response: {e}"))
    }

    /// Reads the next response; that to a HEAD has no body, whatever its length says.
    ///
    /// # Errors
    /// If the connection ends before one is whole.
    pub fn try_receive(&mut self, head_only: bool) -> std::io::Result<Answer> {
        let end = loop {
            if let Some(end) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            self.more()?;
        };
        let head = String::from_utf8(self.rest[..end].to_vec()).expect("a head in ASCII");
        self.rest.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status =
            lines.next().and_then(|line| line.strip_prefix("HTTP/1.").and_then(|line| line.get(2..)));
        let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {head}"));
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').unwrap_or_else(|| panic!("no header: {line}")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        if !head_only && status != 101 && status != 204 {
            let length =
                answer.header("content-length").unwrap_or_else(|| panic!("a body of no length: {head}"));
            let length: usize = length.parse().unwrap_or_else(|e| panic!("{length}: {e}"));
            while self.rest.len() < length {
                self.more()?;
            }
            answer.body = self.rest.drain(..length).collect();
        }
        Ok(answer)
    }

    fn more(&mut self) -> std::io::Result<()> {
        let mut buffer = [0; 16_384];
        let length = self.stream.read(&mut buffer)?;
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.rest.extend(&buffer[..length]);
        Ok(())
    }
}

/// Every byte as a percent-escape.
#[must_use]
pub fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    })
}

/// An announce request.
#[derive(Clone, Debug)]
pub struct Announce {
    /// The torrent.
    pub info_hash: Id20,
    /// The client.
    pub peer_id: Id20,
    /// The port that other peers should use.
    pub port: u16,
    /// Bytes still wanted, if it says so.
    pub left: Option<u64>,
    /// What follows, from its `&` on.
    pub more: String,
}

impl Announce {
    /// One that still downloads.
    #[must_use]
    pub fn leecher(info_hash: Id20, port: u16) -> Self {
        Self {
            info_hash,
            peer_id: id20("http peer", port.into()),
            port,
            left: Some(1000),
            more: String::new(),
        }
    }

    /// One that has everything.
    #[must_use]
    pub fn seeder(info_hash: Id20, port: u16) -> Self {
        Self { left: Some(0), ..Self::leecher(info_hash, port) }
    }

    /// With another parameter behind the others.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        let _ = write!(self.more, "&{name}={value}");
        self
    }

    /// With an event.
    #[must_use]
    pub fn event(self, event: &str) -> Self {
        self.with("event", event)
    }

    /// The request target.
    #[must_use]
    pub fn target(&self) -> String {
        let left = self.left.map_or_else(String::new, |left| format!("&left={left}"));
        format!(
            "/announce?info_hash={}&peer_id={}&port={}&uploaded=0&downloaded=0{left}{}",
            escaped(&self.info_hash),
            escaped(&self.peer_id),
            self.port,
            self.more
        )
    }
}

/// What an announce is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Seeders in the whole swarm.
    pub complete: i64,
    /// Leechers in the whole swarm.
    pub incomplete: i64,
    /// Downloads of the torrent.
    pub downloaded: i64,
    /// Seconds until the next announce.
    pub interval: i64,
    /// Seconds before which another one is not welcome.
    pub min_interval: i64,
    /// The client's address as the tracker sees it.
    pub external_ip: IpAddr,
    /// IPv4 peers, or both families if they came as dictionaries.
    pub peers: Vec<SocketAddr>,
    /// IPv6 peers; `None` if they came as dictionaries.
    pub peers6: Option<Vec<SocketAddr>>,
}

impl Announced {
    /// Reads a reply, strictly.
    ///
    /// # Panics
    /// If anything is missing, strange or too much.
    #[must_use]
    pub fn read(answer: &Answer) -> Self {
        let reply = answer.dictionary();
        let mut expected =
            vec!["complete", "downloaded", "external ip", "incomplete", "interval", "min interval", "peers"];
        let (peers, peers6) = match reply.get("peers") {
            Some(Value::Bytes(compact)) => {
                expected.push("peers6");
                (entries(compact, false), Some(entries(reply.bytes("peers6"), true)))
            }
            Some(Value::List(list)) => (list.iter().map(dictionary).collect(), None),
            other => panic!("peers: {other:?}"),
        };
        assert_eq!(reply.keys(), expected);
        Self {
            complete: reply.integer("complete"),
            incomplete: reply.integer("incomplete"),
            downloaded: reply.integer("downloaded"),
            interval: reply.integer("interval"),
            min_interval: reply.integer("min interval"),
            external_ip: ip(reply.bytes("external ip")),
            peers,
            peers6,
        }
    }

    /// Seeders, downloads and leechers.
    #[must_use]
    pub fn counts(&self) -> (i64, i64, i64) {
        (self.complete, self.downloaded, self.incomplete)
    }

    /// All peers, sorted.
    #[must_use]
    pub fn all(&self) -> Vec<SocketAddr> {
        let mut all: Vec<SocketAddr> =
            self.peers.iter().chain(self.peers6.iter().flatten()).copied().collect();
        all.sort_unstable();
        all
    }

    /// The ports of all peers, sorted: enough to tell them apart in most tests.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.all().iter().map(SocketAddr::port).collect();
        ports.sort_unstable();
        ports
    }
}

fn entries(bytes: &[u8], ipv6: bool) -> Vec<SocketAddr> {
    let length = if ipv6 { 18 } else { 6 };
    assert_eq!(bytes.len() % length, 0, "whole entries of {length} bytes in {}", bytes.len());
    let entry = |entry: &[u8]| {
        let (address, port) = entry.split_at(length - 2);
        SocketAddr::new(ip(address), u16::from_be_bytes([port[0], port[1]]))
    };
    bytes.chunks_exact(length).map(entry).collect()
}

fn ip(bytes: &[u8]) -> IpAddr {
    match bytes.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).expect("four bytes")).into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).expect("sixteen bytes")).into(),
        length => panic!("an address of {length} bytes"),
    }
}

fn dictionary(peer: &Value) -> SocketAddr {
    assert_eq!(peer.keys(), ["ip", "port"]);
    let port = u16::try_from(peer.integer("port")).expect("a port");
    SocketAddr::new(peer.text("ip").parse().expect("an address"), port)
}

/// Reads the rows of a scrape, strictly.
///
/// # Panics
/// If anything is missing, strange or too much.
#[must_use]
pub fn read_scrape(answer: &Answer) -> BTreeMap<Id20, Row> {
    let body = answer.dictionary();
    assert_eq!(body.keys(), ["files"]);
    let files = body.get("files").expect("files");
    let row = |row: &Value| {
        assert_eq!(row.keys(), ["complete", "downloaded", "incomplete"]);
        let number = |key| u32::try_from(row.integer(key)).expect("a count");
        Row { seeders: number("complete"), completed: number("downloaded"), leechers: number("incomplete") }
    };
    let hash = |key: &[u8]| Id20::try_from(key).expect("twenty bytes");
    files.entries().iter().map(|(key, value)| (hash(key), row(value))).collect()
}
