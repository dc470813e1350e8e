//! A part of the torrents, behind one lock.

use super::{
    Announce, Announced, Lists, Membership, Rejected, SwarmSizes,
    hash::HashKey,
    index::Index,
    peer::{Peer4, Peer6, Stamp},
    prefetch::prefetch,
    retained::{Retained, Ticket},
    sample::sample,
    swarm::{Placed, Resume, Swarm},
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
    /// By family and role.
    peers: [[usize; 2]; 2],
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

/// How a peer entered a swarm.
struct Entered {
    membership: Membership,
    position: Option<usize>,
    downloaded: bool,
}

impl Shard {
    pub(super) fn new(number: u16, rules: Arc<Rules>) -> Self {
        Self {
            torrents: Torrents::default(),
            index: Index::none(),
            rules,
            peers: [[0; 2]; 2],
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
        if !self.rules.access.permits(&announce.info_hash) {
            return Err(Rejected::NotPermitted);
        }
        match (announce.address.family(), announce.event) {
            (Family::Ipv4, Event::Stopped) => Ok(self.leave::<Peer4>(common, hash, announce, now)),
            (Family::Ipv6, Event::Stopped) => Ok(self.leave::<Peer6>(common, hash, announce, now)),
            (Family::Ipv4, _) => self.join::<Peer4>(common, hash, announce, now, rng, lists),
            (Family::Ipv6, _) => self.join::<Peer6>(common, hash, announce, now, rng, lists),
        }
    }

    fn join<P: Placed>(
        &mut self,
        common: Common<'_>,
        hash: u64,
        announce: &Announce,
        now: Seconds,
        rng: &mut Rng,
        lists: &mut Lists<'_>,
    ) -> Result<(Announced, Option<Ticket>), Rejected> {
        let at = match self.find(hash, &announce.info_hash) {
            Some(at) => at,
            None => self.add_torrent(common, hash, announce.info_hash)?,
        };
        let Some(torrent) = self.torrents.get_mut(at) else { return Err(Rejected::TooManyTorrents) };
        let role = role_of(announce);
        let before = torrent.swarm.list::<P>().counts();
        let entered = enter::<P>(&mut torrent.swarm, announce, role, now, &self.rules.policy, common.key);
        torrent.downloaded = torrent.downloaded.saturating_add(u32::from(entered.downloaded));
        let after = torrent.swarm.list::<P>().counts();
        for (peers, (before, after)) in
            self.peers[P::FAMILY as usize].iter_mut().zip(before.into_iter().zip(after))
        {
            *peers = *peers + after - before;
        }
        let me = |family| entered.position.filter(|_| family == P::FAMILY);
        let swarm = &torrent.swarm;
        let ipv4_peers =
            sample(swarm.list::<Peer4>(), role, me(Family::Ipv4), announce.want_ipv4, rng, lists.ipv4);
        let ipv6_peers =
            sample(swarm.list::<Peer6>(), role, me(Family::Ipv6), announce.want_ipv6, rng, lists.ipv6);
        let counts = torrent.counts();
        let ticket = if swarm.is_empty() { self.remove_torrent(common, at, now) } else { None };
        Ok((Announced { counts, ipv4_peers, ipv6_peers, membership: entered.membership }, ticket))
    }

    fn leave<P: Placed>(
        &mut self,
        common: Common<'_>,
        hash: u64,
        announce: &Announce,
        now: Seconds,
    ) -> (Announced, Option<Ticket>) {
        let answer = |counts, membership| Announced { counts, ipv4_peers: 0, ipv6_peers: 0, membership };
        let at = self.find(hash, &announce.info_hash);
        let Some((at, torrent)) = at.and_then(|at| Some((at, self.torrents.get_mut(at)?))) else {
            let downloaded = self.retained.get(&announce.info_hash, hash);
            return (answer(Counts { downloaded, ..Counts::default() }, Membership::Absent), None);
        };
        let peer = P::new(&announce.address, announce.port, Stamp::default());
        let Some(position) = torrent.swarm.find(&peer, common.key) else {
            return (answer(torrent.counts(), Membership::Absent), None);
        };
        let role = torrent.swarm.list::<P>().role(position);
        torrent.swarm.remove::<P>(position, common.key);
        self.peers[P::FAMILY as usize][role as usize] -= 1;
        let counts = torrent.counts();
        let ticket = if torrent.swarm.is_empty() { self.remove_torrent(common, at, now) } else { None };
        (answer(counts, Membership::Removed), ticket)
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
                let gone = [torrent.swarm.list::<Peer4>().counts(), torrent.swarm.list::<Peer6>().counts()];
                self.subtract(gone);
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

    fn subtract(&mut self, gone: [[usize; 2]; 2]) {
        for (peers, gone) in self.peers.iter_mut().flatten().zip(gone.iter().flatten()) {
            *peers -= gone;
        }
    }

    /// Forgets the `downloaded` count of a ticket, and what is older.
    pub(super) fn forget(&mut self, ticket: Ticket, key: HashKey) {
        self.retained.forget(ticket, key);
    }

    /// Torrents, peers by family and role, kept counts.
    pub(super) fn totals(&self) -> (usize, [[usize; 2]; 2], usize) {
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

    pub(super) fn prefetch_peers(&self, hash: u64) {
        let torrent = self.index.find(hash, |_| true).and_then(|at| self.torrents.get(at));
        if let Some(address) = torrent.and_then(|torrent| torrent.swarm.address()) {
            prefetch(address);
        }
    }
}

/// A partial seed is none of the seeders, whatever it says is left.
fn role_of(announce: &Announce) -> Role {
    if announce.left == 0 && announce.event != Event::Paused { Role::Seeder } else { Role::Leecher }
}

/// Inserts or refreshes the announcer.
fn enter<P: Placed>(
    swarm: &mut Swarm,
    announce: &Announce,
    role: Role,
    now: Seconds,
    policy: &Policy,
    key: HashKey,
) -> Entered {
    let completed = announce.event == Event::Completed && role == Role::Seeder;
    let fresh = P::new(&announce.address, announce.port, Stamp::new(now, completed));
    let Some(position) = swarm.find(&fresh, key) else {
        if let Some(membership) = refusal::<P>(swarm, &fresh, policy) {
            return Entered { membership, position: None, downloaded: false };
        }
        let position = swarm.insert(fresh, role, key);
        return Entered { membership: Membership::Added, position: Some(position), downloaded: completed };
    };
    let was = swarm.list::<P>().role(position);
    let mut downloaded = false;
    if let Some(peer) = swarm.peer_mut::<P>(position) {
        let counted = peer.stamp().counted();
        downloaded = completed && was == Role::Leecher && !counted;
        peer.set_stamp(Stamp::new(now, counted || downloaded));
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
    let sharing = swarm.list::<P>().peers.iter().filter(|other| other.shares_address(peer));
    (sharing.take(limit).count() >= limit).then_some(Membership::AddressFull)
}
