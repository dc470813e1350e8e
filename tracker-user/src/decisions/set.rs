//! All decisions, and those that were taken back lately: a map in which the greatest verdict on each entry counts. Whoever
//! merges the same verdicts has the same map, whatever their order and however often each comes.
//!
//! What was taken back is remembered for a while, so that somebody who was away and has it still does not bring it back.

use super::{
    entry::{Entry, Kind},
    merged::Merged,
    verdict::{Line, MAX_WHEN, MINUTE, MOST_AHEAD, Stamp, Verdict},
};
use crate::node_name::NodeName;
use std::collections::{BTreeMap, BTreeSet};
use tracker_common::siphash::{self, hash_bytes};
use tracker_core::{banned::NetworkSet, keys::Key, model::InfoHash};

/// How long it is remembered that a decision was taken back, milliseconds (90 days).
pub const REMEMBERED: u64 = 90 * DAY;
/// For how long nothing that others tell pushes out of memory that something was taken back here, milliseconds (a day): by then
/// all who are there know of it.
pub const KEPT_HERE: u64 = DAY;
const DAY: u64 = 24 * 60 * MINUTE;

/// The key of digests, which is no secret: nodes compare them.
const DIGEST_KEY: siphash::Key = siphash::Key::from_bytes(*b"riptide decision");

/// Every verdict that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    kinds: [OfKind; Kind::ALL.len()],
    digest: u64,
}

/// Those of a kind.
#[derive(Clone, Debug, Default)]
struct OfKind {
    stamps: BTreeMap<Entry, Stamp>,
    /// When which entries were taken back.
    taken_back: BTreeSet<(u64, Entry)>,
    /// Such of them, and in no other place, as were so here and lately.
    taken_back_here: BTreeSet<(u64, Entry)>,
}

/// By what is known: where it was decided that another process or node knows by the stamp alone.
impl PartialEq for OfKind {
    fn eq(&self, other: &Self) -> bool {
        self.stamps == other.stamps
    }
}

impl Eq for OfKind {}

impl OfKind {
    fn holding(&self) -> impl Iterator<Item = (&Entry, &Stamp)> {
        self.stamps.iter().filter(|(_, stamp)| !stamp.taken_back)
    }

    fn holding_len(&self) -> usize {
        self.stamps.len() - self.remembered_len()
    }

    /// How many were taken back and are remembered.
    fn remembered_len(&self) -> usize {
        self.taken_back.len() + self.taken_back_here.len()
    }

    /// The one that is forgotten first to make room: the oldest of those that others took back, then of those that were here.
    fn first_to_forget(&self) -> Option<Entry> {
        self.taken_back.first().or_else(|| self.taken_back_here.first()).map(|(_, entry)| *entry)
    }

    /// Those that were taken back here a while ago are as good as all others from now on.
    fn release(&mut self, now: u64) {
        while let Some((when, entry)) = self.taken_back_here.first().copied()
            && when.saturating_add(KEPT_HERE) <= now
        {
            self.taken_back_here.remove(&(when, entry));
            self.taken_back.insert((when, entry));
        }
    }
}

impl Decisions {
    /// Whether a decision holds.
    #[must_use]
    pub fn has(&self, entry: &Entry) -> bool {
        self.of_kind(entry.kind()).stamps.get(entry).is_some_and(|stamp| !stamp.taken_back)
    }

    /// Those of a kind that hold, sorted.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.of_kind(kind).holding().map(|(entry, _)| entry)
    }

    /// The same with who decided each and when.
    pub fn verdicts_of(&self, kind: Kind) -> impl Iterator<Item = Verdict> {
        self.of_kind(kind).holding().map(verdict)
    }

    /// How many of a kind hold.
    #[must_use]
    pub fn len_of(&self, kind: Kind) -> usize {
        self.of_kind(kind).holding_len()
    }

    /// What is known of one, also that it was taken back.
    #[must_use]
    pub fn verdict(&self, entry: &Entry) -> Option<Verdict> {
        self.of_kind(entry.kind()).stamps.get_key_value(entry).map(verdict)
    }

    /// All that is known, also what was taken back: kind by kind, sorted.
    pub fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.kinds.iter().flat_map(|of_kind| &of_kind.stamps).map(verdict)
    }

    /// The torrents that are refused.
    #[must_use]
    pub fn denied(&self) -> Vec<InfoHash> {
        let denied = |entry: &Entry| if let Entry::Deny(info_hash) = entry { Some(*info_hash) } else { None };
        self.of(Kind::Deny).filter_map(denied).collect()
    }

    /// The networks that are banned.
    #[must_use]
    pub fn banned(&self) -> NetworkSet {
        let banned = |entry: &Entry| if let Entry::Ban(network) = entry { Some(*network) } else { None };
        self.of(Kind::Ban).filter_map(banned).collect()
    }

    /// The keys of clients that are served.
    pub fn admitted(&self) -> impl Iterator<Item = &Key> {
        self.of(Kind::Key).filter_map(|entry| if let Entry::Key(key) = entry { Some(key) } else { None })
    }

    /// A number that is the same at whoever knows the same verdicts, and at nobody else but by a chance of 1 in 2^64.
    ///
    /// It is the sum, modulo 2^64, of the SipHash-2-4 of each verdict's line as it is written down, without its end, by the key
    /// `riptide decision`. Whoever sees it and knows all else can try a key of private mode at the price of a hash, and so has
    /// to try all that there may be.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// Takes in what is decided here, `now` (milliseconds since 1970). It is newer than what is known, even if the clock was
    /// set back. Whether it was another way before.
    pub fn decide(&mut self, entry: Entry, holds: bool, now: u64, node: NodeName) -> bool {
        let known = self.of_kind(entry.kind()).stamps.get(&entry).map_or(0, |stamp| stamp.when + 1);
        let when = now.max(known).min(MAX_WHEN);
        let is_another = self.has(&entry) != holds;
        self.put(entry, Stamp { when, node, taken_back: !holds });
        if !holds {
            let of_kind = &mut self.kinds[entry.kind() as usize];
            of_kind.taken_back.remove(&(when, entry));
            of_kind.taken_back_here.insert((when, entry));
        }
        is_another
    }

    /// Takes in one that was written down, if it is newer than what is known of that entry.
    pub fn take_up(&mut self, verdict: Verdict) {
        if self.is_news(&verdict) {
            self.put(verdict.entry, verdict.stamp);
        }
    }

    /// Takes in what others have decided and is newer than what is known, `now` (milliseconds since 1970): at most so many of a
    /// kind hold then, and as many are remembered that do not.
    pub fn merge(&mut self, verdicts: impl IntoIterator<Item = Verdict>, now: u64, most: usize) -> Merged {
        let mut merged = Merged::default();
        let digest = self.digest;
        let mut before = BTreeMap::new();
        let mut verdicts: Vec<_> = verdicts.into_iter().collect();
        // What is taken back makes room.
        verdicts.sort_by_key(Verdict::holds);
        for verdict in verdicts {
            let entry = verdict.entry;
            let held = self.has(&entry);
            if verdict.stamp.when > now.saturating_add(MOST_AHEAD) {
                merged.ahead.add(&verdict);
                continue;
            }
            if !self.is_news(&verdict) {
                continue;
            }
            if verdict.holds() && !held && self.len_of(entry.kind()) >= most {
                merged.full.add(&verdict);
                continue;
            }
            before.entry(entry).or_insert(held);
            self.put(entry, verdict.stamp);
        }
        for (entry, held) in before {
            if let Some(stamp) = self.of_kind(entry.kind()).stamps.get(&entry)
                && stamp.taken_back == held
            {
                merged.changed.push(Verdict { entry, stamp: stamp.clone() });
            }
        }
        self.forget(now, most);
        merged.is_new = self.digest != digest;
        merged
    }

    /// Forgets what was taken back [`REMEMBERED`] ago or longer, and the oldest beyond so many of a kind: first such as was not
    /// decided here within [`KEPT_HERE`], so that however much others tell, and of whatever time, what is decided here reaches
    /// them. `now` is in milliseconds since 1970.
    pub fn forget(&mut self, now: u64, most: usize) {
        for kind in Kind::ALL {
            self.kinds[kind as usize].release(now);
            while let Some((when, entry)) = self.of_kind(kind).taken_back.first().copied()
                && when.saturating_add(REMEMBERED) <= now
            {
                self.remove(&entry);
            }
            while self.of_kind(kind).remembered_len() > most
                && let Some(entry) = self.of_kind(kind).first_to_forget()
            {
                self.remove(&entry);
            }
        }
    }

    fn is_news(&self, verdict: &Verdict) -> bool {
        let known = self.of_kind(verdict.entry.kind()).stamps.get(&verdict.entry);
        known.is_none_or(|known| *known < verdict.stamp)
    }

    fn put(&mut self, entry: Entry, stamp: Stamp) {
        self.remove(&entry);
        self.digest = self.digest.wrapping_add(hash(&entry, &stamp));
        let of_kind = &mut self.kinds[entry.kind() as usize];
        if stamp.taken_back {
            of_kind.taken_back.insert((stamp.when, entry));
        }
        of_kind.stamps.insert(entry, stamp);
    }

    fn remove(&mut self, entry: &Entry) {
        let of_kind = &mut self.kinds[entry.kind() as usize];
        if let Some(stamp) = of_kind.stamps.remove(entry) {
            let taken_back = (stamp.when, *entry);
            if !of_kind.taken_back.remove(&taken_back) {
                of_kind.taken_back_here.remove(&taken_back);
            }
            self.digest = self.digest.wrapping_sub(hash(entry, &stamp));
        }
    }

    const fn of_kind(&self, kind: Kind) -> &OfKind {
        &self.kinds[kind as usize]
    }
}

fn verdict((entry, stamp): (&Entry, &Stamp)) -> Verdict {
    Verdict { entry: *entry, stamp: stamp.clone() }
}

fn hash(entry: &Entry, stamp: &Stamp) -> u64 {
    hash_bytes(DIGEST_KEY, Line(entry, stamp).to_string().as_bytes())
}

#[cfg(test)]
mod tests;
