//! A few nodes whose messages go straight from one to the other.

use crate::cluster::{
    Channel,
    node::{Effect, Node, Settings, To},
};
use parking_lot::Mutex;
use std::{net::IpAddr, sync::Arc};
use tracker_core::{
    engine::{Announce, ConnectionKey, Engine, Lists, Want, WebrtcAnnounce},
    model::{Counts, Event, InfoHash, PeerId},
    nodes::Nodes,
    policy::Policy,
    rng::Rng,
};

pub(super) const SECOND: u64 = 1_000_000_000;
pub(super) const TICK: u64 = SECOND / 10;

/// Nodes, and what holds their messages up.
pub(super) struct House {
    pub(super) nodes: Vec<(Box<str>, Node)>,
    pub(super) now_ns: u64,
    /// Nothing comes to or from these.
    pub(super) cut: Vec<usize>,
    /// How far the clock of each node is ahead.
    pub(super) ahead_ns: Vec<u64>,
    /// Whatever was done about effects.
    pub(super) effects: Vec<(usize, Effect)>,
}

pub(super) fn settings(name: &str, boot: u64) -> Settings {
    Settings {
        name: name.into(),
        boot,
        release: "test",
        succeeds: false,
        max_nodes: 16,
        max_replay: 1 << 20,
        max_records_per_second: 100_000,
        max_relays_per_second: 100,
    }
}

pub(super) fn node(settings: Settings) -> Node {
    let seed = [settings.boot, 1];
    let engine = Engine::new(Policy::default(), seed);
    Node::new(settings, Arc::new(engine), Arc::<Mutex<Nodes>>::default(), Rng::new(seed))
}

impl House {
    pub(super) fn new(names: &[&str]) -> Self {
        let mut house = Self {
            nodes: Vec::new(),
            now_ns: 1_000_000 * SECOND,
            cut: Vec::new(),
            ahead_ns: Vec::new(),
            effects: Vec::new(),
        };
        for (at, name) in names.iter().enumerate() {
            house.add(settings(name, at as u64 + 1));
        }
        house
    }

    pub(super) fn add(&mut self, settings: Settings) -> usize {
        let (name, mut node) = (settings.name.clone(), node(settings));
        node.connected(self.now_ns);
        self.nodes.push((name, node));
        self.nodes.len() - 1
    }

    pub(super) fn engine(&self, at: usize) -> &Engine {
        &self.nodes[at].1.engine
    }

    /// What the clock of a node shows.
    pub(super) fn clock_ns(&self, at: usize) -> u64 {
        self.now_ns + self.ahead_ns.get(at).copied().unwrap_or_default()
    }

    /// Lets so many tenths of a second pass.
    pub(super) fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.now_ns += TICK;
            for at in 0..self.nodes.len() {
                let now_ns = self.clock_ns(at);
                self.nodes[at].1.tick(now_ns);
            }
            while self.deliver() {}
        }
    }

    /// Sends what is to be sent, once. Whether there was anything.
    pub(super) fn deliver(&mut self) -> bool {
        let mut any = false;
        for at in 0..self.nodes.len() {
            let now_ns = self.clock_ns(at);
            any |= self.nodes[at].1.work(now_ns);
            let (name, node) = &mut self.nodes[at];
            let (name, out) = (name.clone(), std::mem::take(&mut node.out));
            self.effects.extend(node.effects.drain(..).map(|effect| (at, effect)));
            any |= !out.is_empty();
            if self.cut.contains(&at) {
                continue;
            }
            for (to, message) in out {
                for other in 0..self.nodes.len() {
                    let now_ns = self.clock_ns(other);
                    let (other_name, node) = &mut self.nodes[other];
                    let channel = match &to {
                        To::Changes => Channel::Changes,
                        To::Alive => Channel::Alive,
                        To::Node(to) if *to == *other_name => Channel::Direct,
                        To::Node(_) => continue,
                    };
                    if other != at && !self.cut.contains(&other) {
                        node.receive(&name, channel, &message, now_ns);
                    }
                }
            }
        }
        any
    }

    pub(super) fn announce(&self, at: usize, torrent: u8, peer: u8, event: Event, left: u64) {
        let address: IpAddr = [10, 0, 0, peer].into();
        let announce = Announce {
            info_hash: InfoHash([torrent; 20]),
            address: address.into(),
            port: 6881,
            event,
            left,
            want: Want::Own(0),
        };
        let now = (self.clock_ns(at) / SECOND) as u32;
        self.engine(at).announce(&announce, now, &mut Rng::new([1, 2]), &mut Lists::default()).unwrap();
    }

    /// A WebRTC client comes to a node.
    pub(super) fn announce_webrtc(&self, at: usize, torrent: u8, peer: u8) {
        let announce = WebrtcAnnounce {
            info_hash: InfoHash([torrent; 20]),
            peer_id: PeerId([peer; 20]),
            connection: ConnectionKey(u64::from(peer)),
            address: IpAddr::from([10, 0, 0, peer]).into(),
            event: Event::Started,
            left: 5,
            partners: 0,
        };
        let now = (self.clock_ns(at) / SECOND) as u32;
        let partners = &mut Vec::new();
        self.engine(at).announce_webrtc(&announce, now, &mut Rng::new([1, 2]), partners).unwrap();
    }

    pub(super) fn counts(&self, torrent: u8) -> Vec<(u32, u32, u32)> {
        let of = |(_, node): &(Box<str>, Node)| {
            let Counts { complete, incomplete, downloaded, .. } =
                node.engine.scrape(&InfoHash([torrent; 20]));
            (complete, incomplete, downloaded)
        };
        self.nodes.iter().map(of).collect()
    }

    pub(super) fn warnings(&self) -> Vec<&str> {
        let text = |(_, effect): &'_ (usize, Effect)| matches!(effect, Effect::Warn(_));
        let of = self.effects.iter().filter(|effect| text(effect));
        of.filter_map(|(_, effect)| if let Effect::Warn(line) = effect { Some(line.as_str()) } else { None })
            .collect()
    }
}
