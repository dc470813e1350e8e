//! A part of the torrents, behind one lock.

use super::{
    Announce, Announced, Lists, Membership, Rejected,
    change::{Cause, Journal},
    common::{Common, Rules},
    deed::{Applied, Deed},
    fill::{Asker, Hidden, fill},
    hash::HashKey,
    index::Index,
    members::Members,
    peer::{Contact, Peer4, Peer6, Stamp},
    prefetch::prefetch,
    retained::{Retained, Ticket},
    shares::Shares,
    sizes::Sizes,
    swarm::{PeerCounts, Placed, Swarm},
    torrents::{Torrent, Torrents, room},
};
use crate::{
    model::{Counts, Event, InfoHash, Role, Seconds},
    rng::Rng,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tracker_common::address::Family;

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) torrents: Torrents,
    index: Index,
    pub(super) rules: Arc<Rules>,
    pub(super) peers: PeerCounts,
    pub(super) sizes: Sizes,
    pub(super) retained: Box<Retained>,
    /// Of torrents that are stored, or whose count is kept.
    pub(super) shares: Shares,
    /// Nobody that expires was last heard of before: a shard where that is not long ago need not be looked through.
    pub(super) heard_since: Seconds,
    /// A WebRTC peer of another node has been here at some time.
    pub(super) has_elsewhere: bool,
    /// Where somebody listens.
    pub(super) journal: Option<Box<Journal>>,
    number: u16,
}

/// A torrent whose announcer has entered, if it may.
pub(super) struct Joined<'a> {
    /// The torrent's position. [`Shard::tidy`] has to be called with it.
    pub(super) at: usize,
    pub(super) swarm: &'a Swarm,
    pub(super) counts: Counts,
    /// The announcer's.
    pub(super) position: Option<usize>,
    pub(super) membership: Membership,
}

impl Shard {
    /// One of an engine in which `shares` counts what other nodes counted.
    pub(super) fn new(number: u16, rules: Arc<Rules>, shares: Arc<AtomicUsize>) -> Self {
        Self {
            torrents: Torrents::default(),
            index: Index::none(),
            rules,
            peers: PeerCounts::default(),
            sizes: Sizes::default(),
            retained: Box::default(),
            shares: Shares::new(shares),
            heard_since: 0,
            has_elsewhere: false,
            journal: None,
            number,
        }
    }

    #[inline]
    pub(super) fn announce<P: Placed + Contact>(
        &mut self,
        common: Common<'_>,
        hash: u64,
        announce: &Announce,
        now: Seconds,
        rng: &mut Rng,
        lists: &mut Lists<'_>,
    ) -> Result<(Announced, Option<Ticket>), Rejected> {
        self.check_permitted(&announce.info_hash)?;
        let Announce { info_hash, address, port, event, left, want } = announce;
        let fresh = P::new(address, *port, Stamp::new(now, false));
        if *event == Event::Stopped {
            let (counts, membership, ticket) = self.leave(common, hash, info_hash, fresh, now);
            return Ok((Announced { counts, ipv4_peers: 0, ipv6_peers: 0, membership }, ticket));
        }
        let role = Role::of(*event, *left);
        let completed = *event == Event::Completed;
        let hidden = Hidden::from(address, common, &self.rules.policy);
        let joined = self.join(common, hash, info_hash, fresh, (role, completed), now)?;
        let Joined { at, swarm, counts, position, membership } = joined;
        let me = position.map(|position| (address.family(), position));
        let asker = Asker { family: address.family(), role, me, want: *want, hidden };
        let [ipv4_peers, ipv6_peers] = fill(swarm, asker, rng, lists);
        let announced = Announced { counts, ipv4_peers, ipv6_peers, membership };
        let ticket = self.tidy(common, at, now);
        Ok((announced, ticket))
    }

    pub(super) fn check_permitted(&self, info_hash: &InfoHash) -> Result<(), Rejected> {
        if self.rules.access.permits(info_hash) { Ok(()) } else { Err(Rejected::NotPermitted) }
    }

    /// What is kept of a peer.
    pub(super) fn peer<P: Placed>(
        &self,
        common: Common<'_>,
        hash: u64,
        info_hash: &InfoHash,
        peer: &P,
    ) -> Option<&P> {
        let torrent = self.torrents.get(self.find(hash, info_hash)?)?;
        let position = torrent.swarm.find(peer, common.tables.key)?;
        torrent.swarm.list::<P>().get(position)
    }

    /// Inserts or refreshes an announcer, which has a role and may have completed just now.
    #[inline]
    pub(super) fn join<P: Placed>(
        &mut self,
        common: Common<'_>,
        hash: u64,
        info_hash: &InfoHash,
        peer: P,
        (role, completed): (Role, bool),
        now: Seconds,
    ) -> Result<Joined<'_>, Rejected> {
        let at = match self.find(hash, info_hash) {
            Some(at) => at,
            None => self.add_torrent(common, hash, *info_hash, now)?,
        };
        let position = self.torrents.get(at).and_then(|torrent| torrent.swarm.find(&peer, common.tables.key));
        let completed = completed && role == Role::Seeder;
        let deed = Deed::Enter { peer, role, completed, cause: Cause::Announce };
        let Applied { membership, position } = self.apply(common, at, position, deed, now);
        let Some(torrent) = self.torrents.get(at) else { return Err(Rejected::TooManyTorrents) };
        Ok(Joined { at, swarm: &torrent.swarm, counts: torrent.counts(), position, membership })
    }

    /// Removes a torrent again whose first peer might not enter.
    #[inline]
    pub(super) fn tidy(&mut self, common: Common<'_>, at: usize, now: Seconds) -> Option<Ticket> {
        let empty = self.torrents.get(at).is_some_and(|torrent| torrent.swarm.is_empty());
        if empty { self.remove_torrent(common, at, now) } else { None }
    }

    /// Removes a peer, if it is there.
    pub(super) fn leave<P: Placed>(
        &mut self,
        common: Common<'_>,
        hash: u64,
        info_hash: &InfoHash,
        peer: P,
        now: Seconds,
    ) -> (Counts, Membership, Option<Ticket>) {
        let at = self.find(hash, info_hash);
        let Some((at, torrent)) = at.and_then(|at| Some((at, self.torrents.get(at)?))) else {
            let downloaded = self.retained.get(info_hash, hash);
            return (Counts { downloaded, ..Counts::default() }, Membership::Absent, None);
        };
        let position = torrent.swarm.find(&peer, common.tables.key);
        let applied = self.apply(common, at, position, Deed::Leave(peer, Cause::Announce), now);
        let counts = self.torrents.get(at).map(Torrent::counts).unwrap_or_default();
        let ticket = self.tidy(common, at, now);
        (counts, applied.membership, ticket)
    }

    pub(super) fn scrape(&self, hash: u64, info_hash: &InfoHash) -> Counts {
        if !self.rules.access.permits(info_hash) {
            return Counts::default();
        }
        match self.find(hash, info_hash).and_then(|at| self.torrents.get(at)) {
            Some(torrent) => torrent.counts(),
            None => Counts { downloaded: self.retained.get(info_hash, hash), ..Counts::default() },
        }
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, info_hash: &InfoHash) -> Option<usize> {
        self.index
            .find(hash, |at| self.torrents.get(at).is_some_and(|torrent| torrent.info_hash == *info_hash))
    }

    /// Adds a torrent without peers, which is not to stay so.
    pub(super) fn add_torrent(
        &mut self,
        common: Common<'_>,
        hash: u64,
        info_hash: InfoHash,
        now: Seconds,
    ) -> Result<usize, Rejected> {
        let policy = &self.rules.policy;
        // A little is left for those who come to torrents that are there.
        if common.peers.load(Ordering::Relaxed) >= policy.max_peers - policy.max_peers / 32 {
            return Err(Rejected::MemoryFull);
        }
        if common.torrents.fetch_add(1, Ordering::Relaxed) >= policy.max_torrents {
            common.torrents.fetch_sub(1, Ordering::Relaxed);
            return Err(Rejected::TooManyTorrents);
        }
        let downloaded = self.retained.take(&info_hash, hash);
        let at = self.torrents.len();
        if at == 0 {
            self.heard_since = now;
        }
        self.torrents.push(Torrent { info_hash, downloaded, swarm: Swarm::Empty }, room(at));
        let Self { torrents, index, .. } = self;
        index.insert(hash, at, |at| hash_of(torrents, at, common));
        Ok(at)
    }

    /// Removes a torrent without peers and keeps its `downloaded` count, of which the ticket tells.
    pub(super) fn remove_torrent(&mut self, common: Common<'_>, at: usize, now: Seconds) -> Option<Ticket> {
        let Self { torrents, index, .. } = self;
        let (hash, last) = (hash_of(torrents, at, common), torrents.len().checked_sub(1)?);
        index.remove(hash, at, |at| hash_of(torrents, at, common));
        if at != last {
            index.relocate(hash_of(torrents, last, common), last, at);
        }
        let Torrent { info_hash, downloaded, .. } = torrents.swap_remove(at, room(last / 8))?;
        common.torrents.fetch_sub(1, Ordering::Relaxed);
        let Rules { policy, access } = &*self.rules;
        if downloaded == 0 || policy.downloaded_entries == 0 || !access.permits(&info_hash) {
            self.shares.forget(hash);
            return None;
        }
        Some(self.retained.keep(self.number, (info_hash, hash), downloaded, now, common.tables.key))
    }

    /// Forgets the `downloaded` count of a ticket, and what is older.
    pub(super) fn forget(&mut self, ticket: Ticket, key: HashKey) {
        self.retained.forget(ticket, key, &mut self.shares);
    }

    pub(super) const fn number(&self) -> u16 {
        self.number
    }

    /// Torrents, peers, kept counts.
    pub(super) fn totals(&self) -> (usize, PeerCounts, usize) {
        (self.torrents.len(), self.peers, self.retained.len())
    }

    /// Whether there is a part to be fetched before its slot.
    pub(super) fn prefetch_part(&self, hash: u64) -> bool {
        let part = self.index.part_address(hash);
        part.or_else(|| self.index.address(hash)).into_iter().for_each(prefetch);
        part.is_some()
    }

    pub(super) fn prefetch_slot(&self, hash: u64) {
        self.index.address(hash).into_iter().for_each(prefetch);
    }

    pub(super) fn prefetch_torrent(&self, hash: u64) {
        if let Some(torrent) = self.index.find(hash, |_| true).and_then(|at| self.torrents.get(at)) {
            // A torrent lies across two cache lines as often as not.
            prefetch(&raw const torrent.info_hash);
            prefetch((&raw const torrent.swarm).cast::<u8>().wrapping_add(size_of::<Swarm>() - 1));
        }
    }

    /// Whether the swarm has an index of its own.
    pub(super) fn prefetch_peers(&self, hash: u64) -> bool {
        let Some(swarm) = self.any_swarm(hash) else { return false };
        swarm.address().into_iter().for_each(prefetch);
        swarm.is_full()
    }

    pub(super) fn prefetch_peer_slot(&self, key: HashKey, hash: u64, announce: &Announce) {
        let address = match announce.address.family() {
            Family::Ipv4 => {
                self.announcer::<Peer4>(key, hash, announce).and_then(|(m, peer)| m.slot_address(peer))
            }
            Family::Ipv6 => {
                self.announcer::<Peer6>(key, hash, announce).and_then(|(m, peer)| m.slot_address(peer))
            }
        };
        address.into_iter().for_each(prefetch);
    }

    pub(super) fn prefetch_peer(&self, key: HashKey, hash: u64, announce: &Announce) {
        let address = match announce.address.family() {
            Family::Ipv4 => {
                self.announcer::<Peer4>(key, hash, announce).and_then(|(m, peer)| m.peer_address(peer))
            }
            Family::Ipv6 => {
                self.announcer::<Peer6>(key, hash, announce).and_then(|(m, peer)| m.peer_address(peer))
            }
        };
        address.into_iter().for_each(prefetch);
    }

    /// Where a full-grown swarm keeps peers of the announcer's family, and the announcer's hash.
    fn announcer<P: Placed + Contact>(
        &self,
        key: HashKey,
        hash: u64,
        Announce { address, port, .. }: &Announce,
    ) -> Option<(&Members<P>, u64)> {
        let members = self.any_swarm(hash)?.full()?;
        Some((members, P::new(address, *port, Stamp::new(0, false)).hash(key)))
    }

    /// The first swarm whose hash looks like this one: nearly always the right one, without touching the torrent.
    fn any_swarm(&self, hash: u64) -> Option<&Swarm> {
        let torrent = self.index.find(hash, |_| true).and_then(|at| self.torrents.get(at));
        torrent.map(|torrent| &torrent.swarm)
    }
}

fn hash_of(torrents: &Torrents, at: usize, common: Common<'_>) -> u64 {
    torrents.get(at).map_or(0, |torrent| common.tables.key.torrent(&torrent.info_hash))
}
