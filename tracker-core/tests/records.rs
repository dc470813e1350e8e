//! Swarms that go through records: walked into an empty engine, or followed change by change.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is what this is for")]

use proptest::{collection::vec, prelude::*};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use tracker_common::address::Address;
use tracker_core::{
    engine::{
        Announce, Change, ConnectionKey, CountedBy, Cursor, Engine, Known, Listener, Lists, Place, Seen,
        Verdict, Visitor, Want, WebrtcAnnounce,
    },
    model::{Counts, Event, InfoHash, Network, PeerId, Seconds},
    policy::Policy,
    records::{PeerRecord, Reader, Record, RecordWriter, TorrentRecord, WalkWriter},
    rng::Rng,
};

const START: Seconds = 1_700_000_000;

/// All that an engine holds, as a walk shows it.
#[derive(Debug, Default, PartialEq)]
struct Picture {
    torrents: BTreeMap<InfoHash, (u32, BTreeMap<String, Known>)>,
    retained: BTreeMap<InfoHash, u32>,
    at: InfoHash0,
}

/// Where the walk is.
#[derive(Debug, Default)]
struct InfoHash0(Option<InfoHash>);

impl PartialEq for InfoHash0 {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Visitor for Picture {
    fn torrent(&mut self, info_hash: &InfoHash, counts: &Counts, _: bool) -> Verdict {
        self.at = InfoHash0(Some(*info_hash));
        self.torrents.entry(*info_hash).or_default().0 = counts.downloaded;
        Verdict::Keep
    }

    fn peer(&mut self, peer: &Seen<'_>) -> Verdict {
        if peer.network() != Network::Webrtc {
            let torrent = self.torrents.get_mut(&self.at.0.unwrap()).unwrap();
            torrent.1.insert(format!("{:?}", peer.place()), peer.known());
        }
        Verdict::Keep
    }

    fn retained(&mut self, info_hash: &InfoHash, downloaded: u32, _: Seconds) -> Verdict {
        self.retained.insert(*info_hash, downloaded);
        Verdict::Keep
    }
}

fn picture(engine: &Engine, now: Seconds) -> Picture {
    let (mut cursor, mut picture) = (Cursor::default(), Picture::default());
    while !engine.walk(&mut cursor, now, 50, &mut picture).ended {}
    // A torrent of WebRTC peers alone leaves its count of downloads in records.
    let Picture { torrents, retained, .. } = &mut picture;
    for (hash, (downloaded, _)) in torrents.extract_if(.., |_, (_, peers)| peers.is_empty()) {
        if downloaded > 0 {
            retained.insert(hash, downloaded);
        }
    }
    picture
}

#[derive(Clone, Copy, Debug)]
struct Op {
    torrent: u8,
    peer: u16,
    event: u8,
    left: u8,
    webrtc: bool,
}

fn op() -> impl Strategy<Value = Op> {
    (0..4_u8, 0..900_u16, 0..12_u8, 0..2_u8, 0..20_u8).prop_map(|(torrent, peer, event, left, kind)| Op {
        // One torrent is large, and much comes twice.
        torrent: torrent * u8::from(peer % 5 == 0),
        peer: if kind % 4 == 0 { peer % 20 } else { peer },
        event,
        left,
        webrtc: kind == 19,
    })
}

fn event(number: u8) -> Event {
    [Event::None, Event::Started, Event::Completed, Event::Stopped, Event::Paused]
        .get(usize::from(number))
        .copied()
        .unwrap_or_default()
}

fn address(peer: u16) -> Address {
    let host = (peer >> 1) as u8;
    match peer & 1 {
        0 => IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)).into(),
        _ => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(host) + 1)).into(),
    }
}

fn run(engine: &Engine, op: Op, now: Seconds) {
    let mut rng = Rng::new([1, 1]);
    let (info_hash, event, left) = (InfoHash([op.torrent; 20]), event(op.event), u64::from(op.left));
    if op.webrtc {
        let peer_id = PeerId([op.peer as u8; 20]);
        let (connection, address) = (ConnectionKey(1), address(0));
        let announce = WebrtcAnnounce { info_hash, peer_id, connection, address, event, left, partners: 0 };
        _ = engine.announce_webrtc(&announce, now, &mut rng, &mut Vec::new());
        return;
    }
    let (address, port) = (address(op.peer), 1 + (op.peer >> 8));
    let announce = Announce { info_hash, address, port, event, left, want: Want::Own(0) };
    engine.announce(&announce, now, &mut rng, &mut Lists::default()).unwrap();
}

fn engine(seed: u64) -> Engine {
    Engine::new(Policy { peer_timeout: 10_000, ..Policy::default() }, [seed, 2])
}

/// Takes in a stream of records, as whoever reads one does.
fn import(engine: &Engine, bytes: &[u8], now: Seconds) {
    let mut torrent: Option<(TorrentRecord, Vec<PeerRecord>)> = None;
    for record in Reader::new(bytes) {
        match record.unwrap() {
            Record::Torrent(next) => {
                if let Some((torrent, peers)) = torrent.replace((next, Vec::new())) {
                    engine.import(&torrent, &peers, now, CountedBy::Own).unwrap();
                }
            }
            Record::Peer(peer) => torrent.as_mut().unwrap().1.push(peer),
        }
    }
    if let Some((torrent, peers)) = torrent {
        engine.import(&torrent, &peers, now, CountedBy::Own).unwrap();
    }
}

/// Torrents with their downloads and peers: where each is, its kind and its age.
type Told = BTreeMap<InfoHash, (u32, BTreeSet<(String, u64, u64)>)>;

/// The format read as plainly as can be: a second telling of what its description says.
fn naive(mut bytes: &[u8]) -> Told {
    fn number(bytes: &mut &[u8]) -> u64 {
        let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let (digits, rest) = bytes.split_at(length);
        *bytes = rest;
        digits.iter().rev().fold(0, |sum, digit| sum * 128 + u64::from(digit & 0x7f))
    }
    let mut torrents = Told::new();
    while !bytes.is_empty() {
        let (hash, rest) = bytes.split_at(20);
        bytes = rest;
        let [downloaded, _age, four, six] = std::array::from_fn(|_| number(&mut bytes));
        let mut peers = BTreeSet::new();
        for length in (0..four).map(|_| 6).chain((0..six).map(|_| 18)) {
            let (at, rest) = bytes.split_at(length);
            bytes = rest;
            let state = number(&mut bytes);
            peers.insert((place(at), state & 7, state >> 3));
        }
        // A torrent of WebRTC peers alone may have nothing to tell.
        if downloaded > 0 || !peers.is_empty() {
            let torrent = torrents.entry(InfoHash(hash.try_into().unwrap())).or_default();
            torrent.0 = downloaded as u32;
            torrent.1.extend(peers);
        }
    }
    torrents
}

/// What the picture holds, as the naive reader tells it.
fn expected(picture: &Picture) -> Told {
    let mut all = Told::new();
    for (hash, (downloaded, peers)) in &picture.torrents {
        let peers = peers.iter().map(|(place, known)| {
            let kind = 2 * (known.role as u64 + 1) + u64::from(known.counted);
            (place.clone(), kind, u64::from(known.age))
        });
        all.insert(*hash, (*downloaded, peers.collect()));
    }
    for (hash, downloaded) in &picture.retained {
        all.insert(*hash, (*downloaded, BTreeSet::new()));
    }
    all
}

fn place(bytes: &[u8]) -> String {
    let (address, port) = bytes.split_at(bytes.len() - 2);
    let address = match <[u8; 4]>::try_from(address) {
        Ok(four) => Address::from_ipv4(four),
        Err(_) => Address::from_octets(address.try_into().unwrap()),
    };
    format!("{:?}", Place::At(address, u16::from_be_bytes([port[0], port[1]])))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_walk_written_down_makes_an_equal_engine(ops in vec(op(), 1..4000), later: u8) {
        let source = engine(1);
        for (n, op) in ops.iter().enumerate() {
            run(&source, *op, START + n as u32);
        }
        let now = START + ops.len() as u32 + u32::from(later);
        let (mut cursor, mut writer) = (Cursor::default(), WalkWriter::default());
        while !source.walk(&mut cursor, now, 100, &mut writer).ended {}
        let bytes = writer.take();

        let before = picture(&source, now);
        assert!(naive(&bytes) == expected(&before));

        let copy = engine(3);
        import(&copy, &bytes, now);
        assert!(picture(&copy, now) == before);
        import(&copy, &bytes, now);
        assert!(picture(&copy, now) == before, "what comes twice changes nothing");
    }

    #[test]
    fn a_journal_replayed_makes_an_equal_engine(ops in vec(op(), 1..3000), seed: u64) {
        let source = engine(1);
        source.listen(Listener::Successor, 10_000);
        for (n, op) in ops.iter().enumerate() {
            run(&source, *op, START + n as u32);
        }
        let now = START + ops.len() as u32;
        let mut changes: Vec<Change> = Vec::new();
        for shard in 0..Engine::SHARDS {
            assert!(!source.take_changes(Listener::Successor, shard, &mut changes).overflowed);
        }
        let before = picture(&source, now);
        let replay = |changes: &[Change], now| {
            let mut writer = RecordWriter::default();
            changes.iter().for_each(|change| writer.change(change, now));
            writer.take()
        };

        let in_order = engine(3);
        import(&in_order, &replay(&changes, now), now);
        assert!(picture(&in_order, now) == before, "in order");

        // Without knowing who went, a copy would take up old news of them again.
        let out_of_order = engine(4);
        out_of_order.listen(Listener::Successor, 10_000);
        let mut rng = Rng::new([seed, 1]);
        for i in (1..changes.len()).rev() {
            changes.swap(i, rng.below(i + 1));
        }
        for some in changes.chunks(7) {
            import(&out_of_order, &replay(some, now), now);
        }
        assert!(picture(&out_of_order, now) == before, "out of order");
        for some in changes.chunks(100) {
            import(&out_of_order, &replay(some, now + 3), now + 3);
        }
        assert!(picture(&out_of_order, now) == before, "twice");
    }
}

/// So large that its index is in parts, and is walked by them, while others come, go and change their roles.
#[test]
fn a_large_swarm_goes_through_records_whole() {
    let source = engine(1);
    let op = |peer: u16, event, left| Op { torrent: 0, peer: 2 * peer, event, left, webrtc: false };
    (0..6000).for_each(|peer| run(&source, op(peer, 0, (peer % 3) as u8), START));
    let (mut cursor, mut writer) = (Cursor::default(), WalkWriter::default());
    let mut other = 6000;
    while !source.walk(&mut cursor, START + 9, 1, &mut writer).ended {
        run(&source, op(other, 0, 0), START + 9);
        run(&source, op(other, 3, 0), START + 9);
        run(&source, op(other % 6000, 0, 0), START + 9);
        other = 6000 + (other + 1) % 2000;
    }
    let copy = engine(3);
    import(&copy, &writer.take(), START + 9);
    let places = |engine: &Engine| -> BTreeSet<String> {
        picture(engine, START + 9).torrents[&InfoHash([0; 20])].1.keys().cloned().collect()
    };
    assert!(places(&source).is_subset(&places(&copy)));
}

#[test]
fn what_webrtc_peers_add_to_downloads_is_told() {
    let (source, copy) = (engine(1), engine(3));
    source.listen(Listener::Successor, 100);
    run(&source, Op { torrent: 1, peer: 2, event: 2, left: 0, webrtc: true }, START);
    let mut changes = Vec::new();
    (0..Engine::SHARDS).for_each(|shard| _ = source.take_changes(Listener::Successor, shard, &mut changes));
    let mut writer = RecordWriter::default();
    changes.iter().for_each(|change| writer.change(change, START));
    import(&copy, &writer.take(), START);
    assert_eq!(copy.scrape(&InfoHash([1; 20])).downloaded, 1);
}

#[test]
fn a_journal_that_overflows_says_so_once() {
    let engine = engine(1);
    engine.listen(Listener::Successor, 3);
    let op = |peer| Op { torrent: 1, peer, event: 0, left: 1, webrtc: false };
    (0..5).for_each(|peer| run(&engine, op(2 * peer), START));
    let take = |changes: &mut Vec<Change>| {
        (0..Engine::SHARDS)
            .map(|shard| engine.take_changes(Listener::Successor, shard, changes))
            .filter(|taken| taken.overflowed)
            .count()
    };
    let mut changes = Vec::new();
    assert_eq!((take(&mut changes), changes.len()), (1, 3));
    run(&engine, op(100), START);
    assert_eq!((take(&mut changes), changes.len()), (0, 4));
    engine.listen(Listener::Successor, 0);
    run(&engine, op(102), START);
    assert_eq!((take(&mut changes), changes.len()), (0, 4), "nobody listens");
}

#[test]
fn a_change_tells_what_was_and_what_is() {
    let engine = engine(1);
    engine.listen(Listener::Successor, 100);
    for (event, left, now) in [(1, 1, 0), (0, 1, 10), (2, 0, 30), (3, 0, 31)] {
        run(&engine, Op { torrent: 1, peer: 2, event, left, webrtc: false }, START + now);
    }
    let mut changes = Vec::new();
    (0..Engine::SHARDS).for_each(|shard| _ = engine.take_changes(Listener::Successor, shard, &mut changes));
    let told: Vec<_> = changes
        .iter()
        .map(|change| {
            let known = |known: Option<Known>| {
                known.map(|known| (format!("{:?}", known.role), known.counted, known.age))
            };
            (known(change.before), known(change.after), change.downloaded)
        })
        .collect();
    let leecher = |age| Some(("Leecher".to_owned(), false, age));
    let seeder = |age| Some(("Seeder".to_owned(), true, age));
    assert_eq!(
        told,
        [
            (None, leecher(0), 0),
            (leecher(10), leecher(0), 0),
            (leecher(20), seeder(0), 1),
            (seeder(1), None, 1),
        ]
    );
}

/// Limits and lists of now apply to what comes from elsewhere.
#[test]
fn what_may_not_be_kept_is_refused() {
    let policy = Policy { peer_timeout: 100, max_peers: 3, ..Policy::default() };
    let engine = Engine::new(policy, [1, 2]);
    let torrent = TorrentRecord { info_hash: InfoHash([1; 20]), downloaded: 7, age: 0 };
    let state =
        tracker_core::records::State::Here { role: tracker_core::model::Role::Leecher, counted: false };
    let peer =
        |host, port, age| PeerRecord { address: Address::from_ipv4([10, 0, 0, host]), port, state, age };
    let peers = [
        peer(1, 1, 99),
        peer(2, 1, 100),
        peer(3, 0, 1),
        PeerRecord { address: Address::from_ipv4([224, 0, 0, 1]), ..peer(1, 1, 1) },
        peer(4, 1, 1),
        peer(5, 1, 1),
        peer(6, 1, 1),
    ];
    let imported = engine.import(&torrent, &peers, START, CountedBy::Own).unwrap();
    assert_eq!((imported.taken, imported.known, imported.refused), (3, 0, 4));
    assert_eq!(engine.scrape(&torrent.info_hash).incomplete, 3);
    assert_eq!(engine.scrape(&torrent.info_hash).downloaded, 7);
}
