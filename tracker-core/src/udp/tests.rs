//! Datagrams written by hand through the responder, and the replies read by hand.

mod dropped;

use super::{Batch, DropReason, MAX_BATCH, Outcome, Received, Responder, ResponderConfig};
use crate::{
    access::{AccessList, Mode},
    admission::Admission,
    banned::Banned,
    client_software::{ANNOUNCES_PER_LOOK, ClientSoftware},
    engine::Engine,
    keys::Keys,
    model::{self, InfoHash, Role},
    networks::Network,
    policy::Policy,
};
use std::{net::IpAddr, sync::Arc};
use tracker_common::{
    address::{Address, Family},
    bep15::Action,
    connection_id::{ConnectionIds, lifetime_slots},
    rate::{Kind, Rate},
    siphash::Key,
};

const NOW: u64 = 1_700_000_000_000_000_000;
const MASTER: Key = Key { k0: 1, k1: 2 };

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

fn policy(admission: Admission) -> Policy {
    Policy { admission, ..Policy::default() }
}

#[derive(Clone)]
struct Datagram {
    source: Address,
    source_port: u16,
    verified: bool,
    on_loopback: bool,
    /// The request, then the reply in the same place, as in a frame.
    frame: Vec<u8>,
    length: usize,
    outcome: Option<Outcome>,
}

struct Frames(Vec<Datagram>);

impl Batch for Frames {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn request(&self, i: usize) -> Received<'_> {
        let datagram = &self.0[i];
        Received {
            source: datagram.source,
            source_port: datagram.source_port,
            payload: &datagram.frame[..datagram.length],
            verified: datagram.verified,
            on_loopback: datagram.on_loopback,
        }
    }

    fn reply_buffer(&mut self, i: usize) -> &mut [u8] {
        self.0[i].frame.fill(0xee);
        &mut self.0[i].frame
    }

    fn finish(&mut self, i: usize, outcome: Outcome) {
        assert_eq!(self.0[i].outcome.replace(outcome), None, "datagram {i} finished twice");
    }
}

struct Tracker {
    engine: Engine,
    responder: Responder,
}

/// A request before it has a connection ID.
fn request(ip: &str, port: u16, action: u32, tail: &[u8]) -> Datagram {
    let source = address(ip);
    let id = ConnectionIds::new(MASTER, lifetime_slots(120), NOW).issue(&source);
    let mut payload = id.to_vec();
    payload.extend(action.to_be_bytes());
    payload.extend([0xaa, 0xbb, 0xcc, 0xdd]);
    payload.extend(tail);
    datagram(ip, port, payload)
}

fn datagram(ip: &str, source_port: u16, payload: Vec<u8>) -> Datagram {
    let length = payload.len();
    let mut frame = payload;
    frame.resize(2048, 0);
    let source = address(ip);
    Datagram { source, source_port, verified: false, on_loopback: false, frame, length, outcome: None }
}

struct Tail {
    torrent: u8,
    left: u64,
    event: u32,
    ip: [u8; 4],
    num_want: i32,
    port: u16,
}

const TAIL: Tail = Tail { torrent: 7, left: 5, event: 0, ip: [0; 4], num_want: -1, port: 6881 };

impl Tail {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.torrent; 20];
        bytes.extend([b'p'; 20]);
        bytes.extend([1; 8]);
        bytes.extend(self.left.to_be_bytes());
        bytes.extend([2; 8]);
        bytes.extend(self.event.to_be_bytes());
        bytes.extend(self.ip);
        bytes.extend([3; 4]);
        bytes.extend(self.num_want.to_be_bytes());
        bytes.extend(self.port.to_be_bytes());
        assert_eq!(bytes.len(), 98 - 16);
        bytes
    }

    fn from(self, ip: &str) -> Datagram {
        request(ip, 1000, 1, &self.bytes())
    }
}

impl Tracker {
    fn new() -> Self {
        Self::with(
            ResponderConfig::default(),
            policy(Admission { default_num_want: 30, interval_jitter: 0, ..Admission::default() }),
        )
    }

    fn with(config: ResponderConfig, policy: Policy) -> Self {
        let ids = ConnectionIds::new(MASTER, lifetime_slots(120), NOW);
        Self { engine: Engine::new(policy, [5, 6]), responder: Responder::new(config, ids, [7, 8]) }
    }

    fn answer_all(&mut self, datagrams: Vec<Datagram>) -> Vec<Result<Vec<u8>, DropReason>> {
        let mut frames = Frames(datagrams);
        self.responder.handle_batch(&self.engine, NOW, &mut frames);
        let read = |datagram: Datagram| match datagram.outcome.expect("not finished") {
            Outcome::Reply { len, .. } => Ok(datagram.frame[..len].to_vec()),
            Outcome::Drop(reason) => Err(reason),
        };
        frames.0.into_iter().map(read).collect()
    }

    fn answer(&mut self, datagram: Datagram) -> Result<Vec<u8>, DropReason> {
        self.answer_all(vec![datagram]).remove(0)
    }

    /// Stores `count` leechers of torrent 7 from addresses of one family.
    fn fill(&mut self, family: Family, count: usize) {
        let ip = |i: usize| match family {
            Family::Ipv4 => format!("10.0.{}.{}", i / 250, i % 250 + 1),
            Family::Ipv6 => format!("2001:db8::{:x}", i + 1),
        };
        for replies in self.answer_all((0..count).map(|i| TAIL.from(&ip(i))).collect()) {
            replies.unwrap();
        }
    }
}

fn word(reply: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(reply[at..at + 4].try_into().unwrap())
}

#[test]
fn a_connect_is_answered_with_sixteen_bytes_and_an_id_that_works() {
    let mut tracker = Tracker::new();
    for extra in [0, 1, 100] {
        let mut payload = vec![0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 9, 8, 7, 6];
        payload.resize(16 + extra, 0xff);
        let reply = tracker.answer(datagram("192.0.2.1", 5, payload)).unwrap();
        assert_eq!((reply.len(), &reply[..8]), (16, &[0, 0, 0, 0, 9, 8, 7, 6][..]));
        let mut announce = reply[8..].to_vec();
        announce.extend([0, 0, 0, 1, 1, 2, 3, 4]);
        announce.extend(TAIL.bytes());
        let other_port = datagram("192.0.2.1", 6, announce.clone());
        assert_eq!(tracker.answer(other_port).unwrap()[..8], [0, 0, 0, 1, 1, 2, 3, 4]);
        assert_eq!(tracker.answer(datagram("192.0.2.2", 5, announce)), Err(DropReason::BadConnectionId));
    }
}

#[test]
fn an_announce_reply_has_its_fields_in_place() {
    let mut tracker = Tracker::new();
    tracker.answer(Tail { left: 0, port: 0x0102, ..TAIL }.from("10.0.0.1")).unwrap();
    let reply = tracker.answer(Tail { port: 0x0304, ..TAIL }.from("10.0.0.2")).unwrap();
    let expected = [
        [0, 0, 0, 1].as_slice(), // announce
        &[0xaa, 0xbb, 0xcc, 0xdd],
        &[0, 0, 0x07, 0x08], // 1800 s
        &[0, 0, 0, 1],       // leechers
        &[0, 0, 0, 1],       // seeders
        &[10, 0, 0, 1, 1, 2],
    ]
    .concat();
    assert_eq!(reply, expected);
    tracker.answer(Tail { port: 0x0506, ..TAIL }.from("2001:db8::1")).unwrap();
    let reply = tracker.answer(TAIL.from("2001:db8::2")).unwrap();
    assert_eq!((word(&reply, 12), word(&reply, 16)), (3, 1), "both families are counted");
    assert_eq!(reply[20..], [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 5, 6]);
}

#[test]
fn ipv4_mapped_is_ipv4() {
    let mut tracker = Tracker::new();
    tracker.answer(TAIL.from("10.0.0.1")).unwrap();
    let reply = tracker.answer(Tail { port: 9, ..TAIL }.from("::ffff:10.0.0.1")).unwrap();
    assert_eq!((word(&reply, 12), &reply[20..]), (2, &[10, 0, 0, 1, 0x1a, 0xe1][..]));
}

#[test]
fn num_want_is_signed_and_capped_by_family() {
    for (family, ip, size, cap) in
        [(Family::Ipv4, "10.9.9.9", 6, 202), (Family::Ipv6, "2001:db8:9::9", 18, 67)]
    {
        let policy = policy(Admission { default_num_want: 30, max_num_want: 1000, ..Admission::default() });
        let mut tracker = Tracker::with(ResponderConfig::default(), policy);
        tracker.fill(family, 400);
        for (num_want, given) in [
            (-1, 30),
            (i32::MIN, 30),
            (0, 0),
            (1, 1),
            (66, 66),
            (i32::MAX, cap),
            (203, cap.min(203)),
            (67, 67),
        ] {
            let reply = tracker.answer(Tail { num_want, ..TAIL }.from(ip)).unwrap();
            assert_eq!(reply.len(), 20 + size * given, "{num_want} over {family:?}");
            assert!(reply.len() <= 1232);
        }
    }
    let mut tracker = Tracker::with(
        ResponderConfig::default(),
        policy(Admission { max_num_want: 10, ..Admission::default() }),
    );
    tracker.fill(Family::Ipv4, 40);
    assert_eq!(tracker.answer(Tail { num_want: 35, ..TAIL }.from("10.9.9.9")).unwrap().len(), 20 + 60);
}

#[test]
fn events_are_understood_and_unknown_ones_are_none() {
    let mut tracker = Tracker::new();
    let mut say = |event, left| {
        let reply = tracker.answer(Tail { event, left, ..TAIL }.from("10.0.0.1")).unwrap();
        let hash = InfoHash([7; 20]);
        (word(&reply, 16), word(&reply, 12), tracker.engine.scrape(&hash).downloaded)
    };
    assert_eq!(say(2, 5), (0, 1, 0));
    assert_eq!(say(1, 5), (0, 1, 0));
    assert_eq!(say(1, 0), (1, 0, 1));
    assert_eq!(say(4, 5), (0, 1, 1));
    assert_eq!(say(5, 0), (1, 0, 1));
    assert_eq!(say(0xffff_ffff, 9), (0, 1, 1));
    assert_eq!(say(3, 9), (0, 0, 1));
}

#[test]
fn who_stops_gets_an_empty_list() {
    let mut tracker = Tracker::new();
    tracker.fill(Family::Ipv4, 5);
    let reply = tracker.answer(Tail { event: 3, ..TAIL }.from("10.0.0.1")).unwrap();
    assert_eq!((reply.len(), word(&reply, 12)), (20, 4));
}

#[test]
fn what_follows_a_request_does_not_matter() {
    let mut tracker = Tracker::new();
    // BEP 41: URL data of 3 bytes, an unknown option, an end, and rubbish.
    let mut tail = TAIL.bytes();
    tail.extend([2, 3, b'/', b'a', b'?', 0x77, 2, 1, 1, 0, 0xff]);
    assert_eq!(tracker.answer(request("10.0.0.1", 1, 1, &tail)).unwrap().len(), 20);
    let scrape = request("10.0.0.1", 1, 2, &[[7; 20].as_slice(), &[7; 19]].concat());
    assert_eq!(tracker.answer(scrape).unwrap().len(), 8 + 12);
}

/// The same tracker, with a key without which nobody is served.
fn private() -> Tracker {
    let keys = Keys::parse([1, 2, 3, 4], &b"ABCDEFGH\n"[..]).unwrap();
    let admission = Admission { keys: Some(Arc::new(keys)), ..Admission::default() };
    Tracker::with(ResponderConfig::default(), policy(admission))
}

#[test]
fn with_keys_the_options_are_read() {
    let mut tracker = private();
    let with = |options: &[u8]| request("10.0.0.1", 1, 1, &[&TAIL.bytes(), options].concat());
    let whole = b"\x01\x02\x04/ABC\x63\x01\x00\x02\x0eDEFGH/announce";
    // Cut anywhere it is malformed, or has no key, or half a one.
    for length in 0..whole.len() {
        match tracker.answer(with(&whole[..length])) {
            Ok(reply) => assert!(reply[..4] == [0, 0, 0, 3] && matches!(length, 0 | 1 | 7 | 10), "{length}"),
            Err(reason) => assert_eq!(reason, DropReason::Malformed, "{length}"),
        }
    }
    assert_eq!(tracker.engine.totals().torrents, 0);
    assert_eq!(tracker.answer(with(whole)).unwrap().len(), 20);
    assert_eq!(tracker.engine.totals().torrents, 1);
    // Whoever has no valid ID is told nothing.
    let mut forged = with(b"");
    forged.frame[0] ^= 1;
    assert_eq!(tracker.answer(forged), Err(DropReason::BadConnectionId));
}

#[test]
fn with_keys_a_scrape_answers_zeroes() {
    let mut tracker = private();
    let options = b"\x02\x09/ABCDEFGH";
    tracker.answer(request("10.0.0.1", 1, 1, &[&TAIL.bytes(), &options[..]].concat())).unwrap();
    for asked in [1, 3, 74, 100] {
        let reply = tracker.answer(request("10.0.0.1", 1, 2, &vec![7; 20 * asked])).unwrap();
        assert_eq!(reply[..8], [0, 0, 0, 2, 0xaa, 0xbb, 0xcc, 0xdd]);
        assert_eq!(reply[8..], vec![0; 12 * asked.min(74)]);
    }
}

#[test]
fn the_ip_field_counts_for_trusted_senders_only() {
    let trusted = [("10.1.0.0", 16), ("2001:db8::", 32)]
        .map(|(address, prefix)| Network::new(address.parse().unwrap(), prefix))
        .to_vec();
    let announced = |source: &str, ip: [u8; 4]| {
        let mut tracker = Tracker::with(
            ResponderConfig::default(),
            policy(Admission { trusted: trusted.clone(), ..Admission::default() }),
        );
        tracker.answer(Tail { ip, ..TAIL }.from(source)).unwrap();
        let peers = tracker.engine.totals().peers_of(model::Network::Ipv4, Role::Leecher);
        let reply = tracker.answer(Tail { port: 9, ..TAIL }.from("10.200.0.1")).unwrap();
        (peers, reply[20..].to_vec())
    };
    assert_eq!(announced("10.1.2.3", [192, 0, 2, 9]).1, [192, 0, 2, 9, 0x1a, 0xe1]);
    assert_eq!(announced("10.1.2.3", [0, 0, 0, 0]).1, [10, 1, 2, 3, 0x1a, 0xe1]);
    assert_eq!(announced("10.1.2.3", [224, 0, 0, 1]).1, [10, 1, 2, 3, 0x1a, 0xe1]);
    assert_eq!(announced("10.2.2.3", [192, 0, 2, 9]).1, [10, 2, 2, 3, 0x1a, 0xe1]);
    assert_eq!(announced("2001:db8::1", [192, 0, 2, 9]), (0, vec![]));
}

#[test]
fn a_scrape_is_answered_in_order_with_zeroes_for_the_unknown() {
    let mut tracker = Tracker::new();
    tracker.answer(Tail { torrent: 1, left: 0, event: 1, ..TAIL }.from("10.0.0.1")).unwrap();
    tracker.answer(Tail { torrent: 2, ..TAIL }.from("10.0.0.1")).unwrap();
    tracker.answer(Tail { torrent: 2, ..TAIL }.from("2001:db8::1")).unwrap();
    let hashes: Vec<u8> = [2, 9, 1, 2].iter().flat_map(|&torrent| [torrent; 20]).collect();
    let reply = tracker.answer(request("10.0.0.5", 1, 2, &hashes)).unwrap();
    assert_eq!(reply[..8], [0, 0, 0, 2, 0xaa, 0xbb, 0xcc, 0xdd]);
    let rows: Vec<_> = reply[8..].chunks(12).map(|row| (word(row, 0), word(row, 4), word(row, 8))).collect();
    assert_eq!(rows, [(0, 0, 2), (0, 0, 0), (1, 1, 0), (0, 0, 2)]);
}

#[test]
fn a_scrape_is_cut_to_what_is_allowed_and_fits() {
    for (max_scrape_hashes, max_datagram, asked, rows) in [
        (74, 1232, 74, 74),
        (74, 1232, 100, 74),
        (1000, 1232, 100, 100),
        (1000, 1232, 101, 101),
        (1000, 576, 100, 47),
    ] {
        let config = ResponderConfig { max_datagram, max_scrape_hashes };
        let mut tracker = Tracker::with(config, Policy::default());
        let scrape = request("10.0.0.1", 1, 2, &vec![7; 20 * asked]);
        assert_eq!(tracker.answer(scrape).unwrap().len(), 8 + 12 * rows);
    }
}

#[test]
fn refusals_are_error_replies_in_ascii() {
    let mut tracker = Tracker::new();
    tracker.engine.set_access(AccessList::new(Mode::Deny, vec![InfoHash([7; 20])]).unwrap(), 0);
    tracker.engine.set_policy(Policy { max_torrents: 0, ..Policy::default() });
    for torrent in [7, 8] {
        let mut frames = Frames(vec![Tail { torrent, ..TAIL }.from("10.0.0.1")]);
        tracker.responder.handle_batch(&tracker.engine, NOW, &mut frames);
        let Some(Outcome::Reply { request: Action::Announce, reply: Action::Error, len, .. }) =
            frames.0[0].outcome
        else {
            panic!("{:?}", frames.0[0].outcome);
        };
        let reply = &frames.0[0].frame[..len];
        assert_eq!(reply[..8], [0, 0, 0, 3, 0xaa, 0xbb, 0xcc, 0xdd]);
        assert!(reply[8..].iter().all(|&byte| (0x20..0x7f).contains(&byte)) && len > 20);
    }
    let zeroes = tracker.answer(request("10.0.0.1", 1, 2, &[7; 20])).unwrap();
    assert_eq!(zeroes[8..], [0; 12]);
}

#[test]
fn a_batch_of_any_size_is_finished_whole_and_in_order() {
    let mut tracker = Tracker::new();
    let count = 2 * MAX_BATCH + 7;
    let ip = |i: usize| format!("10.1.{}.{}", i / 200, i % 200 + 1);
    let replies = tracker.answer_all((0..count).map(|i| TAIL.from(&ip(i))).collect());
    for (i, reply) in replies.into_iter().enumerate() {
        assert_eq!(word(&reply.unwrap(), 12) as usize, i + 1);
    }
    assert_eq!(tracker.answer_all(Vec::new()), []);
}

/// Frames that keep what they are told of software.
struct Noting(Frames, Vec<ClientSoftware>);

impl Batch for Noting {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn request(&self, i: usize) -> Received<'_> {
        self.0.request(i)
    }

    fn reply_buffer(&mut self, i: usize) -> &mut [u8] {
        self.0.reply_buffer(i)
    }

    fn finish(&mut self, i: usize, outcome: Outcome) {
        self.0.finish(i, outcome);
    }

    fn announced_by(&mut self, software: ClientSoftware) {
        self.1.push(software);
    }
}

#[test]
fn the_software_of_one_announce_in_so_many_is_told_and_of_nothing_else() {
    let mut tracker = Tracker::new();
    let per_look = ANNOUNCES_PER_LOOK as usize;
    let announce = |peer_id: &[u8; 20]| {
        let mut datagram = TAIL.from("192.0.2.1");
        datagram.frame[36..56].copy_from_slice(peer_id);
        datagram
    };
    let mut datagrams = Vec::new();
    for i in 1..=4 * per_look {
        // Scrapes, and announces that are dropped, are not counted.
        datagrams.push(request("192.0.2.1", 1000, 2, &[7; 20]));
        datagrams.push(Tail { port: 0, ..TAIL }.from("192.0.2.1"));
        let is_looked_at = i % per_look == 0;
        datagrams.push(announce(if is_looked_at {
            b"-qB4630-abcdefghijkl"
        } else {
            b"-TR3000-abcdefghijkl"
        }));
    }
    let mut batch = Noting(Frames(datagrams), Vec::new());
    tracker.responder.handle_batch(&tracker.engine, NOW, &mut batch);
    assert!(batch.0.0.iter().all(|datagram| datagram.outcome.is_some()));
    assert_eq!(batch.1.iter().map(|software| software.name()).collect::<Vec<_>>(), ["qBittorrent"; 4]);
}
