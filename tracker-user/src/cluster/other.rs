//! Another node, as its messages show it: its processes, what is missing of them, and how much it may send.

use super::{
    delay::Delay,
    ranges::Ranges,
    time::ns,
    tried::Tried,
    wire::{Alive, Stage},
};
use std::time::Duration;
use tracker_core::nodes::NodeNumber;

/// Processes of a node that are told apart: while one takes over from another there are two, and of those before some may be missing.
const PROCESSES: usize = 4;
/// A node that was not heard of for so long is lost.
pub const LOST_AFTER_NS: u64 = ns(Duration::from_secs(10));
/// How long a node is not listened to that sends too much, or what nobody can read.
pub const CUT_OFF_NS: u64 = ns(Duration::from_secs(60));
/// Messages that nobody can read, after which a node is cut off. They count for as long as it is cut off then.
const UNREADABLE: u32 = 16;

/// What a process has said last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Torrents it knows.
    pub torrents: u64,
    /// Peers it knows.
    pub peers: u64,
    /// How far it is.
    pub stage: Stage,
}

/// A process of another node.
#[derive(Clone, Debug)]
pub struct Process {
    /// Which.
    pub boot: u64,
    /// The number of the first changes that were waited for.
    pub first: u64,
    /// The number of the changes that come next.
    pub next: u64,
    /// Numbers before that of changes that did not come.
    pub missing: Ranges,
    /// Such of them as nobody is asked for any more, so that only a walk tells what was in them.
    pub holes: Ranges,
    /// Who was asked for one.
    pub tried: Tried,
    /// When a message of it came last.
    pub heard_ns: u64,
    /// What it says of itself.
    pub told: Option<Told>,
    /// What it was asked for again, and when.
    pub asked: Option<(u64, u64, u64)>,
    /// How often in vain.
    pub tries: u32,
    /// How long what it sends is on its way.
    pub delay: Delay,
    /// How long its last changes were on their way, nanoseconds.
    pub lag_ns: u64,
}

impl Process {
    fn new(boot: u64, next: u64, now_ns: u64) -> Self {
        Self {
            boot,
            first: next,
            next,
            missing: Ranges::default(),
            holes: Ranges::default(),
            tried: Tried::default(),
            heard_ns: now_ns,
            told: None,
            asked: None,
            tries: 0,
            delay: Delay::default(),
            lag_ns: 0,
        }
    }

    /// Everything before this number is known.
    pub fn complete(&self) -> u64 {
        let gaps = [&self.missing, &self.holes].into_iter().filter_map(|gaps| gaps.first(1));
        gaps.fold(self.next, |least, gap| least.min(gap.0))
    }

    /// For how long it has been silent.
    pub const fn silent_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.heard_ns)
    }

    /// Whether something of it is not known here.
    pub fn is_incomplete(&self) -> bool {
        !self.missing.is_empty() || !self.holes.is_empty()
    }

    /// It has sent all its changes before this number: what of it is not here is missing.
    pub fn reaches(&mut self, next: u64) {
        self.missing.add(self.next, next);
        self.next = self.next.max(next);
    }

    /// It has not sent what is from this number on, whoever said so.
    pub fn was_not(&mut self, next: u64) {
        self.missing.remove_all(next, u64::MAX);
        self.holes.remove_all(next, u64::MAX);
        self.next = next;
        self.asked = None;
    }

    /// Whether it has been heard of lately.
    pub const fn is_here(&self, now_ns: u64) -> bool {
        self.silent_ns(now_ns) < LOST_AFTER_NS
    }

    /// Takes down what it says.
    pub fn hears(&mut self, alive: &Alive<'_>, now_ns: u64) {
        self.delay.came(alive.now_ns, now_ns);
        self.told = Some(Told { torrents: alive.torrents, peers: alive.peers, stage: alive.stage });
    }

    /// What it says of its stage.
    pub fn stage(&self) -> Option<Stage> {
        self.told.map(|told| told.stage)
    }
}

/// A node.
#[derive(Clone, Debug)]
pub struct Other {
    /// Its number.
    pub number: NodeNumber,
    /// Its processes, the newest last.
    pub processes: Vec<Process>,
    /// The version of its program.
    pub release: String,
    /// Until when it is not listened to.
    pub cut_off_until_ns: u64,
    /// Its WebRTC peers are known.
    pub has_webrtc: bool,
    /// When it may be asked for them again.
    pub webrtc_after_ns: u64,
    /// It was here when last looked for.
    pub is_here: bool,
    /// Its clock is another one's, which the operator was told.
    pub is_apart: bool,
    /// It speaks another version, which the operator was told.
    pub is_foreign: bool,
    /// A process was forgotten before all of it was known.
    pub lost_sight: bool,
    /// What its decisions were when they were other ones than here, when it was asked for them, and how often for the same.
    pub decisions: (u64, u64, u32),
    /// When it was told all decisions.
    pub told_decisions_ns: u64,
    records: Bucket,
    repairs: Bucket,
    asks: Bucket,
    signs: Bucket,
    decided: Bucket,
    relays: Bucket,
    unreadable: (u64, u32),
}

impl Other {
    /// Of which nothing is known yet.
    pub fn new(number: NodeNumber, now_ns: u64) -> Self {
        Self {
            number,
            processes: Vec::new(),
            release: String::new(),
            cut_off_until_ns: 0,
            has_webrtc: false,
            webrtc_after_ns: 0,
            is_here: false,
            is_apart: false,
            is_foreign: false,
            lost_sight: false,
            decisions: (0, 0, 0),
            told_decisions_ns: 0,
            records: Bucket(now_ns),
            repairs: Bucket(now_ns),
            asks: Bucket(now_ns),
            signs: Bucket(now_ns),
            decided: Bucket(now_ns),
            relays: Bucket(now_ns),
            unreadable: (0, 0),
        }
    }

    /// One of its processes; one that is new is expected to send from `next` on. Also says whether it is new.
    pub fn process(&mut self, boot: u64, next: u64, now_ns: u64) -> Option<(&mut Process, bool)> {
        let at = self.processes.iter().position(|process| process.boot == boot);
        if at.is_none() {
            if self.processes.len() == PROCESSES {
                // The one that has been silent for longest.
                let all = self.processes.iter().enumerate();
                let oldest = all.min_by_key(|(_, process)| process.heard_ns).map_or(0, |(at, _)| at);
                self.lost_sight |= self.processes.remove(oldest).is_incomplete();
            }
            self.processes.push(Process::new(boot, next, now_ns));
        }
        let at_end = self.processes.len() - 1;
        self.processes.get_mut(at.unwrap_or(at_end)).map(|process| (process, at.is_none()))
    }

    /// A process that others tell of. One that was not heard of here is known before `next`, if there is room for it.
    pub fn former(&mut self, boot: u64, next: u64) -> Option<&mut Process> {
        let at = self.processes.iter().position(|process| process.boot == boot);
        if at.is_none() {
            if self.processes.len() == PROCESSES {
                return None;
            }
            // It has been silent for ever, as far as is known here.
            self.processes.insert(0, Process::new(boot, next, 0));
        }
        self.processes.get_mut(at.unwrap_or(0))
    }

    /// The process that was heard of last.
    pub fn current(&self) -> Option<&Process> {
        self.processes.iter().max_by_key(|process| process.heard_ns)
    }

    /// Whether any process of it has been heard of lately.
    pub fn was_heard(&self, now_ns: u64) -> bool {
        self.processes.iter().any(|process| process.is_here(now_ns))
    }

    /// Whether it is not to be listened to.
    pub const fn is_cut_off(&self, now_ns: u64) -> bool {
        now_ns < self.cut_off_until_ns
    }

    /// It sent something that nobody can read. Whether it is cut off for that now.
    pub fn sent_unreadable(&mut self, now_ns: u64) -> bool {
        let (since, count) = self.unreadable;
        self.unreadable =
            if now_ns.saturating_sub(since) > CUT_OFF_NS { (now_ns, 1) } else { (since, count + 1) };
        // Signs of life are looked at all the same, and it is not told again.
        let is_over = self.unreadable.1 >= UNREADABLE && !self.is_cut_off(now_ns);
        if is_over {
            self.unreadable = (now_ns, 0);
            self.cut_off_until_ns = now_ns + CUT_OFF_NS;
        }
        is_over
    }

    /// It sent so many records by itself. Whether it may; if not it is cut off.
    pub fn sent_records(&mut self, records: u64, per_second: u64, now_ns: u64) -> bool {
        let may = self.records.take(records, per_second, BURST_S, now_ns);
        if !may {
            self.cut_off_until_ns = now_ns + CUT_OFF_NS;
        }
        may
    }

    /// It sent so many records that it was asked for. Whether they are taken in: who sends them may be faster than this node.
    pub fn sent_again(&mut self, records: u64, per_second: u64, now_ns: u64) -> bool {
        self.repairs.take(records, per_second.saturating_mul(REPAIRS), BURST_S, now_ns)
    }

    /// It gives a sign of life. Whether it is looked at.
    pub fn may_show(&mut self, now_ns: u64) -> bool {
        self.signs.take(1, SIGNS_PER_SECOND, BURST_S, now_ns)
    }

    /// It tells decisions. Whether they are looked at.
    pub fn may_decide(&mut self, now_ns: u64) -> bool {
        self.decided.take(1, DECISIONS_PER_SECOND, DECISIONS_BURST_S, now_ns)
    }

    /// It asks for something. Whether it may.
    pub fn may_ask(&mut self, now_ns: u64) -> bool {
        self.asks.take(1, ASKS_PER_SECOND, BURST_S, now_ns)
    }

    /// It sends an offer or answer. Whether it may.
    pub fn may_relay(&mut self, per_second: u64, now_ns: u64) -> bool {
        self.relays.take(1, per_second, 1, now_ns)
    }
}

/// What a node may send in one go, as seconds of its rate.
const BURST_S: u64 = 4;
/// How much more than by itself a node may send of what it is asked for.
const REPAIRS: u64 = 4;
/// Signs of life of a node that are looked at: it gives one a second, and some more when something changes.
const SIGNS_PER_SECOND: u64 = 20;
/// Messages with decisions of a node that are looked at, and for how many seconds at once: enough for a long list.
const DECISIONS_PER_SECOND: u64 = 20;
const DECISIONS_BURST_S: u64 = 60;
/// Requests of a node that are answered: each may take half a megabyte.
const ASKS_PER_SECOND: u64 = 20;

/// The time at which the next would be in time (the generic cell rate algorithm).
#[derive(Clone, Copy, Debug)]
struct Bucket(u64);

impl Bucket {
    fn take(&mut self, amount: u64, per_second: u64, burst_s: u64, now_ns: u64) -> bool {
        const SECOND: u64 = 1_000_000_000;
        let cost = amount.saturating_mul(SECOND) / per_second.max(1);
        let then = self.0.max(now_ns).saturating_add(cost);
        let may = then <= now_ns.saturating_add(burst_s * SECOND);
        if may {
            self.0 = then;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn other() -> Other {
        Other::new(NodeNumber::new(0).unwrap(), 0)
    }

    #[test]
    fn who_sends_more_than_it_may_is_cut_off() {
        let mut other = other();
        assert!((0..4).all(|_| other.sent_records(1000, 1000, SECOND)), "four seconds at once");
        assert!(!other.sent_records(1000, 1000, SECOND) && other.is_cut_off(SECOND));
        assert!(other.is_cut_off(60 * SECOND) && !other.is_cut_off(61 * SECOND));
        assert!((61..500).all(|second| other.sent_records(1000, 1000, second * SECOND)));
    }

    #[test]
    fn who_cannot_be_read_is_cut_off() {
        let mut other = other();
        assert!((1..UNREADABLE).all(|_| !other.sent_unreadable(SECOND)));
        assert!(other.sent_unreadable(SECOND) && other.is_cut_off(SECOND));
        assert!((0..1000).all(|at| !other.sent_unreadable(100 * at * SECOND)), "now and then");
    }

    #[test]
    fn what_did_not_come_is_missing() {
        let mut other = other();
        let (process, is_new) = other.process(7, 1, 0).unwrap();
        process.reaches(1);
        assert!(is_new && process.missing.is_empty());
        process.reaches(4);
        assert_eq!((process.missing.count(), process.complete(), process.next), (3, 1, 4));
        assert!(process.missing.remove(1));
        process.reaches(3);
        assert_eq!((process.complete(), process.missing.count()), (2, 2));
        for boot in [8, 9, 10, 11] {
            other.process(boot, 1, boot);
        }
        assert_eq!(other.processes.iter().map(|process| process.boot).collect::<Vec<_>>(), [8, 9, 10, 11]);
        assert!(other.lost_sight, "of one that had not told all");
    }
}
