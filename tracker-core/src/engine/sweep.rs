//! Forgetting what is old, a slice at a time.

use super::{
    Engine, SweepReport,
    change::Cause,
    report::Verdict,
    walk::{Cursor, STEP, Seen, Visitor},
};
use crate::model::{Counts, InfoHash, Network, Seconds};

/// Where the sweep is.
#[derive(Debug, Default)]
pub(super) struct Sweeper {
    cursor: Cursor,
    /// Of the shard at hand.
    shard: ShardSweep,
}

/// How a shard is swept.
#[derive(Debug, Default)]
struct ShardSweep {
    /// Somebody may have expired. If not, the shard is passed over: what it holds lies in the coldest memory there is.
    is_due: bool,
    /// When who stays was last heard of, at the earliest.
    heard_since: Seconds,
}

/// Removes who was not heard of for too long.
struct Expiry<'a> {
    timeout: Seconds,
    retention: Seconds,
    now: Seconds,
    shard: &'a mut ShardSweep,
}

impl Visitor for Expiry<'_> {
    const CAUSE: Cause = Cause::Expiry;

    fn begin(&mut self, heard_since: &mut Seconds) -> Verdict {
        let now = self.now;
        let is_due = now.saturating_sub(*heard_since) >= self.timeout;
        *self.shard = ShardSweep { is_due, heard_since: now };
        if is_due {
            // Whoever joins while the sweep is here is younger, or says that it is not.
            *heard_since = now;
            Verdict::Keep
        } else {
            Verdict::Enough
        }
    }

    fn end(&mut self, heard_since: &mut Seconds) {
        if self.shard.is_due {
            *heard_since = self.shard.heard_since.min(*heard_since);
        }
    }

    fn torrent(&mut self, _: &InfoHash, _: &Counts, _: bool) -> Verdict {
        Verdict::Keep
    }

    #[inline]
    fn peer(&mut self, peer: &Seen<'_>) -> Verdict {
        // WebRTC peers live as long as their connections, which only their own node sees.
        if peer.network() == Network::Webrtc && peer.node().is_none() {
            return Verdict::Keep;
        }
        let age = peer.known().age;
        if age >= self.timeout {
            return Verdict::Remove;
        }
        self.shard.heard_since = self.shard.heard_since.min(self.now.saturating_sub(age));
        Verdict::Keep
    }

    fn retained(&mut self, _: &InfoHash, _: u32, age: Seconds) -> Verdict {
        if age >= self.retention { Verdict::Remove } else { Verdict::Enough }
    }
}

impl Engine {
    /// Looks for expired peers among the next `budget` items or so, where the last slice ended, and stops at the end
    /// of a cycle. A full cycle has to take less than four hours. One slice at a time: a second caller returns at once
    /// with nothing visited.
    pub fn sweep(&self, now: Seconds, budget: usize) -> SweepReport {
        let Some(mut sweeper) = self.sweeper.try_lock() else { return SweepReport::default() };
        let Sweeper { cursor, shard } = &mut *sweeper;
        let policy = self.policy.load();
        let mut expiry =
            Expiry { timeout: self.peer_timeout(), retention: policy.downloaded_retention, now, shard };
        let walked = self.walk(cursor, now, budget, &mut expiry);
        if walked.ended {
            while let Some(ticket) =
                self.order.excess(policy.downloaded_entries, now, policy.downloaded_retention)
            {
                self.forget(ticket);
            }
        }
        SweepReport { visited: walked.visited, expired: walked.removed, cycle_ended: walked.ended }
    }
}

/// Removes the torrents that an access list does not permit.
struct Purge<'a>(&'a crate::access::AccessList);

impl Visitor for Purge<'_> {
    fn torrent(&mut self, info_hash: &InfoHash, _: &Counts, _: bool) -> Verdict {
        if self.0.permits(info_hash) { Verdict::Enough } else { Verdict::Keep }
    }

    fn peer(&mut self, _: &Seen<'_>) -> Verdict {
        Verdict::Remove
    }

    fn retained(&mut self, info_hash: &InfoHash, _: u32, _: Seconds) -> Verdict {
        if self.0.permits(info_hash) { Verdict::Keep } else { Verdict::Remove }
    }
}

impl Engine {
    /// Removes what an access list refuses. Nothing of it comes in again if every shard has the list already.
    pub(super) fn purge(&self, access: &crate::access::AccessList, now: Seconds) {
        let (mut cursor, mut purge) = (Cursor::default(), Purge(access));
        while !self.walk(&mut cursor, now, usize::MAX, &mut purge).ended {}
    }

    /// The same in one shard, and hardly any other.
    pub(super) fn purge_shard(&self, shard: usize, access: &crate::access::AccessList, now: Seconds) {
        let (mut cursor, mut purge) = (Cursor::at_shard(shard), Purge(access));
        while cursor.shard() == shard && !self.walk(&mut cursor, now, STEP, &mut purge).ended {}
    }
}
