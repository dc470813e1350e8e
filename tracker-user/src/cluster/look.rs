//! What a node sees of others: who comes and goes, and whose key, decisions or clock are other ones.

use super::{
    node::{AskedKey, Effect, Node, To},
    time::ns,
    wire::{Alive, Message, Stage},
};
use std::time::Duration;
use tracker_core::nodes::NodeNumber;

/// How long decisions have to differ before a node is asked for its, and how often that doubles while they are the same.
const ASK_DECISIONS_NS: u64 = ns(Duration::from_millis(900));
const MAX_DOUBLED: u32 = 6;
/// How long a node may take to tell its key.
const ASK_KEY_NS: u64 = ns(Duration::from_secs(5));
/// How long a key of connection IDs is kept at least that was taken from another node.
const KEEP_KEY_NS: u64 = ns(Duration::from_secs(600));
/// How far clocks may be apart before connection IDs of another node hold no longer, nanoseconds.
const MAX_APART_NS: u64 = ns(Duration::from_secs(20));

impl Node {
    /// Looks who has gone and who is back.
    pub(super) fn look_around(&mut self, now_ns: u64) {
        let (mut gone, mut back): (Vec<NodeNumber>, Vec<Box<str>>) = Default::default();
        for (name, other) in &mut self.others {
            let is_here = other.was_heard(now_ns);
            if is_here != other.is_here {
                other.is_here = is_here;
                let line = if is_here { "is here" } else { "is not heard of any more" };
                self.effects.push(Effect::Inform(format!("cluster: node {name} {line}")));
                if is_here {
                    back.push(name.clone());
                } else {
                    other.has_webrtc = false;
                    gone.push(other.number);
                }
            }
        }
        back.iter().for_each(|name| self.is_back(name));
        // Their WebRTC peers were reached through them alone.
        self.to_forget.extend(gone);
        // Where everybody was asked in vain, everybody may be asked again.
        if self.donors(now_ns).iter().all(|donor| self.refused.contains(donor)) {
            self.refused.clear();
        }
    }

    /// Compares what another node says of itself with what is here.
    pub(super) fn compare(&mut self, from: &str, alive: &Alive<'_>, now_ns: u64) {
        let ours = (self.identity.key_since, self.identity.fingerprint);
        let theirs = (alive.key_since, alive.key);
        let is_better = alive.stage == Stage::Joined && theirs.1 != ours.1 && theirs < ours;
        let is_asked =
            self.asked_key.as_ref().is_some_and(|asked| now_ns.saturating_sub(asked.at_ns) < ASK_KEY_NS);
        // Each new key ends all connection IDs.
        let rests = self.took_key_ns.is_some_and(|took| now_ns.saturating_sub(took) < KEEP_KEY_NS);
        if is_better && !is_asked && !rests {
            self.asked_key = Some(AskedKey { from: from.into(), told: theirs, at_ns: now_ns });
            self.send(To::Node(from.into()), &Message::AskKey);
        }
        if let Some(other) = self.others.get_mut(from) {
            let (seen, at_ns, times) = other.decisions;
            if alive.decisions == self.identity.decisions {
                other.decisions = (0, 0, 0);
            } else if alive.decisions != seen {
                // What was just decided is on its way.
                other.decisions = (alive.decisions, now_ns, 0);
            } else if now_ns.saturating_sub(at_ns) >= ASK_DECISIONS_NS << times.min(MAX_DOUBLED) {
                // Where one of both may not hold as many as the other, they never agree.
                other.decisions = (seen, now_ns, times.saturating_add(1));
                self.send(To::Node(from.into()), &Message::AskDecisions);
            }
        }
        if alive.now_ns.abs_diff(now_ns) > MAX_APART_NS
            && let Some(other) = self.others.get_mut(from)
            && !std::mem::replace(&mut other.is_apart, true)
        {
            let apart = alive.now_ns.abs_diff(now_ns) / 1_000_000_000;
            self.effects.push(Effect::Warn(format!(
                "the clock of node {from} is {apart} s from this one's, so connection IDs of either do not hold at the other: \
                 see that both keep time (NTP), then restart the one that is wrong"
            )));
        }
    }
}
