//! Any bytes as records: read without a panic, taken in without harm, and written again as they were.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracker_core::{
    engine::{CountedBy, Cursor, Engine, Listener},
    policy::Policy,
    records::{PeerRecord, Reader, Record, RecordWriter, TorrentRecord, WalkWriter},
};

const NOW: u32 = 1_700_000_000;

fuzz_target!(|data: &[u8]| {
    let policy = Policy { max_peers: 100, max_torrents: 10, ..Policy::default() };
    let engine = Engine::new(policy.clone(), [1, 2]);
    engine.listen(Listener::Successor, 50);
    engine.listen(Listener::Cluster, 50);
    let mut writer = RecordWriter::default();
    let mut torrent: Option<(TorrentRecord, Vec<PeerRecord>)> = None;
    let take_in = |torrent: Option<(TorrentRecord, Vec<PeerRecord>)>| {
        if let Some((torrent, peers)) = torrent {
            _ = engine.import(&torrent, &peers, NOW, CountedBy::Own);
        }
    };
    for record in Reader::new(data).map_while(Result::ok) {
        match record {
            Record::Torrent(next) => {
                writer.torrent(next);
                take_in(torrent.replace((next, Vec::new())));
            }
            Record::Peer(peer) => {
                writer.peer(&peer);
                if let Some((_, peers)) = &mut torrent {
                    peers.push(peer);
                }
            }
        }
    }
    take_in(torrent);
    assert!(engine.totals().peers.iter().flatten().sum::<usize>() <= 100);

    // What was read and written again reads the same, once torrents in pieces have been put together.
    let written = writer.take();
    let mut again = RecordWriter::default();
    for record in Reader::new(&written) {
        match record.expect("what was written reads") {
            Record::Torrent(torrent) => again.torrent(torrent),
            Record::Peer(peer) => again.peer(&peer),
        }
    }
    assert_eq!(again.take(), written);

    // What the engine took makes another one that holds as much.
    let (mut cursor, mut walk) = (Cursor::default(), WalkWriter::default());
    while !engine.walk(&mut cursor, NOW, 1000, &mut walk).ended {}
    let copy = Engine::new(Policy { max_peers: usize::MAX, ..policy }, [3, 4]);
    let mut torrent: Option<(TorrentRecord, Vec<PeerRecord>)> = None;
    for record in Reader::new(&walk.take()) {
        match record.expect("a walk writes records") {
            Record::Torrent(next) => {
                if let Some((torrent, peers)) = torrent.replace((next, Vec::new())) {
                    copy.import(&torrent, &peers, NOW, CountedBy::Own).expect("there is room");
                }
            }
            Record::Peer(peer) => torrent.as_mut().expect("a torrent comes first").1.push(peer),
        }
    }
    if let Some((torrent, peers)) = torrent {
        copy.import(&torrent, &peers, NOW, CountedBy::Own).expect("there is room");
    }
    assert_eq!(copy.totals().peers, engine.totals().peers);
});
