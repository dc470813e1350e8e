//! Any bytes from another node: as a relay for a client of this one, and as records of WebRTC peers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::sync::LazyLock;
use tracker_common::address::Address;
use tracker_core::{
    engine::{ConnectionKey, Cursor, Engine},
    model::{InfoHash, PeerId},
    nodes::NodeNumber,
    policy::Policy,
    records::{WebrtcItem, WebrtcReader, WebrtcWriter},
    rng::Rng,
    ws::{Connection, Far, FarKind, Outbox, Settings, Tickets},
};

const NOW: u32 = 1_700_000_000;
const SECRET: [u64; 2] = [5, 6];

/// The peer that relays are for.
const WAITS: &str =
    r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"wwwwwwwwwwwwwwwwwwww"}"#;

static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| Engine::new(Policy { max_peers: 100, max_torrents: 10, ..Policy::default() }, [1, 2]));

fuzz_target!(|data: &[u8]| {
    let (engine, settings) = (&*ENGINE, Settings::default());
    let node = NodeNumber::new(3).expect("small");
    let mut client = Connection::new(ConnectionKey(1), Address::from_ipv4([10, 0, 0, 1]), SECRET);
    let (mut rng, mut out) = (Rng::new([3, 4]), Outbox::default());
    client.receive(WAITS, engine, &settings, u64::from(NOW) * 1_000_000_000, &mut rng, &mut out);

    if let Ok(far) = Far::decode(data) {
        assert_eq!(far.encode(), data);
        // To the peer that is there: whatever it gets is JSON of the form that it expects.
        let far = Far { info_hash: InfoHash([b'a'; 20]), to: PeerId([b'w'; 20]), ..far };
        let arrived = far.arrive(node, engine, &Tickets::new(SECRET));
        assert_eq!(arrived.is_some(), far.kind == FarKind::Offer, "an answer to nothing");
        if let Some((to, relay)) = arrived {
            assert_eq!(to, ConnectionKey(1));
            let text = client.deliver(relay, &settings, NOW);
            let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert_eq!(value.as_object().map(serde_json::Map::len), Some(5));
            assert!(value["offer"].is_object());
        }
    }

    let (mut writer, mut torrent) = (WebrtcWriter::default(), InfoHash([0; 20]));
    for item in WebrtcReader::new(data).map_while(Result::ok) {
        match item {
            WebrtcItem::Torrent(info_hash) => {
                writer.torrent(info_hash);
                torrent = info_hash;
            }
            WebrtcItem::Peer(peer) => {
                writer.peer(&peer);
                _ = engine.import_webrtc(&torrent, &[peer], node, NOW);
            }
        }
    }
    assert!(engine.peers() <= 100);
    // What was read and written again reads the same.
    let written = writer.take();
    let mut again = WebrtcWriter::default();
    for item in WebrtcReader::new(&written) {
        match item.expect("what was written reads") {
            WebrtcItem::Torrent(info_hash) => again.torrent(info_hash),
            WebrtcItem::Peer(peer) => again.peer(&peer),
        }
    }
    assert_eq!(again.take(), written);

    client.close(engine, NOW);
    let mut cursor = Cursor::default();
    while !engine.forget_nodes(&[node], &mut cursor, NOW, usize::MAX).ended {}
    assert_eq!(engine.totals().torrents, 0);
});
