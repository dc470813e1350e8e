//! What did not come: it is asked for again, and where nobody keeps it any more, a walk of a node that knows it is wanted.

use super::{
    node::{Node, To},
    other::{LOST_AFTER_NS, Process},
    ranges::Ranges,
    time::ns,
    tried::{GONE_AFTER_NS, Tried},
    wire::{Message, Seen, SeenList, Stage},
};
use std::time::Duration;

/// Batches that are asked for at a time.
const ASK: u64 = 32;
/// How long an answer may take.
const ASK_AGAIN_NS: u64 = ns(Duration::from_secs(1));
/// How often changes are asked for in vain before a walk is wanted.
const TRIES: u32 = 20;
/// For how long it is told of a silent process how far it is known.
const SILENT_NS: u64 = ns(Duration::from_secs(600));
/// Of so many at the most.
const MAX_SILENT: usize = 128;

impl Node {
    /// Asks for changes that did not come.
    pub(super) fn repair(&mut self, now_ns: u64) {
        // What a walk is about to tell is not asked for.
        if self.stage == Stage::Joining {
            return;
        }
        let mut asks = Vec::new();
        for (name, other) in &mut self.others {
            if std::mem::take(&mut other.lost_sight) {
                self.mending.lacks(&mut self.tally);
            }
            if other.is_cut_off(now_ns) {
                continue;
            }
            let is_here = other.was_heard(now_ns);
            // Former processes of this node come back no more.
            let patience_ns = if *name == self.settings.name { 0 } else { GONE_AFTER_NS };
            for process in &mut other.processes {
                if process.missing.is_empty() {
                    (process.asked, process.tries) = (None, 0);
                } else if is_here && process.tries < TRIES {
                    if let Some(gap) = process.due(now_ns) {
                        asks.push((name.clone(), process.boot, gap, process.tries == 0));
                    }
                } else if is_here || process.silent_ns(now_ns) > patience_ns {
                    // Others may know.
                    process.gives_up();
                    self.tally.gaps += 1;
                }
            }
        }
        for (name, boot, (from, to), is_first) in asks {
            self.tally.lost_batches += if is_first { to - from } else { 0 };
            self.send(To::Node(name), &Message::Resend { boot, from, to });
        }
    }

    /// Tells how far processes are known that have gone silent: what they said last may have come to some nodes only, and they say no
    /// more how much it was.
    pub(super) fn tell_of_silent(&mut self, now_ns: u64) {
        let is_silent = |process: &Process| (LOST_AFTER_NS..SILENT_NS).contains(&process.silent_ns(now_ns));
        let all = self.others.iter().flat_map(|(name, other)| {
            let silent = other.processes.iter().filter(|process| is_silent(process));
            silent.map(|process| Seen { name, boot: process.boot, next: process.next })
        });
        let seen = SeenList::write(all.take(MAX_SILENT));
        if !seen.is_empty() {
            self.send(To::Alive, &Message::Silent(SeenList::of(&seen)));
        }
    }

    /// Another node tells how far it knows processes that are silent.
    pub(super) fn told_of_silent(&mut self, seen: SeenList<'_>, now_ns: u64) {
        for Seen { name, boot, next } in seen.iter().take(MAX_SILENT) {
            // Who is not silent tells itself, and nobody else does.
            if boot != self.settings.boot
                && (*name == *self.settings.name || self.others.contains_key(name))
                && let Some(process) = self.other(name, now_ns).and_then(|other| other.former(boot, 1))
                && !process.is_here(now_ns)
            {
                process.reaches(next);
            }
        }
    }

    /// Some of what was asked for came: the rest is asked for at once, if that was the last.
    pub(super) fn asked_came(&mut self, from: &str, boot: u64) {
        let Some(other) = self.others.get_mut(from) else { return };
        let Some(process) = other.processes.iter_mut().find(|process| process.boot == boot) else { return };
        process.tries = 0;
        if process
            .asked
            .is_some_and(|(_, behind, _)| process.missing.first(1).is_none_or(|gap| gap.0 >= behind))
        {
            process.asked = None;
        }
    }

    /// Changes that were asked for are kept no more.
    pub(super) fn lost(&mut self, from: &str, boot: u64, first: u64, behind: u64) {
        let Some(other) = self.others.get_mut(from) else { return };
        let Some(process) = other.processes.iter_mut().find(|process| process.boot == boot) else { return };
        let lost = process.missing.remove_all(first, behind);
        process.asked = None;
        if !lost.is_empty() {
            process.holes.add_all(&lost);
            process.tried = Tried::default();
            self.tally.gaps += 1;
        }
    }

    /// Another node gave a walk, when it knew so much of other processes: that is known here now.
    pub(super) fn was_walked(&mut self, by: &str, seen: SeenList<'_>, took_ns: u64, now_ns: u64) {
        self.mending.was_given(by, true, took_ns, now_ns);
        for seen in seen.iter() {
            let processes = self.others.get_mut(seen.name).into_iter().flat_map(|other| &mut other.processes);
            for process in processes.filter(|process| process.boot == seen.boot) {
                process.holes.remove_all(0, seen.next);
            }
        }
        self.all_tried().for_each(|tried| tried.gave(by));
    }

    /// A node is back: it may know what the others did not.
    pub(super) fn is_back(&mut self, name: &str) {
        self.all_tried().for_each(|tried| tried.is_back(name));
    }

    fn all_tried(&mut self) -> impl Iterator<Item = &mut Tried> {
        let processes = self.others.values_mut().flat_map(|other| &mut other.processes);
        let holes = processes.filter(|process| !process.holes.is_empty()).map(|process| &mut process.tried);
        holes.chain(&mut self.mending.lacks)
    }

    /// Who is to be asked for a walk because something is lacking, if anybody.
    pub(super) fn mender(&mut self, now_ns: u64) -> Option<Box<str>> {
        if now_ns < self.mending.rest_until_ns || self.all_tried().next().is_none() {
            return None;
        }
        let donors = self.donors(now_ns);
        if donors.is_empty() {
            return None;
        }
        let mut fit = donors.clone();
        fit.retain(|name| !self.mending.failed.contains(name));
        let mut choices = Vec::new();
        for (name, other) in &mut self.others {
            for process in other.processes.iter_mut().filter(|process| !process.holes.is_empty()) {
                if process.tried.is_over(&donors, now_ns) {
                    // Nobody knows: peers of that time announce again, or expire.
                    process.holes = Ranges::default();
                }
                choices.push((Some(name), process.tried.untried(&fit)));
            }
        }
        if let Some(tried) = &mut self.mending.lacks {
            if tried.is_over(&donors, now_ns) {
                self.mending.lacks = None;
            } else {
                choices.push((None, tried.untried(&fit)));
            }
        }
        choices.retain(|(_, untried)| !untried.is_empty());
        if choices.is_empty() {
            // Nobody else is left.
            self.mending.failed.clear();
            return None;
        }
        let (name, mut untried) = choices.swap_remove(self.rng.below(choices.len()));
        // Whose changes they are knows them best.
        let best = name.and_then(|name| untried.iter().position(|untried| untried == name));
        let at = best.unwrap_or_else(|| self.rng.below(untried.len()));
        Some(untried.swap_remove(at))
    }
}

impl Process {
    /// Asks no more for what is missing: a walk has to tell.
    fn gives_up(&mut self) {
        self.holes.add_all(&std::mem::take(&mut self.missing));
        (self.asked, self.tries, self.tried) = (None, 0, Tried::default());
    }

    /// What is to be asked for now.
    fn due(&mut self, now_ns: u64) -> Option<(u64, u64)> {
        if self.asked.is_some_and(|(_, _, at)| now_ns.saturating_sub(at) < ASK_AGAIN_NS) {
            return None;
        }
        let gap = self.missing.first(ASK)?;
        self.tries += u32::from(self.asked.is_some());
        self.asked = Some((gap.0, gap.1, now_ns));
        Some(gap)
    }
}
