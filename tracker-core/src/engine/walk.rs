//! The one walk: over all torrents and their peers, shard by shard and a bounded part at a time.
//!
//! Expiry, purging, saving, exporting and counting are visitors of it. Whatever is there from the beginning of a walk to
//! its end is visited, some of it perhaps twice; what comes or goes meanwhile may be visited or not.

use super::{
    Engine, SHARDS,
    change::Cause,
    common::Common,
    deed::Deed,
    hash::HashKey,
    peer::{Peer4, Peer6, WebrtcPeer},
    prefetch::prefetch,
    report::{Known, Place, Verdict},
    retained::Ticket,
    shard::Shard,
    shares::{Share, Shares},
    swarm::{Placed, Stage},
};
use crate::{
    model::{Counts, InfoHash, Network, Seconds},
    nodes::NodeNumber,
};

/// Items looked at under one lock, beyond the one part of a swarm that a step takes at least: some ten microseconds.
pub(super) const STEP: usize = 256;
/// The peers of the torrent that is visited so much later are fetched: they lie anywhere, and the memory is slow.
const AHEAD: usize = 8;
/// Peers removed under one lock: each may cost microseconds, where its memory and that of what takes its place is cold.
const MAX_REMOVED: usize = 32;

/// Is shown what an engine holds. Its methods run under a shard's lock: they have to be short, and must not call the
/// engine.
pub trait Visitor {
    /// Why peers go that it removes.
    const CAUSE: Cause = Cause::Purge;
    /// Whether it is shown what other nodes counted of downloads. Those who need not know spare the look.
    const WANTS_SHARES: bool = false;

    /// The walk begins with a shard, in which nobody that expires was last heard of before `heard_since`. With
    /// [`Verdict::Enough`] its torrents are passed over.
    fn begin(&mut self, _heard_since: &mut Seconds) -> Verdict {
        Verdict::Keep
    }

    /// What other nodes counted of the downloads of the torrent, or kept count, that is shown next: not called where that is
    /// nothing. The count has been kept without peers for `age` seconds, 0 if there are any.
    fn shares(&mut self, _info_hash: &InfoHash, _shares: &[Share], _age: Seconds) {}

    /// A torrent that has peers, and all nodes' count of its downloads. In a large swarm the walk comes by several
    /// times, which all but the first `resumed` says.
    fn torrent(&mut self, info_hash: &InfoHash, counts: &Counts, resumed: bool) -> Verdict;

    /// Whether it is shown the peers of this network.
    fn wants(&self, _network: Network) -> bool {
        true
    }

    /// A peer of the torrent shown last.
    fn peer(&mut self, peer: &Seen<'_>) -> Verdict;

    /// The walk is through with a shard.
    fn end(&mut self, _heard_since: &mut Seconds) {}

    /// All nodes' `downloaded` count that is kept of a torrent without peers, for how many seconds now.
    fn retained(&mut self, _info_hash: &InfoHash, _downloaded: u32, _age: Seconds) -> Verdict {
        Verdict::Enough
    }
}

/// A peer that a visitor is shown.
pub struct Seen<'a> {
    known: Known,
    network: Network,
    node: Option<NodeNumber>,
    place: &'a dyn Fn() -> Place,
}

impl Seen<'_> {
    /// What is known of it. The age of a WebRTC peer of this node means nothing: it lives as long as its connection.
    #[must_use]
    pub const fn known(&self) -> Known {
        self.known
    }

    /// How it is reached.
    #[must_use]
    pub const fn network(&self) -> Network {
        self.network
    }

    /// The node that holds it, of a WebRTC peer of another one.
    #[must_use]
    pub const fn node(&self) -> Option<NodeNumber> {
        self.node
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> Place {
        (self.place)()
    }
}

/// How far a walk has come.
#[derive(Clone, Debug)]
pub struct Cursor {
    shard: usize,
    progress: Progress,
    tickets: Vec<Ticket>,
}

impl Default for Cursor {
    /// A walk that begins.
    fn default() -> Self {
        Self { shard: 0, progress: Progress::START, tickets: Vec::new() }
    }
}

impl Cursor {
    /// A walk that begins with this shard, below [`Engine::SHARDS`], and ends as one over all of them does.
    #[must_use]
    pub const fn at_shard(shard: usize) -> Self {
        Self { shard: shard % SHARDS, progress: Progress::START, tickets: Vec::new() }
    }

    /// The shard that is visited next.
    #[must_use]
    pub const fn shard(&self) -> usize {
        self.shard
    }

    /// The share of all shards that the walk is through with, from 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.shard as f64 / SHARDS as f64
    }
}

/// What a part of a walk did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Torrents, peers, kept counts, shares that were shown, and shards looked at.
    pub visited: usize,
    /// Peers removed.
    pub removed: usize,
    /// The walk is over. The cursor stands at the beginning of another one.
    pub ended: bool,
}

/// How far the walk over a shard has come.
#[derive(Clone, Copy, Debug)]
enum Progress {
    /// Torrents at this position and above are done. The one before is done in part, if it still is this one.
    Torrents { below: usize, within: Option<(InfoHash, Stage)> },
    /// Kept counts before this number are done.
    Retained { from: Option<u32> },
}

impl Progress {
    const START: Self = Self::Torrents { below: usize::MAX, within: None };
}

impl Engine {
    /// Visits about `budget` items from where the cursor stands, taking a shard's lock for a step at a time and giving it
    /// back between any two. Ages are counted to `now`.
    pub fn walk<V: Visitor>(
        &self,
        cursor: &mut Cursor,
        now: Seconds,
        budget: usize,
        visitor: &mut V,
    ) -> Walked {
        let mut walked = Walked::default();
        while walked.visited < budget && !walked.ended {
            // At least one torrent beside the shard itself, so that every step gets on.
            let most = STEP.min(budget - walked.visited).max(2);
            let Cursor { shard, progress, tickets } = cursor;
            let ended = {
                let mut step = Step {
                    until: (0, 0),
                    common: self.common(),
                    now,
                    visitor: &mut *visitor,
                    tickets,
                    walked: &mut walked,
                };
                self.shards[*shard].0.lock().walk(progress, most, &mut step)
            };
            for ticket in tickets.drain(..) {
                self.file(Some(ticket));
            }
            if ended {
                *progress = Progress::START;
                *shard = (*shard + 1) % SHARDS;
                walked.ended = *shard == 0;
            }
        }
        walked
    }
}

impl Engine {
    /// Visits one torrent as a walk does, if it has peers, and about `budget` items of it.
    pub fn visit<V: Visitor>(
        &self,
        info_hash: &InfoHash,
        now: Seconds,
        budget: usize,
        visitor: &mut V,
    ) -> Walked {
        let at = self.locate(info_hash);
        let (mut walked, mut within, mut tickets) = (Walked::default(), None, Vec::new());
        while walked.visited < budget && !walked.ended {
            let most = STEP.min(budget - walked.visited);
            let mut step = Step {
                until: (walked.visited + most, walked.removed + MAX_REMOVED),
                common: self.common(),
                now,
                visitor: &mut *visitor,
                tickets: &mut tickets,
                walked: &mut walked,
            };
            let mut shard = self.shard(&at).lock();
            within = match shard.find(at.hash, info_hash) {
                Some(position) => shard.walk_torrent(position, within.take(), &mut step),
                None => None,
            };
            drop(shard);
            walked.ended = within.is_none();
            for ticket in tickets.drain(..) {
                self.file(Some(ticket));
            }
        }
        walked
    }
}

/// What a step works with.
struct Step<'a, V> {
    /// Where it ends: so many visited, or so many removed.
    until: (usize, usize),
    common: Common<'a>,
    now: Seconds,
    visitor: &'a mut V,
    tickets: &'a mut Vec<Ticket>,
    walked: &'a mut Walked,
}

impl<V> Step<'_, V> {
    /// Whether the lock has been held for long enough.
    const fn is_over(&self) -> bool {
        self.walked.visited >= self.until.0 || self.walked.removed >= self.until.1
    }
}

/// Shows a visitor what other nodes counted, if it wants to know, and says of how many.
fn show_shares<V: Visitor>(
    shares: &Shares,
    key: HashKey,
    info_hash: &InfoHash,
    age: Seconds,
    visitor: &mut V,
) -> usize {
    if !V::WANTS_SHARES || shares.is_empty() {
        return 0;
    }
    let shares = shares.of(key.torrent(info_hash));
    if !shares.is_empty() {
        visitor.shares(info_hash, shares, age);
    }
    shares.len()
}

impl Shard {
    /// Visits about `budget` items and says whether these were the last.
    fn walk<V: Visitor>(&mut self, progress: &mut Progress, budget: usize, step: &mut Step<'_, V>) -> bool {
        step.until = (step.walked.visited + budget, step.walked.removed + MAX_REMOVED);
        step.walked.visited += 1;
        if matches!(progress, Progress::Torrents { below: usize::MAX, .. })
            && step.visitor.begin(&mut self.heard_since) == Verdict::Enough
        {
            *progress = Progress::Retained { from: None };
        }
        loop {
            match progress {
                Progress::Torrents { below, within } => {
                    // Down from the end: what moves into the place of a removed torrent has been visited.
                    *below = (*below).min(self.torrents.len());
                    let Some(at) = below.checked_sub(1) else {
                        *progress = Progress::Retained { from: None };
                        continue;
                    };
                    if step.is_over() {
                        return false;
                    }
                    match self.walk_torrent(at, within.take(), step) {
                        Some(resume) => *within = Some(resume),
                        None => *below = at,
                    }
                }
                Progress::Retained { from } => {
                    let (key, now) = (step.common.tables.key, step.now);
                    let visitor = &mut *step.visitor;
                    let Self { retained, shares, .. } = self;
                    let (looked, next) =
                        retained.visit(*from, budget, key, shares, |shares, info_hash, downloaded, since| {
                            let age = now.saturating_sub(since);
                            let shown = show_shares(shares, key, info_hash, age, visitor);
                            (visitor.retained(info_hash, downloaded, age), shown)
                        });
                    step.walked.visited += looked;
                    *from = next;
                    if next.is_none() {
                        step.visitor.end(&mut self.heard_since);
                    }
                    return next.is_none();
                }
            }
        }
    }

    /// Visits a torrent, or a part of it; then it says where to go on.
    fn walk_torrent<V: Visitor>(
        &mut self,
        at: usize,
        within: Option<(InfoHash, Stage)>,
        step: &mut Step<'_, V>,
    ) -> Option<(InfoHash, Stage)> {
        let ahead = at.checked_sub(AHEAD).and_then(|at| self.torrents.get(at));
        ahead.and_then(|torrent| torrent.swarm.address()).into_iter().for_each(prefetch);
        let torrent = self.torrents.get(at)?;
        let info_hash = torrent.info_hash;
        let within = within.filter(|(resumed, _)| *resumed == info_hash);
        step.walked.visited +=
            1 + show_shares(&self.shares, step.common.tables.key, &info_hash, 0, step.visitor);
        let verdict = step.visitor.torrent(&info_hash, &torrent.counts(), within.is_some());
        let mut stage = within.map_or(Stage::START, |(_, stage)| stage);
        let mut going_on = verdict != Verdict::Enough;
        while going_on {
            let next = match stage.network {
                unwanted if !step.visitor.wants(unwanted) => stage.after(None),
                Network::Ipv4 => self.walk_stage::<Peer4, V>(at, stage, step),
                Network::Ipv6 => self.walk_stage::<Peer6, V>(at, stage, step),
                Network::Webrtc => self.walk_stage::<WebrtcPeer, V>(at, stage, step),
            };
            going_on = next.is_some();
            stage = next.unwrap_or(stage);
            if going_on && step.is_over() {
                return Some((info_hash, stage));
            }
        }
        step.tickets.extend(self.tidy(step.common, at, step.now));
        None
    }

    /// Visits a part of the peers of one network, and says where the walk over this torrent goes on.
    fn walk_stage<P: Placed, V: Visitor>(
        &mut self,
        at: usize,
        stage: Stage,
        step: &mut Step<'_, V>,
    ) -> Option<Stage> {
        let swarm = &self.torrents.get(at)?.swarm;
        let mut going: Vec<P> = Vec::new();
        let (now, visitor, visited) = (step.now, &mut *step.visitor, &mut step.walked.visited);
        let mut unseen = 0;
        let next = swarm.visit::<P>(stage.from, |peer, role| {
            if going.len() == MAX_REMOVED {
                unseen += 1;
                return;
            }
            *visited += 1;
            let stamp = peer.stamp();
            let known = Known { role, counted: stamp.counted(), age: stamp.age(now) };
            let seen = Seen { known, network: P::NETWORK, node: peer.node(), place: &|| peer.place() };
            if visitor.peer(&seen) == Verdict::Remove {
                going.push(*peer);
            }
        });
        step.walked.removed += going.len();
        for peer in going {
            let position = self.torrents.get(at)?.swarm.find(&peer, step.common.tables.key);
            self.apply(step.common, at, position, Deed::Leave(peer, V::CAUSE), now);
        }
        // So many go that the rest has to wait for its turn, which comes at the same place.
        if unseen > 0 { Some(stage) } else { stage.after(next) }
    }
}
