//! Queries written by hand through the responder, and the replies read by an independent reader.

use super::{Outcome, Responder, query::QueryError};
use crate::{
    access::{AccessList, Mode},
    admission::Admission,
    client_software::{ANNOUNCES_PER_LOOK, ClientSoftware},
    engine::Engine,
    model::InfoHash,
    policy::Policy,
};
use bytes::BytesMut;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

/// A bencoded value. Keys of a dictionary must be sorted and distinct.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Integer(i64),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Dictionary(BTreeMap<Vec<u8>, Value>),
}

impl Value {
    fn whole(bytes: &[u8]) -> Self {
        let (value, rest) = Self::read(bytes);
        assert_eq!(rest, b"", "bytes behind the value");
        value
    }

    fn read(bytes: &[u8]) -> (Self, &[u8]) {
        match bytes[0] {
            b'i' => {
                let end = bytes.iter().position(|&b| b == b'e').unwrap();
                let digits = std::str::from_utf8(&bytes[1..end]).unwrap();
                let number: i64 = digits.parse().unwrap();
                assert_eq!(number.to_string(), digits, "not the shortest form");
                (Self::Integer(number), &bytes[end + 1..])
            }
            b'l' => {
                let (mut list, mut rest) = (Vec::new(), &bytes[1..]);
                while rest[0] != b'e' {
                    let (value, behind) = Self::read(rest);
                    list.push(value);
                    rest = behind;
                }
                (Self::List(list), &rest[1..])
            }
            b'd' => {
                let (mut pairs, mut rest) = (Vec::new(), &bytes[1..]);
                while rest[0] != b'e' {
                    let (Self::Bytes(key), behind) = Self::read(rest) else { panic!("a key is no string") };
                    let (value, behind) = Self::read(behind);
                    pairs.push((key, value));
                    rest = behind;
                }
                assert!(
                    pairs.is_sorted_by(|a, b| a.0 < b.0),
                    "keys are not sorted, or come twice: {pairs:?}"
                );
                (Self::Dictionary(pairs.into_iter().collect()), &rest[1..])
            }
            _ => {
                let colon = bytes.iter().position(|&b| b == b':').unwrap();
                let length: usize = std::str::from_utf8(&bytes[..colon]).unwrap().parse().unwrap();
                let (string, rest) = bytes[colon + 1..].split_at(length);
                (Self::Bytes(string.to_vec()), rest)
            }
        }
    }

    fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Dictionary(pairs) => pairs.get(key.as_bytes()),
            other => panic!("no dictionary: {other:?}"),
        }
    }

    fn integer(&self, key: &str) -> i64 {
        match self.get(key) {
            Some(Self::Integer(n)) => *n,
            other => panic!("{key} is {other:?}"),
        }
    }

    fn bytes(&self, key: &str) -> &[u8] {
        match self.get(key) {
            Some(Self::Bytes(bytes)) => bytes,
            other => panic!("{key} is {other:?}"),
        }
    }

    fn list(&self, key: &str) -> &[Self] {
        match self.get(key) {
            Some(Self::List(list)) => list,
            other => panic!("{key} is {other:?}"),
        }
    }

    fn keys(&self) -> Vec<&str> {
        match self {
            Self::Dictionary(pairs) => pairs.keys().map(|key| std::str::from_utf8(key).unwrap()).collect(),
            other => panic!("no dictionary: {other:?}"),
        }
    }

    fn failure(&self) -> &str {
        std::str::from_utf8(self.bytes("failure reason")).unwrap()
    }

    /// Peers of a reply in compact form, IPv4 before IPv6.
    fn peers(&self) -> Vec<SocketAddr> {
        let entry = |ip: IpAddr, port: &[u8]| SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]]));
        let ipv4 = self.bytes("peers").chunks_exact(6);
        let ipv6 = self.bytes("peers6").chunks_exact(18);
        assert!(ipv4.remainder().is_empty() && ipv6.remainder().is_empty());
        let ipv4 = ipv4.map(|peer| entry(<[u8; 4]>::try_from(&peer[..4]).unwrap().into(), &peer[4..]));
        let ipv6 = ipv6.map(|peer| entry(<[u8; 16]>::try_from(&peer[..16]).unwrap().into(), &peer[16..]));
        ipv4.chain(ipv6).collect()
    }
}

struct Tracker {
    engine: Engine,
    responder: Responder,
    out: BytesMut,
}

const NOW: u32 = 1_000_000;
const HASH: &str = "aaaaaaaaaaaaaaaaaaaa";
const V4: &str = "192.0.2.1";
const V6: &str = "2001:db8::1";

impl Tracker {
    fn new(policy: Policy) -> Self {
        let engine = Engine::new(policy, [1, 2]);
        Self { engine, responder: Responder::new([3, 4], 5), out: BytesMut::new() }
    }

    fn raw(&mut self, ip: &str, query: &str) -> (Vec<u8>, Outcome) {
        let client = ip.parse::<IpAddr>().unwrap().into();
        self.out.clear();
        let (outcome, _) =
            self.responder.announce(&self.engine, query.as_bytes(), None, client, NOW, &mut self.out);
        (self.out.to_vec(), outcome)
    }

    /// An announce that is answered.
    fn announce(&mut self, ip: &str, query: &str) -> Value {
        let (reply, outcome) = self.raw(ip, query);
        assert_eq!(outcome, Outcome::Ok, "{}", reply.escape_ascii());
        Value::whole(&reply)
    }

    /// An announce for the same torrent, of a leecher unless `more` says otherwise.
    fn enter(&mut self, ip: &str, port: u16, more: &str) -> Value {
        self.announce(ip, &format!("info_hash={HASH}&peer_id=p&port={port}&{more}"))
    }

    /// An announce that fails.
    fn refused(&mut self, query: &str) -> Value {
        let (reply, outcome) = self.raw(V4, query);
        assert_eq!(outcome, Outcome::Failure, "{}", reply.escape_ascii());
        Value::whole(&reply)
    }

    fn scrape(&mut self, query: &str) -> (Value, Outcome) {
        self.out.clear();
        let outcome = self.responder.scrape(&self.engine, query.as_bytes(), None, &mut self.out);
        (Value::whole(&self.out), outcome)
    }
}

#[test]
fn a_reply_byte_by_byte() {
    let admission = Admission { interval_jitter: 0, ..Admission::default() };
    let mut tracker = Tracker::new(Policy { admission, ..Policy::default() });
    let (reply, _) = tracker.raw(V4, &format!("info_hash={HASH}&peer_id=p&port=6881&left=0"));
    let expected =
        b"d8:completei1e10:downloadedi0e11:external ip4:\xc0\x00\x02\x0110:incompletei0e8:intervali1800e\
        12:min intervali300e5:peers0:6:peers60:e";
    assert_eq!(reply.escape_ascii().to_string(), expected.escape_ascii().to_string());
    let (reply, _) = tracker.raw(V6, &format!("info_hash={HASH}&peer_id=p&port=258&left=1"));
    let expected =
        b"d8:completei1e10:downloadedi0e11:external ip16:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\
        10:incompletei1e8:intervali1800e12:min intervali300e5:peers6:\xc0\x00\x02\x01\x1a\xe16:peers60:e";
    assert_eq!(reply.escape_ascii().to_string(), expected.escape_ascii().to_string());
    let (reply, _) = tracker.raw(V4, &format!("info_hash={HASH}&peer_id=p&port=6881&left=0&compact=0"));
    let expected =
        b"d8:completei1e10:downloadedi0e11:external ip4:\xc0\x00\x02\x0110:incompletei1e8:intervali1800e\
        12:min intervali300e5:peersld2:ip11:2001:db8::14:porti258eeee";
    assert_eq!(reply.escape_ascii().to_string(), expected.escape_ascii().to_string());
}

#[test]
fn the_reply_is_appended() {
    let mut tracker = Tracker::new(Policy::default());
    let client = V4.parse::<IpAddr>().unwrap().into();
    let mut out = BytesMut::from("before");
    let _ = tracker.responder.announce(&tracker.engine, b"", None, client, NOW, &mut out);
    tracker.responder.scrape(&tracker.engine, b"", None, &mut out);
    assert_eq!(
        out,
        "befored14:failure reason20:info_hash is missinged14:failure reason20:info_hash is missinge"
    );
}

#[test]
fn both_families_go_to_everybody() {
    let mut tracker = Tracker::new(Policy::default());
    for i in 1..=200 {
        tracker.enter(&format!("192.0.2.{i}"), 6881, "left=1");
        tracker.enter(&format!("2001:db8::{i}"), 6881, "left=1");
    }
    let reply = tracker.enter("192.0.2.201", 6881, "left=1&numwant=40");
    let ipv4 = reply.peers().iter().filter(|peer| peer.is_ipv4()).count();
    assert_eq!((ipv4, reply.peers().len()), (30, 40));
    let reply = tracker.enter("2001:db8::201", 6881, "left=1&numwant=41");
    let ipv4 = reply.peers().iter().filter(|peer| peer.is_ipv4()).count();
    assert_eq!((ipv4, reply.peers().len()), (11, 41));
    assert_eq!((reply.integer("complete"), reply.integer("incomplete")), (0, 402));
    // Without a word, or with a negative one, the default; more than the cap is the cap.
    for (words, given) in
        [("", 50), ("numwant=-1", 50), ("numwant=0", 0), ("numwant=x", 50), ("numwant=1000000", 200)]
    {
        assert_eq!(tracker.enter(V4, 6881, &format!("left=1&{words}")).peers().len(), given, "{words}");
    }
}

#[test]
fn dictionaries_hold_both_families_in_one_list() {
    let mut tracker = Tracker::new(Policy::default());
    tracker.enter("192.0.2.7", 70, "");
    tracker.enter("2001:db8::7", 71, "");
    for (client, order) in [(V4, [0, 1]), (V6, [1, 0])] {
        let reply = tracker.enter(client, 6881, "compact=0&event=stopped");
        assert_eq!(reply.list("peers"), [], "stopped");
        let reply = tracker.enter(client, 6881, "compact=0");
        let keys =
            ["complete", "downloaded", "external ip", "incomplete", "interval", "min interval", "peers"];
        assert_eq!(reply.keys(), keys);
        let all = [(b"192.0.2.7".to_vec(), 70), (b"2001:db8::7".to_vec(), 71)];
        let peers: Vec<_> = reply
            .list("peers")
            .iter()
            .map(|peer| {
                assert_eq!(peer.keys(), ["ip", "port"]);
                (peer.bytes("ip").to_vec(), peer.integer("port"))
            })
            .collect();
        assert_eq!(peers, order.map(|i| all[i].clone()), "its own family first");
        tracker.enter(client, 6881, "event=stopped");
    }
}

#[test]
fn a_stop_is_answered_with_empty_lists() {
    let mut tracker = Tracker::new(Policy::default());
    tracker.enter("192.0.2.7", 70, "left=0");
    tracker.enter(V4, 6881, "left=1");
    for _ in 0..2 {
        let reply = tracker.enter(V4, 6881, "left=1&event=stopped");
        assert_eq!(reply.peers(), []);
        assert_eq!((reply.integer("complete"), reply.integer("incomplete")), (1, 0));
    }
}

#[test]
fn the_address_is_the_connections() {
    let mut tracker = Tracker::new(Policy::default());
    tracker.enter(V4, 6881, "ip=198.51.100.1&ipv4=198.51.100.2&ipv6=2001:db8::bad&left=0");
    let reply = tracker.enter("192.0.2.9", 1, "left=1");
    assert_eq!(reply.peers(), ["192.0.2.1:6881".parse().unwrap()]);
    // An IPv4-mapped address is IPv4.
    let reply = tracker.enter("::ffff:192.0.2.9", 1, "left=1");
    assert_eq!(reply.bytes("external ip"), [192, 0, 2, 9]);
    assert_eq!(reply.integer("incomplete"), 1);
}

#[test]
fn downloads_are_counted() {
    let mut tracker = Tracker::new(Policy::default());
    tracker.enter(V4, 6881, "left=5&event=started");
    assert_eq!(tracker.enter(V4, 6881, "left=0&event=completed").integer("downloaded"), 1);
    assert_eq!(tracker.enter(V4, 6881, "left=0&event=%63ompleted").integer("downloaded"), 1);
    assert_eq!(tracker.enter(V6, 6881, "left=0&event=completed").integer("downloaded"), 2);
    let paused = tracker.enter("192.0.2.3", 1, "left=0&event=paused");
    assert_eq!((paused.integer("complete"), paused.integer("incomplete")), (2, 1));
}

#[test]
fn failures_name_the_parameter() {
    let mut tracker = Tracker::new(Policy::default());
    let cases = [
        ("", QueryError::InfoHashMissing),
        ("info_hash=short&peer_id=p&port=1", QueryError::InfoHashLength),
        ("info_hash=aaaaaaaaaaaaaaaaaaaaa&peer_id=p&port=1", QueryError::InfoHashLength),
        ("info_hash=aaaaaaaaaaaaaaaaaaaa&port=1", QueryError::PeerIdMissing),
        ("info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=&port=1", QueryError::PeerIdMissing),
        ("info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=p", QueryError::PortMissing),
        ("info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=p&port=0", QueryError::PortInvalid),
        ("info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=p&port=65536", QueryError::PortInvalid),
    ];
    for (query, error) in cases {
        let reply = tracker.refused(query);
        assert_eq!(reply.failure(), error.message(), "{query}");
        assert_eq!(reply.keys(), ["failure reason"], "{query}");
        let name = error.label().rsplit_once('_').unwrap().0;
        assert!(error.message().starts_with(name), "{query}");
    }
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let mut tracker = Tracker::new(Policy {
        max_torrents: 1,
        admission: Admission { interval: 1801, interval_jitter: 0, ..Admission::default() },
        ..Policy::default()
    });
    tracker.enter(V4, 6881, "");
    let reply = tracker.refused("info_hash=bbbbbbbbbbbbbbbbbbbb&peer_id=p&port=1");
    assert_eq!((reply.failure(), reply.integer("retry in")), ("tracker full, try again later", 31));
    tracker.engine.set_access(AccessList::new(Mode::Deny, vec![InfoHash([b'c'; 20])]).unwrap(), 0);
    let reply = tracker.refused("info_hash=cccccccccccccccccccc&peer_id=p&port=1");
    assert_eq!(
        (reply.failure(), reply.bytes("retry in")),
        ("info hash not allowed on this tracker", &b"never"[..])
    );
}

#[test]
fn scrape_has_a_row_for_each_distinct_hash() {
    let mut tracker = Tracker::new(Policy::default());
    tracker.enter(V4, 6881, "left=0&event=completed");
    tracker.enter(V6, 6881, "left=1");
    let query = format!("info_hash=zzzzzzzzzzzzzzzzzzzz&info_hash={HASH}&info_hash=%61aaaaaaaaaaaaaaaaaaa");
    let (reply, outcome) = tracker.scrape(&query);
    assert_eq!(outcome, Outcome::Ok);
    let expected =
        b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei1e10:downloadedi1e11:downloadersi1e10:incompletei1ee\
        20:zzzzzzzzzzzzzzzzzzzzd8:completei0e10:downloadedi0e11:downloadersi0e10:incompletei0eeee";
    assert_eq!(tracker.out.escape_ascii().to_string(), expected.escape_ascii().to_string());
    assert_eq!(reply.keys(), ["files"]);
}

#[test]
fn a_long_scrape_is_cut() {
    let mut tracker = Tracker::new(Policy::default());
    let hashes: Vec<String> = (b'a'..=b'h')
        .map(|letter| format!("info_hash={}", String::from_utf8(vec![letter; 20]).unwrap()))
        .collect();
    let (reply, _) = tracker.scrape(&hashes.join("&"));
    let rows: Vec<u8> = reply.get("files").unwrap().keys().iter().map(|key| key.as_bytes()[0]).collect();
    assert_eq!(rows, b"abcde");
}

#[test]
fn a_scrape_without_a_hash_fails() {
    let mut tracker = Tracker::new(Policy::default());
    for (query, error) in [
        ("", QueryError::InfoHashMissing),
        ("port=1", QueryError::InfoHashMissing),
        ("info_hash=", QueryError::InfoHashLength),
        ("info_hash=aaaaaaaaaaaaaaaaaaaa&info_hash=short", QueryError::InfoHashLength),
    ] {
        let (reply, outcome) = tracker.scrape(query);
        assert_eq!((reply.failure(), outcome), (error.message(), Outcome::Failure), "{query}");
    }
}

#[test]
fn the_software_of_one_announce_in_so_many_is_told() {
    let mut responder = Responder::new([1, 2], 10);
    for round in 1..=3 * ANNOUNCES_PER_LOOK {
        let told = responder
            .software(b"info_hash=aaaaaaaaaaaaaaaaaaaa&port=1&peer_id=%2DDE13F0-abcdefghijkl")
            .map(ClientSoftware::name);
        assert_eq!(told, round.is_multiple_of(ANNOUNCES_PER_LOOK).then_some("Deluge"), "{round}");
    }
    for _ in 0..3 * ANNOUNCES_PER_LOOK {
        assert_eq!(responder.software(b"info_hash=aaaaaaaaaaaaaaaaaaaa&port=1"), None, "nobody's");
    }
}
