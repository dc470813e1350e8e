//! Two nodes that tell each other of their peers, and what their clients say to each other.

use super::{NodeNumber, Twins, offered, peer_id};
use std::collections::{BTreeMap, HashSet};
use tracker_core::{
    engine::{ConnectionKey, Engine, Listener},
    model::InfoHash,
    records::{WebrtcItem, WebrtcReader, WebrtcRecord, WebrtcWriter},
    ws::{Far, FarKind, Relay, Tickets},
};

pub(super) fn number(node: usize) -> NodeNumber {
    NodeNumber::new(node as u16).unwrap()
}

/// What a node keys its tickets with.
pub(super) const fn secret(node: usize) -> [u64; 2] {
    [11, 12 + node as u64]
}

impl Twins {
    /// The node that a client is connected to.
    pub(super) const fn node(&self, client: usize) -> usize {
        client % self.engines.len()
    }

    /// Each node tells the others what has changed, as bytes.
    pub(super) fn tell(&self) {
        if self.engines.len() == 1 {
            return;
        }
        for (teller, engine) in self.engines.iter().enumerate() {
            let (mut changes, mut writer) = (Vec::new(), WebrtcWriter::default());
            for shard in 0..Engine::SHARDS {
                assert!(!engine.take_changes(Listener::Cluster, shard, &mut changes).overflowed);
            }
            changes.iter().for_each(|change| writer.change(change, self.now));
            let told = read(&writer.take());
            for (_, hearer) in self.engines.iter().enumerate().filter(|(node, _)| *node != teller) {
                for (info_hash, peers) in &told {
                    hearer.import_webrtc(info_hash, peers, number(teller), self.now).unwrap();
                }
            }
        }
    }

    /// A message goes to another node, as bytes.
    fn carry(&self, from: usize, to: NodeNumber, message: &Far) -> Option<(ConnectionKey, Relay)> {
        let to = usize::from(to.get());
        assert_ne!(from, to);
        let message = Far::decode(&message.encode()).unwrap();
        message.arrive(number(from), &self.engines[to], &Tickets::new(secret(to)))
    }

    /// The offers from `first` on go to so many distinct candidates of other nodes.
    pub(super) fn check_far_offers(
        &mut self,
        client: usize,
        (torrent, peer): (u8, u8),
        candidates: &BTreeMap<u8, usize>,
        first: u32,
        count: usize,
    ) {
        let (node, sent) = (self.node(client), std::mem::take(&mut self.out.far));
        assert_eq!(sent.len(), count);
        let mut given = HashSet::new();
        for (offer, (to, message)) in (first..).zip(sent) {
            let (partner, at) =
                candidates.iter().find(|(partner, _)| peer_id(**partner) == message.to.0).unwrap();
            assert!(given.insert(*partner), "a partner came twice");
            assert_eq!(usize::from(to.get()), self.node(*at));
            let (key, relay) = self.carry(node, to, &message).unwrap();
            assert_eq!(key.0, self.clients[*at].key);
            let offer = (torrent, peer, offer);
            assert_eq!(relay.text(), offered(offer));
            self.clients[*at].queue.push((relay, Some((offer, Some((node, *partner)))), offered(offer)));
        }
    }

    /// An answer was sent to this node, if to any: what comes of it there.
    pub(super) fn carry_answer(
        &mut self,
        client: usize,
        to: Option<usize>,
    ) -> Option<(ConnectionKey, Relay)> {
        let sent = std::mem::take(&mut self.out.far);
        assert_eq!(
            sent.iter().map(|(node, _)| usize::from(node.get())).collect::<Vec<_>>(),
            Vec::from_iter(to)
        );
        let (to, message) = sent.into_iter().next()?;
        assert_eq!(message.kind, FarKind::Answer);
        let made_up = Far { ticket: message.ticket ^ 1, ..message.clone() };
        assert_eq!(self.carry(self.node(client), to, &made_up), None);
        self.carry(self.node(client), to, &message)
    }
}

fn read(bytes: &[u8]) -> Vec<(InfoHash, Vec<WebrtcRecord>)> {
    let mut told: Vec<(InfoHash, Vec<WebrtcRecord>)> = Vec::new();
    for item in WebrtcReader::new(bytes) {
        match item.unwrap() {
            WebrtcItem::Torrent(info_hash) => told.push((info_hash, Vec::new())),
            WebrtcItem::Peer(peer) => told.last_mut().unwrap().1.push(peer),
        }
    }
    told
}
