//! A walk that this node asked another one for.

use super::{
    digest::Digesting,
    giving::{LONGEST_NS, WINDOW},
    time::ns,
    wire::{Extent, Message},
};
use std::time::Duration;
use tracker_core::{engine::Engine, model::Seconds};

/// How long the other node may take for the next piece.
const PATIENCE_NS: u64 = ns(Duration::from_secs(5));
/// Items that are visited until whoever serves on the same processor has a turn.
const SLICE: usize = 512;

/// Why a walk is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// This node has just come.
    Join,
    /// Changes are lost that nobody keeps any more.
    Repair,
    /// A node's WebRTC peers are not known.
    Webrtc,
}

/// A walk under way.
#[derive(Debug)]
pub struct Taking {
    /// Who was asked.
    pub from: Box<str>,
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub began_ns: u64,
    session: u64,
    digesting: Option<Digesting>,
    /// The number of the piece that comes next, and how many may come in all.
    next: u32,
    allowed: u32,
    heard_ns: u64,
}

impl Taking {
    /// Begins one. With what computes digests the other node is told what is here already.
    #[must_use]
    pub fn begin(
        from: &str,
        reason: Reason,
        session: u64,
        digesting: Option<Digesting>,
        now_ns: u64,
    ) -> Self {
        Self {
            from: from.into(),
            reason,
            began_ns: now_ns,
            session,
            digesting,
            next: 0,
            allowed: WINDOW,
            heard_ns: now_ns,
        }
    }

    /// What is to be asked first, where nothing is compared.
    #[must_use]
    pub fn first(&self) -> Option<Vec<u8>> {
        self.digesting.is_none().then(|| self.ask(None))
    }

    /// Goes on with the digests; the question once they are there. Whether there is more to be done at once.
    pub fn step(&mut self, engine: &Engine, now: Seconds, now_ns: u64) -> (Option<Vec<u8>>, bool) {
        let Some(mut digesting) = self.digesting.take() else { return (None, false) };
        self.heard_ns = now_ns;
        if digesting.step(engine, now, SLICE) {
            return (Some(self.ask(Some(&digesting.end().to_bytes()))), false);
        }
        self.digesting = Some(digesting);
        (None, true)
    }

    fn ask(&self, digests: Option<&[u8]>) -> Vec<u8> {
        let extent = if self.reason == Reason::Webrtc { Extent::Webrtc } else { Extent::Everything };
        Message::Walk { session: self.session, extent, digests }.write()
    }

    /// Whether this is of this walk.
    #[must_use]
    pub fn is_it(&self, from: &str, session: u64) -> bool {
        *self.from == *from && self.session == session
    }

    /// A piece came, or the end, with this number. `None` if one before it is lost; otherwise what is to be said to the other node.
    pub fn came(&mut self, number: u32, now_ns: u64) -> Option<Option<Vec<u8>>> {
        if number != self.next || number >= self.allowed {
            return None;
        }
        (self.next, self.heard_ns) = (number.saturating_add(1), now_ns);
        if self.next.saturating_add(WINDOW / 2) < self.allowed {
            return Some(None);
        }
        self.allowed = self.next.saturating_add(WINDOW);
        Some(Some(Message::More { session: self.session, pieces: self.allowed }.write()))
    }

    /// Whether the other node has said nothing for too long, or takes too long for all of it.
    #[must_use]
    pub const fn is_stuck(&self, now_ns: u64) -> bool {
        let longest_ns = match self.reason {
            Reason::Webrtc => LONGEST_NS / 20,
            Reason::Join | Reason::Repair => LONGEST_NS,
        };
        now_ns.saturating_sub(self.heard_ns) > PATIENCE_NS
            || now_ns.saturating_sub(self.began_ns) > longest_ns
    }
}
