//! The one door: whatever becomes of a peer becomes of it here, whoever asks.

use super::{
    Membership,
    change::{Cause, Change, Listener, peer_hash},
    common::Common,
    deed::{Applied, Deed},
    news::{is_news, phase},
    report::Known,
    shard::Shard,
    swarm::{Placed, Swarm},
    torrents::Torrent,
};
use crate::{
    model::{Role, Seconds},
    policy::Policy,
};
use std::sync::atomic::Ordering;

impl Shard {
    /// Does what is said to a peer of the torrent at `at`, which is at `position` of its network's peers if it is there.
    /// A torrent that is left empty has to be removed by the caller.
    #[inline]
    pub(super) fn apply<P: Placed>(
        &mut self,
        common: Common<'_>,
        at: usize,
        position: Option<usize>,
        deed: Deed<P>,
        now: Seconds,
    ) -> Applied {
        let Some(torrent) = self.torrents.get_mut(at) else {
            return Applied { membership: Membership::Absent, position: None };
        };
        if self.journal.is_some() {
            return self.apply_and_note(common, at, position, deed, now);
        }
        let tallies = &mut self.peers[P::NETWORK as usize];
        let policy = &self.rules.policy;
        let before = torrent.swarm.list::<P>().shape.counts();
        let applied = change(torrent, common, position, deed, policy);
        match applied.membership {
            Membership::Added => {
                let peers = torrent.swarm.len();
                self.sizes.moved(peers - 1, peers);
            }
            Membership::Removed => {
                let peers = torrent.swarm.len();
                self.sizes.moved(peers + 1, peers);
            }
            _ => {}
        }
        let after = torrent.swarm.list::<P>().shape.counts();
        for (tally, (before, after)) in tallies.iter_mut().zip(before.into_iter().zip(after)) {
            *tally = *tally + after - before;
        }
        applied
    }

    /// As [`Shard::apply`], where somebody listens.
    #[inline(never)]
    fn apply_and_note<P: Placed>(
        &mut self,
        common: Common<'_>,
        at: usize,
        position: Option<usize>,
        deed: Deed<P>,
        now: Seconds,
    ) -> Applied {
        let known = |torrent: Option<&Torrent>, position: Option<usize>| {
            let list = torrent?.swarm.list::<P>();
            let (role, stamp) = (list.role(position?), list.get(position?)?.stamp());
            Some(Known { role, counted: stamp.counted(), age: stamp.age(now) })
        };
        let (peer, cause) = match &deed {
            Deed::Enter { peer, cause, .. } | Deed::Leave(peer, cause) => (*peer, *cause),
        };
        let before = known(self.torrents.get(at), position);
        let journal = self.journal.take();
        let applied = self.apply(common, at, position, deed, now);
        self.journal = journal;
        let number = self.number();
        let (Some(journal), Some(torrent)) = (&mut self.journal, self.torrents.get(at)) else {
            return applied;
        };
        let (key, place) = (common.tables.key, peer.place());
        let after = known(Some(torrent), applied.position);
        let to_successor = journal.is_heard_by(Listener::Successor) && (before.is_some() || after.is_some());
        // Most announces end here where nobody else listens.
        let to_cluster = journal.is_heard_by(Listener::Cluster) && {
            let period = common.peer_timeout(&self.rules.policy) / 3;
            is_news(cause, before, after, now, period, phase(&place))
        };
        if to_successor || to_cluster {
            let Torrent { info_hash, downloaded: total, .. } = *torrent;
            let downloaded =
                if self.shares.is_empty() { total } else { self.shares.own(key.torrent(&info_hash), total) };
            // What a record told is as old as that, and is passed on as such.
            let at = if after.is_none() && cause == Cause::Record { peer.stamp().age(now) } else { 0 };
            let at = now.wrapping_sub(at);
            let change = Change { info_hash, downloaded, peer: place, before, after, at, cause };
            for (listener, hears) in [(Listener::Successor, to_successor), (Listener::Cluster, to_cluster)] {
                if hears && journal.note(listener, change) {
                    common.heard[listener as usize].set(number);
                }
            }
        }
        if applied.membership == Membership::Removed {
            let age = if cause == Cause::Announce { 0 } else { peer.stamp().age(now) };
            journal
                .went(peer_hash(key.torrent(&torrent.info_hash), peer.hash(key), key), now.wrapping_sub(age));
        }
        applied
    }
}

#[inline]
fn change<P: Placed>(
    torrent: &mut Torrent,
    common: Common<'_>,
    position: Option<usize>,
    deed: Deed<P>,
    policy: &Policy,
) -> Applied {
    let key = common.tables.key;
    match (deed, position) {
        (Deed::Enter { mut peer, role, completed, cause }, Some(position)) => {
            let was = torrent.swarm.list::<P>().role(position);
            if let Some(held) = torrent.swarm.peer_mut::<P>(position) {
                // A record tells all that was known of a peer, an announce what is new.
                let counted = if cause == Cause::Record { peer } else { *held }.stamp().counted();
                let counts = completed && was != Role::Seeder && !counted;
                peer.set_stamp(peer.stamp().with_counted(counted || counts));
                *held = peer;
                torrent.downloaded = torrent.downloaded.saturating_add(u32::from(counts));
            }
            let position =
                if was == role { position } else { torrent.swarm.set_role::<P>(position, role, key) };
            Applied { membership: Membership::Refreshed, position: Some(position) }
        }
        (Deed::Enter { mut peer, role, completed, .. }, None) => {
            if let Some(membership) = refusal(&torrent.swarm, common, &peer, policy) {
                return Applied { membership, position: None };
            }
            if peer.address().is_loopback() {
                common.has_loopback.store(true, Ordering::Relaxed);
            }
            torrent.downloaded = torrent.downloaded.saturating_add(u32::from(completed));
            peer.set_stamp(peer.stamp().with_counted(completed || peer.stamp().counted()));
            let position = torrent.swarm.insert(peer, role, common.tables);
            Applied { membership: Membership::Added, position: Some(position) }
        }
        (Deed::Leave(..), Some(position)) => {
            torrent.swarm.remove::<P>(position, key);
            common.peers.fetch_sub(1, Ordering::Relaxed);
            Applied { membership: Membership::Removed, position: None }
        }
        (Deed::Leave(..), None) => Applied { membership: Membership::Absent, position: None },
    }
}

/// Why a new peer may not be stored. If it may, it is counted already.
fn refusal<P: Placed>(swarm: &Swarm, common: Common<'_>, peer: &P, policy: &Policy) -> Option<Membership> {
    if swarm.len() >= policy.max_peers_per_torrent.min(Policy::MAX_PEERS_PER_TORRENT) {
        return Some(Membership::TorrentFull);
    }
    if let Some(limit) =
        policy.peers_per_address.map(|limit| limit.min(Policy::MAX_PEERS_PER_ADDRESS) as usize)
        && peer.node().is_none()
        && swarm.sharing(&peer.address(), limit, common.tables.key) >= limit
    {
        return Some(Membership::AddressFull);
    }
    if common.peers.fetch_add(1, Ordering::Relaxed) >= policy.max_peers {
        common.peers.fetch_sub(1, Ordering::Relaxed);
        return Some(Membership::MemoryFull);
    }
    None
}
