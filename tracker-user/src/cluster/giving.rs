//! A walk that another node asked for: in pieces, no faster than it takes them.

use super::{
    counts::CountsWriter,
    digest::{Digesting, Groups},
    time::{ns, seconds},
    wire::{Content, Extent, Message, SeenList},
};
use std::{collections::VecDeque, time::Duration};
use tracker_core::{
    engine::{Cursor, Engine, Known, Place, Seen, Share, Verdict, Visitor, own},
    model::{Counts, InfoHash, Network, Seconds},
    nodes::Nodes,
    records::{PeerRecord, RecordWriter, State, TorrentRecord, WebrtcRecord, WebrtcWriter},
};

/// Pieces that may be on their way before the asker says that it has some.
pub const WINDOW: u32 = 16;
/// How long the asker may say nothing.
const PATIENCE_NS: u64 = ns(Duration::from_secs(10));
/// The longest that a walk may take, on either side.
pub const LONGEST_NS: u64 = ns(Duration::from_secs(600));
/// Items that are visited until whoever serves on the same processor has a turn.
const SLICE: usize = 512;
/// About how many bytes a piece has.
const PIECE: usize = 48 << 10;

/// A walk under way.
#[derive(Debug)]
pub struct Giving {
    /// Who asked.
    pub to: Box<str>,
    /// What they call it.
    pub session: u64,
    extent: Extent,
    phase: Phase,
    /// What is to be sent, once it may.
    ready: VecDeque<Vec<u8>>,
    number: u32,
    allowed: u32,
    heard_ns: u64,
    began_ns: u64,
    /// What was known when it began.
    seen: Vec<u8>,
}

#[derive(Debug)]
enum Phase {
    Digesting(Box<Digesting>, Box<[u8]>),
    Walking(Box<Walking>),
    Ended,
}

#[derive(Debug)]
struct Walking {
    cursor: Cursor,
    /// When the first was written that is not in a piece yet.
    since_ns: Option<u64>,
    writer: Writer,
}

impl Giving {
    /// Begins one, with what computes digests and the asker's own where these are to be compared; `seen` is what is known of
    /// processes' changes at this moment.
    pub fn begin(
        to: &str,
        session: u64,
        extent: Extent,
        digests: Option<(Digesting, &[u8])>,
        seen: Vec<u8>,
        now_ns: u64,
    ) -> Self {
        let phase = match digests {
            Some((digesting, theirs)) if extent == Extent::Everything => {
                Phase::Digesting(Box::new(digesting), theirs.into())
            }
            _ => Phase::walking(extent, None),
        };
        Self {
            to: to.into(),
            session,
            extent,
            phase,
            ready: VecDeque::new(),
            number: 0,
            allowed: WINDOW,
            heard_ns: now_ns,
            began_ns: now_ns,
            seen,
        }
    }

    /// One of nothing.
    pub fn nothing(to: &str, session: u64, extent: Extent, seen: Vec<u8>, now_ns: u64) -> Self {
        let mut giving = Self::begin(to, session, extent, None, seen, now_ns);
        giving.phase = Phase::Ended;
        giving.push_end();
        giving
    }

    fn push_end(&mut self) {
        let seen = std::mem::take(&mut self.seen);
        self.push(|session, number| Message::End { session, number, seen: SeenList::of(&seen) }.write());
    }

    /// The asker takes so many pieces in all.
    pub fn allow(&mut self, pieces: u32, now_ns: u64) {
        // No more than a window beyond what was sent, whatever it says.
        self.allowed = self.allowed.max(pieces.min(self.number.saturating_add(WINDOW)));
        self.heard_ns = now_ns;
    }

    /// Whether the asker has said nothing for too long, or takes too long for all of it.
    pub const fn is_forgotten(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.heard_ns) > PATIENCE_NS
            || now_ns.saturating_sub(self.began_ns) > LONGEST_NS
    }

    /// Whether all is sent.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended) && self.ready.is_empty()
    }

    /// Goes on a little. Gives what is to be sent now, and whether there is more to be done at once.
    pub fn step(
        &mut self,
        engine: &Engine,
        names: impl FnOnce() -> Nodes,
        now_ns: u64,
    ) -> (Vec<Vec<u8>>, bool) {
        if self.ready.is_empty() && self.number < self.allowed {
            self.go_on(engine, names, now_ns);
        }
        let mut out = Vec::new();
        while self.number < self.allowed
            && let Some(message) = self.ready.pop_front()
        {
            self.number += 1;
            out.push(message);
        }
        (out, self.number < self.allowed && !self.is_over())
    }

    fn go_on(&mut self, engine: &Engine, names: impl FnOnce() -> Nodes, now_ns: u64) {
        let now = seconds(now_ns);
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Digesting(mut digesting, theirs) => {
                self.phase = if digesting.step(engine, now, SLICE) {
                    Phase::walking(self.extent, Some(digesting.end().differing(&theirs)))
                } else {
                    Phase::Digesting(digesting, theirs)
                };
            }
            Phase::Walking(mut walking) => {
                let is_over = engine.walk(&mut walking.cursor, now, SLICE, &mut walking.writer).ended;
                // What is older than that is told as older than it is by a moment, which brings nobody back who has gone.
                let written_ns = *walking.since_ns.get_or_insert(now_ns);
                let pieces = walking.writer.take(is_over, names);
                walking.since_ns = walking.since_ns.filter(|_| pieces.is_empty());
                for written in pieces {
                    self.push(|session, number| {
                        Message::Piece { session, number, written_ns, content: written.content() }.write()
                    });
                }
                if is_over {
                    self.push_end();
                } else {
                    self.phase = Phase::Walking(walking);
                }
            }
            Phase::Ended => {}
        }
    }

    fn push(&mut self, write: impl FnOnce(u64, u32) -> Vec<u8>) {
        let number = self.number + self.ready.len() as u32;
        self.ready.push_back(write(self.session, number));
    }
}

impl Phase {
    fn walking(extent: Extent, groups: Option<Groups>) -> Self {
        let writer = Writer::new(extent, groups);
        Self::Walking(Box::new(Walking { cursor: Cursor::default(), since_ns: None, writer }))
    }
}

/// What a walk has written.
#[derive(Debug)]
enum Written {
    Records(Vec<u8>),
    Counts(Vec<u8>),
    Webrtc(Vec<u8>),
}

impl Written {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Records(bytes) | Self::Counts(bytes) | Self::Webrtc(bytes) => bytes,
        }
    }

    fn content(&self) -> Content<'_> {
        match self {
            Self::Records(bytes) => Content::Records(bytes),
            Self::Counts(bytes) => Content::Counts(bytes),
            Self::Webrtc(bytes) => Content::Webrtc(bytes),
        }
    }
}

/// Writes down what the asker wants.
#[derive(Debug)]
struct Writer {
    extent: Extent,
    groups: Option<Groups>,
    records: RecordWriter,
    counts: CountsWriter,
    webrtc: WebrtcWriter,
    /// What other nodes counted of the torrent that comes next.
    shares: Vec<Share>,
    /// The peers at addresses of the torrent at hand are wanted.
    plain: bool,
}

impl Writer {
    fn new(extent: Extent, groups: Option<Groups>) -> Self {
        Self {
            extent,
            groups,
            records: RecordWriter::default(),
            counts: CountsWriter::default(),
            webrtc: WebrtcWriter::default(),
            shares: Vec::new(),
            plain: false,
        }
    }

    /// What is enough for a piece, or all if this is the end.
    fn take(&mut self, is_over: bool, names: impl FnOnce() -> Nodes) -> Vec<Written> {
        let mut taken = Vec::new();
        // What is less than due and what one slice adds fit into a message.
        let is_due = |written: usize| is_over || written >= PIECE;
        if is_due(self.records.written()) {
            taken.push(Written::Records(self.records.take()));
        }
        if is_due(self.webrtc.written()) {
            taken.push(Written::Webrtc(self.webrtc.take()));
        }
        if is_due(self.counts.written()) && self.counts.written() > 0 {
            taken.push(Written::Counts(self.counts.take(&names())));
        }
        taken.retain(|written| !written.bytes().is_empty());
        taken
    }

    /// Writes a torrent, if it is wanted, with this node's part of its count of downloads.
    fn begin(&mut self, info_hash: &InfoHash, downloaded: u32, age: Seconds) -> bool {
        let shares = std::mem::take(&mut self.shares);
        let is_wanted = self.extent == Extent::Everything
            && self.groups.as_ref().is_none_or(|groups| groups.have(info_hash));
        if is_wanted {
            if !shares.is_empty() {
                self.counts.add(info_hash, &shares);
            }
            let downloaded = own(downloaded, &shares);
            self.records.torrent(TorrentRecord { info_hash: *info_hash, downloaded, age });
        }
        self.shares = shares;
        self.shares.clear();
        is_wanted
    }
}

impl Visitor for Writer {
    const WANTS_SHARES: bool = true;

    fn shares(&mut self, _: &InfoHash, shares: &[Share], _: Seconds) {
        self.shares.extend_from_slice(shares);
    }

    fn torrent(&mut self, info_hash: &InfoHash, counts: &Counts, _: bool) -> Verdict {
        self.webrtc.torrent(*info_hash);
        let is_wanted = self.begin(info_hash, counts.downloaded, 0);
        // WebRTC peers are in no digest, so they are always told.
        self.plain = is_wanted;
        Verdict::Keep
    }

    fn wants(&self, network: Network) -> bool {
        self.plain || network == Network::Webrtc
    }

    fn peer(&mut self, peer: &Seen<'_>) -> Verdict {
        let Known { role, counted, age } = peer.known();
        let state = State::Here { role, counted };
        match peer.place() {
            Place::At(address, port) => self.records.peer(&PeerRecord { address, port, state, age }),
            // Those of other nodes are theirs to tell.
            Place::Named(peer_id) if peer.node().is_none() => {
                self.webrtc.peer(&WebrtcRecord { peer_id, state, age });
            }
            Place::Named(_) => {}
        }
        Verdict::Keep
    }

    fn retained(&mut self, info_hash: &InfoHash, downloaded: u32, age: Seconds) -> Verdict {
        self.begin(info_hash, downloaded, age);
        Verdict::Keep
    }
}
