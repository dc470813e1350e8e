//! Nodes with the real engine and the real state machine, on a clock and a network that are simulated.

use crate::{
    process::Process,
    scenario::{Fault, Scenario, Step},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    rc::Rc,
};
use tracker_core::{engine::Engine, model::InfoHash, rng::Rng};
use tracker_user::cluster::{Channel, node::To, tally::Tally};

/// Milliseconds from one tick to the next.
pub(crate) const TICK_MS: u64 = 100;
/// How long a node that starts waits for others before it serves clients, as `cluster.join_timeout` is by default.
const JOIN_MS: u64 = 10_000;
/// When it begins, in nanoseconds since 1970.
const EPOCH_NS: u64 = 1_790_000_000_000_000_000;
/// Torrents have these info hashes.
pub(crate) fn info_hash(torrent: u8) -> InfoHash {
    let mut bytes = [torrent; 20];
    bytes[0] = torrent.wrapping_mul(41);
    InfoHash(bytes)
}

/// A bug that is planted, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// What is sent again passes for what is sent now.
    FreshReplays,
    /// Nobody asks for what is missing.
    NoRepair,
}

/// A message on its way.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct OnItsWay {
    at_ms: u64,
    /// In the order of sending, among those that arrive at once.
    number: u64,
    from: usize,
    to: usize,
    kind: u8,
    bytes: Rc<[u8]>,
}

/// All of it.
pub(crate) struct World {
    scenario: Scenario,
    planted: Option<Planted>,
    rng: Rng,
    now_ms: u64,
    processes: Vec<Option<Process>>,
    /// What nodes wrote down.
    saved: Vec<Option<crate::process::Saved>>,
    boots: u64,
    on_their_way: BinaryHeap<Reverse<OnItsWay>>,
    number: u64,
    /// On which side of a partition each node is.
    sides: Vec<bool>,
    /// Messages to each node that are lost, of a thousand.
    deaf: Vec<usize>,
    server_is_up: bool,
    /// What nobody sent again, at processes that ended; and processes that began with what a file had.
    gaps: u64,
    loaded: u64,
}

impl World {
    pub(crate) fn new(scenario: &Scenario, planted: Option<Planted>) -> Self {
        let nodes = scenario.nodes;
        let mut world = Self {
            scenario: scenario.clone(),
            planted,
            rng: Rng::new([scenario.seed, 7]),
            now_ms: 0,
            processes: (0..nodes).map(|_| None).collect(),
            saved: (0..nodes).map(|_| None).collect(),
            boots: 0,
            on_their_way: BinaryHeap::new(),
            number: 0,
            // The last one is the stranger's, who is everywhere.
            sides: vec![false; nodes + 1],
            deaf: vec![0; nodes],
            server_is_up: true,
            gaps: 0,
            loaded: 0,
        };
        (0..nodes).for_each(|at| world.start(at));
        world
    }

    pub(crate) const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// What the clock of a node shows.
    fn clock_ns(&self, at: usize) -> u64 {
        let ahead_ms = self.scenario.clocks_ms.get(at).copied().unwrap_or_default();
        EPOCH_NS + self.now_ms.saturating_add_signed(ahead_ms + 10_000) * 1_000_000
    }

    fn clock_s(&self, at: usize) -> u32 {
        (self.clock_ns(at) / 1_000_000_000) as u32
    }

    fn start(&mut self, at: usize) {
        self.boots += 1;
        let seed = [self.scenario.seed ^ self.boots << 32, at as u64];
        let mut process = Process::new(at, self.boots, seed, &self.scenario, self.now_ms);
        if let Some(saved) = self.saved[at].take() {
            self.loaded += 1;
            process.load(&saved, self.clock_s(at));
        }
        process.begin(self.clock_ns(at));
        self.processes[at] = Some(process);
    }

    /// The engine of a node that serves clients now.
    pub(crate) fn serving(&self, at: usize) -> Option<&Engine> {
        let process = self.processes[at].as_ref().filter(|process| !process.frozen)?;
        let serves = process.node().is_joined() || self.now_ms - process.started_ms >= JOIN_MS;
        serves.then_some(process.engine())
    }

    /// Does a step; whether an announce was answered.
    pub(crate) fn step(&mut self, step: &Step) -> bool {
        match step {
            Step::Announce { node, torrent, peer, event, left } => {
                let now = self.clock_s(*node);
                let Some(engine) = self.serving(*node) else { return false };
                crate::process::announce(engine, info_hash(*torrent), [10, 0, 0, *peer], *event, *left, now)
            }
            Step::Fault(fault) => {
                self.fault(*fault);
                true
            }
        }
    }

    fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Partition(sides) => {
                for (at, side) in self.sides.iter_mut().enumerate() {
                    *side = sides >> (at % 64) & 1 == 1;
                }
            }
            Fault::Heal => self.sides.fill(false),
            Fault::Save(at) => {
                let now = self.clock_s(at);
                self.saved[at] = self.processes[at].as_ref().map(|process| process.save(now));
            }
            Fault::Kill(at) => {
                if let Some(process) = self.processes[at].take() {
                    self.gaps += gaps(&process);
                }
            }
            Fault::Restart(at) => {
                if self.processes[at].is_none() {
                    self.start(at);
                }
            }
            Fault::Freeze(at) | Fault::Thaw(at) => {
                if let Some(process) = &mut self.processes[at] {
                    process.frozen = matches!(fault, Fault::Freeze(_));
                }
            }
            Fault::Deaf(at, permille) => self.deaf[at] = permille,
            Fault::ServerDown => self.server_is_up = false,
            Fault::ServerUp => {
                self.server_is_up = true;
                for at in 0..self.processes.len() {
                    let now_ns = self.clock_ns(at);
                    if let Some(process) = &mut self.processes[at] {
                        process.node_mut().connected(now_ns);
                    }
                }
            }
            Fault::Calm => self.scenario.network = Default::default(),
        }
    }

    /// Lets a tick pass.
    pub(crate) fn tick(&mut self) {
        self.now_ms += TICK_MS;
        while let Some(Reverse(first)) = self.on_their_way.peek()
            && first.at_ms <= self.now_ms
            && let Some(Reverse(message)) = self.on_their_way.pop()
        {
            self.arrive(&message);
        }
        for at in 0..self.processes.len() {
            let now_ns = self.clock_ns(at);
            if let Some(process) = self.processes[at].as_mut().filter(|process| !process.frozen) {
                process.tick(now_ns, self.scenario.expires());
                self.send(at);
            }
        }
        if let Some(stranger) = self.scenario.stranger {
            let (nodes, now_ns) = (self.processes.len(), self.clock_ns(self.processes.len()));
            for (kind, message) in stranger.sends(&mut self.rng, now_ns) {
                let message: Rc<[u8]> = message.into();
                match kind {
                    2 => {
                        let to = self.rng.below(nodes);
                        self.post(nodes, to, kind, &message);
                    }
                    _ => self.send_to_all(nodes, kind, &message),
                }
            }
        }
    }

    fn arrive(&mut self, OnItsWay { from, to, kind, bytes, .. }: &OnItsWay) {
        let now_ns = self.clock_ns(*to);
        let name = match self.scenario.stranger {
            Some(stranger) if *from == self.processes.len() => stranger.name().into(),
            _ => format!("n{from}"),
        };
        if !self.server_is_up || self.sides[*from] != self.sides[*to] && *from < self.processes.len() {
            return;
        }
        // A server gives up whoever takes nothing.
        let Some(process) = self.processes[*to].as_mut().filter(|process| !process.frozen) else { return };
        let channel = [Channel::Changes, Channel::Alive, Channel::Direct][usize::from(*kind)];
        process.receive(&name, channel, bytes, now_ns);
        self.send(*to);
    }

    fn send(&mut self, from: usize) {
        let Some(process) = &mut self.processes[from] else { return };
        process.node_mut().effects.clear();
        for (to, message) in std::mem::take(&mut process.node_mut().out) {
            let mut message: Rc<[u8]> = message[..].into();
            let kind = match &to {
                To::Changes => 0,
                To::Alive => 1,
                To::Node(_) => 2,
            };
            match self.planted {
                Some(Planted::NoRepair) if matches!(message.get(1), Some(3 | 5)) => continue,
                // The time in a message of changes, behind the version, the kind, the boot and the sequence.
                Some(Planted::FreshReplays) if kind == 2 && message.get(1) == Some(&1) => {
                    let mut fresh = message.to_vec();
                    fresh[18..26].copy_from_slice(&self.clock_ns(from).to_le_bytes());
                    message = fresh.into();
                }
                _ => {}
            }
            match to {
                To::Changes | To::Alive => self.send_to_all(from, kind, &message),
                To::Node(name) => {
                    let number = name.strip_prefix('n').and_then(|number| number.parse().ok());
                    if let Some(to) = number.filter(|to| *to < self.processes.len()) {
                        self.post(from, to, kind, &message);
                    }
                }
            }
        }
    }

    fn send_to_all(&mut self, from: usize, kind: u8, message: &Rc<[u8]>) {
        for to in (0..self.processes.len()).filter(|to| *to != from) {
            self.post(from, to, kind, message);
        }
    }

    fn post(&mut self, from: usize, to: usize, kind: u8, message: &Rc<[u8]>) {
        let network = self.scenario.network;
        if !self.server_is_up || self.sides[from] != self.sides[to] && from < self.processes.len() {
            return;
        }
        let copies = 1 + usize::from(self.rng.below(1000) < network.duplicated_permille);
        for copy in 0..copies {
            if self.rng.below(1000) < network.lost_permille.max(self.deaf[to]) {
                continue;
            }
            let most_ms = network.delay_ms + if copy > 0 { network.second_ms } else { 0 };
            let at_ms = self.now_ms + 1 + self.rng.below(most_ms + 1) as u64;
            self.number += 1;
            let (number, bytes) = (self.number, message.clone());
            self.on_their_way.push(Reverse(OnItsWay { at_ms, number, from, to, kind, bytes }));
        }
    }

    /// What a node knows of a torrent, if it runs: the last byte of each peer's address, whether it is a seeder, and downloads.
    pub(crate) fn knows(&self, at: usize, torrent: u8) -> Option<(BTreeMap<u8, bool>, u32)> {
        let process = self.processes[at].as_ref()?;
        Some(process.knows(&info_hash(torrent), self.clock_s(at)))
    }

    /// What a node knows of the client that is about to announce to it.
    pub(crate) fn knows_announcer(&self, step: &Step) -> Option<bool> {
        let Step::Announce { node, torrent, peer, .. } = step else { return None };
        self.knows(*node, *torrent)?.0.get(peer).copied()
    }

    /// Whether nodes had to learn by other ways than what is sent again: then they may know of peers that went, until these expire.
    pub(crate) fn told_by_walks(&self) -> bool {
        self.loaded + self.gaps + self.processes.iter().flatten().map(gaps).sum::<u64>() > 0
    }

    /// All that a node has counted.
    pub(crate) fn tally(&self, at: usize) -> Option<Tally> {
        self.processes[at].as_ref().map(|process| *process.node().tally())
    }
}

/// How often a process had to learn by other ways than what is sent again, or by a walk of which the end never came.
fn gaps(process: &Process) -> u64 {
    let tally = process.node().tally();
    tally.gaps + tally.walks_failed
}
