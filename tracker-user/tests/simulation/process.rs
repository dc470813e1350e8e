//! A process of a node: an engine, and the state machine on top of it.

use crate::scenario::Scenario;
use parking_lot::Mutex;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};
use tracker_core::{
    engine::{Announce, CountedBy, Cursor, Engine, Known, Lists, Place, Seen, Verdict, Visitor, Want},
    model::{Counts, Event, InfoHash, Role, Seconds},
    nodes::Nodes,
    policy::Policy,
    records::WalkWriter,
    rng::Rng,
};
use tracker_user::{
    cluster::{
        Channel,
        node::{Node, Settings},
    },
    swarms::take_in::TakeIn,
};

/// What a process wrote down, and when.
pub(crate) struct Saved {
    records: Vec<u8>,
    shares: Vec<(String, Vec<u8>)>,
    at: Seconds,
}

/// A process of a node.
pub(crate) struct Process {
    settings: Settings,
    names: Arc<Mutex<Nodes>>,
    engine: Arc<Engine>,
    seed: [u64; 2],
    node: Option<Node>,
    pub(crate) started_ms: u64,
    pub(crate) frozen: bool,
}

impl Process {
    pub(crate) fn new(at: usize, boot: u64, seed: [u64; 2], scenario: &Scenario, started_ms: u64) -> Self {
        let policy = Policy { peer_timeout: scenario.peer_timeout_s, ..Policy::default() };
        let settings = Settings {
            name: format!("n{at}").into(),
            boot,
            release: "simulated",
            succeeds: false,
            max_nodes: 256,
            max_replay: scenario.max_replay,
            max_records_per_second: 1_000_000,
            max_relays_per_second: 1000,
        };
        let (engine, names) = (Arc::new(Engine::new(policy, seed)), Arc::default());
        Self { settings, names, engine, seed, node: None, started_ms, frozen: false }
    }

    /// Takes in what a process before it wrote down.
    pub(crate) fn load(&mut self, saved: &Saved, now: Seconds) {
        let since = now - saved.at;
        let mut take_in = TakeIn::new(&self.engine, now);
        take_in.records(&saved.records, since, CountedBy::Own).unwrap();
        for (name, records) in &saved.shares {
            let number = self.names.lock().number(name).unwrap();
            take_in.records(records, since, CountedBy::Node(number)).unwrap();
        }
    }

    /// Begins to be a node.
    pub(crate) fn begin(&mut self, now_ns: u64) {
        let rng = Rng::new(self.seed);
        let mut node = Node::new(self.settings.clone(), self.engine.clone(), self.names.clone(), rng);
        node.connected(now_ns);
        self.node = Some(node);
    }

    /// Writes down what it knows.
    pub(crate) fn save(&self, now: Seconds) -> Saved {
        let (mut cursor, mut writer) = (Cursor::default(), WalkWriter::default());
        while !self.engine.walk(&mut cursor, now, 8192, &mut writer).ended {}
        let names = self.names.lock();
        let shares =
            writer.take_shares().map(|(node, shares)| (names.name(node).unwrap().to_owned(), shares));
        Saved { shares: shares.collect(), records: writer.take(), at: now }
    }

    pub(crate) fn node(&self) -> &Node {
        self.node.as_ref().unwrap()
    }

    pub(crate) fn node_mut(&mut self) -> &mut Node {
        self.node.as_mut().unwrap()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn tick(&mut self, now_ns: u64, expires: bool) {
        self.node_mut().tick(now_ns);
        if expires && (now_ns / 100_000_000).is_multiple_of(10) {
            self.engine.sweep((now_ns / 1_000_000_000) as u32, 1 << 20);
        }
        while self.node_mut().work(now_ns) {}
    }

    pub(crate) fn receive(&mut self, from: &str, channel: Channel, bytes: &[u8], now_ns: u64) {
        self.node_mut().receive(from, channel, bytes, now_ns);
        while self.node_mut().work(now_ns) {}
    }

    /// The last byte of the address of each peer of a torrent, and whether it is a seeder; and the torrent's downloads.
    pub(crate) fn knows(&self, info_hash: &InfoHash, now: Seconds) -> (BTreeMap<u8, bool>, u32) {
        let mut peers = Peers::default();
        self.engine.visit(info_hash, now, usize::MAX, &mut peers);
        (peers.0, self.engine.scrape(info_hash).downloaded)
    }
}

/// A client announces; whether it was answered.
pub(crate) fn announce(
    engine: &Engine,
    info_hash: InfoHash,
    address: [u8; 4],
    event: Event,
    left: u64,
    now: Seconds,
) -> bool {
    let address = IpAddr::from(address).into();
    let announce = Announce { info_hash, address, port: 6881, event, left, want: Want::Own(0) };
    engine.announce(&announce, now, &mut Rng::new([1, 2]), &mut Lists::default()).is_ok()
}

#[derive(Default)]
struct Peers(BTreeMap<u8, bool>);

impl Visitor for Peers {
    fn torrent(&mut self, _: &InfoHash, _: &Counts, _: bool) -> Verdict {
        Verdict::Keep
    }

    fn peer(&mut self, peer: &Seen<'_>) -> Verdict {
        let Known { role, .. } = peer.known();
        if let Place::At(address, _) = peer.place() {
            self.0.insert(address.ipv4_bytes()[3], role == Role::Seeder);
        }
        Verdict::Keep
    }
}
