//! A part of the torrents, behind one lock.

use super::{
    Announce, Announced, Lists, Membership, Rejected, SwarmSizes, Want,
    hash::HashKey,
    index::Index,
    members::Members,
    peer::{Contact, Peer4, Peer6, Stamp},
    prefetch::prefetch,
    retained::{Retained, Ticket},
    sample::Candidates,
    swarm::{PeerCounts, Placed, Resume, Swarm},
    torrents::{Torrent, Torrents},
};
use crate::{
    access::AccessList,
    model::{Counts, Event, InfoHash, Role, Seconds},
    policy::Policy,
    rng::Rng,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tracker_common::address::Family;

/// What the operator decides, as one.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) policy: Arc<Policy>,
    pub(super) access: Arc<AccessList>,
}

/// What the shards have in common.
#[derive(Clone, Copy)]
pub(super) struct Common<'a> {
    pub(super) key: HashKey,
    /// Torrents in all shards.
    pub(super) torrents: &'a AtomicUsize,
}

#[derive(Debug)]
pub(super) struct Shard {
    torrents: Torrents,
    index: Index,
    rules: Arc<Rules>,
    peers: PeerCounts,
    retained: Box<Retained>,
    number: u16,
}

/// How far the sweep of a shard has come: torrents at `below` and above are done.
#[derive(Debug)]
pub(super) struct Progress {
    below: usize,
    /// The torrent before `below` is done in part.
    within: Option<(InfoHash, Resume)>,
}

impl Progress {
    /// A sweep that begins.
    pub(super) const START: Self = Self { below: usize::MAX, within: None };
}

/// What a slice of a shard's sweep did.
#[derive(Debug, Default)]
pub(super) struct Swept {
    pub(super) visited: usize,
    pub(super) expired: usize,
    pub(super) ended: bool,
}

/// What an announcer's event and progress make of it.
#[derive(Clone, Copy)]
pub(super) struct Asker {
    pub(super) role: Role,
    /// It tells that its download has become whole.
    completed: bool,
}

impl Asker {
    /// A partial seed is none of the seeders, whatever it says is left; and who lacks something has not completed.
    pub(super) fn new(event: Event, left: u64) -> Self {
        let role = if left == 0 && event != Event::Paused { Role::Seeder } else { Role::Leecher };
        Self { role, completed: event == Event::Completed && role == Role::Seeder }
    }
}

/// How a peer entered a swarm.
struct Entered {
    membership: Membership,
    position: Option<usize>,
    downloaded: bool,
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
    pub(super) fn new(number: u16, rules: Arc<Rules>) -> Self {
        Self {
            torrents: Torrents::default(),
            index: Index::none(),
            rules,
            peers: PeerCounts::default(),
            retained: Box::default(),
            number,
        }
    }

    pub(super) fn announce(
        &mut self,
        common: Common<'_>,
        hash: u64,
        announce: &Announce,
        now: Seconds,
        rng: &mut Rng,
        lists: &mut Lists<'_>,
    ) -> Result<(Announced, Option<Ticket>), Rejected> {
        self.check_permitted(&announce.info_hash)?;
        match announce.address.family() {
            Family::Ipv4 => self.announce_as::<Peer4>(common, hash, announce, now, rng, lists),
            Family::Ipv6 => self.announce_as::<Peer6>(common, hash, announce, now, rng, lists),
        }
    }

    #[inline]
    fn announce_as<P: Placed + Contact>(
        &mut self,
        common: Common<'_>,
        hash: u64,
        announce: &Announce,
        now: Seconds,
        rng: &mut Rng,
        lists: &mut Lists<'_>,
    ) -> Result<(Announced, Option<Ticket>), Rejected> {
        let Announce { info_hash, address, port, event, left, want } = announce;
        let fresh = P::new(address, *port, Stamp::new(now, false));
        if *event == Event::Stopped {
            let (counts, membership, ticket) = self.leave(common, hash, info_hash, &fresh, now);
            return Ok((Announced { counts, ipv4_peers: 0, ipv6_peers: 0, membership }, ticket));
        }
        let asker = Asker::new(*event, *left);
        let joined = self.join(common, hash, info_hash, fresh, asker, now)?;
        let Joined { at, swarm, counts, position, membership } = joined;
        let me = position.map(|position| (address.family(), position));
        let [ipv4_peers, ipv6_peers] = fill(swarm, address.family(), asker.role, me, *want, rng, lists);
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
        let position = torrent.swarm.find(peer, common.key)?;
        torrent.swarm.list::<P>().peers.get(position)
    }

    /// Inserts or refreshes an announcer.
    #[inline]
    pub(super) fn join<P: Placed>(
        &mut self,
        common: Common<'_>,
        hash: u64,
        info_hash: &InfoHash,
        fresh: P,
        asker: Asker,
        now: Seconds,
    ) -> Result<Joined<'_>, Rejected> {
        let at = match self.find(hash, info_hash) {
            Some(at) => at,
            None => self.add_torrent(common, hash, *info_hash)?,
        };
        let Some(torrent) = self.torrents.get_mut(at) else { return Err(Rejected::TooManyTorrents) };
        let before = torrent.swarm.list::<P>().counts();
        let Entered { membership, position, downloaded } =
            enter(&mut torrent.swarm, fresh, asker, now, &self.rules.policy, common.key);
        torrent.downloaded = torrent.downloaded.saturating_add(u32::from(downloaded));
        let after = torrent.swarm.list::<P>().counts();
        for (peers, (before, after)) in
            self.peers[P::NETWORK as usize].iter_mut().zip(before.into_iter().zip(after))
        {
            *peers = *peers + after - before;
        }
        Ok(Joined { at, swarm: &torrent.swarm, counts: torrent.counts(), position, membership })
    }

    /// Removes a torrent again whose first peer might not enter.
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
        peer: &P,
        now: Seconds,
    ) -> (Counts, Membership, Option<Ticket>) {
        let at = self.find(hash, info_hash);
        let Some((at, torrent)) = at.and_then(|at| Some((at, self.torrents.get_mut(at)?))) else {
            let downloaded = self.retained.get(info_hash, hash);
            return (Counts { downloaded, ..Counts::default() }, Membership::Absent, None);
        };
        let Some(position) = torrent.swarm.find(peer, common.key) else {
            return (torrent.counts(), Membership::Absent, None);
        };
        let role = torrent.swarm.list::<P>().role(position);
        torrent.swarm.remove::<P>(position, common.key);
        self.peers[P::NETWORK as usize][role as usize] -= 1;
        let counts = torrent.counts();
        let ticket = self.tidy(common, at, now);
        (counts, Membership::Removed, ticket)
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
    fn find(&self, hash: u64, info_hash: &InfoHash) -> Option<usize> {
        self.index
            .find(hash, |at| self.torrents.get(at).is_some_and(|torrent| torrent.info_hash == *info_hash))
    }

    /// Adds a torrent without peers, which is not to stay so.
    fn add_torrent(&mut self, common: Common<'_>, hash: u64, info_hash: InfoHash) -> Result<usize, Rejected> {
        if common.torrents.fetch_add(1, Ordering::Relaxed) >= self.rules.policy.max_torrents {
            common.torrents.fetch_sub(1, Ordering::Relaxed);
            return Err(Rejected::TooManyTorrents);
        }
        let length = self.torrents.len();
        if length >= self.index.capacity() {
            self.rebuild_index(common, length + 16.max(length / 8));
        }
        let downloaded = self.retained.take(&info_hash, hash);
        let at = self.torrents.push(Torrent { info_hash, downloaded, swarm: Swarm::Empty });
        self.index.insert(hash, at);
        Ok(at)
    }

    /// Removes a torrent without peers and keeps its `downloaded` count, of which the ticket tells.
    fn remove_torrent(&mut self, common: Common<'_>, at: usize, now: Seconds) -> Option<Ticket> {
        let (torrent, hash) = self.drop_torrent(common, at)?;
        let policy = &self.rules.policy;
        if torrent.downloaded == 0 || policy.downloaded_entries == 0 {
            return None;
        }
        Some(self.retained.keep(self.number, (torrent.info_hash, hash), torrent.downloaded, now, common.key))
    }

    fn drop_torrent(&mut self, common: Common<'_>, at: usize) -> Option<(Torrent, u64)> {
        let torrents = &self.torrents;
        let hash_of =
            |at| torrents.get(at).map_or(0, |torrent: &Torrent| common.key.torrent(&torrent.info_hash));
        let (hash, last) = (hash_of(at), torrents.len().checked_sub(1)?);
        self.index.remove(hash, at, hash_of);
        if at != last {
            self.index.relocate(hash_of(last), last, at);
        }
        let torrent = self.torrents.swap_remove(at)?;
        common.torrents.fetch_sub(1, Ordering::Relaxed);
        if self.index.capacity() > 2 * last + 32 {
            self.rebuild_index(common, last + last / 8);
        }
        Some((torrent, hash))
    }

    fn rebuild_index(&mut self, common: Common<'_>, capacity: usize) {
        // Frees the old one before there is a new one.
        self.index = Index::none();
        if capacity > 0 {
            let hashes = self.torrents.iter().map(|torrent| common.key.torrent(&torrent.info_hash));
            self.index = Index::with_capacity(capacity, hashes);
        }
    }

    /// Swaps the rules and removes what they do not permit.
    pub(super) fn set_rules(&mut self, common: Common<'_>, rules: Arc<Rules>) {
        let access = Arc::clone(&rules.access);
        let changed = !Arc::ptr_eq(&self.rules.access, &access);
        self.rules = rules;
        if !changed {
            return;
        }
        for at in (0..self.torrents.len()).rev() {
            let refused = self.torrents.get(at).is_some_and(|torrent| !access.permits(&torrent.info_hash));
            if refused && let Some((torrent, _)) = self.drop_torrent(common, at) {
                self.subtract(torrent.swarm.peers());
            }
        }
        self.retained.retain(|info_hash| access.permits(info_hash));
    }

    /// Looks at about `budget` items, from where the last slice ended.
    pub(super) fn sweep(
        &mut self,
        common: Common<'_>,
        progress: &mut Progress,
        now: Seconds,
        budget: usize,
        sizes: &mut SwarmSizes,
        tickets: &mut Vec<Ticket>,
    ) -> Swept {
        let mut swept = Swept { visited: 1, ..Swept::default() };
        let timeout = self.rules.policy.peer_timeout.min(Policy::MAX_PEER_TIMEOUT);
        loop {
            progress.below = progress.below.min(self.torrents.len());
            let Some(at) = progress.below.checked_sub(1) else {
                swept.visited +=
                    self.retained.expire(now, self.rules.policy.downloaded_retention, common.key);
                swept.ended = true;
                return swept;
            };
            if swept.visited >= budget {
                return swept;
            }
            let Some(torrent) = self.torrents.get_mut(at) else { return swept };
            let within = progress.within.take().filter(|(info_hash, _)| *info_hash == torrent.info_hash);
            let resume = within.map_or(Resume::START, |(_, resume)| resume);
            let expired = torrent.swarm.expire(resume, now, timeout, budget - swept.visited, common.key);
            swept.visited += expired.visited + 1;
            swept.expired += expired.gone.iter().flatten().sum::<usize>();
            if let Some(resume) = expired.resume {
                progress.within = Some((torrent.info_hash, resume));
                self.subtract(expired.gone);
                return swept;
            }
            progress.below = at;
            if torrent.swarm.is_empty() {
                tickets.extend(self.remove_torrent(common, at, now));
            } else {
                sizes.record(torrent.swarm.len());
            }
            self.subtract(expired.gone);
        }
    }

    fn subtract(&mut self, gone: PeerCounts) {
        for (peers, gone) in self.peers.iter_mut().flatten().zip(gone.iter().flatten()) {
            *peers -= gone;
        }
    }

    /// Forgets the `downloaded` count of a ticket, and what is older.
    pub(super) fn forget(&mut self, ticket: Ticket, key: HashKey) {
        self.retained.forget(ticket, key);
    }

    /// Torrents, peers, kept counts.
    pub(super) fn totals(&self) -> (usize, PeerCounts, usize) {
        (self.torrents.len(), self.peers, self.retained.len())
    }

    pub(super) fn prefetch_slot(&self, hash: u64) {
        if let Some(address) = self.index.address(hash) {
            prefetch(address);
        }
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

/// Inserts or refreshes the announcer.
fn enter<P: Placed>(
    swarm: &mut Swarm,
    mut fresh: P,
    asker: Asker,
    now: Seconds,
    policy: &Policy,
    key: HashKey,
) -> Entered {
    let Asker { role, completed } = asker;
    let Some(position) = swarm.find(&fresh, key) else {
        if let Some(membership) = refusal(swarm, &fresh, policy) {
            return Entered { membership, position: None, downloaded: false };
        }
        fresh.set_stamp(Stamp::new(now, completed));
        let position = swarm.insert(fresh, role, key);
        return Entered { membership: Membership::Added, position: Some(position), downloaded: completed };
    };
    let was = swarm.list::<P>().role(position);
    let mut downloaded = false;
    if let Some(peer) = swarm.peer_mut::<P>(position) {
        let counted = peer.stamp().counted();
        downloaded = completed && was == Role::Leecher && !counted;
        fresh.set_stamp(Stamp::new(now, counted || downloaded));
        *peer = fresh;
    }
    let position = if was == role { position } else { swarm.set_role::<P>(position, role, key) };
    Entered { membership: Membership::Refreshed, position: Some(position), downloaded }
}

/// Why a new peer may not be stored.
fn refusal<P: Placed>(swarm: &Swarm, peer: &P, policy: &Policy) -> Option<Membership> {
    if swarm.len() >= policy.max_peers_per_torrent {
        return Some(Membership::TorrentFull);
    }
    let limit = policy.peers_per_address? as usize;
    (swarm.sharing(&peer.address(), limit) >= limit).then_some(Membership::AddressFull)
}

/// Writes peers to `lists` and returns how many, by family. `me` is where the announcer is.
#[inline]
fn fill(
    swarm: &Swarm,
    own: Family,
    role: Role,
    me: Option<(Family, usize)>,
    want: Want,
    rng: &mut Rng,
    lists: &mut Lists<'_>,
) -> [usize; 2] {
    let me = |family| me.and_then(|(own, position)| (own == family).then_some(position));
    let ipv4 = Candidates::new(swarm.list::<Peer4>(), role, me(Family::Ipv4));
    let ipv6 = Candidates::new(swarm.list::<Peer6>(), role, me(Family::Ipv6));
    let most = [
        ipv4.len().min(lists.ipv4.len() / Peer4::COMPACT),
        ipv6.len().min(lists.ipv6.len() / Peer6::COMPACT),
    ];
    let counts = want.share(own, most);
    ipv4.draw(counts[0], rng, writer(lists.ipv4));
    ipv6.draw(counts[1], rng, writer(lists.ipv6));
    counts
}

/// Writes the compact forms of the peers it is given one behind the other.
fn writer<P: Contact>(mut room: &mut [u8]) -> impl FnMut(&[P]) {
    move |peers| {
        let all = std::mem::take(&mut room);
        let (here, rest) = all.split_at_mut(all.len().min(peers.len() * P::COMPACT));
        P::write(peers, here);
        room = rest;
    }
}
