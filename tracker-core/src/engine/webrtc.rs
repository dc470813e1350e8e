//! WebRTC peers: found by their peer ID, reached through the connection that they keep to the tracker.
//!
//! They live as long as their connection says so, and are handed to nobody but each other. In all else they are peers
//! as others.

#[cfg(test)]
mod tests;

use super::{
    ConnectionKey, Engine, Partner, Rejected, WebrtcAnnounce, WebrtcAnnounced,
    common::Common,
    peer::{Stamp, WebrtcPeer},
    retained::Ticket,
    sample::Candidates,
    shard::{Joined, Shard},
};
use crate::{
    model::{Event, InfoHash, PeerId, Role, Seconds},
    rng::Rng,
};

impl Engine {
    /// Stores, refreshes or removes the announcer. `partners` is cleared and gets distinct random other WebRTC peers of
    /// the torrent: leechers for a seeder, any for a leecher, none for who stops.
    ///
    /// Another connection takes a peer over if it comes from the same client address.
    ///
    /// # Errors
    /// If the torrent may not be served, there is no room for a new one, or the peer ID belongs to a client at another
    /// address.
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

    /// The connection through which a peer is reached.
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
        let fresh = WebrtcPeer { connection, address, peer_id, stamp: Stamp::new(now, false) };
        let displaced = match self.peer(common, hash, &info_hash, &fresh) {
            Some(held) if held.connection == connection => None,
            Some(held) if held.address == address => Some(held.connection),
            Some(_) => return Err(Rejected::PeerIdTaken),
            None => None,
        };
        if event == Event::Stopped {
            let (counts, membership, ticket) = self.leave(common, hash, &info_hash, fresh, now);
            return Ok((WebrtcAnnounced { counts, membership, displaced }, ticket));
        }
        let role = Role::of(event, left);
        let joined = self.join(common, hash, &info_hash, fresh, (role, event == Event::Completed), now)?;
        let Joined { at, swarm, counts, position, membership } = joined;
        let others = Candidates::new(swarm.list::<WebrtcPeer>(), role, position);
        others.draw(want.min(others.len()), rng, |peers| {
            partners.extend(peers.iter().map(WebrtcPeer::partner));
        });
        let announced = WebrtcAnnounced { counts, membership, displaced };
        let ticket = self.tidy(common, at, now);
        Ok((announced, ticket))
    }
}
