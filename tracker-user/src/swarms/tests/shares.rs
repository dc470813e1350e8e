//! What other nodes counted of downloads, in the file and back.

use super::*;
use crate::swarms::read::Fault;
use tracker_core::{
    engine::{CountedBy, Share},
    nodes::{MAX_NODES, NodeNumber},
};

/// What an engine has of others' counts, by torrent and name.
struct Shared<'a>(&'a SharedNodes, BTreeMap<(u8, String), (u32, u32)>);

impl Visitor for Shared<'_> {
    const WANTS_SHARES: bool = true;

    fn shares(&mut self, hash: &InfoHash, shares: &[Share], age: u32) {
        for (node, downloaded) in shares {
            let name = self.0.lock().name(*node).unwrap().to_owned();
            self.1.insert((hash.0[0], name), (*downloaded, age));
        }
    }

    fn torrent(&mut self, _: &InfoHash, _: &Counts, _: bool) -> Verdict {
        Verdict::Enough
    }

    fn peer(&mut self, _: &Seen<'_>) -> Verdict {
        Verdict::Keep
    }

    fn retained(&mut self, _: &InfoHash, _: u32, _: u32) -> Verdict {
        Verdict::Keep
    }
}

fn shared(engine: &Engine, nodes: &SharedNodes) -> BTreeMap<(u8, String), (u32, u32)> {
    let (mut shared, mut cursor) = (Shared(nodes, BTreeMap::new()), Cursor::default());
    while !engine.walk(&mut cursor, NOW, 1000, &mut shared).ended {}
    shared.1
}

fn take_up_with(engine: &Engine, nodes: &SharedNodes, bytes: &[u8], moment: &Moment) -> TakenUp {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(SWARMS_FILE);
    fs::write(&path, bytes).unwrap();
    take_up(engine, nodes, &path, NOW, moment).unwrap()
}

/// A record of a torrent without peers whose numbers take a byte each.
fn record(torrent: u8, downloaded: u8, age: u8) -> Vec<u8> {
    [&[torrent; 20][..], &[downloaded, age, 0, 0]].concat()
}

/// A file of version 2, made of blocks with tag and content, all as old as the header.
fn file(blocks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let (mut file, mut summed) = (Vec::new(), Vec::new());
    let mut header = b"RIPTIDE\0\x02\0\0\0".to_vec();
    header.extend([6, 5, 4, 3, 2, 1, 0, 0, 0xe8, 3, 0, 0, 0, 0, 0, 0]);
    header.extend([7; 16]);
    add(&mut file, &mut summed, &header, &[]);
    for (tag, content) in blocks {
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        add(&mut file, &mut summed, &[&tag[..], &length, &[0; 4]].concat(), content);
    }
    let mut end = [0; 24];
    end[0] = u8::try_from(blocks.len()).unwrap();
    add(&mut file, &mut summed, b"END\0\x18\0\0\0\0\0\0\0", &end);
    file
}

fn named(name: &str, records: &[u8]) -> Vec<u8> {
    [&[u8::try_from(name.len()).unwrap()], name.as_bytes(), records].concat()
}

#[test]
fn counts_of_other_nodes_are_read() {
    let (engine, nodes) = (engine(Policy::default()), SharedNodes::default());
    nodes.lock().number("another").unwrap();
    let file = file(&[
        (b"RECS", record(b'a', 7, 5)),
        (b"NODE", named("ams-1", &[record(b'a', 3, 5), record(b'b', 9, 6)].concat())),
        (b"NODE", named("fra-1", &record(b'a', 2, 5))),
        (b"NODE", named("ams-1", &record(b'a', 2, 5))),
    ]);
    let taken_up = take_up_with(&engine, &nodes, &file, &LATER);
    assert!(taken_up.wrong.is_none(), "{taken_up:?}");
    assert_eq!(held(&engine).kept, BTreeMap::from([(b'a', (12, 35)), (b'b', (9, 36))]));
    let expected = [(b'a', "ams-1", (3, 35)), (b'b', "ams-1", (9, 36)), (b'a', "fra-1", (2, 35))];
    let expected = expected.map(|(torrent, name, count)| ((torrent, name.to_owned()), count));
    assert_eq!(shared(&engine, &nodes), BTreeMap::from(expected));
    assert_eq!(nodes.lock().all().count(), 3);
}

#[test]
fn a_block_that_names_no_node_is_damaged() {
    for content in [Vec::new(), vec![0], named("a.b", &record(b'a', 1, 0)), b"\x09short".to_vec()] {
        let engine = engine(Policy::default());
        let file = file(&[(b"RECS", record(b'a', 7, 5)), (b"NODE", content)]);
        let taken_up = take_up_with(&engine, &SharedNodes::default(), &file, &LATER);
        assert!(matches!(taken_up.wrong, Some(super::super::restore::Wrong::Fault(Fault::Block { at: 88 }))));
        assert_eq!(held(&engine).kept, BTreeMap::from([(b'a', (7, 35))]));
    }
}

#[test]
fn more_nodes_than_have_numbers_are_left_out_and_told_of() {
    let (engine, nodes) = (engine(Policy::default()), SharedNodes::default());
    (0..MAX_NODES).for_each(|n| _ = nodes.lock().number(&format!("n{n}")).unwrap());
    let blocks = [(b"NODE", named("more", &record(b'a', 7, 5))), (b"NODE", named("n7", &record(b'a', 2, 5)))];
    let taken_up = take_up_with(&engine, &nodes, &file(&blocks), &LATER);
    assert!(taken_up.wrong.is_none() && taken_up.taken.unnumbered == 1);
    assert!(taken_up.to_string().contains("there are more than 1024"), "{taken_up}");
    assert_eq!(held(&engine).kept, BTreeMap::from([(b'a', (2, 35))]));
}

/// Two torrents, one of them without peers, which this node and others have counted.
fn counted(nodes: &SharedNodes) -> Engine {
    let engine = engine(Policy::default());
    let number = |name| nodes.lock().number(name).unwrap();
    let (ams, fra) = (number("ams-1"), number("fra-1"));
    let tell = |torrent: u8, downloaded, by| {
        let record = TorrentRecord { info_hash: InfoHash([torrent; 20]), downloaded, age: 4 };
        engine.import(&record, &[], NOW, by).unwrap();
    };
    let torrent = TorrentRecord { info_hash: InfoHash([b'a'; 20]), downloaded: 5, age: 0 };
    let state = State::Here { role: Role::Seeder, counted: true };
    let peer = PeerRecord { address: ipv4(0xc000_0201), port: 6881, state, age: 15 };
    engine.import(&torrent, &[peer], NOW, CountedBy::Own).unwrap();
    let node = |node: NodeNumber| CountedBy::Node(node);
    tell(b'a', 3, node(fra));
    tell(b'b', 6, node(ams));
    tell(b'b', 1, CountedBy::Own);
    tell(b'c', 2, node(fra));
    engine
}

#[test]
fn what_others_counted_is_saved_behind_what_this_node_did() {
    let (nodes, directory) = (SharedNodes::default(), tempfile::tempdir().unwrap());
    // Numbers are no part of the file.
    nodes.lock().number("nobody").unwrap();
    let engine = counted(&nodes);
    save(&engine, &nodes, || NOW, directory.path(), |_| true).unwrap();
    let bytes = fs::read(directory.path().join(SWARMS_FILE)).unwrap();
    let mut reader = crate::swarms::read::FileReader::open(&bytes[..]).unwrap();
    let mut blocks = Vec::new();
    while let Some(block) = reader.next_block().unwrap() {
        blocks.push((block.node.map(str::to_owned), block.records.to_vec()));
    }
    // The order of torrents is the engine's.
    blocks[2].1.as_chunks_mut::<24>().0.sort_unstable();
    let (own, others) = blocks.split_first().unwrap();
    assert!(own.0.is_none() && own.1.len() == 20 + 4 + 7 + 24, "{own:?}");
    let expected = [
        (Some("ams-1".to_owned()), record(b'b', 6, 4)),
        (Some("fra-1".to_owned()), [record(b'a', 3, 0), record(b'c', 2, 4)].concat()),
    ];
    assert_eq!(others, expected);
    assert_eq!(reader.totals().unwrap().blocks, 3);

    // A process that gives the nodes other numbers has the same.
    let (other, others) = (super::engine(Policy::default()), SharedNodes::default());
    let taken_up = take_up_with(&other, &others, &bytes, &Moment::now());
    assert!(taken_up.wrong.is_none(), "{taken_up:?}");
    let [before, after] = [shared(&engine, &nodes), shared(&other, &others)];
    let counts = |of: BTreeMap<(u8, String), (u32, u32)>| of.into_iter().map(|(at, told)| (at, told.0));
    assert_eq!(counts(before).collect::<Vec<_>>(), counts(after).collect::<Vec<_>>());
    assert_eq!(held(&engine).downloads, held(&other).downloads);
    assert_eq!(other.scrape(&InfoHash([b'b'; 20])).downloaded, 7);
}

/// The sample of version 2 that stays in the repository: what it holds must be read for ever.
#[test]
fn the_sample_of_version_2_is_read() {
    let (engine, nodes) = (engine(Policy::default()), SharedNodes::default());
    let sample = include_bytes!("../../../../tests/samples/swarms-2.riptide");
    let taken_up = take_up_with(&engine, &nodes, sample, &Moment { boot: [9; 16], ..LATER });
    assert!(taken_up.wrong.is_none(), "{taken_up:?}");
    assert_eq!((taken_up.totals.torrents, taken_up.taken.peers, taken_up.totals.retained), (30, 135, 11));
    let names: Vec<_> = nodes.lock().all().map(|(_, name)| name.to_owned()).collect();
    assert_eq!(names, ["ams-1", "fra-1"]);
    let shared = shared(&engine, &nodes);
    let of =
        |node: &str| shared.iter().filter(|((_, name), _)| name == node).map(|(_, told)| told.0).sum::<u32>();
    assert_eq!((of("ams-1"), of("fra-1")), (2_520, 549));
    assert_eq!(engine.scrape(&InfoHash([20; 20])).downloaded, 1000 + 20 + 120 + 60);
}
