//! What becomes of a message.

use super::{
    node::{AskedKey, Effect, Node, To},
    other::{LOST_AFTER_NS, Other, Process},
    taking::Reason,
    time::{ns, seconds},
    wire::{Alive, Content, Message, Records, Stage, Unreadable},
};
use crate::{decisions::wire::MAX_PIECE, swarms::take_in::TakeIn};
use std::time::Duration;
use tracker_common::{connection_id::fingerprint, siphash::Key};
use tracker_core::{
    engine::CountedBy,
    model::InfoHash,
    nodes::{MAX_NODES, NodeNumber},
    records::{TorrentRecord, WebrtcItem, WebrtcReader, WebrtcRecord},
};

/// Which kind of subject a message came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Changes, to everybody.
    Changes,
    /// Signs of life, to everybody.
    Alive,
    /// To this node alone.
    Direct,
}

/// How long there may be two processes of this node before the operator is told.
const NAMESAKE_NS: u64 = ns(Duration::from_secs(180));
/// How often a node is told all decisions.
const TELL_DECISIONS_NS: u64 = ns(Duration::from_secs(1));
/// How far the sequence of a process may be ahead of what it says itself: signs of life may be late.
const AHEAD: u64 = 4096;
/// Few bytes of records: each peer takes seven at least.
const PEER: u64 = 7;
/// The longest release that is shown, characters.
const RELEASE: usize = 32;
/// How many nodes may be known by name before no more are told of.
const TOLD_NAMES: usize = MAX_NODES / 2;
/// Batches that are sent again for one request.
const AGAIN: u64 = 32;

impl Node {
    /// Takes in a message that came from the node of this name, as the server vouches for.
    pub fn receive(&mut self, from: &str, channel: Channel, bytes: &[u8], now_ns: u64) {
        if *from == *self.settings.name {
            // Another process of this node: what it says is known here, or is handed over.
            return self.namesake(now_ns);
        }
        self.tally.bytes_in += bytes.len() as u64;
        let Some(other) = self.other(from, now_ns) else {
            self.tally.refused += 1;
            if !std::mem::replace(&mut self.is_full, true) {
                self.effects.push(Effect::Warn(format!(
                    "node {from} is not heard, since there are as many others as may be: raise cluster.max_nodes ({}), or restart if \
                     many names have come and gone",
                    self.settings.max_nodes
                )));
            }
            return;
        };
        // Whoever is cut off is alive all the same.
        let may = if channel == Channel::Alive { other.may_show(now_ns) } else { !other.is_cut_off(now_ns) };
        if !may {
            self.tally.refused += 1;
            return;
        }
        let message = match Message::read(bytes) {
            Ok(message) => message,
            Err(why) => {
                let line = match why {
                    // Nodes may differ by one version, and newer ones may say what this one does not understand.
                    Unreadable::Kind(_) => None,
                    Unreadable::Malformed => other
                        .sent_unreadable(now_ns)
                        .then(|| format!("is cut off for a minute: it sends {why}")),
                    Unreadable::Version(_) => (!std::mem::replace(&mut other.is_foreign, true)).then(|| {
                        format!("is not understood: {why}; let all nodes be of neighbouring versions")
                    }),
                };
                self.effects.extend(line.map(|line| Effect::Warn(format!("node {from} {line}"))));
                self.tally.unreadable += 1;
                return;
            }
        };
        match (channel, message) {
            (
                Channel::Changes | Channel::Direct,
                Message::Changes { boot, sequence, written_ns, records },
            ) => {
                self.changes(from, channel, (boot, sequence), written_ns, records, now_ns);
            }
            (Channel::Alive, Message::Alive(alive)) => self.alive(from, &alive, now_ns),
            (Channel::Alive, Message::Silent(seen)) => self.told_of_silent(seen, now_ns),
            (Channel::Alive, Message::AskKey) => self.tell_key(from, now_ns),
            (Channel::Changes | Channel::Direct, Message::Decisions(lines)) => {
                // Longer ones nobody reads, so they need not wait for that.
                if lines.len() > MAX_PIECE
                    || !self.others.get_mut(from).is_some_and(|other| other.may_decide(now_ns))
                {
                    self.tally.refused += 1;
                    return;
                }
                self.effects.push(Effect::Decisions(from.into(), lines.to_vec()));
            }
            (Channel::Direct, message) => self.direct(from, message, now_ns),
            _ => self.tally.unreadable += 1,
        }
    }

    fn direct(&mut self, from: &str, message: Message<'_>, now_ns: u64) {
        let most = self.settings.max_relays_per_second;
        let Some(other) = self.others.get_mut(from) else { return };
        let may = match message {
            Message::Relay(_) => other.may_relay(most, now_ns),
            Message::Resend { .. } | Message::Walk { .. } | Message::AskDecisions => other.may_ask(now_ns),
            _ => true,
        };
        let number = other.number;
        if !may {
            self.tally.refused += 1;
            return;
        }
        let is_question = matches!(message, Message::Walk { .. } | Message::AskKey | Message::AskDecisions)
            || matches!(message, Message::Resend { boot, .. } if boot != self.settings.boot);
        if is_question && !self.answers {
            return;
        }
        match message {
            Message::Resend { boot, from: first, to: behind } => {
                self.resend(from, boot, (first, behind), now_ns);
            }
            Message::Lost { boot, from: first, to } => self.lost(from, boot, first, to),
            Message::Walk { session, extent, digests } => {
                self.give_walk(from, session, extent, digests, now_ns);
            }
            Message::More { session, pieces } => self.give_more(from, session, pieces, now_ns),
            Message::Piece { session, number: at, written_ns, content } => {
                if self.piece_came(from, session, at, now_ns) {
                    let delay = self.others.get(from).and_then(Other::current).map(|process| process.delay);
                    let since = delay.unwrap_or_default().grown(written_ns, now_ns);
                    self.take_in(from, number, content, since, now_ns);
                }
            }
            Message::End { session, number, seen } => self.walk_ended(from, session, number, seen, now_ns),
            Message::NoWalk { session } => self.no_walk(from, session, now_ns),
            Message::AskKey => self.tell_key(from, now_ns),
            Message::Key { key, since, .. } => self.key(from, key, since, now_ns),
            Message::AskDecisions => {
                // All of them, so not more often than they are asked for by who plays fair.
                if let Some(other) = self.others.get_mut(from)
                    && now_ns.saturating_sub(other.told_decisions_ns) >= TELL_DECISIONS_NS
                {
                    other.told_decisions_ns = now_ns;
                    self.effects.push(Effect::TellDecisions(from.into()));
                }
            }
            Message::Relay(relay) => self.effects.push(Effect::Relay(number, relay.to_vec())),
            _ => self.tally.unreadable += 1,
        }
    }

    /// A key of connection IDs came. Only one that was asked for is taken, from whom it was asked, if it is the one that was told of.
    fn key(&mut self, from: &str, key: [u8; 16], since: u64, now_ns: u64) {
        let is_it = |asked: &AskedKey| {
            *asked.from == *from && asked.told == (since, fingerprint(Key::from_bytes(key)))
        };
        if self.asked_key.as_ref().is_some_and(is_it) {
            self.asked_key = None;
            self.took_key_ns = Some(now_ns);
            self.effects.push(Effect::Key { from: from.into(), key, since });
        }
    }

    /// Tells the key of connection IDs to a node that asks for it.
    fn tell_key(&mut self, to: &str, now_ns: u64) {
        if self.answers
            && self.is_joined()
            && self.others.get_mut(to).is_some_and(|other| other.may_ask(now_ns))
        {
            let key = Message::Key { key: self.identity.key, now_ns, since: self.identity.key_since };
            self.send(To::Node(to.into()), &key);
        }
    }

    /// There is another process with this node's name: for a while while one takes over from another.
    fn namesake(&mut self, now_ns: u64) {
        let (since, last) = self.namesake_ns.unwrap_or((now_ns, now_ns));
        let since = if now_ns.saturating_sub(last) > LOST_AFTER_NS { now_ns } else { since };
        let before = last.saturating_sub(since);
        self.namesake_ns = Some((since, now_ns));
        if before < NAMESAKE_NS && now_ns.saturating_sub(since) >= NAMESAKE_NS {
            self.effects.push(Effect::Warn(format!(
                "another tracker calls itself {}, too, so that neither hears of the other's peers: give each its own name (cluster.node)",
                self.settings.name
            )));
        }
    }

    /// Takes in records of WebRTC peers that a node holds. Whether all could be read, and of how many peers.
    fn take_in_webrtc(
        &self,
        bytes: &[u8],
        (since, ahead): (u32, u32),
        node: NodeNumber,
        now_ns: u64,
    ) -> (bool, u64) {
        let (mut torrent, mut peers) = (None, Vec::new());
        let flush = |torrent: Option<InfoHash>, peers: &mut Vec<WebrtcRecord>| {
            if let Some(info_hash) = torrent
                && !peers.is_empty()
            {
                // What may not be served here is not kept.
                let _ = self.engine.import_webrtc(&info_hash, peers, node, seconds(now_ns));
            }
            peers.clear();
        };
        let (mut is_whole, mut read) = (true, 0);
        for item in WebrtcReader::new(bytes) {
            match item {
                Ok(WebrtcItem::Torrent(next)) => {
                    flush(torrent.replace(next), &mut peers);
                }
                Ok(WebrtcItem::Peer(peer)) => {
                    read += 1;
                    peers.push(WebrtcRecord {
                        age: peer.age.saturating_add(since).saturating_sub(ahead),
                        ..peer
                    });
                }
                Err(_) => is_whole = false,
            }
        }
        flush(torrent, &mut peers);
        (is_whole, read)
    }

    /// A node that is listened to.
    pub(super) fn other(&mut self, name: &str, now_ns: u64) -> Option<&mut Other> {
        if !self.others.contains_key(name) {
            if self.others.len() >= self.settings.max_nodes {
                self.forget_somebody(now_ns)?;
            }
            let number = self.names.lock().number(name)?;
            self.others.insert(name.into(), Other::new(number, now_ns));
        }
        self.others.get_mut(name)
    }

    /// Makes room for another node, if there is one that is lost.
    fn forget_somebody(&mut self, now_ns: u64) -> Option<()> {
        let lost =
            self.others.iter().find(|(_, other)| !other.was_heard(now_ns)).map(|(name, _)| name.clone());
        let lost = self.others.remove(&lost?)?;
        if lost.processes.iter().any(Process::is_incomplete) {
            self.mending.lacks(&mut self.tally);
        }
        Some(())
    }

    /// From which number on all changes of a process are wanted that shows itself now by those before `next`.
    fn wants_from(&self, next: u64, now_ns: u64) -> u64 {
        // While this node joins, a walk will tell what was before. A process that took over has been told.
        if self.stage == Stage::Joining || self.settings.succeeds && self.is_fresh(now_ns) { next } else { 1 }
    }

    /// A process, which is noted if it is new, and has been heard of.
    fn process(&mut self, from: &str, boot: u64, next: u64, now_ns: u64) -> Option<&mut Process> {
        let wanted = self.wants_from(next, now_ns);
        let (process, is_new) = self.others.get_mut(from)?.process(boot, wanted, now_ns)?;
        process.heard_ns = now_ns;
        process.reaches(next);
        // It is told soon who is here.
        self.says_soon |= is_new;
        self.others.get_mut(from)?.process(boot, wanted, now_ns).map(|(process, _)| process)
    }

    fn changes(
        &mut self,
        from: &str,
        channel: Channel,
        (boot, sequence): (u64, u64),
        written_ns: u64,
        records: Records<'_>,
        now_ns: u64,
    ) {
        let most = self.settings.max_records_per_second;
        let Some(process) = self.process(from, boot, sequence, now_ns) else { return };
        let was_missing = process.missing.remove(sequence) | process.holes.remove(sequence);
        let is_next = sequence == process.next;
        if channel == Channel::Changes {
            process.delay.came(written_ns, now_ns);
        }
        let since = process.delay.grown(written_ns, now_ns);
        if is_next {
            process.next = sequence.saturating_add(1);
            process.lag_ns = process.delay.age_ns(written_ns, now_ns);
        }
        if !was_missing && !is_next {
            // It came before.
            return;
        }
        let asked = process.asked.is_some_and(|(first, behind, _)| (first..behind).contains(&sequence));
        if was_missing && asked {
            self.tally.repaired_batches += 1;
            self.asked_came(from, boot);
        }
        let Some(other) = self.others.get_mut(from) else { return };
        let number = other.number;
        let cost = (records.plain.len() + records.webrtc.len()) as u64 / PEER;
        let may =
            if asked { other.sent_again(cost, most, now_ns) } else { other.sent_records(cost, most, now_ns) };
        if !may {
            if let Some((process, _)) = other.process(boot, sequence, now_ns) {
                process.missing.add(sequence, sequence.saturating_add(1));
            }
            self.tally.refused += 1;
            if asked {
                return;
            }
            self.effects.push(Effect::Warn(format!(
                "node {from} is cut off for a minute: it tells of more than {most} peers a second (cluster.max_records_per_second)"
            )));
            return;
        }
        self.tally.changes_in += self.records(from, number, records, since, now_ns);
    }

    /// Takes in records of a node's. How many peers they told of.
    fn records(
        &mut self,
        from: &str,
        node: NodeNumber,
        Records { plain, webrtc }: Records<'_>,
        grown: i64,
        now_ns: u64,
    ) -> u64 {
        let [since, ahead] = [grown, -grown].map(|grown| u32::try_from(grown.max(0)).unwrap_or(u32::MAX));
        let mut take_in = TakeIn::new(&self.engine, seconds(now_ns)).of_a_clock_ahead(ahead);
        let plain = take_in.records(plain, since, CountedBy::Node(node));
        let (is_whole, webrtc) = self.take_in_webrtc(webrtc, (since, ahead), node, now_ns);
        let read = take_in.taken().read + webrtc;
        if plain.is_err() || !is_whole {
            self.malformed(from, now_ns);
        }
        read
    }

    fn malformed(&mut self, from: &str, now_ns: u64) {
        self.tally.unreadable += 1;
        if self.others.get_mut(from).is_some_and(|other| other.sent_unreadable(now_ns)) {
            let line = format!("node {from} is cut off for a minute: it sends records that are malformed");
            self.effects.push(Effect::Warn(line));
        }
    }

    /// Takes in a piece of a walk.
    fn take_in(&mut self, from: &str, node: NodeNumber, content: Content<'_>, since: i64, now_ns: u64) {
        match content {
            Content::Records(plain) => {
                self.records(from, node, Records { plain, webrtc: &[] }, since, now_ns);
            }
            Content::Webrtc(webrtc) => {
                self.records(from, node, Records { plain: &[], webrtc }, since, now_ns);
            }
            Content::Counts(bytes) => {
                let mut names = self.names.lock();
                // Names that others tell of leave room for those that speak.
                let mut room = TOLD_NAMES.saturating_sub(names.all().count());
                let mut number = |name| {
                    if let Some(known) = names.find(name) {
                        return Some(known);
                    }
                    let given = if room > 0 { names.number(name) } else { None };
                    room -= usize::from(given.is_some());
                    given
                };
                let all = super::counts::read(bytes, |count| {
                    let by = match *count.name == *self.settings.name {
                        true => Some(CountedBy::Own),
                        false => number(count.name).map(CountedBy::Node),
                    };
                    let Some(by) = by else { return };
                    let torrent =
                        TorrentRecord { info_hash: count.info_hash, downloaded: count.count, age: 0 };
                    // There is no peer to be refused.
                    let _ = self.engine.import(&torrent, &[], seconds(now_ns), by);
                });
                drop(names);
                if !all {
                    self.malformed(from, now_ns);
                }
            }
        }
    }

    fn alive(&mut self, from: &str, alive: &Alive<'_>, now_ns: u64) {
        self.meet(from, alive, now_ns);
        let Some(process) = self.process(from, alive.boot, alive.next, now_ns) else { return };
        process.hears(alive, now_ns);
        if process.next > alive.next.saturating_add(AHEAD) {
            // Somebody else has told of more than there is.
            process.was_not(alive.next);
        }
        if alive.stage == Stage::Leaving {
            // Nobody waits for a node that said it goes.
            process.heard_ns = now_ns.saturating_sub(LOST_AFTER_NS);
        }
        let Some(other) = self.others.get_mut(from) else { return };
        if other.release != alive.release {
            let shown = alive.release.chars().filter(char::is_ascii_graphic);
            other.release = shown.take(RELEASE).collect();
        }
        if !other.has_webrtc
            && now_ns >= other.webrtc_after_ns
            && alive.stage == Stage::Joined
            && self.is_joined()
        {
            self.want(Reason::Webrtc, from);
        }
        self.compare(from, alive, now_ns);
    }

    /// Sends changes again, as far as they are kept.
    fn resend(&mut self, to: &str, boot: u64, (from, behind): (u64, u64), now_ns: u64) {
        let sent = self.publisher.sent();
        let (first, next) = (sent.first(), sent.next());
        if boot != self.settings.boot {
            if self.namesake_ns.is_some_and(|(_, last)| now_ns.saturating_sub(last) < LOST_AFTER_NS) {
                // The process that is asked answers itself.
                return;
            }
            // Nothing is left of another process.
            let lost = Message::Lost { boot, from: 0, to: u64::MAX };
            return self.send(To::Node(to.into()), &lost);
        }
        if from < first {
            let lost = Message::Lost { boot, from, to: behind.min(first) };
            self.send(To::Node(to.into()), &lost);
        }
        let (from, behind) = (from.max(first), behind.min(next));
        for number in from..behind.min(from.saturating_add(AGAIN)) {
            if let Some(message) = self.publisher.sent().get(number).cloned() {
                self.tally.bytes_out += message.len() as u64;
                self.out.push((To::Node(to.into()), message));
            }
        }
    }
}
