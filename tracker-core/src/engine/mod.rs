//! Every swarm, shared by all threads.
//!
//! Torrents are spread over many shards by a keyed hash. A request takes the lock of one shard, once, and never a
//! second one; sweeping takes it for a bounded number of items at a time. Time and randomness come from the caller.

mod apply;
mod change;
mod common;
mod deed;
mod elsewhere;
mod fill;
mod hash;
mod import;
mod index;
mod members;
mod near;
mod news;
mod not_kept;
mod peer;
mod pieces;
mod prefetch;
mod report;
mod retained;
mod sample;
mod shape;
mod shard;
mod shares;
mod sizes;
mod slots;
mod swarm;
mod sweep;
mod torrents;
mod walk;
mod webrtc;

#[cfg(test)]
mod tests;

pub use crate::admission::Rejected;
pub use change::{Cause, Change, Listener, Taken};
pub use import::Imported;
pub use news::refresh_cell;
pub use not_kept::NotKept;
pub use report::{
    Announce, Announced, ConnectionKey, Known, Lists, Membership, Partner, Place, SwarmSizes, SweepReport,
    Totals, Verdict, Want, WebrtcAnnounce, WebrtcAnnounced,
};
pub use shares::{CountedBy, Share, own};
pub use walk::{Cursor, Seen, Visitor, Walked};

use crate::{
    access::AccessList,
    buckets::Buckets,
    model::{Counts, InfoHash, Seconds},
    policy::Policy,
    pressure::Measures,
    rng::Rng,
};
use arc_swap::ArcSwap;
use change::Journal;
use common::{Common, Marks, Rules};
use hash::HashKey;
use members::Tables;
use parking_lot::Mutex;
use peer::{Peer4, Peer6};
use retained::{Order, Ticket};
use shard::Shard;
use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};
use sweep::Sweeper;
use tracker_common::address::Family;

/// So many that threads seldom meet at one.
const SHARDS: usize = 1024;
const _: () = assert!(SHARDS.is_power_of_two() && SHARDS <= 1 << 12);

/// Two cache lines: processors fetch them in pairs.
#[repr(align(128))]
struct Padded<T>(T);

/// The swarms. All methods take `&self` and may be called from any thread.
pub struct Engine {
    tables: Tables,
    shards: Box<[Padded<Mutex<Shard>>]>,
    torrents: Padded<AtomicUsize>,
    peers: Padded<AtomicUsize>,
    has_loopback: AtomicBool,
    order: Order,
    policy: ArcSwap<Policy>,
    /// What pressure calls for, as one word, and how long peers are remembered for it.
    measures: AtomicU64,
    remembered: AtomicU32,
    heard: [Marks; Listener::COUNT],
    /// Beside the policy, which says how much they hold: all doors count in the same.
    buckets: Buckets,
    /// What every shard has, or is about to get. Held while the shards are told, so that none misses a change.
    rules: Mutex<Arc<Rules>>,
    sweeper: Mutex<Sweeper>,
}

/// Where a torrent belongs in the engine: computed once, used for prefetching and for the request itself.
#[derive(Clone, Copy, Debug)]
pub struct Located {
    hash: u64,
}

impl Located {
    /// The number of its shard, below [`Engine::SHARDS`].
    #[inline]
    #[must_use]
    pub const fn shard(&self) -> usize {
        self.hash as usize % SHARDS
    }
}

impl Engine {
    /// An empty engine. `hash_key` has to be random: strangers choose info hashes and addresses, and must not be
    /// able to choose where these are stored. See [`Policy::peers_per_address`] for what a limit from the beginning does.
    #[must_use]
    pub fn new(policy: Policy, hash_key: [u64; 2]) -> Self {
        let policy = Arc::new(policy);
        let rules = Arc::new(Rules { policy: Arc::clone(&policy), access: Arc::new(AccessList::off()) });
        let shares = Arc::<AtomicUsize>::default();
        let shard =
            |number| Padded(Mutex::new(Shard::new(number as u16, Arc::clone(&rules), Arc::clone(&shares))));
        Self {
            tables: Tables { key: HashKey::new(hash_key), by_network: policy.peers_per_address.is_some() },
            shards: (0..SHARDS).map(shard).collect(),
            torrents: Padded(AtomicUsize::new(0)),
            peers: Padded(AtomicUsize::new(0)),
            has_loopback: AtomicBool::new(false),
            order: Order::default(),
            policy: ArcSwap::new(policy),
            measures: AtomicU64::new(Measures::NONE.to_word()),
            remembered: AtomicU32::new(0),
            heard: Default::default(),
            buckets: Buckets::new(HashKey::new(hash_key).for_buckets()),
            rules: Mutex::new(rules),
            sweeper: Mutex::default(),
        }
    }

    /// The policy in force.
    pub fn policy(&self) -> impl Deref<Target = Arc<Policy>> {
        self.policy.load()
    }

    /// What client networks have asked lately, at all doors.
    #[inline]
    #[must_use]
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// Swaps the policy. Peers above a lowered limit stay until they expire.
    pub fn set_policy(&self, policy: Policy) {
        let policy = Arc::new(policy);
        self.change_rules(|old| Rules { policy, access: Arc::clone(&old.access) });
    }

    /// What pressure calls for at present.
    #[inline]
    #[must_use]
    pub fn measures(&self) -> Measures {
        Measures::from_word(self.measures.load(Ordering::Relaxed))
    }

    /// Takes measures against pressure, or takes them back. Nobody is forgotten before `remembered` meanwhile, where that is
    /// longer than [`Policy::peer_timeout`]; see [`crate::promises::Promises`].
    pub fn take_measures(&self, measures: Measures, remembered: Seconds) {
        self.remembered.store(remembered, Ordering::Relaxed);
        self.measures.store(measures.to_word(), Ordering::Relaxed);
    }

    /// After how long without a sign of life a peer is forgotten at present.
    #[must_use]
    pub fn peer_timeout(&self) -> Seconds {
        self.common().peer_timeout(&self.policy.load())
    }

    /// Swaps the policy for one that is made from it, while nobody else swaps it.
    pub fn change_policy(&self, change: impl FnOnce(&Policy) -> Policy) {
        self.change_rules(|old| Rules {
            policy: Arc::new(change(&old.policy)),
            access: Arc::clone(&old.access),
        });
    }

    /// Swaps the access list and removes the torrents that it refuses. Once this returns none of them is stored, and
    /// none will be: each shard checks under its lock.
    pub fn set_access(&self, access: AccessList, now: Seconds) {
        let access = Arc::new(access);
        self.change_access(&access);
        self.purge(&access, now);
    }

    /// As [`Engine::set_access`], for a list that says another thing than before of this torrent alone: no other one is
    /// looked for.
    pub fn set_access_to(&self, info_hash: &InfoHash, access: AccessList, now: Seconds) {
        let access = Arc::new(access);
        self.change_access(&access);
        self.purge_shard(self.locate(info_hash).shard(), &access, now);
    }

    fn change_access(&self, access: &Arc<AccessList>) {
        self.change_rules(|old| Rules { policy: Arc::clone(&old.policy), access: Arc::clone(access) });
    }

    fn change_rules(&self, change: impl FnOnce(&Rules) -> Rules) {
        let mut rules = self.rules.lock();
        let new = Arc::new(change(&rules));
        self.policy.store(Arc::clone(&new.policy));
        // A long list is not to be freed under a shard's lock, so this is the last to let go of it.
        let old = std::mem::replace(&mut *rules, Arc::clone(&new));
        for shard in &self.shards {
            shard.0.lock().rules = Arc::clone(&new);
        }
        drop(old);
    }

    /// Keeps a journal of changes for a listener from now on, up to so many for each of [`Engine::SHARDS`] shards, and
    /// knows at least as many peers of each that went, so that records that come late bring none of them back. What was kept
    /// for it before is lost. 0: no longer.
    pub fn listen(&self, listener: Listener, capacity: usize) {
        for shard in &self.shards {
            let journal = &mut shard.0.lock().journal;
            if capacity > 0 || journal.is_some() {
                journal.get_or_insert_with(|| Box::new(Journal::new())).listen(listener, capacity);
            }
            // Where nobody listens, an announce is to find that by one look.
            journal.take_if(|journal| !journal.is_heard());
        }
    }

    /// Appends to `into` the changes of a shard, below [`Engine::SHARDS`], since this listener took them the last time, in
    /// their order. All changes of a torrent are of one shard. Where `into` is empty, the shard's next changes get its room, so
    /// that whoever takes again and again with one list spares announces most allocations.
    pub fn take_changes(&self, listener: Listener, shard: usize, into: &mut Vec<Change>) -> Taken {
        let mut taken = if into.is_empty() { std::mem::take(into) } else { Vec::new() };
        let mut take = |journal: &mut Box<Journal>| journal.take(listener, &mut taken);
        let overflowed = self.shards[shard % SHARDS].0.lock().journal.as_mut().is_some_and(&mut take);
        let changes = taken.len();
        if into.is_empty() {
            *into = taken;
        } else {
            into.append(&mut taken);
        }
        Taken { changes, overflowed }
    }

    /// The shards that have changes for a listener since it asked last, each of which it has to take then.
    pub fn changed(&self, listener: Listener) -> impl Iterator<Item = usize> + use<> {
        self.heard[listener as usize].take()
    }

    /// How many parts the torrents are in.
    pub const SHARDS: usize = SHARDS;

    /// Stores, refreshes or removes the announcer, and writes other peers to `lists`.
    ///
    /// # Errors
    /// If the torrent may not be served, or there is no room for a new one.
    pub fn announce(
        &self,
        announce: &Announce,
        now: Seconds,
        rng: &mut Rng,
        lists: &mut Lists<'_>,
    ) -> Result<Announced, Rejected> {
        self.announce_at(&self.locate(&announce.info_hash), announce, now, rng, lists)
    }

    /// As [`Engine::announce`], for a torrent already located.
    ///
    /// # Errors
    /// As [`Engine::announce`].
    pub fn announce_at(
        &self,
        at: &Located,
        announce: &Announce,
        now: Seconds,
        rng: &mut Rng,
        lists: &mut Lists<'_>,
    ) -> Result<Announced, Rejected> {
        let (common, shard) = (self.common(), self.shard(at));
        let (announced, ticket) = match announce.address.family() {
            Family::Ipv4 => shard.lock().announce::<Peer4>(common, at.hash, announce, now, rng, lists),
            Family::Ipv6 => shard.lock().announce::<Peer6>(common, at.hash, announce, now, rng, lists),
        }?;
        self.file(ticket);
        Ok(announced)
    }

    /// The counts of a torrent; zeroes where it is not known or not permitted.
    #[must_use]
    pub fn scrape(&self, info_hash: &InfoHash) -> Counts {
        self.scrape_at(&self.locate(info_hash), info_hash)
    }

    /// As [`Engine::scrape`], for a torrent already located.
    #[must_use]
    pub fn scrape_at(&self, at: &Located, info_hash: &InfoHash) -> Counts {
        self.shard(at).lock().scrape(at.hash, info_hash)
    }

    /// How much is stored.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            let (torrents, peers, retained) = shard.0.lock().totals();
            totals.torrents += torrents;
            totals.retained += retained;
            for (total, part) in totals.peers.iter_mut().flatten().zip(peers.iter().flatten()) {
                *total += part;
            }
        }
        totals
    }

    /// About how many torrents and peers are stored, without a look at each shard.
    #[must_use]
    pub fn size(&self) -> usize {
        self.torrents.0.load(Ordering::Relaxed) + self.peers.0.load(Ordering::Relaxed)
    }

    /// How many peers are stored, without a look at each shard.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.peers.0.load(Ordering::Relaxed)
    }

    /// The sizes of all swarms.
    #[must_use]
    pub fn swarm_sizes(&self) -> SwarmSizes {
        let mut all = SwarmSizes::default();
        for shard in &self.shards {
            let shard = shard.0.lock();
            shard.sizes.add_to(&mut all);
            all.peers += shard.peers.as_flattened().iter().sum::<usize>() as u64;
        }
        all
    }

    /// Computes where a torrent belongs.
    #[inline]
    #[must_use]
    pub fn locate(&self, info_hash: &InfoHash) -> Located {
        Located { hash: self.tables.key.torrent(info_hash) }
    }

    /// Stage one of fetching a torrent's memory ahead of its use: for each request of a batch call one stage, then the
    /// next for each, and so on, so that the waits for memory overlap.
    #[inline]
    pub fn prefetch_shard(&self, at: &Located) {
        prefetch::prefetch(self.shard(at));
    }

    /// Stages one to three for many torrents, one stage for all, then the next.
    #[inline]
    pub fn prefetch_torrents<'a>(&self, located: impl Iterator<Item = &'a Located> + Clone) {
        located.clone().for_each(|at| self.prefetch_shard(at));
        // The indexes of all shards are of about the same size.
        if located.clone().filter(|at| self.prefetch_part(at)).count() > 0 {
            located.clone().for_each(|at| self.prefetch_slot(at));
        }
        located.for_each(|at| self.prefetch_torrent(at));
    }

    /// Stage two: the place in the shard's index. This and the later stages skip a shard that is locked. Says whether the
    /// index is so large that the place is found in two steps, of which [`Engine::prefetch_slot`] is the other one.
    #[inline]
    pub fn prefetch_part(&self, at: &Located) -> bool {
        self.shard(at).try_lock().is_some_and(|shard| shard.prefetch_part(at.hash))
    }

    /// The second step of stage two, where one is needed.
    #[inline]
    pub fn prefetch_slot(&self, at: &Located) {
        if let Some(shard) = self.shard(at).try_lock() {
            shard.prefetch_slot(at.hash);
        }
    }

    /// Stage three: the torrent itself.
    #[inline]
    pub fn prefetch_torrent(&self, at: &Located) {
        if let Some(shard) = self.shard(at).try_lock() {
            shard.prefetch_torrent(at.hash);
        }
    }

    /// Stage four: the list of peers, where that is elsewhere. Says whether it is so large that the two stages after this
    /// one are worth their while.
    #[inline]
    pub fn prefetch_peers(&self, at: &Located) -> bool {
        self.shard(at).try_lock().is_some_and(|shard| shard.prefetch_peers(at.hash))
    }

    /// Stage five, for a large swarm: where the announcer will be looked for.
    #[inline]
    pub fn prefetch_peer_slot(&self, at: &Located, announce: &Announce) {
        if let Some(shard) = self.shard(at).try_lock() {
            shard.prefetch_peer_slot(self.tables.key, at.hash, announce);
        }
    }

    /// Stage six, for a large swarm: the announcer itself.
    #[inline]
    pub fn prefetch_peer(&self, at: &Located, announce: &Announce) {
        if let Some(shard) = self.shard(at).try_lock() {
            shard.prefetch_peer(self.tables.key, at.hash, announce);
        }
    }

    #[inline]
    fn shard(&self, at: &Located) -> &Mutex<Shard> {
        &self.shards[at.shard()].0
    }

    const fn common(&self) -> Common<'_> {
        Common {
            tables: self.tables,
            torrents: &self.torrents.0,
            peers: &self.peers.0,
            has_loopback: &self.has_loopback,
            remembered: &self.remembered,
            heard: &self.heard,
        }
    }

    /// Notes a newly kept `downloaded` count, if there is one, and lets go of the oldest if there are too many. No lock
    /// may be held.
    #[inline]
    fn file(&self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket
            && let Some(oldest) = self.order.push(ticket, self.policy().downloaded_entries)
        {
            self.forget(oldest);
        }
    }

    fn forget(&self, ticket: Ticket) {
        self.shards[usize::from(ticket.shard) % SHARDS].0.lock().forget(ticket, self.tables.key);
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("totals", &self.totals()).finish_non_exhaustive()
    }
}
