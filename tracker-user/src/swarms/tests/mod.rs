//! The file, byte by byte, and through an engine and back.

mod faults;
mod shares;
mod threads;

use super::{
    moment::Moment,
    restore::{TakenUp, take_up},
    save::{Saved, save},
};
use crate::state_directory::SWARMS_FILE;
use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    sync::LazyLock,
};
use tracker_common::address::Address;
use tracker_core::{
    access::{AccessList, Mode},
    engine::{CountedBy, Cursor, Engine, Known, Place, Seen, Verdict, Visitor},
    model::{Counts, InfoHash, Role},
    nodes::SharedNodes,
    policy::Policy,
    records::{PeerRecord, State, TorrentRecord},
};

const NOW: u32 = 1_700_000_000;
/// When the file that was written by hand tells that it was saved.
const SAVED: Moment = Moment { wall: 0x0102_0304_0506, uptime: 1_000, boot: [7; 16] };
/// Half a minute later.
const LATER: Moment = Moment { wall: 5, uptime: 1_030, boot: [7; 16] };

/// CRC-32 as ISO 3309 has it, bit by bit.
fn crc(bytes: &[u8]) -> [u8; 4] {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    });
    (!crc).to_le_bytes()
}

/// Adds a part and its checksum to a file, which goes over all parts and no checksum.
fn add(file: &mut Vec<u8>, summed: &mut Vec<u8>, head: &[u8], content: &[u8]) {
    summed.extend_from_slice(head);
    summed.extend_from_slice(content);
    file.extend_from_slice(head);
    file.extend_from_slice(&crc(summed));
    file.extend_from_slice(content);
}

/// A file of version 1, and where its parts begin: two blocks, and an end that tells of two blocks, one torrent with peers
/// and three peers.
static BY_HAND: LazyLock<(Vec<u8>, Vec<usize>)> = LazyLock::new(|| {
    let (mut file, mut summed) = (Vec::new(), Vec::new());
    let mut header = b"RIPTIDE\0".to_vec();
    header.extend([1, 0, 0, 0]);
    header.extend([6, 5, 4, 3, 2, 1, 0, 0]);
    header.extend([0xe8, 3, 0, 0, 0, 0, 0, 0]);
    header.extend([7; 16]);
    add(&mut file, &mut summed, &header, &[]);
    let mut starts = vec![file.len()];

    // Torrent a: 300 downloads, one peer of each family.
    let mut first = vec![b'a'; 20];
    first.extend([0xac, 0x02, 0, 1, 1]);
    first.extend([192, 0, 2, 1, 0x1a, 0xe1, 15 << 3 | 7]);
    first.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0xff, 0xfe, 2]);
    add(&mut file, &mut summed, &[b'R', b'E', b'C', b'S', first.len() as u8, 0, 0, 0, 0, 0, 0, 0], &first);
    starts.push(file.len());

    // Ten seconds later: of torrent b 7 downloads that are kept for 90 seconds, and another peer of torrent a.
    let mut second = vec![b'b'; 20];
    second.extend([7, 90, 0, 0]);
    second.extend([b'a'; 20]);
    second.extend([0xac, 0x02, 0, 1, 0]);
    second.extend([192, 0, 2, 2, 0, 80, 4]);
    add(&mut file, &mut summed, &[b'R', b'E', b'C', b'S', second.len() as u8, 0, 0, 0, 10, 0, 0, 0], &second);
    starts.push(file.len());

    let mut end = [0; 24];
    (end[0], end[8], end[16]) = (2, 1, 3);
    add(&mut file, &mut summed, &[b'E', b'N', b'D', 0, 24, 0, 0, 0, 0, 0, 0, 0], &end);
    starts.push(file.len());
    (file, starts)
});

fn allow(hashes: Vec<InfoHash>) -> AccessList {
    AccessList::new(Mode::Allow, hashes).unwrap()
}

/// An address of IPv4.
fn ipv4(bits: u32) -> Address {
    IpAddr::from(Ipv4Addr::from_bits(bits)).into()
}

fn engine(policy: Policy) -> Engine {
    Engine::new(policy, [1, 2])
}

/// What an engine holds, ages as of [`NOW`].
#[derive(Debug, Default, PartialEq, Eq)]
struct Held {
    peers: BTreeMap<(u8, String), (Role, bool, u32)>,
    downloads: BTreeMap<u8, u32>,
    kept: BTreeMap<u8, (u32, u32)>,
    torrent: u8,
}

impl Visitor for Held {
    fn torrent(&mut self, hash: &InfoHash, counts: &Counts, _: bool) -> Verdict {
        self.torrent = hash.0[0];
        self.downloads.insert(hash.0[0], counts.downloaded);
        Verdict::Keep
    }

    fn peer(&mut self, peer: &Seen<'_>) -> Verdict {
        let Known { role, counted, age } = peer.known();
        let Place::At(address, port) = peer.place() else { panic!("not in a file") };
        let at = format!("{} {port}", address.to_ip());
        self.peers.insert((self.torrent, at), (role, counted, age));
        Verdict::Keep
    }

    fn retained(&mut self, hash: &InfoHash, downloaded: u32, age: u32) -> Verdict {
        self.kept.insert(hash.0[0], (downloaded, age));
        Verdict::Keep
    }
}

fn held(engine: &Engine) -> Held {
    let (mut held, mut cursor) = (Held::default(), Cursor::default());
    while !engine.walk(&mut cursor, NOW, 1000, &mut held).ended {}
    held.torrent = 0;
    held
}

/// Puts these bytes into a directory of their own and takes them up.
fn take_up_bytes(engine: &Engine, bytes: &[u8], moment: &Moment) -> TakenUp {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(SWARMS_FILE);
    fs::write(&path, bytes).unwrap();
    take_up(engine, &SharedNodes::default(), &path, NOW, moment).unwrap()
}

fn save_all(engine: &Engine, directory: &Path) -> Saved {
    save(engine, &SharedNodes::default(), || NOW, directory, |_| true).unwrap()
}

#[test]
fn a_file_written_by_hand_is_read() {
    let engine = engine(Policy::default());
    let taken_up = take_up_bytes(&engine, &BY_HAND.0, &LATER);
    assert!(taken_up.wrong.is_none(), "{taken_up:?}");
    assert_eq!((taken_up.saved, taken_up.taken.peers, taken_up.taken.expired), (Some(SAVED), 3, 0));
    let peers = [
        ((b'a', "192.0.2.1 6881".to_owned()), (Role::Seeder, true, 45)),
        ((b'a', "192.0.2.2 80".to_owned()), (Role::PartialSeed, false, 20)),
        ((b'a', "2001:db8::9 65534".to_owned()), (Role::Leecher, false, 30)),
    ];
    let held = held(&engine);
    assert_eq!(held.peers, BTreeMap::from(peers));
    assert_eq!(held.downloads, BTreeMap::from([(b'a', 300)]));
    assert_eq!(held.kept, BTreeMap::from([(b'b', (7, 110))]));
}

/// The sample of version 1 that stays in the repository: what it holds must be read for ever.
#[test]
fn the_sample_of_version_1_is_read() {
    let engine = engine(Policy::default());
    let sample = include_bytes!("../../../../tests/samples/swarms-1.riptide");
    let taken_up = take_up_bytes(&engine, sample, &Moment { boot: [9; 16], ..LATER });
    assert!(taken_up.wrong.is_none(), "{taken_up:?}");
    let totals = taken_up.totals;
    assert_eq!((totals.torrents, taken_up.taken.peers, totals.retained), (40, 210, 5));
}

#[test]
fn what_is_saved_is_the_bytes_that_the_format_says() {
    let (engine, directory) = (engine(Policy::default()), tempfile::tempdir().unwrap());
    let torrent = TorrentRecord { info_hash: InfoHash([b'a'; 20]), downloaded: 300, age: 0 };
    let address = ipv4(0xc000_0201);
    let state = State::Here { role: Role::Seeder, counted: true };
    engine
        .import(&torrent, &[PeerRecord { address, port: 6881, state, age: 15 }], NOW, CountedBy::Own)
        .unwrap();
    let saved = save_all(&engine, directory.path());
    let file = fs::read(directory.path().join(SWARMS_FILE)).unwrap();
    assert_eq!((saved.torrents, saved.peers, saved.kept_counts, saved.bytes), (1, 1, 0, file.len() as u64));

    let (mut expected, mut summed) = (Vec::new(), Vec::new());
    assert_eq!(file[..12], *b"RIPTIDE\0\x02\0\0\0");
    add(&mut expected, &mut summed, &file[..44], &[]);
    let mut block = vec![b'a'; 20];
    block.extend([0xac, 0x02, 0, 1, 0]);
    block.extend([192, 0, 2, 1, 0x1a, 0xe1, 15 << 3 | 7]);
    add(&mut expected, &mut summed, &[b'R', b'E', b'C', b'S', 32, 0, 0, 0, 0, 0, 0, 0], &block);
    let mut end = [0; 24];
    (end[0], end[8], end[16]) = (1, 1, 1);
    add(&mut expected, &mut summed, &[b'E', b'N', b'D', 0, 24, 0, 0, 0, 0, 0, 0, 0], &end);
    assert_eq!(file, expected);
}

#[test]
fn an_engine_comes_back_as_it_was() {
    let (first, second) = (engine(Policy::default()), Engine::new(Policy::default(), [3, 4]));
    let roles = [Role::Leecher, Role::PartialSeed, Role::Seeder];
    for n in 0..=250 {
        let peers: Vec<PeerRecord> = (0..u32::from(n) * 7)
            .map(|peer| {
                let address = match peer % 3 {
                    0 => IpAddr::from(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(peer))).into(),
                    _ => ipv4(0x0100_0000 + peer),
                };
                let state = State::Here { role: roles[peer as usize % 3], counted: peer % 4 == 0 };
                PeerRecord { address, port: n.into(), state, age: peer % 600 }
            })
            .collect();
        // The first has no peers, and no port is zero.
        let torrent = TorrentRecord { info_hash: InfoHash([n; 20]), downloaded: 300 + u32::from(n), age: 5 };
        first.import(&torrent, &peers, NOW, CountedBy::Own).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let saved = save_all(&first, directory.path());
    let moment = Moment::now();
    let taken_up =
        take_up(&second, &SharedNodes::default(), &directory.path().join(SWARMS_FILE), NOW, &moment).unwrap();
    let since = moment.since(&taken_up.saved.unwrap());
    let [before, mut after] = [held(&first), held(&second)];
    // What was written last has grown the least.
    let grown = |age: &mut u32, earlier: u32| {
        assert!((earlier..=earlier + since).contains(age), "{age} {earlier} {since}");
        *age = earlier;
    };
    after.peers.iter_mut().for_each(|(who, known)| grown(&mut known.2, before.peers[who].2));
    after.kept.iter_mut().for_each(|(hash, kept)| grown(&mut kept.1, before.kept[hash].1));
    assert_eq!(before.kept, BTreeMap::from([(0, (300, 5))]));
    assert_eq!(before, after);
    assert!(taken_up.wrong.is_none(), "{taken_up:?}");
    assert_eq!((saved.peers, saved.torrents), (taken_up.taken.peers, 250));
}

/// Whoever expired meanwhile does not come back; what its torrent was downloaded is kept from then on.
#[test]
fn the_time_away_counts() {
    let timeout = 60;
    let engine = engine(Policy { peer_timeout: timeout, downloaded_retention: 1000, ..Policy::default() });
    let after = |uptime| Moment { uptime, ..LATER };
    // Of torrent a the oldest has been silent for 15 + 45, the others for 45 and 35.
    let taken = take_up_bytes(&engine, &BY_HAND.0, &after(1_045)).taken;
    assert_eq!((taken.peers, taken.expired), (2, 1));
    engine.set_access(allow(Vec::new()), NOW);
    engine.set_access(AccessList::off(), NOW);
    let taken = take_up_bytes(&engine, &BY_HAND.0, &after(1_500)).taken;
    assert_eq!((taken.peers, taken.expired), (0, 3));
    // The last that block one knows of torrent a went 500 - 60 seconds ago; block two says no more of its downloads.
    assert_eq!(held(&engine).kept, BTreeMap::from([(b'a', (300, 440)), (b'b', (7, 580))]));
}

#[test]
fn what_is_older_than_counts_are_kept_is_gone() {
    let engine = engine(Policy { peer_timeout: 60, downloaded_retention: 100, ..Policy::default() });
    let taken_up = take_up_bytes(&engine, &BY_HAND.0, &Moment { uptime: 1_000_000, ..LATER });
    assert_eq!((taken_up.totals.torrents, taken_up.totals.retained), (0, 0));
    assert!(taken_up.wrong.is_none());
}

/// A clock that was set, either way, and a boot between: nobody gets older than by the time that has surely passed.
#[test]
fn clocks_that_jump_do_no_harm() {
    let peers = |moment: Moment| take_up_bytes(&engine(Policy::default()), &BY_HAND.0, &moment).taken.peers;
    for wall in [0, SAVED.wall - 1, SAVED.wall + 1_000_000_000, u64::MAX] {
        assert_eq!(peers(Moment { wall, ..LATER }), 3, "the same boot, wall clock {wall}");
    }
    let boot = [8; 16];
    for wall in [0, SAVED.wall - 1, SAVED.wall + 60] {
        assert_eq!(peers(Moment { wall, uptime: 3, boot }), 3, "another boot, wall clock {wall}");
    }
    assert_eq!(peers(Moment { wall: SAVED.wall + 1_000_000_000, uptime: 3, boot }), 0, "long away");
}

#[test]
fn limits_and_the_access_list_of_now_apply() {
    let listed = engine(Policy::default());
    listed.set_access(allow(vec![InfoHash([b'b'; 20])]), NOW);
    let taken_up = take_up_bytes(&listed, &BY_HAND.0, &LATER);
    assert_eq!((taken_up.taken.peers, taken_up.taken.refused, taken_up.totals.retained), (0, 3, 1));
    let limited = engine(Policy { max_peers_per_torrent: 2, ..Policy::default() });
    let taken = take_up_bytes(&limited, &BY_HAND.0, &LATER).taken;
    assert_eq!((taken.peers, taken.refused), (2, 1));
}
