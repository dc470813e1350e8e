//! WebRTC peers: found by their peer ID, reached through the connection that they keep to the tracker.
//!
//! They live as long as their connection says so, and are handed to nobody but each other. In all else they are peers
//! as others.

#[cfg(test)]
mod tests;

use super::{
    Engine, Membership, Rejected,
    hash::HashKey,
    peer::{Peer, Stamp},
    retained::Ticket,
    sample::Candidates,
    shard::{Asker, Common, Joined, Shard},
};
use crate::{
    model::{Counts, Event, InfoHash, PeerId, Seconds},
    rng::Rng,
};
use tracker_common::address::Address;

/// Names a connection: unique for the life of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey(pub u64);

/// A WebRTC peer tells of itself and asks for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebrtcAnnounce {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who the peer is, among the torrent's WebRTC peers.
    pub peer_id: PeerId,
    /// Through which it is reached.
    pub connection: ConnectionKey,
    /// The client's. Only from there may another connection take the peer over.
    pub address: Address,
    /// Why it announces.
    pub event: Event,
    /// Bytes it still has to get; zero makes a seeder.
    pub left: u64,
    /// How many others it may be given.
    pub partners: usize,
}

/// A WebRTC peer that an announcer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Partner {
    /// Who it is.
    pub peer_id: PeerId,
    /// Through which it is reached.
    pub connection: ConnectionKey,
}

/// The answer to an announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebrtcAnnounced {
    /// The whole swarm, the announcer included where it is stored.
    pub counts: Counts,
    /// What became of the announcer.
    pub membership: Membership,
    /// The connection that held the peer ID before, if it was another one.
    pub displaced: Option<ConnectionKey>,
}

/// What is kept of a WebRTC peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct WebrtcPeer {
    connection: ConnectionKey,
    address: Address,
    peer_id: PeerId,
    /// Only whether its download has been counted: it does not age.
    stamp: Stamp,
}
const _: () = assert!(size_of::<WebrtcPeer>() == 48);

impl WebrtcPeer {
    /// Anybody with this peer ID.
    fn named(peer_id: &PeerId) -> Self {
        Self { peer_id: *peer_id, ..Self::default() }
    }

    const fn partner(&self) -> Partner {
        Partner { peer_id: self.peer_id, connection: self.connection }
    }
}

impl Default for WebrtcPeer {
    fn default() -> Self {
        Self {
            connection: ConnectionKey(0),
            address: Address::from_words([0, 0]),
            peer_id: PeerId([0; 20]),
            stamp: Stamp::default(),
        }
    }
}

impl Peer for WebrtcPeer {
    fn is(&self, other: &Self) -> bool {
        self.peer_id == other.peer_id
    }

    fn hash(&self, key: HashKey) -> u64 {
        key.id(&self.peer_id.0)
    }

    fn address(&self) -> Address {
        self.address
    }

    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn set_stamp(&mut self, stamp: Stamp) {
        self.stamp = stamp;
    }
}

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
        let (_, _, ticket) = shard.leave(self.common(), at.hash, info_hash, &probe, now);
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
            let (counts, membership, ticket) = self.leave(common, hash, &info_hash, &fresh, now);
            return Ok((WebrtcAnnounced { counts, membership, displaced }, ticket));
        }
        let asker = Asker::new(event, left);
        let joined = self.join(common, hash, &info_hash, fresh, asker, now)?;
        let Joined { at, swarm, counts, position, membership } = joined;
        let others = Candidates::new(swarm.list::<WebrtcPeer>(), asker.role, position);
        others.draw(want.min(others.len()), rng, |peers| {
            partners.extend(peers.iter().map(WebrtcPeer::partner));
        });
        let announced = WebrtcAnnounced { counts, membership, displaced };
        let ticket = self.tidy(common, at, now);
        Ok((announced, ticket))
    }
}
