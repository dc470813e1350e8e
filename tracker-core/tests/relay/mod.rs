//! The rules of WebTorrent told a second time, as plainly as possible, and a run of messages through both tellings.
//!
//! The clients are at one node, or at two that hear of each other's peers at once.
//!
//! Shared by the property test and the fuzz target.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is what this is for")]

mod nodes;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use tracker_common::address::Address;
use tracker_core::{
    admission::Admission,
    engine::{ConnectionKey, Engine, Listener},
    model::{InfoHash, PeerId, Seconds},
    nodes::NodeNumber,
    policy::Policy,
    rng::Rng,
    ws::{Connection, Kind, Outbox, Outcome, Received, Relay, Settings},
};

/// A step; the small numbers choose among few, so that the same ones meet often.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Announce {
        client: u8,
        torrent: u8,
        peer: u8,
        event: u8,
        left: u8,
        offers: u8,
        wanted: u8,
    },
    Answer {
        client: u8,
        torrent: u8,
        peer: u8,
        to: u8,
        offer: u8,
    },
    /// Answers an offer that was delivered to the client, counted from the latest, mostly as a peer of its own.
    AnswerDelivered {
        client: u8,
        back: u8,
        peer: u8,
    },
    Deliver {
        client: u8,
        count: u8,
    },
    Scrape {
        torrents: u8,
    },
    Advance {
        seconds: u8,
    },
    Reconnect {
        client: u8,
    },
}

const CLIENTS: usize = 6;
const START: Seconds = 1_700_000_000;
/// Nobody is heard of so late here that another node may take it over.
const AT_MOST: Seconds = 10_000;
const MAX_OFFERS: usize = 3;
const SETTINGS: Settings = Settings {
    max_torrents_per_connection: 2,
    max_scrape_hashes: 3,
    max_pending_offers: 3,
    offer_lifetime: 30,
};

/// (torrent, peer ID), both by number.
type Membership = (u8, u8);

#[derive(Clone, Copy, Debug)]
struct Member {
    client: usize,
    seeder: bool,
    /// Neither a seeder nor a partial seed.
    wants: bool,
    counted: bool,
}

/// An offer: of which torrent, by which peer, and its number.
type Offer = (u8, u8, u32);

/// Of an offer from another node: which one, and to which peer it was sent.
type Far = (usize, u8);
/// An offer that a client is given.
type Delivered = (Offer, Option<Far>);

#[derive(Debug, Default)]
struct Client {
    key: u64,
    memberships: BTreeSet<Membership>,
    given: Vec<(Offer, Seconds)>,
    given_far: Vec<(Offer, Seconds, Far)>,
    delivered: Vec<Offer>,
    queue: Vec<(Relay, Option<Delivered>, String)>,
}

/// The state machine and its naive twin.
pub(crate) struct Twins {
    /// Of each node.
    engines: Vec<Engine>,
    rng: Rng,
    out: Outbox,
    now: Seconds,
    connections: Vec<Connection>,
    clients: Vec<Client>,
    swarms: BTreeMap<u8, BTreeMap<u8, Member>>,
    /// By node and torrent.
    downloaded: BTreeMap<(usize, u8), u32>,
    keys: u64,
    offers: u32,
}

/// Bytes that need every kind of care in JSON.
fn id(kind: u8, number: u32) -> [u8; 20] {
    let mut bytes = *b"k\0\n\r\t\x08\x0c\x1f\"\\/ \x7f\x80\xa0\xff1234";
    bytes[0] = kind;
    bytes[16..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// As a JSON string, every byte escaped.
fn json(bytes: [u8; 20]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\u{byte:04X}")).collect();
    format!("\"{escaped}\"")
}

/// As the tracker writes it.
fn written(bytes: [u8; 20]) -> String {
    let character = |byte: &u8| match byte {
        b'"' => "\\\"".to_owned(),
        b'\\' => "\\\\".to_owned(),
        0..=31 => format!("\\u{byte:04x}"),
        _ => char::from(*byte).to_string(),
    };
    format!("\"{}\"", bytes.iter().map(character).collect::<String>())
}

fn torrent_id(torrent: u8) -> [u8; 20] {
    id(b'h', u32::from(torrent))
}

fn peer_id(peer: u8) -> [u8; 20] {
    id(b'p', u32::from(peer))
}

/// An offer as its receiver gets it.
fn offered((torrent, peer, offer): Offer) -> String {
    format!(
        r#"{{"action":"announce","info_hash":{},"peer_id":{},"offer_id":{},"offer":{{"sdp":"{offer}"}}}}"#,
        written(torrent_id(torrent)),
        written(peer_id(peer)),
        written(id(b'o', offer))
    )
}

fn address(client: usize) -> Address {
    // Each two share one.
    Address::from_ipv4([10, 0, 0, 1 + (client / 2) as u8])
}

impl Twins {
    pub(crate) fn new(seed: [u64; 2]) -> Self {
        let admission = Admission {
            webtorrent_interval: 77,
            interval_jitter: 0,
            max_offers: MAX_OFFERS,
            ..Admission::default()
        };
        let policy = Policy { admission, peer_timeout: Policy::MAX_PEER_TIMEOUT, ..Policy::default() };
        let nodes = 1 + seed[1] % 2;
        let mut twins = Self {
            engines: (0..nodes).map(|_| Engine::new(policy.clone(), seed)).collect(),
            rng: Rng::new(seed),
            out: Outbox::default(),
            now: START,
            connections: Vec::new(),
            clients: Vec::new(),
            swarms: BTreeMap::new(),
            downloaded: BTreeMap::new(),
            keys: 0,
            offers: 0,
        };
        if nodes > 1 {
            twins.engines.iter().for_each(|engine| engine.listen(Listener::Cluster, 100));
        }
        for client in 0..CLIENTS {
            let (connection, fresh) = twins.connect(client);
            twins.connections.push(connection);
            twins.clients.push(fresh);
        }
        twins
    }

    fn connect(&mut self, client: usize) -> (Connection, Client) {
        self.keys += 1;
        let secret = nodes::secret(self.node(client));
        let connection = Connection::new(ConnectionKey(self.keys), address(client), secret);
        (connection, Client { key: self.keys, ..Client::default() })
    }

    pub(crate) fn run(&mut self, op: Op) {
        let client = |number: u8| usize::from(number) % CLIENTS;
        // What happens within a second is not told in its order.
        self.now += u32::from(self.engines.len() > 1);
        match op {
            Op::Announce { client: c, torrent, peer, event, left, offers, wanted } => {
                self.announce(client(c), torrent % 4, peer % 8, event, left % 2, offers % 6, wanted);
            }
            Op::Answer { client: c, torrent, peer, to, offer } => {
                let offer = self.offers.saturating_sub(u32::from(offer) % 8);
                self.answer(client(c), peer % 8, (torrent % 4, to % 8, offer));
            }
            Op::AnswerDelivered { client: c, back, peer } => {
                let state = &self.clients[client(c)];
                if let Some(offer) = state.delivered.iter().rev().nth(usize::from(back) % 6).copied() {
                    let own = state.memberships.iter().find(|(torrent, _)| *torrent == offer.0);
                    let own = own.filter(|_| peer < 200).map(|(_, peer)| *peer);
                    self.answer(client(c), own.unwrap_or(peer % 8), offer);
                }
            }
            Op::Deliver { client: c, count } => (0..1 + count % 4).for_each(|_| self.deliver(client(c))),
            Op::Scrape { torrents } => self.scrape(torrents),
            Op::Advance { seconds } if self.now < START + AT_MOST / 2 => self.now += u32::from(seconds) % 35,
            Op::Advance { .. } => {}
            Op::Reconnect { client: c } => self.reconnect(client(c)),
        }
    }

    /// Closes everything and checks that nothing is left.
    pub(crate) fn end(&mut self) {
        for client in 0..CLIENTS {
            self.reconnect(client);
        }
        assert!(self.swarms.values().all(BTreeMap::is_empty));
        for engine in &self.engines {
            let totals = engine.totals();
            assert_eq!((totals.torrents, totals.peers), (0, [[0; 3]; 3]));
        }
    }

    fn receive(&mut self, client: usize, text: &str) -> Received {
        let node = self.node(client);
        let Self { engines, rng, out, now, connections, .. } = self;
        let engine = &engines[node];
        connections[client].receive(text, engine, &SETTINGS, u64::from(*now) * 1_000_000_000, rng, out)
    }

    fn counts(&self, node: usize, torrent: u8) -> (usize, usize, u32) {
        let members = self.swarms.get(&torrent);
        let complete = members.map_or(0, |all| all.values().filter(|member| member.seeder).count());
        let all = members.map_or(0, BTreeMap::len);
        (complete, all - complete, self.downloaded.get(&(node, torrent)).copied().unwrap_or(0))
    }

    #[allow(clippy::too_many_arguments, reason = "one for each field of the message")]
    fn announce(
        &mut self,
        client: usize,
        torrent: u8,
        peer: u8,
        event: u8,
        left: u8,
        offers: u8,
        wanted: u8,
    ) {
        let event = ["", "started", "completed", "stopped", "paused", "bogus"][usize::from(event) % 6];
        let wanted = (wanted < 200).then_some(u32::from(wanted % 8));
        let first = self.offers + 1;
        self.offers += u32::from(offers);
        let list: Vec<String> = (first..=self.offers)
            .map(|offer| format!(r#"{{"offer_id":{},"offer":{{"sdp":"{offer}"}}}}"#, json(id(b'o', offer))))
            .collect();
        let wanted_field = wanted.map(|wanted| format!(r#","numwant":{wanted}"#)).unwrap_or_default();
        let text = format!(
            r#"{{"action":"announce","info_hash":{},"peer_id":{},"event":"{event}","left":{left},"offers":[{}]{wanted_field}}}"#,
            json(torrent_id(torrent)),
            json(peer_id(peer)),
            list.join(",")
        );
        let received = self.receive(client, &text);
        let failure = self.announce_naively(client, torrent, peer, event, left);
        let hash = written(torrent_id(torrent));
        let (outcome, reply) = match failure {
            None => {
                let (complete, incomplete, _) = self.counts(self.node(client), torrent);
                (Outcome::Done, format!(r#""interval":77,"complete":{complete},"incomplete":{incomplete}"#))
            }
            Some(reason) => (Outcome::Failed, format!(r#""failure reason":"{reason}""#)),
        };
        assert_eq!(received, Received { kind: Kind::Announce, outcome });
        let reply = format!(r#"{{"action":"announce","info_hash":{hash},{reply}}}"#);
        assert_eq!(self.out.reply.as_deref(), Some(reply.as_str()));
        let most = if failure.is_some() || event == "stopped" {
            0
        } else {
            usize::from(offers).min(wanted.map_or(usize::MAX, |wanted| wanted as usize)).min(MAX_OFFERS)
        };
        let wants = left != 0 && event != "paused";
        self.check_offers(client, torrent, peer, wants, first, most);
        self.tell();
    }

    /// Gives the reason of a failure.
    fn announce_naively(
        &mut self,
        client: usize,
        torrent: u8,
        peer: u8,
        event: &str,
        left: u8,
    ) -> Option<&'static str> {
        let node = self.node(client);
        let known = self.clients[client].memberships.iter().find(|own| own.0 == torrent).copied();
        let full = self.clients[client].memberships.len() >= SETTINGS.max_torrents_per_connection;
        if known.is_none() && full && event != "stopped" {
            return Some("too many torrents on one connection");
        }
        let swarm = self.swarms.entry(torrent).or_default();
        // A connection is one peer in a torrent.
        if let Some((_, other)) = known.filter(|(_, other)| *other != peer && event != "stopped") {
            self.clients[client].memberships.remove(&(torrent, other));
            if swarm.get(&other).is_some_and(|member| member.client == client) {
                swarm.remove(&other);
            }
        }
        let holder = swarm.get(&peer).copied();
        let nodes = self.engines.len();
        let is_stranger = |holder: &Member| {
            holder.client % nodes != client % nodes || address(holder.client) != address(client)
        };
        if holder.as_ref().is_some_and(is_stranger) {
            self.clients[client].memberships.remove(&(torrent, peer));
            return Some("peer ID is in use by another client");
        }
        if event == "stopped" {
            swarm.remove(&peer);
            self.clients[client].memberships.remove(&(torrent, peer));
            return None;
        }
        let seeder = left == 0 && event != "paused";
        let wants = left != 0 && event != "paused";
        let completed = seeder && event == "completed";
        let counted = holder.is_some_and(|holder| holder.counted);
        let counts = completed && !counted && holder.is_none_or(|holder| !holder.seeder);
        swarm.insert(peer, Member { client, seeder, wants, counted: counted || counts });
        *self.downloaded.entry((node, torrent)).or_default() += u32::from(counts);
        self.clients[client].memberships.insert((torrent, peer));
        None
    }

    fn check_offers(&mut self, client: usize, torrent: u8, peer: u8, wants: bool, first: u32, most: usize) {
        let none = BTreeMap::new();
        let candidates: BTreeMap<u8, usize> = self
            .swarms
            .get(&torrent)
            .unwrap_or(&none)
            .iter()
            .filter(|(other, member)| **other != peer && (wants || member.wants))
            .map(|(other, member)| (*other, member.client))
            .collect();
        assert!(most == 0 || candidates.values().all(|at| *at != client), "an offer could come back");
        let relays: Vec<(ConnectionKey, Relay)> = self.out.relays.drain(..).collect();
        // Those of this node come first.
        let near: BTreeMap<u8, usize> = candidates
            .iter()
            .filter(|(_, at)| self.node(**at) == self.node(client))
            .map(|(p, at)| (*p, *at))
            .collect();
        assert_eq!(relays.len(), most.min(near.len()));
        let next = first + relays.len() as u32;
        self.check_far_offers(
            client,
            (torrent, peer),
            &candidates,
            next,
            most.min(candidates.len()) - relays.len(),
        );
        let candidates = near;
        let mut given = HashSet::new();
        for (number, (to, relay)) in relays.into_iter().enumerate() {
            let offer = first + number as u32;
            let text = offered((torrent, peer, offer));
            assert_eq!(relay.text(), text);
            // Which of a connection's peers was meant is not to be seen.
            let client = self.clients.iter().position(|client| client.key == to.0).unwrap();
            let partners: Vec<u8> =
                candidates.iter().filter(|(_, at)| **at == client).map(|(other, _)| *other).collect();
            assert!(!partners.is_empty(), "given to no candidate");
            let free = partners.into_iter().find(|partner| given.insert(*partner));
            assert!(free.is_some(), "a partner came twice");
            self.clients[client].queue.push((relay, Some(((torrent, peer, offer), None)), text));
        }
    }

    fn deliver(&mut self, client: usize) {
        if self.clients[client].queue.is_empty() {
            return;
        }
        let (relay, offer, text) = self.clients[client].queue.remove(0);
        let delivered = self.connections[client].deliver(relay, &SETTINGS, self.now);
        assert_eq!(delivered, text);
        if let Some((offer, far)) = offer {
            let now = self.now;
            let state = &mut self.clients[client];
            let (given, given_far) = (&mut state.given, &mut state.given_far);
            if let Some(far) = far {
                given_far.retain(|(_, at, _)| now - at < SETTINGS.offer_lifetime);
                if given_far.len() == SETTINGS.max_pending_offers {
                    given_far.remove(0);
                }
                given_far.push((offer, now, far));
            } else {
                given.retain(|(_, at)| now - at < SETTINGS.offer_lifetime);
                if given.len() == SETTINGS.max_pending_offers {
                    given.remove(0);
                }
                given.push((offer, now));
            }
            state.delivered.push(offer);
        }
    }

    fn answer(&mut self, client: usize, peer: u8, offer: Offer) {
        let (torrent, to, number) = offer;
        let text = format!(
            r#"{{"answer":{{"x":[1 ]}},"offer_id":{},"to_peer_id":{},"action":"announce","info_hash":{},"peer_id":{}}}"#,
            json(id(b'o', number)),
            json(peer_id(to)),
            json(torrent_id(torrent)),
            json(peer_id(peer)),
        );
        let received = self.receive(client, &text);
        assert_eq!(self.out.reply, None);
        let relays: Vec<(ConnectionKey, Relay)> = self.out.relays.drain(..).collect();
        let (node, destination) = self.answer_naively(client, peer, offer);
        let is_near = node.is_none_or(|node| node == self.node(client));
        let routable = destination.is_some() || !is_near;
        let outcome = if routable { Outcome::Done } else { Outcome::Unroutable };
        assert_eq!(received, Received { kind: Kind::Answer, outcome });
        assert_eq!(relays.len(), usize::from(routable && is_near));
        let arrived = self.carry_answer(client, node.filter(|_| !is_near));
        assert_eq!(arrived.is_some(), destination.is_some() && !is_near);
        for (key, relay) in relays.into_iter().chain(arrived) {
            let client = destination.unwrap();
            assert_eq!(key.0, self.clients[client].key);
            let text = format!(
                r#"{{"action":"announce","info_hash":{},"peer_id":{},"offer_id":{},"answer":{{"x":[1 ]}}}}"#,
                written(torrent_id(torrent)),
                written(peer_id(peer)),
                written(id(b'o', number))
            );
            assert_eq!(relay.text(), text);
            self.clients[client].queue.push((relay, None, text));
        }
    }

    /// Gives the node that the offer came from, if it may be answered, and the client there that the answer goes to.
    fn answer_naively(&mut self, client: usize, peer: u8, offer: Offer) -> (Option<usize>, Option<usize>) {
        let (now, own) = (self.now, self.node(client));
        let state = &mut self.clients[client];
        if !state.memberships.contains(&(offer.0, peer)) {
            return (None, None);
        }
        let alive = |given: Seconds| now - given < SETTINGS.offer_lifetime;
        let near = state.given.iter().position(|(given, at)| *given == offer && alive(*at));
        let far = state.given_far.iter().position(|(given, at, _)| *given == offer && alive(*at));
        let (from, partner) = match (near, far) {
            (Some(place), _) => {
                state.given.remove(place);
                (own, peer)
            }
            (None, Some(place)) => state.given_far.remove(place).2,
            (None, None) => return (None, None),
        };
        // Who has become another peer meanwhile is not the one that the other node sent it to.
        if partner != peer {
            return (Some(from), None);
        }
        let holder = self.swarms.get(&offer.0).and_then(|swarm| swarm.get(&offer.1));
        (Some(from), holder.map(|member| member.client).filter(|client| self.node(*client) == from))
    }

    fn scrape(&mut self, torrents: u8) {
        let asked: Vec<u8> = (0..4).filter(|torrent| torrents >> torrent & 1 == 1).collect();
        let list: Vec<String> = asked.iter().map(|torrent| json(torrent_id(*torrent))).collect();
        let text = format!(r#"{{"action":"scrape","info_hash":[{}]}}"#, list.join(","));
        let client = usize::from(torrents >> 4) % CLIENTS;
        assert_eq!(self.receive(client, &text), Received { kind: Kind::Scrape, outcome: Outcome::Done });
        let rows: Vec<String> = asked
            .iter()
            .take(SETTINGS.max_scrape_hashes)
            .map(|torrent| {
                let (complete, incomplete, downloaded) = self.counts(self.node(client), *torrent);
                format!(
                    r#"{}:{{"complete":{complete},"incomplete":{incomplete},"downloaded":{downloaded}}}"#,
                    written(torrent_id(*torrent))
                )
            })
            .collect();
        let reply = format!(r#"{{"action":"scrape","files":{{{}}}}}"#, rows.join(","));
        assert_eq!(self.out.reply.as_deref(), Some(reply.as_str()));
        assert!(self.out.relays.is_empty());
    }

    fn reconnect(&mut self, client: usize) {
        let node = self.node(client);
        self.connections[client].close(&self.engines[node], self.now);
        for (torrent, peer) in std::mem::take(&mut self.clients[client].memberships) {
            let swarm = self.swarms.get_mut(&torrent).unwrap();
            if swarm.get(&peer).is_some_and(|member| member.client == client) {
                swarm.remove(&peer);
            }
        }
        (self.connections[client], self.clients[client]) = self.connect(client);
        self.tell();
        for (torrent, swarm) in &self.swarms {
            for (peer, member) in swarm {
                let (hash, peer) = (InfoHash(torrent_id(*torrent)), PeerId(peer_id(*peer)));
                let holder = self.node(member.client);
                for (node, engine) in self.engines.iter().enumerate() {
                    let key = match node == holder {
                        true => ConnectionKey(self.clients[member.client].key),
                        false => ConnectionKey::of_node(nodes::number(holder)),
                    };
                    assert_eq!(engine.find_webrtc(&hash, &peer), Some(key));
                }
            }
        }
    }
}
