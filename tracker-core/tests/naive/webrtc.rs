//! WebRTC peers through an engine and its naive twin.

use super::{Key, Saying, Twins, info_hash};
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use tracker_common::address::Address;
use tracker_core::{
    engine::{ConnectionKey, Partner, WebrtcAnnounce},
    model::{Event, InfoHash, Network, PeerId},
};

/// Connections that come and go.
pub(crate) const CONNECTIONS: u8 = 24;

pub(super) fn peer_id(peer: u8) -> PeerId {
    PeerId(std::array::from_fn(|i| if i == 19 { peer % 100 } else { i as u8 }))
}

/// A connection and where its client is: the last two clients are also where peers of other networks are.
fn connection(number: u8) -> (ConnectionKey, IpAddr) {
    let number = number % CONNECTIONS;
    let ip = match number % 3 {
        0 => Ipv4Addr::new(192, 0, 2, 1).into(),
        1 => Ipv4Addr::new(10, 0, 0, 1).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    (ConnectionKey(u64::from(number)), ip)
}

impl Twins {
    pub(super) fn announce_webrtc(
        &mut self,
        torrent: u8,
        peer: u8,
        number: u8,
        event: Event,
        left: u8,
        want: u8,
    ) {
        let (info_hash, peer_id) = (info_hash(torrent), peer_id(peer));
        let (key, ip) = connection(number);
        let (left, wanted) = (u64::from(left % 3), usize::from(want));
        let mut partners = vec![Partner { peer_id: PeerId([0xee; 20]), connection: ConnectionKey(99) }];
        let announce = WebrtcAnnounce {
            info_hash,
            peer_id,
            connection: key,
            address: Address::from(ip),
            event,
            left,
            partners: wanted,
        };
        let answer = self.engine.announce_webrtc(&announce, self.now, &mut self.rng, &mut partners);
        let me = Key::Named(peer_id);
        let saying = Saying { info_hash, me, address: ip, connection: Some(key), event, left };
        let held = self.holder(&info_hash, peer_id);
        let (membership, counts) = match self.told(&saying) {
            Ok(told) => told,
            Err(rejected) => {
                assert_eq!((answer, partners.as_slice()), (Err(rejected), [].as_slice()));
                return;
            }
        };
        let answer = answer.unwrap();
        assert_eq!((answer.membership, answer.counts), (membership, counts));
        assert_eq!(answer.displaced, held.filter(|held| *held != key));
        self.check_partners(&saying, wanted, &partners);
        self.check_holder(&info_hash, peer_id);
        self.finish(info_hash);
    }

    fn check_partners(&self, saying: &Saying, wanted: usize, partners: &[Partner]) {
        let eligible = match self.swarms.get(&saying.info_hash) {
            Some(swarm) => swarm.eligible(saying, Network::Webrtc),
            None => HashSet::new(),
        };
        let given: HashSet<_> = partners.iter().map(|partner| Key::Named(partner.peer_id)).collect();
        assert_eq!((given.len(), partners.len()), (wanted.min(eligible.len()), given.len()));
        assert!(given.is_subset(&eligible), "{given:?} of {eligible:?}");
        // Those of this node come first.
        let near = |key: &Key| {
            let member = self.swarms.get(&saying.info_hash).and_then(|swarm| swarm.peers.get(key));
            member.is_some_and(|member| !member.is_elsewhere())
        };
        let (has, given) = [&eligible, &given].map(|keys| keys.iter().filter(|key| near(key)).count()).into();
        assert_eq!(given, wanted.min(has));
        for partner in partners {
            assert_eq!(self.holder(&saying.info_hash, partner.peer_id), Some(partner.connection));
        }
    }

    fn holder(&self, info_hash: &InfoHash, peer_id: PeerId) -> Option<ConnectionKey> {
        self.swarms.get(info_hash)?.peers.get(&Key::Named(peer_id))?.connection
    }

    pub(super) fn check_holder(&self, info_hash: &InfoHash, peer_id: PeerId) {
        assert_eq!(self.engine.find_webrtc(info_hash, &peer_id), self.holder(info_hash, peer_id));
    }

    pub(super) fn leave_webrtc(&mut self, torrent: u8, peer: u8, number: u8) {
        let (info_hash, peer_id) = (info_hash(torrent), peer_id(peer));
        let (key, _) = connection(number);
        let left = self.engine.leave_webrtc(&info_hash, &peer_id, key, self.now);
        assert_eq!(left, self.holder(&info_hash, peer_id) == Some(key));
        if left && let Some(swarm) = self.swarms.get_mut(&info_hash) {
            swarm.peers.remove(&Key::Named(peer_id));
            self.forget_if_empty(info_hash);
        }
        self.check_holder(&info_hash, peer_id);
    }

    /// A connection ends: it leaves all that it may hold, and what it held before others took it over.
    pub(super) fn close(&mut self, number: u8) {
        for torrent in 0..8 {
            let peers: Vec<u8> = match self.swarms.get(&info_hash(torrent)) {
                Some(swarm) => {
                    (0..100).filter(|peer| swarm.peers.contains_key(&Key::Named(peer_id(*peer)))).collect()
                }
                None => Vec::new(),
            };
            for peer in peers {
                self.leave_webrtc(torrent, peer, number);
            }
        }
    }
}
