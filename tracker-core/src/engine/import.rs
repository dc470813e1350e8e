//! Taking in records: what another process, another node or a file knows of swarms.

use super::{
    CountedBy, Engine, Located, Membership, Rejected,
    change::{Cause, peer_hash},
    common::Common,
    deed::Deed,
    peer::{Contact, Peer4, Peer6, Stamp},
    retained::Ticket,
    shard::Shard,
    swarm::Placed,
};
use crate::{
    model::{Role, Seconds},
    policy::Policy,
    records::{PeerRecord, State, TorrentRecord},
};
use tracker_common::address::Family;

/// Records applied under one lock.
pub(super) const STEP: usize = 64;

/// What became of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Peers that were new, newer than what was known, or gone.
    pub taken: usize,
    /// Peers of which as much or more was known.
    pub known: usize,
    /// Peers that have expired, that are at no address a peer can have, or for which a limit leaves no room.
    pub refused: usize,
}

impl Imported {
    pub(super) const fn count(&mut self, fate: &Fate) {
        match fate {
            Fate::Taken => self.taken += 1,
            Fate::Known => self.known += 1,
            Fate::Refused => self.refused += 1,
        }
    }
}

impl Engine {
    /// Takes in what is told of a torrent and its peers. A record holds only if it is newer than what is known; at equal
    /// age, if it ranks higher. Limits, the access list and `peer_timeout` apply as to announces. The torrent's count of
    /// downloads is the one of whoever is named: it rises to what is told, and the total with it.
    ///
    /// # Errors
    /// If the torrent may not be served, or there is no room for a new one; nothing has been taken then.
    pub fn import(
        &self,
        torrent: &TorrentRecord,
        peers: &[PeerRecord],
        now: Seconds,
        by: CountedBy,
    ) -> Result<Imported, Rejected> {
        self.import_at(&self.locate(&torrent.info_hash), torrent, peers, now, by)
    }

    /// As [`Engine::import`], for a torrent already located.
    ///
    /// # Errors
    /// As [`Engine::import`].
    pub fn import_at(
        &self,
        at: &Located,
        torrent: &TorrentRecord,
        peers: &[PeerRecord],
        now: Seconds,
        by: CountedBy,
    ) -> Result<Imported, Rejected> {
        let mut imported = Imported::default();
        let mut rest = peers;
        loop {
            let (step, behind) = rest.split_at(rest.len().min(STEP));
            rest = behind;
            let counted = (torrent, by);
            let ticket =
                self.shard(at).lock().import(self.common(), at.hash, counted, step, now, &mut imported)?;
            self.file(ticket);
            if rest.is_empty() {
                return Ok(imported);
            }
        }
    }
}

impl Shard {
    fn import(
        &mut self,
        common: Common<'_>,
        hash: u64,
        (record, by): (&TorrentRecord, CountedBy),
        peers: &[PeerRecord],
        now: Seconds,
        imported: &mut Imported,
    ) -> Result<Option<Ticket>, Rejected> {
        self.check_permitted(&record.info_hash)?;
        let here = |peer: &PeerRecord| matches!(peer.state, State::Here { .. });
        let at = match self.find(hash, &record.info_hash) {
            Some(at) => at,
            None if peers.iter().any(here) => self.add_torrent(common, hash, record.info_hash, now)?,
            None => {
                for peer in peers {
                    self.note_gone(common, hash, peer, now);
                }
                imported.known += peers.len();
                return Ok(self.keep_downloads(common, hash, (record, by), now));
            }
        };
        if let Some(torrent) = self.torrents.get_mut(at) {
            let (counted, most) = ((record.downloaded, by), self.rules.policy.max_shares());
            torrent.downloaded = self.shares.raised(hash, torrent.downloaded, counted, most);
        }
        for peer in peers {
            let fate = match peer.address.family() {
                Family::Ipv4 => self.import_peer::<Peer4>(common, hash, at, peer, now),
                Family::Ipv6 => self.import_peer::<Peer6>(common, hash, at, peer, now),
            };
            imported.count(&fate);
        }
        Ok(self.tidy(common, at, now))
    }

    fn import_peer<P: Placed + Contact>(
        &mut self,
        common: Common<'_>,
        hash: u64,
        at: usize,
        record: &PeerRecord,
        now: Seconds,
    ) -> Fate {
        let PeerRecord { address, port, state, age } = *record;
        let timeout = common.peer_timeout(&self.rules.policy);
        if port == 0 || !address.is_unicast() {
            return Fate::Refused;
        }
        let key = common.tables.key;
        let heard = now.wrapping_sub(age);
        let peer = P::new(&address, port, Stamp::new(heard, false));
        let Some(torrent) = self.torrents.get(at) else { return Fate::Refused };
        let position = torrent.swarm.find(&peer, key);
        let list = torrent.swarm.list::<P>();
        let held = position.and_then(|position| Some((list.get(position)?.stamp(), list.role(position))));
        let is_newer = held.is_none_or(|(stamp, role)| {
            let held = State::Here { role, counted: stamp.counted() };
            newer(age, state) > newer(stamp.age(now), held)
        });
        let deed = match state {
            // Whatever was known of it has expired.
            State::Gone if age >= timeout => return Fate::Known,
            State::Gone => {
                self.note_gone(common, hash, record, now);
                Deed::Leave(peer, Cause::Record)
            }
            State::Here { .. } if age >= timeout => return Fate::Refused,
            State::Here { role, counted } => {
                let went = |journal: &super::change::Journal| {
                    journal.has_gone_since(peer_hash(hash, peer.hash(key), key), heard)
                };
                // One that is here has come since it went, if it ever did: what is newer than that is newer than its going.
                let may_be_gone = held.is_none_or(|(stamp, _)| stamp.age(now) <= age);
                if may_be_gone && self.journal.as_deref().is_some_and(went) {
                    return Fate::Known;
                }
                let peer = P::new(&address, port, Stamp::new(heard, counted));
                Deed::Enter { peer, role, completed: false, cause: Cause::Record }
            }
        };
        if !is_newer {
            return Fate::Known;
        }
        self.heard_since = self.heard_since.min(heard);
        Fate::of(self.apply(common, at, position, deed, now).membership)
    }

    /// Remembers that a peer went, so that an older record does not bring it back.
    fn note_gone(&mut self, common: Common<'_>, hash: u64, record: &PeerRecord, now: Seconds) {
        let key = common.tables.key;
        let PeerRecord { address, port, age, .. } = record;
        if *age >= common.peer_timeout(&self.rules.policy) {
            return;
        }
        let peer = match address.family() {
            Family::Ipv4 => super::peer::Peer::hash(&Peer4::new(address, *port, Stamp::default()), key),
            Family::Ipv6 => super::peer::Peer::hash(&Peer6::new(address, *port, Stamp::default()), key),
        };
        if let Some(journal) = &mut self.journal {
            journal.went(peer_hash(hash, peer, key), now.wrapping_sub(*age));
        }
    }

    /// Keeps a torrent's count of downloads that has no peers here, if it is higher than what is kept.
    fn keep_downloads(
        &mut self,
        common: Common<'_>,
        hash: u64,
        (record, by): (&TorrentRecord, CountedBy),
        now: Seconds,
    ) -> Option<Ticket> {
        let TorrentRecord { info_hash, downloaded, age } = *record;
        let policy = &self.rules.policy;
        let Policy { downloaded_entries, downloaded_retention, .. } = **policy;
        if downloaded_entries == 0 || age >= downloaded_retention {
            return None;
        }
        let kept = self.retained.get(&info_hash, hash);
        let total = self.shares.raised(hash, kept, (downloaded, by), policy.max_shares());
        let since = now.saturating_sub(age);
        if total == kept || self.retained.raise(&info_hash, hash, total, since) {
            return None;
        }
        self.retained.take(&info_hash, hash);
        Some(self.retained.keep(self.number(), (info_hash, hash), total, since, common.tables.key))
    }
}

/// What becomes of a peer's record.
pub(super) enum Fate {
    Taken,
    Known,
    Refused,
}

impl Fate {
    pub(super) const fn of(membership: Membership) -> Self {
        match membership {
            Membership::Added | Membership::Refreshed | Membership::Removed => Self::Taken,
            Membership::Absent => Self::Known,
            Membership::TorrentFull | Membership::AddressFull | Membership::MemoryFull => Self::Refused,
        }
    }
}

/// Orders what is told of a peer: what holds is more.
pub(super) fn newer(age: Seconds, state: State) -> impl Ord {
    (std::cmp::Reverse(age), rank(state))
}

/// Orders what may be true of a peer at one time.
const fn rank(state: State) -> u8 {
    match state {
        State::Here { role: Role::Leecher, .. } => 0,
        State::Here { role: Role::PartialSeed, .. } => 1,
        State::Here { role: Role::Seeder, .. } => 2,
        State::Gone => 3,
    }
}
