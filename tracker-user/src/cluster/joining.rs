//! How a node comes to have what others have: from whom it gets a walk, and when it begins with what it has.

use super::{
    node::{Effect, Node, To},
    other::{Other, Process},
    taking::{Reason, Taking},
    time::ns,
    wire::{Alive, Seen, SeenList, Stage},
};
use std::{cmp::Reverse, time::Duration};

/// How long a node that has just come waits to hear of others, before it takes itself for the first.
const ALONE_NS: u64 = ns(Duration::from_millis(2500));
/// How long it waits for others that are here, at the most.
const PATIENCE_NS: u64 = 4 * ALONE_NS;
/// How long after it gave no walk of its WebRTC peers a node is asked for one again.
const WEBRTC_AGAIN_NS: u64 = ns(Duration::from_secs(30));
/// Nodes that are asked for a walk because they come from elsewhere, at a time.
const MAX_STRANGE: usize = 4;

impl Node {
    /// Begins walks that are wanted, one at a time.
    pub(super) fn join(&mut self, now_ns: u64) {
        if self.taking.as_ref().is_some_and(|taking| taking.is_stuck(now_ns)) {
            if let Some(taking) = &self.taking
                && taking.reason == Reason::Join
            {
                self.mending.failed.push(taking.from.clone());
            }
            self.walk_failed(now_ns);
        }
        if self.taking.is_some() {
            return;
        }
        if self.stage == Stage::Joining {
            return self.begin(now_ns);
        }
        if let Some((reason, from)) = self.wanted.pop_front() {
            if self.others.get(&from).is_some_and(|other| other.was_heard(now_ns)) {
                self.take_walk(&from, reason, reason == Reason::Repair, now_ns);
            }
        } else if let Some(from) = self.mender(now_ns) {
            self.take_walk(&from, Reason::Repair, true, now_ns);
        }
    }

    /// Asks somebody who is joined for a walk, or goes on alone if there is none.
    fn begin(&mut self, now_ns: u64) {
        let Some(connected_ns) = self.connected_ns else { return };
        let mut donors = self.donors(now_ns);
        let are_others_joined = !donors.is_empty();
        donors.retain(|name| !self.refused.contains(name));
        if donors.iter().any(|name| !self.mending.failed.contains(name)) {
            // Somebody who is here and never gives anything is not asked again first.
            donors.retain(|name| !self.mending.failed.contains(name));
        }
        if !donors.is_empty() {
            let donor = donors.swap_remove(self.rng.below(donors.len()));
            let compared = self.engine.size() > 0;
            return self.take_walk(&donor, Reason::Join, compared, now_ns);
        }
        let waited_ns = now_ns.saturating_sub(connected_ns);
        // Of several that begin together the one that knows most is the first, of equals the one with the smallest name. Others join it.
        let beside =
            self.others.iter().filter(|(_, other)| !other.is_cut_off(now_ns) && other.was_heard(now_ns));
        let peers =
            |other: &Other| other.current().and_then(|process| process.told).map_or(0, |told| told.peers);
        let rank = |peers: u64, name| (Reverse(peers), name);
        let own = rank(self.engine.peers() as u64, &self.settings.name);
        let is_first = beside.clone().all(|(name, other)| own < rank(peers(other), name));
        let knows_all = beside.clone().all(|(_, other)| peers(other) == 0);
        if !are_others_joined && is_first && waited_ns > ALONE_NS {
            if !knows_all {
                self.mending.lacks(&mut self.tally);
            }
            self.joined("no other node answers, so this one begins with what it has", now_ns);
        } else if waited_ns > PATIENCE_NS {
            // Whoever is joined later knows more.
            self.mending.lacks(&mut self.tally);
            self.joined("no other node has a walk to give, so this one begins with what it has", now_ns);
        }
    }

    fn joined(&mut self, how: &str, now_ns: u64) {
        self.stage = Stage::Joined;
        // What came before the first that was waited for is missing, as far as no walk told of it.
        self.others.values_mut().flat_map(|other| &mut other.processes).for_each(|process| {
            process.knows_before(1);
        });
        self.effects.push(Effect::Inform(format!("cluster: {how}")));
        self.say_alive(now_ns);
    }

    fn take_walk(&mut self, from: &str, reason: Reason, compared: bool, now_ns: u64) {
        let session = self.rng.next_u64();
        let digesting = compared.then(|| self.digesting(session));
        let taking = Taking::begin(from, reason, session, digesting, now_ns);
        if let Some(ask) = taking.first() {
            self.send_bytes(To::Node(from.into()), ask);
        }
        self.taking = Some(taking);
    }

    /// Those who have what others have.
    pub(super) fn donors(&self, now_ns: u64) -> Vec<Box<str>> {
        let is_fit = |process: &Process| process.is_here(now_ns) && process.stage() == Some(Stage::Joined);
        let fit = self
            .others
            .iter()
            .filter(|(_, other)| !other.is_cut_off(now_ns) && other.processes.iter().any(is_fit));
        fit.map(|(name, _)| name.clone()).collect()
    }

    /// A piece of a walk, or its end. Whether it is the one that is due.
    pub(super) fn piece_came(&mut self, from: &str, session: u64, number: u32, now_ns: u64) -> bool {
        let Some(taking) = self.taking.as_mut().filter(|taking| taking.is_it(from, session)) else {
            return false;
        };
        match taking.came(number, now_ns) {
            Some(more) => {
                if let Some(more) = more {
                    self.send_bytes(To::Node(from.into()), more);
                }
                true
            }
            None => {
                self.walk_failed(now_ns);
                false
            }
        }
    }

    pub(super) fn walk_ended(
        &mut self,
        from: &str,
        session: u64,
        number: u32,
        seen: SeenList<'_>,
        now_ns: u64,
    ) {
        if !self.piece_came(from, session, number, now_ns) {
            return;
        }
        let Some(taking) = self.taking.take() else { return };
        if let Some(other) = self.others.get_mut(from) {
            other.has_webrtc = true;
        }
        if taking.reason == Reason::Webrtc {
            return;
        }
        self.tally.walks_in += 1;
        if taking.reason == Reason::Join {
            for Seen { name, boot, next } in seen.iter() {
                if boot == self.settings.boot {
                    continue;
                }
                // What former processes did, this node's too, may have come to some nodes only.
                if let Some(process) = self.other(name, now_ns).and_then(|other| other.former(boot, next)) {
                    process.knows_before(next);
                }
            }
            self.joined(&format!("this node has what {from} has"), now_ns);
        }
        self.was_walked(from, seen, now_ns.saturating_sub(taking.began_ns), now_ns);
    }

    pub(super) fn no_walk(&mut self, from: &str, session: u64, now_ns: u64) {
        if self.taking.as_ref().is_some_and(|taking| taking.is_it(from, session)) {
            self.walk_failed(now_ns);
        }
    }

    fn walk_failed(&mut self, now_ns: u64) {
        let Some(taking) = self.taking.take() else { return };
        self.tally.walks_failed += 1;
        match taking.reason {
            Reason::Join => self.refused.push(taking.from),
            Reason::Repair => {
                self.mending.was_given(&taking.from, false, 0, now_ns);
                self.mending.lacks(&mut self.tally);
            }
            // Asked for again by a later sign of life: who never gives any must not keep others waiting.
            Reason::Webrtc => {
                if let Some(other) = self.others.get_mut(&taking.from) {
                    other.webrtc_after_ns = now_ns + WEBRTC_AGAIN_NS;
                }
            }
        }
    }

    /// A walk of this node is wanted.
    pub(super) fn want(&mut self, reason: Reason, from: &str) {
        let is_under_way =
            self.taking.as_ref().is_some_and(|taking| taking.reason == reason && *taking.from == *from);
        let is_wanted = self.wanted.iter().any(|wanted| wanted.0 == reason && *wanted.1 == *from);
        if !is_under_way && !is_wanted && self.wanted.len() < self.settings.max_nodes {
            self.wanted.push_back((reason, from.into()));
        }
    }

    /// A process shows itself. One that is joined when it is first heard of comes from where this node heard of nobody, and may know
    /// what nobody here does.
    pub(super) fn meet(&mut self, from: &str, alive: &Alive<'_>, now_ns: u64) {
        let is_known = self.others.get(from).is_some_and(|other| {
            other.is_here
                || other.processes.iter().any(|process| process.boot == alive.boot && process.told.is_some())
        });
        let is_strange = !is_known && alive.stage == Stage::Joined && self.stage == Stage::Joined;
        if is_strange && !(self.settings.succeeds && self.is_fresh(now_ns)) {
            let strange = self.wanted.iter().filter(|wanted| wanted.0 == Reason::Repair).count();
            if strange < MAX_STRANGE {
                self.tally.gaps += 1;
                self.want(Reason::Repair, from);
            }
        }
    }
}

impl Process {
    /// All before this number is known by a walk. What came by itself began later perhaps, so what is between is missing. What it did
    /// since that did not come is, too: a walk does not tell of those who went.
    fn knows_before(&mut self, next: u64) {
        self.missing.add(next, self.first);
        self.first = 1;
        self.reaches(next);
    }
}
