//! WebRTC peers: found by their peer ID, reached through the connection that they keep to the tracker.
//!
//! They live as long as their connection says so, and are handed to nobody but each other. In all else they are peers
//! as others. Those of other nodes are here as well, see `elsewhere`.

#[cfg(test)]
mod tests;

use super::{
    ConnectionKey, Engine, Partner, Rejected, WebrtcAnnounce, WebrtcAnnounced,
    change::Cause,
    common::Common,
    deed::Deed,
    near::draw_near_first,
    peer::{Peer as _, Stamp, WebrtcPeer},
    retained::Ticket,
    sample::Candidates,
    shard::{Joined, Shard},
};
use crate::{
    model::{Event, InfoHash, PeerId, Role, Seconds},
    rng::Rng,
};

/// What part of the peer timeout may pass without a word of a peer from the node that holds it: every third of the timeout
/// it tells of who is there.
const OVERDUE: Seconds = 2;

impl Engine {
    /// Stores, refreshes or removes the announcer. `partners` is cleared and gets distinct random other WebRTC peers of
    /// the torrent: leechers for a seeder, any for a leecher, none for who stops. Those of this node come first; others
    /// where these are too few.
    ///
    /// Another connection takes a peer over if it comes from the same client address. Of a peer that another node holds the
    /// address is not known, and its peer ID proves nothing: it stays that node's until that node says that it is gone,
    /// or is lost, or has told nothing of it for half of [`Engine::peer_timeout`], within which it would have told of
    /// who is there. A client that comes here before its old node has seen its connection end is refused until then: with
    /// the intervals and timeouts that are usual, for one announce.
    ///
    /// # Errors
    /// If the torrent may not be served, there is no room for a new one, or the peer ID belongs to a client at another
    /// address, or at another node.
    pub fn announce_webrtc(
        &self,
        announce: &WebrtcAnnounce,
        now: Seconds,
        rng: &mut Rng,
        partners: &mut Vec<Partner>,
    ) -> Result<WebrtcAnnounced, Rejected> {
        partners.clear();
        let at = self.locate(&announce.info_hash);
        let (announced, ticket) =
            self.shard(&at).lock().announce_webrtc(self.common(), at.hash, announce, now, rng, partners)?;
        self.file(ticket);
        Ok(announced)
    }

    /// Removes a peer, if this connection holds it, and says whether it did.
    pub fn leave_webrtc(
        &self,
        info_hash: &InfoHash,
        peer_id: &PeerId,
        connection: ConnectionKey,
        now: Seconds,
    ) -> bool {
        let at = self.locate(info_hash);
        let probe = WebrtcPeer::named(peer_id);
        let mut shard = self.shard(&at).lock();
        if shard.peer(self.common(), at.hash, info_hash, &probe).map(|peer| peer.connection)
            != Some(connection)
        {
            return false;
        }
        let (_, _, ticket) = shard.leave(self.common(), at.hash, info_hash, probe, now);
        drop(shard);
        self.file(ticket);
        true
    }

    /// The connection through which a peer is reached: it may be one of another node.
    #[must_use]
    pub fn find_webrtc(&self, info_hash: &InfoHash, peer_id: &PeerId) -> Option<ConnectionKey> {
        let at = self.locate(info_hash);
        let shard = self.shard(&at).lock();
        shard.peer(self.common(), at.hash, info_hash, &WebrtcPeer::named(peer_id)).map(|peer| peer.connection)
    }
}

impl Shard {
    fn announce_webrtc(
        &mut self,
        common: Common<'_>,
        hash: u64,
        announce: &WebrtcAnnounce,
        now: Seconds,
        rng: &mut Rng,
        partners: &mut Vec<Partner>,
    ) -> Result<(WebrtcAnnounced, Option<Ticket>), Rejected> {
        let WebrtcAnnounce { info_hash, peer_id, connection, address, event, left, partners: want } =
            *announce;
        self.check_permitted(&info_hash)?;
        let mut fresh = WebrtcPeer { connection, address, peer_id, stamp: Stamp::new(now, false) };
        let mut counted = false;
        let displaced = match self.peer(common, hash, &info_hash, &fresh).copied() {
            Some(held) if held.connection == connection => None,
            Some(held) if held.node().is_some() => {
                if held.stamp.age(now) < common.peer_timeout(&self.rules.policy) / OVERDUE {
                    return Err(Rejected::PeerIdTaken);
                }
                counted = held.stamp.counted();
                fresh.stamp = fresh.stamp.with_counted(counted);
                self.give_up(common, hash, &info_hash, held, now);
                Some(held.connection)
            }
            Some(held) if held.address == address => Some(held.connection),
            Some(_) => return Err(Rejected::PeerIdTaken),
            None => None,
        };
        if event == Event::Stopped {
            let (counts, membership, ticket) = self.leave(common, hash, &info_hash, fresh, now);
            return Ok((WebrtcAnnounced { counts, membership, displaced }, ticket));
        }
        let role = Role::of(event, left);
        let completed = event == Event::Completed && !counted;
        let has_elsewhere = self.has_elsewhere;
        let joined = self.join(common, hash, &info_hash, fresh, (role, completed), now)?;
        let Joined { at, swarm, counts, position, membership } = joined;
        let others = Candidates::new(swarm.list::<WebrtcPeer>(), role, position);
        if has_elsewhere {
            draw_near_first(&others, want, rng, partners);
        } else {
            others.draw(want.min(others.len()), rng, |peers| {
                partners.extend(peers.iter().map(WebrtcPeer::partner));
            });
        }
        let announced = WebrtcAnnounced { counts, membership, displaced };
        let ticket = self.tidy(common, at, now);
        Ok((announced, ticket))
    }

    /// Another node holds a peer no longer. Its torrent may be left empty.
    fn give_up(
        &mut self,
        common: Common<'_>,
        hash: u64,
        info_hash: &InfoHash,
        held: WebrtcPeer,
        now: Seconds,
    ) {
        if let Some(at) = self.find(hash, info_hash)
            && let Some(torrent) = self.torrents.get(at)
        {
            let position = torrent.swarm.find(&held, common.tables.key);
            self.apply(common, at, position, Deed::Leave(held, Cause::Record), now);
        }
    }
}
