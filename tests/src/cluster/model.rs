//! What a cluster should know: a map of peers, to which everything is done that is done to nodes.

use super::{Cluster, Node, until_right};
use crate::{
    random::Random,
    rig::Family,
    udp::{self, Client, Id20, Row, event, id20},
    web::{
        http::{Announce, Announced, Connection, escaped, read_scrape},
        stream::tcp,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Peers of a torrent beyond which nobody comes, so that lists can have all.
const CROWDED: usize = 60;

/// What a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// UDP.
    Udp,
    /// HTTP.
    Http,
}

/// What a peer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    /// It is there, and wants more or not.
    Here,
    Started,
    Completed,
    Stopped,
}

/// A peer, as whoever announces for it knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where others find it.
    pub address: SocketAddr,
    /// What it speaks.
    pub over: Over,
    /// The node that it announces to.
    pub home: usize,
    seeds: bool,
}

impl Peer {
    const fn family(&self) -> Family {
        if self.address.is_ipv6() { Family::V6 } else { Family::V4 }
    }

    /// Announces to a node, and gives the peers it is told of.
    fn tell(&self, node: &Node, hash: Id20, tells: Tells) -> BTreeSet<SocketAddr> {
        let (ip, port) = (self.address.ip(), self.address.port());
        match self.over {
            Over::Udp => {
                let event = match tells {
                    Tells::Here => event::NONE,
                    Tells::Started => event::STARTED,
                    Tells::Completed => event::COMPLETED,
                    Tells::Stopped => event::STOPPED,
                };
                let announce = udp::Announce::leecher(hash, port).event(event).num_want(200);
                let announce = udp::Announce { left: if self.seeds { 0 } else { 1000 }, ..announce };
                Client::new(ip, node.udp(self.family())).announce(&announce).peers.into_iter().collect()
            }
            Over::Http => {
                let announce = Announce::leecher(hash, port).with("compact", 1).with("numwant", 200);
                let announce = Announce { left: Some(if self.seeds { 0 } else { 1000 }), ..announce };
                let announce = match tells {
                    Tells::Here => announce,
                    Tells::Started => announce.event("started"),
                    Tells::Completed => announce.event("completed"),
                    Tells::Stopped => announce.event("stopped"),
                };
                let mut connection = Connection::new(tcp(ip, node.http(self.family())), "");
                Announced::read(&connection.get(&announce.target())).all().into_iter().collect()
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Swarm {
    peers: BTreeMap<SocketAddr, Peer>,
    /// By the node that counted them.
    downloads: BTreeMap<usize, u32>,
}

/// What was told to nodes, and what they should tell.
#[derive(Clone, Debug, Default)]
pub struct Swarms {
    swarms: BTreeMap<Id20, Swarm>,
    peers: u16,
}

/// Whose peers a node should know, where it does not hear of all.
#[derive(Clone, Debug)]
pub struct View {
    homes: Vec<usize>,
    /// What was so when it last heard of the others.
    before: Swarms,
}

impl Swarms {
    /// A peer that is nowhere yet, with an address of its own. Those of IPv6 share one on the loopback interface, and have
    /// ports of their own.
    pub fn peer(&mut self, family: Family, over: Over, home: usize) -> Peer {
        self.peers += 1;
        let [high, low] = self.peers.to_be_bytes();
        let ip: IpAddr = match family {
            Family::V4 => Ipv4Addr::new(127, 2, high, low).into(),
            Family::V6 => Ipv6Addr::LOCALHOST.into(),
        };
        Peer { address: SocketAddr::new(ip, 10_000 + self.peers), over, home, seeds: false }
    }

    /// It comes, and wants the torrent or has it.
    pub fn comes(&mut self, cluster: &Cluster, hash: Id20, peer: Peer, seeds: bool) {
        let peer = Peer { seeds, ..peer };
        peer.tell(cluster.node(peer.home), hash, Tells::Started);
        self.swarms.entry(hash).or_default().peers.insert(peer.address, peer);
    }

    /// It has the torrent now.
    pub fn completes(&mut self, cluster: &Cluster, hash: Id20, peer: Peer) {
        let peer = Peer { seeds: true, ..peer };
        peer.tell(cluster.node(peer.home), hash, Tells::Completed);
        let swarm = self.swarms.entry(hash).or_default();
        swarm.peers.insert(peer.address, peer);
        *swarm.downloads.entry(peer.home).or_default() += 1;
    }

    /// It says once more, and to another node, that it has the torrent now: that counts no more.
    pub fn completes_again(&self, node: &Node, hash: Id20, peer: Peer) {
        Peer { seeds: true, ..peer }.tell(node, hash, Tells::Completed);
    }

    /// It goes, and tells a node so.
    pub fn goes(&mut self, node: &Node, hash: Id20, peer: Peer) {
        peer.tell(node, hash, Tells::Stopped);
        self.swarms.entry(hash).or_default().peers.remove(&peer.address);
    }

    /// A crowd comes: in each of so many torrents peers of both families, by both protocols, at each of these homes.
    pub fn crowd(&mut self, cluster: &Cluster, homes: &[usize], torrents: u32) {
        for number in 0..torrents {
            for home in homes {
                for (family, over) in Family::BOTH.into_iter().flat_map(|f| [(f, Over::Udp), (f, Over::Http)])
                {
                    let peer = self.peer(family, over, *home);
                    self.comes(cluster, id20("cluster", number), peer, self.peers.is_multiple_of(5));
                }
            }
        }
    }

    /// So many times by chance, somebody comes, completes or goes, each at home, if that is among these.
    pub fn stir(&mut self, cluster: &Cluster, homes: &[usize], times: u32, random: &mut Random) {
        let hashes: Vec<Id20> = self.swarms.keys().copied().collect();
        for _ in 0..times {
            let mut pick = |limit: usize| random.below(limit as u64) as usize;
            let hash = hashes[pick(hashes.len())];
            // The first of each family stay as they are: they ask for lists.
            let asks = self.asks(hash);
            let free = |peer: &&Peer| homes.contains(&peer.home) && !asks.contains(peer);
            let free: Vec<Peer> = self.swarms[&hash].peers.values().filter(free).copied().collect();
            let leechers: Vec<Peer> = free.iter().filter(|peer| !peer.seeds).copied().collect();
            let deed = if free.len() > CROWDED { 2 } else { pick(3) };
            match deed {
                1 if !leechers.is_empty() => self.completes(cluster, hash, leechers[pick(leechers.len())]),
                2 if !free.is_empty() => {
                    let peer = free[pick(free.len())];
                    self.goes(cluster.node(peer.home), hash, peer);
                }
                _ => {
                    let (home, seeds) = (homes[pick(homes.len())], pick(4) == 0);
                    let family = Family::BOTH[pick(2)];
                    let over = [Over::Udp, Over::Http][pick(2)];
                    let peer = self.peer(family, over, home);
                    self.comes(cluster, hash, peer, seeds);
                }
            }
        }
    }

    /// Everybody announces again at home, which changes nothing.
    pub fn refresh(&self, cluster: &Cluster) {
        for (hash, swarm) in &self.swarms {
            for peer in swarm.peers.values() {
                peer.tell(cluster.node(peer.home), *hash, Tells::Here);
            }
        }
    }

    /// Those at one home announce to another from now on.
    pub fn move_home(&mut self, from: usize, to: usize) {
        for peer in self.swarms.values_mut().flat_map(|swarm| swarm.peers.values_mut()) {
            if peer.home == from {
                peer.home = to;
            }
        }
    }

    /// What those hear that hear of these homes alone from now on.
    #[must_use]
    pub fn view(&self, homes: &[usize]) -> View {
        View { homes: homes.to_vec(), before: self.clone() }
    }

    /// The torrents.
    #[must_use]
    pub fn hashes(&self) -> Vec<Id20> {
        self.swarms.keys().copied().collect()
    }

    /// What a node that hears of all should say of each torrent.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<Id20, Row> {
        let row = |(hash, swarm): (&Id20, &Swarm)| {
            let count = |seeds| {
                let found = swarm.peers.values().filter(|peer| peer.seeds == seeds).count();
                u32::try_from(found).expect("a small number")
            };
            let completed = swarm.downloads.values().sum();
            (*hash, Row { seeders: count(true), completed, leechers: count(false) })
        };
        self.swarms.iter().map(row).collect()
    }

    /// What those should say that have this view: of others what was so before, but without their peers if those have expired.
    #[must_use]
    pub fn rows_in(&self, view: &View, have_expired: bool) -> BTreeMap<Id20, Row> {
        let mut seen = self.clone();
        for (hash, swarm) in &mut seen.swarms {
            let before = view.before.swarms.get(hash).cloned().unwrap_or_default();
            let is_seen = |home: &usize| view.homes.contains(home);
            swarm.peers.retain(|_, peer| is_seen(&peer.home));
            swarm.downloads.retain(|home, _| is_seen(home));
            swarm.downloads.extend(before.downloads.into_iter().filter(|(home, _)| !is_seen(home)));
            let others = before.peers.into_iter().filter(|(_, peer)| !is_seen(&peer.home));
            swarm.peers.extend(others.filter(|_| !have_expired));
        }
        seen.rows()
    }

    /// The leechers of a torrent that ask for its peers: the first of each family and protocol.
    fn asks(&self, hash: Id20) -> Vec<Peer> {
        let mut found: Vec<Peer> = Vec::new();
        for peer in self.swarms[&hash].peers.values().filter(|peer| !peer.seeds) {
            if !found.iter().any(|other| (other.family(), other.over) == (peer.family(), peer.over)) {
                found.push(*peer);
            }
        }
        found
    }

    /// Waits until a node tells by scrapes what it should, and its lists have exactly the peers they should.
    pub fn agrees(&self, node: &Node) {
        self.scrapes(node, &self.rows(), || {});
        for hash in self.hashes() {
            for asks in self.asks(hash) {
                // HTTP tells of both families.
                let tells_of = |address: &SocketAddr| {
                    *address != asks.address
                        && (asks.over == Over::Http || address.is_ipv6() == asks.address.is_ipv6())
                };
                let peers = self.swarms[&hash].peers.keys().copied();
                let expected: BTreeSet<SocketAddr> = peers.filter(tells_of).collect();
                until_right(&format!("the list of {asks:?} at {}", node.name()), || {
                    let told = asks.tell(node, hash, Tells::Here);
                    (told != expected).then(|| {
                        let lacks: Vec<_> = expected.difference(&told).collect();
                        let more: Vec<_> = told.difference(&expected).collect();
                        format!("it lacks {lacks:?}, and has {more:?}")
                    })
                });
            }
        }
    }

    /// The same for all nodes that run.
    pub fn agree(&self, cluster: &Cluster) {
        cluster.running().for_each(|node| self.agrees(node));
    }

    /// Waits until a node tells this over UDP and HTTP, by IPv4 and IPv6, while something is done again and again.
    pub fn scrapes(&self, node: &Node, expected: &BTreeMap<Id20, Row>, mut meanwhile: impl FnMut()) {
        until_right(&format!("what {} says of torrents", node.name()), || {
            meanwhile();
            scrapes_of(node, &self.hashes()).into_iter().find(|told| told != expected).map(|told| {
                let wrong = expected.iter().filter(|(hash, row)| told.get(*hash) != Some(row));
                let wrong = wrong.map(|(hash, row)| format!("{row:?} but {:?}", told.get(hash)));
                wrong.collect::<Vec<_>>().join("\n")
            })
        });
    }
}

/// What a node says of torrents, by each way.
fn scrapes_of(node: &Node, hashes: &[Id20]) -> Vec<BTreeMap<Id20, Row>> {
    let mut all = Vec::new();
    for family in Family::BOTH {
        let from: IpAddr = match family {
            Family::V4 => Ipv4Addr::LOCALHOST.into(),
            Family::V6 => Ipv6Addr::LOCALHOST.into(),
        };
        let rows = Client::new(from, node.udp(family)).scrape(hashes);
        all.push(hashes.iter().copied().zip(rows).collect());
        let query: Vec<String> = hashes.iter().map(|hash| format!("info_hash={}", escaped(hash))).collect();
        let mut connection = Connection::new(tcp(from, node.http(family)), "");
        all.push(read_scrape(&connection.get(&format!("/scrape?{}", query.join("&")))));
    }
    all
}
