//! WebRTC peers that other nodes hold: taken in as records, and forgotten with their node.
//!
//! Each is told by the node to which it keeps its connection, and by no other one. It is here as peers of this node are, in
//! counts and among partners; its connection key names the node.
//!
//! A client that goes to another node keeps its peer ID. While a connection of this node holds that, what others tell of
//! it does not hold here: the connection's end says when it went, and its new node tells of it again at its next refresh.
//! Of two other nodes that tell of it the newer one holds it.

#[cfg(test)]
mod tests;

use super::{
    Cursor, Engine, Imported, Rejected, Seen, Verdict, Visitor, Walked,
    change::{Cause, peer_hash},
    common::Common,
    deed::Deed,
    import::{Fate, STEP, newer},
    peer::{Peer as _, Stamp, WebrtcPeer},
    retained::Ticket,
    shard::Shard,
};
use crate::{
    model::{Counts, InfoHash, Network, Seconds},
    nodes::NodeNumber,
    records::{State, WebrtcRecord},
};

impl Engine {
    /// Takes in what a node tells of the WebRTC peers that it holds. A record holds only if it is newer than what is known; at
    /// equal age, if it ranks higher. That one is gone holds only of whom that node holds, as far as is known, and none
    /// holds of whom a connection of this node holds. Limits, the access list and `peer_timeout` apply as to announces,
    /// but for the limit on peers of one address, which is not known.
    ///
    /// # Errors
    /// If the torrent may not be served, or there is no room for a new one; nothing has been taken then.
    pub fn import_webrtc(
        &self,
        info_hash: &InfoHash,
        peers: &[WebrtcRecord],
        node: NodeNumber,
        now: Seconds,
    ) -> Result<Imported, Rejected> {
        let at = self.locate(info_hash);
        let mut imported = Imported::default();
        for step in peers.chunks(STEP) {
            let ticket = self.shard(&at).lock().import_webrtc(
                self.common(),
                (at.hash, info_hash),
                step,
                node,
                now,
                &mut imported,
            )?;
            self.file(ticket);
        }
        Ok(imported)
    }

    /// Forgets the WebRTC peers of nodes that are lost, among the next `budget` items or so from where the cursor stands.
    /// Call it until the walk has ended.
    pub fn forget_nodes(
        &self,
        nodes: &[NodeNumber],
        cursor: &mut Cursor,
        now: Seconds,
        budget: usize,
    ) -> Walked {
        self.walk(cursor, now, budget, &mut Lost(nodes))
    }
}

/// Removes the peers of these nodes.
struct Lost<'a>(&'a [NodeNumber]);

impl Visitor for Lost<'_> {
    /// As everybody finds out alone.
    const CAUSE: Cause = Cause::Expiry;

    fn torrent(&mut self, _: &InfoHash, _: &Counts, _: bool) -> Verdict {
        Verdict::Keep
    }

    fn wants(&self, network: Network) -> bool {
        network == Network::Webrtc
    }

    fn peer(&mut self, peer: &Seen<'_>) -> Verdict {
        if peer.node().is_some_and(|node| self.0.contains(&node)) { Verdict::Remove } else { Verdict::Keep }
    }
}

impl Shard {
    fn import_webrtc(
        &mut self,
        common: Common<'_>,
        (hash, info_hash): (u64, &InfoHash),
        peers: &[WebrtcRecord],
        node: NodeNumber,
        now: Seconds,
        imported: &mut Imported,
    ) -> Result<Option<Ticket>, Rejected> {
        self.check_permitted(info_hash)?;
        let here = |peer: &WebrtcRecord| matches!(peer.state, State::Here { .. });
        let at = match self.find(hash, info_hash) {
            Some(at) => Some(at),
            None if peers.iter().any(here) => Some(self.add_torrent(common, hash, *info_hash, now)?),
            None => None,
        };
        for peer in peers {
            imported.count(&self.import_webrtc_peer(common, (hash, at), peer, node, now));
        }
        Ok(at.and_then(|at| self.tidy(common, at, now)))
    }

    /// Takes in a record of a peer of a torrent, which is at `at` if it is there.
    fn import_webrtc_peer(
        &mut self,
        common: Common<'_>,
        (hash, at): (u64, Option<usize>),
        record: &WebrtcRecord,
        node: NodeNumber,
        now: Seconds,
    ) -> Fate {
        let WebrtcRecord { peer_id, state, age } = *record;
        let key = common.tables.key;
        let is_old = age >= common.peer_timeout(&self.rules.policy);
        let heard = now.wrapping_sub(age);
        let peer = WebrtcPeer::elsewhere(&peer_id, node, Stamp::new(heard, false));
        // It may have gone from one node to another: that it left the one says nothing of the other.
        let name = peer_hash(hash, key.hash([peer.hash(key), u64::from(node.get()) | 10 << 56]), key);
        let deed = match state {
            // Whatever was known of it has expired.
            State::Gone if is_old => return Fate::Known,
            State::Gone => {
                if let Some(journal) = &mut self.journal {
                    journal.went(name, heard);
                }
                Deed::Leave(peer, Cause::Record)
            }
            State::Here { .. } if is_old => return Fate::Refused,
            State::Here { role, counted } => {
                if self.journal.as_deref().is_some_and(|journal| journal.has_gone_since(name, heard)) {
                    return Fate::Known;
                }
                let peer = WebrtcPeer { stamp: Stamp::new(heard, counted), ..peer };
                Deed::Enter { peer, role, completed: false, cause: Cause::Record }
            }
        };
        let Some((at, torrent)) = at.and_then(|at| Some((at, self.torrents.get(at)?))) else {
            return Fate::Known;
        };
        let position = torrent.swarm.find(&peer, key);
        let list = torrent.swarm.list::<WebrtcPeer>();
        let held = position.and_then(|position| Some((list.get(position)?, list.role(position))));
        let holds = held.is_none_or(|(held, role)| {
            let is_its_own = held.node() == Some(node);
            let known = State::Here { role, counted: held.stamp.counted() };
            let may = is_its_own || (held.node().is_some() && state != State::Gone);
            may && newer(age, state) > newer(held.stamp.age(now), known)
        });
        if !holds {
            return Fate::Known;
        }
        self.heard_since = self.heard_since.min(heard);
        self.has_elsewhere = true;
        Fate::of(self.apply(common, at, position, deed, now).membership)
    }
}
