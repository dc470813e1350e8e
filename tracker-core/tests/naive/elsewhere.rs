//! WebRTC peers of other nodes through an engine and its naive twin.

use super::{Key, Member, Twins, info_hash, webrtc::peer_id};
use std::net::{IpAddr, Ipv6Addr};
use tracker_core::{
    engine::{ConnectionKey, Cursor, Imported, Rejected},
    model::{InfoHash, PeerId, Role, Seconds},
    nodes::NodeNumber,
    records::{State, WebrtcRecord},
};

fn node(number: u8) -> NodeNumber {
    NodeNumber::new(u16::from(number % 3)).unwrap()
}

const fn state(kind: u8) -> State {
    let counted = kind & 8 == 8;
    match kind % 4 {
        0 => State::Gone,
        1 => State::Here { role: Role::Leecher, counted },
        2 => State::Here { role: Role::PartialSeed, counted },
        _ => State::Here { role: Role::Seeder, counted },
    }
}

/// What is left of a record once it has been looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Taken,
    Known,
    Refused,
}

impl Twins {
    pub(super) fn import(&mut self, torrent: u8, peer: u8, number: u8, age: u16, kind: u8) {
        let (hash, peer_id, node) = (info_hash(torrent), peer_id(peer), node(number));
        // Half of them are young.
        let age = Seconds::from(age % 700) >> if kind & 16 == 16 { 5 } else { 0 };
        let record = WebrtcRecord { peer_id, state: state(kind), age };
        let answer = self.engine.import_webrtc(&hash, &[record], node, self.now);
        if let Some(rejected) = self.rejects(&hash, record.state) {
            return assert_eq!(answer, Err(rejected));
        }
        let Imported { taken, known, refused } = answer.unwrap();
        let fate = match (taken, known, refused) {
            (1, 0, 0) => Fate::Taken,
            (0, 1, 0) => Fate::Known,
            (0, 0, 1) => Fate::Refused,
            other => panic!("{other:?} of one"),
        };
        // Those that went are remembered in a bounded number, so the engine may have forgotten one.
        let may_have_gone = fate == Fate::Known && self.went_since(&hash, &record, node);
        if !may_have_gone {
            assert_eq!(fate, self.import_naively(hash, &record, node), "{record:?} of {node:?}");
        } else if record.state != State::Gone {
            self.begin(hash);
        }
        self.check_holder(&hash, peer_id);
        self.finish(hash);
    }

    fn rejects(&self, hash: &InfoHash, state: State) -> Option<Rejected> {
        if !self.permits(hash) {
            return Some(Rejected::NotPermitted);
        }
        if state == State::Gone || self.swarms.contains_key(hash) {
            return None;
        }
        let nearly = self.policy.max_peers - self.policy.max_peers / 32;
        if self.stored() >= nearly {
            return Some(Rejected::MemoryFull);
        }
        (self.swarms.len() >= self.policy.max_torrents).then_some(Rejected::TooManyTorrents)
    }

    /// Whether a node has said since that a peer went which it says is here.
    fn went_since(&self, hash: &InfoHash, record: &WebrtcRecord, node: NodeNumber) -> bool {
        let gone = self.gone.as_ref().and_then(|gone| gone.get(&(*hash, record.peer_id, node.get() as u8)));
        record.state != State::Gone && gone.is_some_and(|gone| *gone >= self.now - record.age)
    }

    fn import_naively(&mut self, hash: InfoHash, record: &WebrtcRecord, node: NodeNumber) -> Fate {
        let WebrtcRecord { peer_id, state, age } = *record;
        let (me, heard, is_old) = (Key::Named(peer_id), self.now - age, age >= self.policy.peer_timeout);
        let State::Here { role, counted } = state else {
            if !is_old {
                self.note_gone(hash, peer_id, node, heard);
            }
            let swarm = self.swarms.get_mut(&hash);
            let Some(swarm) = swarm.filter(|_| !is_old) else { return Fate::Known };
            let its_own =
                swarm.peers.get(&me).filter(|held| held.connection == Some(ConnectionKey::of_node(node)));
            if its_own.is_none_or(|held| held.heard > heard) {
                return Fate::Known;
            }
            swarm.peers.remove(&me);
            return Fate::Taken;
        };
        let stored = self.stored();
        self.begin(hash);
        if is_old {
            return Fate::Refused;
        }
        let swarm = self.swarms.get_mut(&hash).unwrap();
        let fresh = Member {
            role,
            heard,
            counted,
            address: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            connection: Some(ConnectionKey::of_node(node)),
        };
        if let Some(held) = swarm.peers.get_mut(&me) {
            let is_newer = held.heard < heard || held.heard == heard && held.role < role;
            if !held.is_elsewhere() || !is_newer {
                return Fate::Known;
            }
            *held = fresh;
            return Fate::Taken;
        }
        if swarm.peers.len() >= self.policy.max_peers_per_torrent || stored >= self.policy.max_peers {
            return Fate::Refused;
        }
        swarm.peers.insert(me, fresh);
        Fate::Taken
    }

    fn note_gone(&mut self, hash: InfoHash, peer_id: PeerId, node: NodeNumber, heard: Seconds) {
        if let Some(gone) = &mut self.gone {
            let last = gone.entry((hash, peer_id, node.get() as u8)).or_insert(heard);
            *last = heard.max(*last);
        }
    }

    pub(super) fn forget(&mut self, number: u8) {
        let (node, mut cursor) = (node(number), Cursor::default());
        while !self.engine.forget_nodes(&[node], &mut cursor, self.now, 500).ended {}
        let mut emptied = Vec::new();
        for (hash, swarm) in &mut self.swarms {
            swarm.peers.retain(|_, member| member.connection != Some(ConnectionKey::of_node(node)));
            if swarm.peers.is_empty() {
                emptied.push(*hash);
            }
        }
        self.emptied(&emptied);
        self.check_totals();
    }
}
