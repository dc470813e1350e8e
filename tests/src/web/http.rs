//! HTTP/1.1 as a test speaks it, with an announce client of BEP 3, 7, 23 and 24 on top of it.

use super::{
    bencode::{Dictionary, Value},
    stream::{self, Stream},
};
use crate::udp::{Id20, Row, id20};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    ops::Deref,
};
use tracker_load::{
    http::connection,
    peers::{self, Family},
};

/// A response.
#[derive(Clone, Debug)]
pub struct Answer(pub connection::Answer);

impl Deref for Answer {
    type Target = connection::Answer;

    fn deref(&self) -> &connection::Answer {
        &self.0
    }
}

impl Answer {
    /// The dictionary in it, which comes as trackers send it.
    #[must_use]
    pub fn dictionary(&self) -> Dictionary<'_> {
        assert_eq!(self.status, 200, "{self:?}");
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/plain"), "{self:?}");
        Dictionary::parse(&self.body)
    }

    /// The reason of a failure.
    pub fn failure(&self) -> String {
        let dictionary = self.dictionary();
        for key in dictionary.keys() {
            assert!(["failure reason", "retry in"].contains(&key.as_str()), "{dictionary:?}");
        }
        let reason = dictionary.text("failure reason");
        assert!(!reason.is_empty() && reason.bytes().all(|b| (0x20..0x7f).contains(&b)), "{reason}");
        match dictionary.get("retry in") {
            Some(Value::Integer(minutes)) => assert!(minutes > 0),
            Some(Value::Bytes(word)) => assert_eq!(word, b"never"),
            None => {}
            Some(other) => panic!("retry in {other:?}"),
        }
        reason
    }
}

/// A connection that speaks HTTP/1.1, with these lines (each with its end) in each request.
pub struct Connection {
    inner: connection::Connection,
    headers: String,
}

impl Connection {
    /// Speaks over a stream; these lines (each with its end) go into each request.
    #[must_use]
    pub fn new(stream: Stream, headers: &str) -> Self {
        Self { inner: connection::Connection::new(stream), headers: headers.to_owned() }
    }

    /// What it speaks over.
    pub const fn stream(&mut self) -> &mut Stream {
        self.inner.stream()
    }

    /// What is below, for another protocol to go on with.
    #[must_use]
    pub fn into_inner(self) -> connection::Connection {
        self.inner
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.inner.send(bytes).expect("to send");
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

    /// Asks for a target on a connection that may be gone.
    ///
    /// # Errors
    /// If it ends before the response is whole.
    pub fn try_get(&mut self, target: &str) -> std::io::Result<Answer> {
        let request = self.request("GET", target, "");
        self.inner.send(&request)?;
        self.try_receive(false)
    }

    /// Reads the next response.
    #[must_use]
    pub fn receive(&mut self) -> Answer {
        self.try_receive(false).unwrap_or_else(|e| panic!("a response: {e}"))
    }

    /// Reads the next response; that to a HEAD has no body, whatever its length says.
    ///
    /// # Errors
    /// If the connection ends before one is whole.
    pub fn try_receive(&mut self, head_only: bool) -> std::io::Result<Answer> {
        let answer = self.inner.receive(head_only)?;
        let told =
            head_only || matches!(answer.status, 101 | 204) || answer.header("content-length").is_some();
        assert!(told, "a body of no length: {answer:?}");
        Ok(Answer(answer))
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        self.stream().finish().expect("to shut it down");
    }

    /// Waits until the tracker has closed it, dropping what still comes. Tells how many bytes came.
    pub fn wait_closed(&mut self) -> usize {
        stream::wait_closed(self.stream())
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
    #[must_use]
    pub fn read(answer: &Answer) -> Self {
        let reply = answer.dictionary();
        let mut expected =
            vec!["complete", "downloaded", "external ip", "incomplete", "interval", "min interval", "peers"];
        let (peers, peers6) = match reply.get("peers") {
            Some(Value::Bytes(list)) => {
                expected.push("peers6");
                (compact(list, Family::Ipv4), Some(compact(reply.bytes("peers6"), Family::Ipv6)))
            }
            Some(Value::List(list)) => (list.map(peer).collect(), None),
            other => panic!("peers: {other:?}"),
        };
        assert_eq!(reply.keys(), expected);
        Self {
            complete: reply.integer("complete"),
            incomplete: reply.integer("incomplete"),
            downloaded: reply.integer("downloaded"),
            interval: reply.integer("interval"),
            min_interval: reply.integer("min interval"),
            external_ip: peers::address(reply.bytes("external ip")).expect("an address"),
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

fn compact(list: &[u8], family: Family) -> Vec<SocketAddr> {
    peers::read(list, family).unwrap_or_else(|| panic!("whole entries in {} bytes", list.len()))
}

fn peer(peer: Value<'_>) -> SocketAddr {
    let peer = Dictionary::of(peer);
    assert_eq!(peer.keys(), ["ip", "port"]);
    let port = u16::try_from(peer.integer("port")).expect("a port");
    SocketAddr::new(peer.text("ip").parse().expect("an address"), port)
}

/// Reads the rows of a scrape, strictly.
#[must_use]
pub fn read_scrape(answer: &Answer) -> BTreeMap<Id20, Row> {
    let body = answer.dictionary();
    assert_eq!(body.keys(), ["files"]);
    let row = |row: Value<'_>| {
        let row = Dictionary::of(row);
        assert_eq!(row.keys(), ["complete", "downloaded", "downloaders", "incomplete"]);
        assert!((0..=row.integer("incomplete")).contains(&row.integer("downloaders")), "{row:?}");
        let number = |key| u32::try_from(row.integer(key)).expect("a count");
        Row { seeders: number("complete"), completed: number("downloaded"), leechers: number("incomplete") }
    };
    let files = Dictionary::of(body.get("files").expect("files"));
    let rows = files.entries().iter();
    rows.map(|(key, value)| (Id20::try_from(*key).expect("twenty bytes"), row(*value))).collect()
}
