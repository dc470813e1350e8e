//! Walks that others asked for, and digests for such as this node asks for.

use super::{
    digest::Digesting,
    giving::Giving,
    node::{Node, To},
    time::seconds,
    wire::{Extent, Message, Seen, SeenList, Stage},
};
use tracker_core::{engine::Cursor, model::Network};

/// Items that are visited until whoever serves on the same processor has a turn.
const SLICE: usize = 512;
/// Walks that are given at a time.
const MAX_GIVING: usize = 4;

impl Node {
    /// Goes on with walks for a moment. Whether there is more to be done at once.
    pub fn work(&mut self, now_ns: u64) -> bool {
        let now = seconds(now_ns);
        let mut more = false;
        if let Some(taking) = &mut self.taking {
            let (ask, goes_on) = taking.step(&self.engine, now, now_ns);
            let to = To::Node(taking.from.clone());
            more |= goes_on;
            if let Some(ask) = ask {
                self.send_bytes(to, ask);
            }
        }
        if self.forgetting.is_none() && !self.to_forget.is_empty() {
            self.forgetting = Some((std::mem::take(&mut self.to_forget), Cursor::default()));
        }
        if let Some((nodes, cursor)) = &mut self.forgetting {
            if self.engine.forget_nodes(nodes, cursor, now, SLICE).ended {
                self.forgetting = None;
            }
            more = true;
        }
        for mut giving in std::mem::take(&mut self.giving) {
            let names = || self.names.lock().clone();
            let (messages, goes_on) = giving.step(&self.engine, names, now_ns);
            more |= goes_on;
            for message in messages {
                self.send_bytes(To::Node(giving.to.clone()), message);
            }
            if giving.is_over() {
                self.tally.walks_out += 1;
            } else if giving.is_forgotten(now_ns) {
                self.tally.walks_failed += 1;
            } else {
                self.giving.push(giving);
            }
        }
        more
    }

    pub(super) fn give_walk(
        &mut self,
        to: &str,
        session: u64,
        extent: Extent,
        digests: Option<&[u8]>,
        now_ns: u64,
    ) {
        self.giving.retain(|giving| *giving.to != *to);
        // Who is still joining has nothing that would help.
        if self.giving.len() >= MAX_GIVING || self.stage == Stage::Joining {
            return self.send(To::Node(to.into()), &Message::NoWalk { session });
        }
        let own =
            Seen { name: &self.settings.name, boot: self.settings.boot, next: self.publisher.sent().next() };
        let known = self.others.iter().flat_map(|(name, other)| {
            other.processes.iter().map(|process| Seen { name, boot: process.boot, next: process.complete() })
        });
        let seen = SeenList::write([own].into_iter().chain(known));
        // Most trackers have none, and each node asks each other one.
        if extent == Extent::Webrtc
            && self
                .engine
                .totals()
                .peers
                .get(Network::Webrtc as usize)
                .is_some_and(|of| of.iter().all(|of| *of == 0))
        {
            return self.giving.push(Giving::nothing(to, session, extent, seen, now_ns));
        }
        let digests = digests.map(|theirs| (self.digesting(session), theirs));
        self.giving.push(Giving::begin(to, session, extent, digests, seen, now_ns));
    }

    /// A walk that computes digests, by the key that this session has.
    pub(super) fn digesting(&self, session: u64) -> Digesting {
        Digesting::begin(session, &self.settings.name, &self.names.lock())
    }

    pub(super) fn give_more(&mut self, to: &str, session: u64, pieces: u32, now_ns: u64) {
        let found = self.giving.iter_mut().find(|giving| *giving.to == *to && giving.session == session);
        if let Some(giving) = found {
            giving.allow(pieces, now_ns);
        }
    }
}
