//! The swarm rules told a second time, as plainly as possible, and a run of operations through both tellings.
//!
//! Shared by the property test and the fuzz target.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is what this is for")]

mod elsewhere;
mod webrtc;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use tracker_common::address::Address;
use tracker_core::{
    access::{AccessList, Mode},
    engine::{Announce, Announced, ConnectionKey, Engine, Listener, Lists, Membership, Rejected, Want},
    model::{Counts, Event, InfoHash, Network, PeerId, Role, Seconds},
    policy::Policy,
    rng::Rng,
};

/// A step; the small numbers choose among few, so that the same ones meet often.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Announce {
        torrent: u8,
        peer: u16,
        event: u8,
        left: u8,
        want: u8,
        both: bool,
    },
    Webrtc {
        torrent: u8,
        peer: u8,
        connection: u8,
        event: u8,
        left: u8,
        want: u8,
    },
    Leave {
        torrent: u8,
        peer: u8,
        connection: u8,
    },
    /// A node tells of a peer.
    Import {
        torrent: u8,
        peer: u8,
        node: u8,
        age: u16,
        kind: u8,
    },
    /// A node is lost.
    Forget {
        node: u8,
    },
    Close {
        connection: u8,
    },
    Scrape {
        torrent: u8,
    },
    Advance {
        seconds: u16,
    },
    Sweep {
        budget: u16,
    },
    Allow {
        mode: u8,
        torrents: u8,
    },
    Limit {
        peers: u8,
        torrents: u8,
        per_address: u8,
    },
}

#[derive(Clone, Copy, Debug)]
struct Member {
    role: Role,
    heard: Seconds,
    counted: bool,
    address: IpAddr,
    connection: Option<ConnectionKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    At(IpAddr, u16),
    Named(PeerId),
}

impl Member {
    fn is_elsewhere(&self) -> bool {
        self.connection.is_some_and(|key| key.0 > u64::MAX / 2)
    }
}

impl Key {
    fn network(self) -> Network {
        match self {
            Self::At(IpAddr::V4(_), _) => Network::Ipv4,
            Self::At(IpAddr::V6(_), _) => Network::Ipv6,
            Self::Named(_) => Network::Webrtc,
        }
    }
}

/// What an announce says of its sender, however it came.
#[derive(Clone, Copy, Debug)]
struct Saying {
    info_hash: InfoHash,
    me: Key,
    address: IpAddr,
    connection: Option<ConnectionKey>,
    event: Event,
    left: u64,
}

impl Saying {
    fn role(&self) -> Role {
        if self.event == Event::Paused {
            Role::PartialSeed
        } else if self.left == 0 {
            Role::Seeder
        } else {
            Role::Leecher
        }
    }
}

#[derive(Debug, Default)]
struct Swarm {
    downloaded: u32,
    peers: BTreeMap<Key, Member>,
}

impl Swarm {
    fn counts(&self) -> Counts {
        let of = |role| self.peers.values().filter(|member| member.role == role).count() as u32;
        let (complete, incomplete) = (of(Role::Seeder), of(Role::Leecher) + of(Role::PartialSeed));
        Counts { complete, incomplete, downloaders: of(Role::Leecher), downloaded: self.downloaded }
    }

    /// Who may be handed to the sender of an announce, of one network.
    fn eligible(&self, saying: &Saying, network: Network) -> HashSet<Key> {
        let eligible = self.peers.iter().filter(|(key, member)| {
            let useful = saying.role() == Role::Leecher || member.role == Role::Leecher;
            saying.event != Event::Stopped && **key != saying.me && key.network() == network && useful
        });
        eligible.map(|(key, _)| *key).collect()
    }
}

/// An engine and its naive twin.
pub(crate) struct Twins {
    engine: Engine,
    rng: Rng,
    policy: Policy,
    access: (Mode, u8),
    now: Seconds,
    swarms: BTreeMap<InfoHash, Swarm>,
    retained: VecDeque<(InfoHash, u32, Seconds)>,
    /// When nodes said that peers of theirs had gone, where somebody listens.
    gone: Option<HashMap<(InfoHash, PeerId, u8), Seconds>>,
    announces: u32,
}

fn info_hash(torrent: u8) -> InfoHash {
    InfoHash([torrent % 8; 20])
}

fn place(peer: u16) -> (IpAddr, u16) {
    let host = (peer >> 2) as u8 % 64;
    let port = 1 + (peer >> 8 & 3);
    match peer & 3 {
        0 => {
            let (subnet, host) = (u16::from(host) / 4, u16::from(host) + 1);
            (IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, subnet, 0, 0, 0, host)), port)
        }
        _ => (IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), port),
    }
}

/// What a limit on one client counts by.
fn network(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets()[..8].to_vec(),
    }
}

fn event(number: u8) -> Event {
    [Event::None, Event::Started, Event::Completed, Event::Stopped, Event::Paused][usize::from(number) % 5]
}

impl Twins {
    pub(crate) fn new(seed: [u64; 2]) -> Self {
        // No share of the retained counts is kept by time here, only the newest few.
        // An engine finds peers by network only if there is a limit on them from the beginning.
        let peers_per_address = (seed[0] % 2 == 1).then_some(20);
        let policy =
            Policy { peer_timeout: 600, downloaded_entries: 3, peers_per_address, ..Policy::default() };
        let engine = Engine::new(policy.clone(), seed);
        // That somebody listens changes nothing else, overflow or not.
        let [successor, cluster] = [seed[1] % 2 == 1, seed[1] % 4 > 1];
        engine.listen(Listener::Successor, if successor { 10 } else { 0 });
        engine.listen(Listener::Cluster, if cluster { 10 } else { 0 });
        let listens = successor || cluster;
        Self {
            engine,
            rng: Rng::new(seed),
            policy,
            access: (Mode::Off, 0),
            now: 1_700_000_000,
            swarms: BTreeMap::new(),
            retained: VecDeque::new(),
            gone: listens.then(HashMap::new),
            announces: 0,
        }
    }

    pub(crate) fn run(&mut self, op: Op) {
        match op {
            Op::Announce { torrent, peer, event: number, left, want, both } => {
                let (ip, port) = place(peer);
                self.announce(&Announce {
                    info_hash: info_hash(torrent),
                    address: Address::from(ip),
                    port,
                    event: event(number),
                    left: u64::from(left % 3),
                    want: if both { Want::Both(usize::from(want)) } else { Want::Own(usize::from(want)) },
                });
            }
            Op::Webrtc { torrent, peer, connection, event: number, left, want } => {
                self.announce_webrtc(torrent, peer, connection, event(number), left, want);
            }
            Op::Leave { torrent, peer, connection } => self.leave_webrtc(torrent, peer, connection),
            Op::Close { connection } => self.close(connection),
            Op::Import { torrent, peer, node, age, kind } => self.import(torrent, peer, node, age, kind),
            Op::Forget { node } => self.forget(node),
            Op::Scrape { torrent } => {
                let hash = info_hash(torrent);
                let expected = if self.permits(&hash) { self.counts(&hash) } else { Counts::default() };
                assert_eq!(self.engine.scrape(&hash), expected);
            }
            Op::Advance { seconds } => self.now += u32::from(seconds) % 700,
            Op::Sweep { budget } => self.sweep(usize::from(budget) % 3000),
            Op::Allow { mode, torrents } => self.set_access(mode, torrents),
            Op::Limit { peers, torrents, per_address } => {
                self.policy.max_peers_per_torrent = [0, 1, 5, 40, 1000][usize::from(peers) % 5];
                self.policy.max_torrents = [2, 5, 100][usize::from(torrents) % 3];
                self.policy.max_peers = [usize::MAX, 3, 33, 64, 200][usize::from(torrents) / 3 % 5];
                self.policy.peers_per_address = [None, None, Some(1), Some(2)][usize::from(per_address) % 4];
                self.engine.set_policy(self.policy.clone());
            }
        }
    }

    /// Lets everybody expire and checks that nothing is left.
    pub(crate) fn end(&mut self) {
        self.check_totals();
        for connection in 0..webrtc::CONNECTIONS {
            self.close(connection);
        }
        self.now += self.policy.peer_timeout;
        while !self.engine.sweep(self.now, 1000).cycle_ended {}
        while !self.engine.sweep(self.now, 1000).cycle_ended {}
        let totals = self.engine.totals();
        assert_eq!((totals.torrents, totals.peers), (0, [[0; 3]; 3]));
        assert!(totals.retained <= self.policy.downloaded_entries);
        assert_eq!(self.engine.swarm_sizes().peers, 0);
        self.now += self.policy.downloaded_retention;
        while !self.engine.sweep(self.now, 1000).cycle_ended {}
        while !self.engine.sweep(self.now, 1000).cycle_ended {}
        assert_eq!(self.engine.totals().retained, 0);
    }

    fn permits(&self, hash: &InfoHash) -> bool {
        let listed = self.access.1 >> hash.0[0] & 1 == 1;
        match self.access.0 {
            Mode::Off => true,
            Mode::Allow => listed,
            Mode::Deny => !listed,
        }
    }

    fn counts(&self, hash: &InfoHash) -> Counts {
        match self.swarms.get(hash) {
            Some(swarm) => swarm.counts(),
            None => {
                let kept = self.retained.iter().find(|(kept, ..)| kept == hash);
                Counts { downloaded: kept.map_or(0, |kept| kept.1), ..Counts::default() }
            }
        }
    }

    fn announce(&mut self, announce: &Announce) {
        let (mut ipv4, mut ipv6) = ([0xee; 6 * 70], [0xee; 18 * 40]);
        let mut lists = Lists { ipv4: &mut ipv4, ipv6: &mut ipv6 };
        let answer = self.engine.announce(announce, self.now, &mut self.rng, &mut lists);
        let me = Key::At(announce.address.to_ip(), announce.port);
        let Announce { info_hash, event, left, .. } = *announce;
        let saying =
            Saying { info_hash, me, address: announce.address.to_ip(), connection: None, event, left };
        let (membership, counts) = match self.told(&saying) {
            Ok(told) => told,
            Err(rejected) => return assert_eq!(answer, Err(rejected)),
        };
        let answer = answer.unwrap();
        assert_eq!((answer.membership, answer.counts), (membership, counts));
        self.check_lists(announce.want, &saying, &answer, &ipv4, &ipv6);
        self.finish(info_hash);
    }

    /// Announces naively, unless that is refused.
    fn told(&mut self, saying: &Saying) -> Result<(Membership, Counts), Rejected> {
        let hash = saying.info_hash;
        if !self.permits(&hash) {
            return Err(Rejected::NotPermitted);
        }
        if let Some(member) = self.swarms.get(&hash).and_then(|swarm| swarm.peers.get(&saying.me))
            && member.connection != saying.connection
            && !self.may_take_over(member, saying)
        {
            return Err(Rejected::PeerIdTaken);
        }
        let new_torrent = !self.swarms.contains_key(&hash);
        let nearly = self.policy.max_peers - self.policy.max_peers / 32;
        if new_torrent && saying.event != Event::Stopped && self.stored() >= nearly {
            return Err(Rejected::MemoryFull);
        }
        if new_torrent && saying.event != Event::Stopped && self.swarms.len() >= self.policy.max_torrents {
            return Err(Rejected::TooManyTorrents);
        }
        Ok(self.announce_naively(saying))
    }

    /// By another connection: from the same address, or from a node that has told nothing for long.
    fn may_take_over(&self, member: &Member, saying: &Saying) -> bool {
        match member.is_elsewhere() {
            true => self.now - member.heard >= self.policy.peer_timeout / 2,
            false => member.address == saying.address,
        }
    }

    fn stored(&self) -> usize {
        self.swarms.values().map(|swarm| swarm.peers.len()).sum()
    }

    /// After every announce.
    fn finish(&mut self, hash: InfoHash) {
        self.forget_if_empty(hash);
        self.announces += 1;
        // The totals of all shards take far longer to add up than an announce does.
        if self.announces.is_multiple_of(32) {
            self.check_totals();
        }
    }

    fn announce_naively(&mut self, saying: &Saying) -> (Membership, Counts) {
        let Saying { info_hash: hash, me, address, connection, event, .. } = *saying;
        let was_counted = self.give_up(saying);
        if event == Event::Stopped {
            let known = self.swarms.get_mut(&hash).is_some_and(|swarm| swarm.peers.remove(&me).is_some());
            return (if known { Membership::Removed } else { Membership::Absent }, self.counts(&hash));
        }
        let stored = self.stored();
        self.begin(hash);
        let swarm = self.swarms.get_mut(&hash).unwrap();
        let role = saying.role();
        let completed = role == Role::Seeder && event == Event::Completed && !was_counted;
        if let Some(member) = swarm.peers.get_mut(&me) {
            if completed && member.role != Role::Seeder && !member.counted {
                swarm.downloaded += 1;
                member.counted = true;
            }
            (member.role, member.heard, member.connection) = (role, self.now, connection);
            return (Membership::Refreshed, swarm.counts());
        }
        if swarm.peers.len() >= self.policy.max_peers_per_torrent {
            return (Membership::TorrentFull, swarm.counts());
        }
        let sharing =
            swarm.peers.values().filter(|member| network(member.address) == network(address)).count();
        if self.policy.peers_per_address.is_some_and(|limit| sharing >= limit as usize) {
            return (Membership::AddressFull, swarm.counts());
        }
        if stored >= self.policy.max_peers {
            return (Membership::MemoryFull, swarm.counts());
        }
        let counted = completed || was_counted;
        swarm.peers.insert(me, Member { role, heard: self.now, counted, address, connection });
        swarm.downloaded += u32::from(completed);
        (Membership::Added, swarm.counts())
    }

    /// Removes a peer that another node holds; says whether its download is counted.
    fn give_up(&mut self, saying: &Saying) -> bool {
        let Some(swarm) = self.swarms.get_mut(&saying.info_hash) else { return false };
        let held = swarm.peers.get(&saying.me).filter(|member| member.is_elsewhere()).copied();
        held.is_some_and(|held| {
            swarm.peers.remove(&saying.me);
            held.counted
        })
    }

    /// Begins a torrent that is not there, with what was kept of it.
    fn begin(&mut self, hash: InfoHash) {
        if !self.swarms.contains_key(&hash) {
            let kept = self.retained.iter().position(|(kept, ..)| *kept == hash);
            // Its place in the order stays taken, as an entry that can be forgotten.
            let downloaded = kept.map_or(0, |i| std::mem::take(&mut self.retained[i].1));
            if let Some(i) = kept {
                self.retained[i].0 = InfoHash([0xff; 20]);
            }
            self.swarms.insert(hash, Swarm { downloaded, ..Swarm::default() });
        }
    }

    fn forget_if_empty(&mut self, hash: InfoHash) {
        if self.swarms.get(&hash).is_some_and(|swarm| swarm.peers.is_empty()) {
            let swarm = self.swarms.remove(&hash).unwrap();
            if swarm.downloaded > 0 {
                self.retained.push_back((hash, swarm.downloaded, self.now));
                while self.retained.len() > self.policy.downloaded_entries {
                    self.retained.pop_front();
                }
            }
        }
    }

    fn check_lists(&self, want: Want, saying: &Saying, answer: &Announced, ipv4: &[u8], ipv6: &[u8]) {
        let none = Swarm::default();
        let swarm = self.swarms.get(&saying.info_hash).unwrap_or(&none);
        let own = saying.me.network();
        let other = if own == Network::Ipv4 { Network::Ipv6 } else { Network::Ipv4 };
        // Places are taken one by one: the own family's first, up to those kept for the other one.
        let most = |network| {
            swarm.eligible(saying, network).len().min(if network == Network::Ipv4 { 70 } else { 40 })
        };
        let (most_own, most_other) = (most(own), most(other));
        let (mut from_own, mut from_other) = (0, 0);
        match want {
            Want::Own(want) => from_own = want.min(most_own),
            Want::Both(want) => {
                let kept = if want == 1 { 0 } else { want.div_ceil(4) };
                for _ in 0..want {
                    if from_own < most_own && (from_own < want - kept || most_other < want - from_own) {
                        from_own += 1;
                    } else if from_other < most_other {
                        from_other += 1;
                    }
                }
            }
        }
        for (network, count, bytes) in
            [(Network::Ipv4, answer.ipv4_peers, ipv4), (Network::Ipv6, answer.ipv6_peers, ipv6)]
        {
            let size = if network == Network::Ipv4 { 6 } else { 18 };
            let eligible = swarm.eligible(saying, network);
            assert_eq!(count, if network == own { from_own } else { from_other }, "{network:?} {saying:?}");
            let given: HashSet<Key> = bytes[..count * size]
                .chunks(size)
                .map(|entry| {
                    let (address, port) = entry.split_at(size - 2);
                    let ip = match <[u8; 4]>::try_from(address) {
                        Ok(four) => IpAddr::from(four),
                        Err(_) => IpAddr::from(<[u8; 16]>::try_from(address).unwrap()),
                    };
                    Key::At(ip, u16::from_be_bytes([port[0], port[1]]))
                })
                .collect();
            assert_eq!(given.len(), count, "a peer came twice");
            assert!(given.is_subset(&eligible), "{given:?} of {eligible:?}");
            assert!(bytes[count * size..].iter().all(|&byte| byte == 0xee), "written beyond the list");
        }
    }

    /// Which peers a slice reaches is the engine's own affair, so whole cycles are compared, and of part of one only
    /// that it removes nothing but what is old.
    fn sweep(&mut self, budget: usize) {
        self.engine.sweep(self.now, budget);
        while !self.engine.sweep(self.now, 500).cycle_ended {}
        while !self.engine.sweep(self.now, 2000).cycle_ended {}
        let (now, timeout) = (self.now, self.policy.peer_timeout);
        let hashes: Vec<_> = self.swarms.keys().copied().collect();
        let mut emptied = Vec::new();
        for hash in hashes {
            let swarm = self.swarms.get_mut(&hash).unwrap();
            swarm.peers.retain(|_, member| {
                (member.connection.is_some() && !member.is_elsewhere()) || now - member.heard < timeout
            });
            if swarm.peers.is_empty() {
                emptied.push(hash);
            }
        }
        self.emptied(&emptied);
        let sizes = self.engine.swarm_sizes();
        assert_eq!(sizes.torrents.iter().sum::<u64>(), self.swarms.len() as u64);
        assert_eq!(sizes.peers, self.swarms.values().map(|swarm| swarm.peers.len() as u64).sum::<u64>());
        self.check_totals();
    }

    /// Forgets torrents that have lost all their peers at once.
    fn emptied(&mut self, emptied: &[InfoHash]) {
        // Several come in the engine's order: learn from it which were forgotten for lack of room.
        for &hash in emptied {
            self.forget_if_empty(hash);
        }
        if emptied.len() > 1 {
            self.learn_retained();
        }
    }

    fn learn_retained(&mut self) {
        // Without knowing the order, all counts are dropped on both sides.
        self.engine.set_policy(Policy { downloaded_entries: 0, ..self.policy.clone() });
        while !self.engine.sweep(self.now, 5000).cycle_ended {}
        self.engine.set_policy(self.policy.clone());
        self.retained.clear();
        assert_eq!(self.engine.totals().retained, 0);
    }

    fn set_access(&mut self, mode: u8, torrents: u8) {
        let mode = [Mode::Off, Mode::Allow, Mode::Deny][usize::from(mode) % 3];
        self.access = (mode, torrents);
        let listed = (0..8).filter(|n| torrents >> n & 1 == 1).map(info_hash).collect();
        self.engine.set_access(AccessList::new(mode, listed).unwrap(), self.now);
        let permitted: HashSet<_> = (0..8).map(info_hash).filter(|hash| self.permits(hash)).collect();
        self.swarms.retain(|hash, _| permitted.contains(hash));
        for entry in &mut self.retained {
            if !permitted.contains(&entry.0) {
                *entry = (InfoHash([0xff; 20]), 0, entry.2);
            }
        }
        self.check_totals();
    }

    fn check_totals(&self) {
        let totals = self.engine.totals();
        assert_eq!(totals.torrents, self.swarms.len());
        for network in Network::ALL {
            for role in Role::ALL {
                let peers = self.swarms.values().flat_map(|swarm| &swarm.peers);
                let expected =
                    peers.filter(|(key, member)| key.network() == network && member.role == role).count();
                assert_eq!(totals.peers_of(network, role), expected, "{network:?} {role:?}");
            }
        }
        assert_eq!(totals.retained, self.retained.iter().filter(|kept| kept.1 > 0).count());
    }
}
