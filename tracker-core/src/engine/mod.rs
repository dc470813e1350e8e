//! Every swarm, shared by all threads.

mod report;

pub use report::{Announce, Announced, Lists, Membership, Rejected, SwarmSizes, SweepReport, Totals};

use crate::{
    access::AccessList,
    model::{Counts, InfoHash, Seconds},
    policy::Policy,
    rng::Rng,
};
use arc_swap::ArcSwap;
use std::{ops::Deref, sync::Arc};

/// The swarms.
pub struct Engine {
    policy: ArcSwap<Policy>,
}

/// Where a torrent belongs in the engine: computed once, used for prefetching and for the request itself.
#[derive(Clone, Copy, Debug)]
pub struct Located {
    hash: u64,
}

impl Engine {
    /// An empty engine. `hash_key` has to be random: strangers choose info hashes and addresses, and must not be
    /// able to choose where these are stored.
    #[must_use]
    pub fn new(policy: Policy, hash_key: [u64; 2]) -> Self {
        let _ = hash_key;
        Self { policy: ArcSwap::from_pointee(policy) }
    }

    /// The policy in force.
    pub fn policy(&self) -> impl Deref<Target = Arc<Policy>> {
        self.policy.load()
    }

    /// Swaps the policy. Peers above a lowered limit stay until they expire.
    pub fn set_policy(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    /// Swaps the access list and removes the torrents that it refuses. Once this returns none of them is stored.
    pub fn set_access(&self, access: AccessList) {
        let _ = access;
    }

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
        _at: &Located,
        _announce: &Announce,
        _now: Seconds,
        _rng: &mut Rng,
        _lists: &mut Lists<'_>,
    ) -> Result<Announced, Rejected> {
        Err(Rejected::TooManyTorrents)
    }

    /// The counts of a torrent; zeroes where it is not known or not permitted.
    #[must_use]
    pub fn scrape(&self, info_hash: &InfoHash) -> Counts {
        self.scrape_at(&self.locate(info_hash), info_hash)
    }

    /// As [`Engine::scrape`], for a torrent already located.
    #[must_use]
    pub fn scrape_at(&self, _at: &Located, _info_hash: &InfoHash) -> Counts {
        Counts::default()
    }

    /// Looks for expired peers among the next `budget` items or so, where the last slice ended. One slice at a time:
    /// a second caller returns at once with nothing visited.
    pub fn sweep(&self, _now: Seconds, _budget: usize) -> SweepReport {
        SweepReport::default()
    }

    /// How much is stored.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals::default()
    }

    /// The sizes of all swarms as of the last full cycle of sweeps.
    #[must_use]
    pub fn swarm_sizes(&self) -> SwarmSizes {
        SwarmSizes::default()
    }

    /// Computes where a torrent belongs.
    #[must_use]
    pub fn locate(&self, info_hash: &InfoHash) -> Located {
        Located { hash: u64::from(info_hash.0[0]) }
    }

    /// Stage one of fetching a torrent's memory ahead of its use: for each request of a batch call one stage, then the
    /// next for each, and so on, so that the waits for memory overlap.
    pub fn prefetch_shard(&self, at: &Located) {
        let _ = at.hash;
    }

    /// Stage two: the place in the shard's index.
    pub fn prefetch_slot(&self, _at: &Located) {}

    /// Stage three: the torrent itself.
    pub fn prefetch_torrent(&self, _at: &Located) {}

    /// Stage four: the list of peers, where that is elsewhere.
    pub fn prefetch_peers(&self, _at: &Located) {}
}
