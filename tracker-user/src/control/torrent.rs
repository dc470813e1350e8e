//! `torrent HASH`: what one swarm holds.

use serde::Serialize;
use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
};
use tracker_common::address::Family;
use tracker_core::{
    engine::{Engine, Known, Place, Seen, Verdict, Visitor},
    model::{Counts, InfoHash, Network, Role, Seconds},
};

/// Items of a walk for each peer that may be listed: the walk comes by parts of a large swarm, and by some peers twice.
const LOOKS: usize = 2;

/// The reply.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Torrent {
    info_hash: String,
    seeders: u32,
    leechers: u32,
    downloaded: u32,
    /// Some of its peers, if there are too many.
    peers: Vec<Peer>,
    /// How many more there are.
    unlisted_peers: u32,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Peer {
    /// Of a WebRTC peer nothing else is known than its ID and its connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_id: Option<String>,
    family: &'static str,
    role: &'static str,
    /// A WebRTC peer lives as long as its connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<Seconds>,
}

impl Torrent {
    /// What is known of a torrent, with up to so many peers; nothing if it is not known.
    pub(super) fn look(engine: &Engine, info_hash: &InfoHash, now: Seconds, most: usize) -> Option<Self> {
        let mut list = List { most, listed: HashSet::new(), peers: Vec::new() };
        engine.visit(info_hash, now, (most * LOOKS).max(1), &mut list);
        let counts = engine.scrape(info_hash);
        if counts == Counts::default() && list.peers.is_empty() {
            return None;
        }
        let all = counts.complete.saturating_add(counts.incomplete);
        let listed = u32::try_from(list.peers.len()).unwrap_or(u32::MAX);
        Some(Self {
            info_hash: info_hash.to_string(),
            seeders: counts.complete,
            leechers: counts.incomplete,
            downloaded: counts.downloaded,
            peers: list.peers,
            unlisted_peers: all.saturating_sub(listed),
        })
    }
}

/// Lists peers, each once.
struct List {
    most: usize,
    listed: HashSet<Place>,
    peers: Vec<Peer>,
}

impl List {
    fn is_full(&self) -> bool {
        self.peers.len() >= self.most
    }
}

impl Visitor for List {
    fn torrent(&mut self, _: &InfoHash, _: &Counts, _: bool) -> Verdict {
        if self.is_full() { Verdict::Enough } else { Verdict::Keep }
    }

    fn peer(&mut self, peer: &Seen<'_>) -> Verdict {
        let place = peer.place();
        if !self.is_full() && self.listed.insert(place) {
            self.peers.push(Peer::new(place, peer.network(), peer.known()));
        }
        Verdict::Keep
    }
}

impl Peer {
    fn new(place: Place, network: Network, known: Known) -> Self {
        let (address, peer_id) = match place {
            Place::At(address, port) => {
                let ip = match address.family() {
                    Family::Ipv4 => IpAddr::from(address.ipv4_bytes()),
                    Family::Ipv6 => IpAddr::from(address.octets()),
                };
                (Some(SocketAddr::new(ip, port)), None)
            }
            Place::Named(peer_id) => (None, Some(peer_id.to_string())),
        };
        Self {
            address,
            peer_id,
            family: network.label(),
            role: match known.role {
                Role::Leecher => "leecher",
                Role::PartialSeed => "partial_seed",
                Role::Seeder => "seeder",
            },
            age_seconds: (network != Network::Webrtc).then_some(known.age),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracker_core::{
        engine::{Announce, ConnectionKey, Lists, Want, WebrtcAnnounce},
        model::{Event, PeerId},
        policy::Policy,
        rng::Rng,
    };

    const NOW: Seconds = 1_000_000;
    const HASH: InfoHash = InfoHash([0xab; 20]);

    fn announce(engine: &Engine, ip: &str, port: u16, left: u64, event: Event, at: Seconds) {
        let address = ip.parse::<IpAddr>().unwrap().into();
        let announce = Announce { info_hash: HASH, address, port, event, left, want: Want::Own(0) };
        engine.announce(&announce, at, &mut Rng::new([1, 2]), &mut Lists::default()).unwrap();
    }

    #[test]
    fn a_torrent_is_shown_with_its_peers() {
        let engine = Engine::new(Policy::default(), [1, 2]);
        assert_eq!(Torrent::look(&engine, &HASH, NOW, 10), None);
        announce(&engine, "192.0.2.1", 6881, 9, Event::Started, NOW - 70);
        announce(&engine, "2001:db8::1", 51413, 0, Event::Completed, NOW - 5);
        announce(&engine, "192.0.2.2", 1, 9, Event::Paused, NOW);
        let webrtc = WebrtcAnnounce {
            info_hash: HASH,
            peer_id: PeerId([0x2d; 20]),
            connection: ConnectionKey(1),
            address: "192.0.2.3".parse::<IpAddr>().unwrap().into(),
            event: Event::None,
            left: 0,
            partners: 0,
        };
        engine.announce_webrtc(&webrtc, NOW, &mut Rng::new([1, 2]), &mut Vec::new()).unwrap();
        let torrent = Torrent::look(&engine, &HASH, NOW, 10).unwrap();
        let expected = serde_json::json!({
            "info_hash": "abababababababababababababababababababab",
            "seeders": 2,
            "leechers": 2,
            "downloaded": 1,
            "peers": [
                { "address": "192.0.2.2:1", "family": "ipv4", "role": "partial_seed", "age_seconds": 0 },
                { "address": "192.0.2.1:6881", "family": "ipv4", "role": "leecher", "age_seconds": 70 },
                { "address": "[2001:db8::1]:51413", "family": "ipv6", "role": "seeder", "age_seconds": 5 },
                { "peer_id": "2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d", "family": "webrtc", "role": "seeder" },
            ],
            "unlisted_peers": 0,
        });
        assert_eq!(serde_json::to_value(&torrent).unwrap(), expected);
    }

    #[test]
    fn no_more_peers_are_listed_than_may_be() {
        let engine = Engine::new(Policy::default(), [1, 2]);
        for port in 1..=5_000 {
            announce(&engine, "192.0.2.1", port, 9, Event::Started, NOW);
        }
        for most in [0, 1, 300, 4_999, 5_000, 10_000] {
            let torrent = Torrent::look(&engine, &HASH, NOW, most).unwrap();
            let ports: HashSet<_> = torrent.peers.iter().map(|peer| peer.address.unwrap().port()).collect();
            assert_eq!(ports.len(), most.min(5_000), "each once");
            assert_eq!((torrent.leechers, torrent.unlisted_peers as usize), (5_000, 5_000 - ports.len()));
        }
    }

    #[test]
    fn a_torrent_without_peers_has_its_downloads() {
        let engine = Engine::new(Policy::default(), [1, 2]);
        announce(&engine, "192.0.2.1", 1, 9, Event::Started, NOW);
        announce(&engine, "192.0.2.1", 1, 0, Event::Completed, NOW);
        announce(&engine, "192.0.2.1", 1, 0, Event::Stopped, NOW);
        let torrent = Torrent::look(&engine, &HASH, NOW, 10).unwrap();
        assert_eq!((torrent.seeders, torrent.leechers, torrent.downloaded), (0, 0, 1));
        assert!(torrent.peers.is_empty() && torrent.unlisted_peers == 0);
    }
}
