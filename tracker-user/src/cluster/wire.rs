//! What nodes tell each other, byte by byte.
//!
//! A message is a version, a kind, and what that has, in the order below. Numbers are little-endian, a text is a byte with its
//! length and then UTF-8. Whoever sent it is not in it: the subject says so, and the server sees to it that nobody uses
//! another's. A message of another version, or of a kind that is not known, is passed over, so that nodes may differ by one.
//!
//! | kind | is | has |
//! | --- | --- | --- |
//! | 1 | changes | boot (8), sequence (8), written at (8), then [`Records`] |
//! | 2 | alive | boot (8), next sequence (8), time (8), torrents (8), peers (8), digest of decisions (8), fingerprint of the key (8), since when (8), stage (1), release (text) |
//! | 3 | ask for changes again | boot (8), from (8), to (8) |
//! | 4 | changes are no more | boot (8), from (8), to (8) |
//! | 5 | ask for a walk | session (8), extent (1), then [`GROUPS`] digests (8 each) or nothing |
//! | 6 | more of a walk | session (8), pieces that may be sent in all (4) |
//! | 7 | a piece of a walk | session (8), number (4), written at (8), what it is (1), then records, counts (1) or records of WebRTC peers (2) |
//! | 8 | the end of a walk | session (8), number (4), then for each process: name (text), boot (8), sequence (8) |
//! | 9 | no walk | session (8) |
//! | 10 | ask for the key | |
//! | 11 | the key | key (16), time (8), since when (8) |
//! | 12 | ask for decisions | |
//! | 13 | decisions | lines of text |
//! | 14 | a relay | an offer or answer of WebRTC |
//! | 15 | how far silent processes are known | for each: name (text), boot (8), sequence (8) |
//!
//! Times are protocol time in nanoseconds. A sequence counts the changes that a process has sent, from 1; from and to are
//! the first and the one behind the last.

use super::digest::{Digests, GROUPS};
use tracker_core::nodes;

/// The version that is written, and the only one that is read.
pub const VERSION: u8 = 1;
/// The longest message, bytes. A NATS server takes 1 MiB by default.
pub const MAX_MESSAGE: usize = 256 << 10;
/// The kind of a relay.
const RELAY: u8 = 14;
/// The most processes that the end of a walk tells of.
pub const MAX_SEEN: usize = 1024;

/// Who a node is in the stages of its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It takes in what others have.
    #[default]
    Joining,
    /// It has what others have.
    Joined,
    /// It is about to end.
    Leaving,
}

/// What a walk goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All swarms.
    Everything,
    /// The WebRTC peers that are connected to the node.
    Webrtc,
}

/// What a piece of a walk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// Records, with the node's own counts of downloads.
    Records(&'a [u8]),
    /// What other nodes counted of downloads.
    Counts(&'a [u8]),
    /// Records of WebRTC peers of the node.
    Webrtc(&'a [u8]),
}

/// Records, and such of WebRTC peers: a length (4), the first, then the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Records<'a> {
    /// Of peers at addresses.
    pub plain: &'a [u8],
    /// Of WebRTC peers.
    pub webrtc: &'a [u8],
}

/// How far the changes of a process are known: all before `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Its node.
    pub name: &'a str,
    /// Which process of it.
    pub boot: u64,
    /// The first that is not known.
    pub next: u64,
}

/// What a node says of itself, once a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alive<'a> {
    /// The process.
    pub boot: u64,
    /// The number of the changes that it sends next.
    pub next: u64,
    /// Its time.
    pub now_ns: u64,
    /// Torrents it knows.
    pub torrents: u64,
    /// Peers it knows.
    pub peers: u64,
    /// Of its decisions.
    pub decisions: u64,
    /// Of its key of connection IDs.
    pub key: u64,
    /// Since when that has been a cluster's.
    pub key_since: u64,
    /// How far it is.
    pub stage: Stage,
    /// The version of its program.
    pub release: &'a str,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// What has changed; also again.
    Changes {
        /// The process.
        boot: u64,
        /// Their number.
        sequence: u64,
        /// When the ages were true.
        written_ns: u64,
        /// What.
        records: Records<'a>,
    },
    /// A sign of life.
    Alive(Alive<'a>),
    /// Changes are asked for again.
    Resend {
        /// Of this process.
        boot: u64,
        /// The first.
        from: u64,
        /// The one behind the last.
        to: u64,
    },
    /// Changes that were asked for are kept no more.
    Lost {
        /// Of this process.
        boot: u64,
        /// The first.
        from: u64,
        /// The one behind the last.
        to: u64,
    },
    /// A walk is asked for.
    Walk {
        /// A random number that names it.
        session: u64,
        /// Over what.
        extent: Extent,
        /// What the asker has.
        digests: Option<&'a [u8]>,
    },
    /// So many pieces in all may be sent now.
    More {
        /// Of this walk.
        session: u64,
        /// How many.
        pieces: u32,
    },
    /// A piece of a walk.
    Piece {
        /// Of this walk.
        session: u64,
        /// From 0.
        number: u32,
        /// When the ages were true, at the latest.
        written_ns: u64,
        /// What it has.
        content: Content<'a>,
    },
    /// The walk is over.
    End {
        /// Which.
        session: u64,
        /// The number that a further piece would have.
        number: u32,
        /// What was known when it began.
        seen: SeenList<'a>,
    },
    /// There is no such walk, or too many are under way.
    NoWalk {
        /// Which.
        session: u64,
    },
    /// The key is asked for.
    AskKey,
    /// The key of connection IDs.
    Key {
        /// The key.
        key: [u8; 16],
        /// The time.
        now_ns: u64,
        /// Since when it has been a cluster's.
        since: u64,
    },
    /// Decisions are asked for.
    AskDecisions,
    /// Decisions.
    Decisions(&'a [u8]),
    /// Something of WebRTC for a client of the receiver.
    Relay(&'a [u8]),
    /// What is known of processes that are not heard of any more: who knows less of one lacks something.
    Silent(SeenList<'a>),
}

/// Processes, as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenList<'a>(&'a [u8]);

impl<'a> SeenList<'a> {
    /// What [`SeenList::write`] wrote.
    #[must_use]
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Seen<'a>> {
        let mut reader = Reader(self.0);
        std::iter::from_fn(move || {
            Some(Seen { name: reader.name()?, boot: reader.number()?, next: reader.number()? })
        })
        .take(MAX_SEEN)
    }

    /// Writes them.
    #[must_use]
    pub fn write<'b>(seen: impl Iterator<Item = Seen<'b>>) -> Vec<u8> {
        let mut out = Vec::new();
        for Seen { name, boot, next } in seen.take(MAX_SEEN) {
            text(&mut out, name);
            out.extend(boot.to_le_bytes());
            out.extend(next.to_le_bytes());
        }
        out
    }
}

/// Why a message is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is from a program that speaks another version.
    #[error("messages of version {0}, where this program speaks version {VERSION}")]
    Version(u8),
    /// It is of a kind that this program does not know.
    #[error("a message of an unknown kind, {0}")]
    Kind(u8),
    /// It is not as a message of its kind is.
    #[error("a message that is malformed")]
    Malformed,
}

/// Whether bytes are a relay, if they are a message at all: known without reading it.
#[must_use]
pub fn is_relay(bytes: &[u8]) -> bool {
    bytes.get(1) == Some(&RELAY)
}

impl<'a> Message<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let [version, kind, rest @ ..] = bytes else { return Err(Unreadable::Malformed) };
        if *version != VERSION {
            return Err(Unreadable::Version(*version));
        }
        if bytes.len() > MAX_MESSAGE {
            return Err(Unreadable::Malformed);
        }
        if !(1..=15).contains(kind) {
            return Err(Unreadable::Kind(*kind));
        }
        let mut reader = Reader(rest);
        let message = reader.message(*kind).ok_or(Unreadable::Malformed)?;
        if reader.0.is_empty() { Ok(message) } else { Err(Unreadable::Malformed) }
    }

    /// Writes it.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Self::Changes { boot, sequence, written_ns, records: Records { plain, webrtc } } => {
                numbers(&mut out, 1, &[*boot, *sequence, *written_ns]);
                out.extend((plain.len() as u32).to_le_bytes());
                out.extend_from_slice(plain);
                out.extend_from_slice(webrtc);
            }
            Self::Alive(Alive {
                boot,
                next,
                now_ns,
                torrents,
                peers,
                decisions,
                key,
                key_since,
                stage,
                release,
            }) => {
                numbers(
                    &mut out,
                    2,
                    &[*boot, *next, *now_ns, *torrents, *peers, *decisions, *key, *key_since],
                );
                out.push(*stage as u8);
                text(&mut out, release);
            }
            Self::Resend { boot, from, to } => numbers(&mut out, 3, &[*boot, *from, *to]),
            Self::Lost { boot, from, to } => numbers(&mut out, 4, &[*boot, *from, *to]),
            Self::Walk { session, extent, digests } => {
                numbers(&mut out, 5, &[*session]);
                out.push(*extent as u8);
                out.extend_from_slice(digests.unwrap_or_default());
            }
            Self::More { session, pieces } => {
                numbers(&mut out, 6, &[*session]);
                out.extend(pieces.to_le_bytes());
            }
            Self::Piece { session, number, written_ns, content } => {
                numbers(&mut out, 7, &[*session]);
                out.extend(number.to_le_bytes());
                out.extend(written_ns.to_le_bytes());
                let (tag, bytes) = match content {
                    Content::Records(bytes) => (0, bytes),
                    Content::Counts(bytes) => (1, bytes),
                    Content::Webrtc(bytes) => (2, bytes),
                };
                out.push(tag);
                out.extend_from_slice(bytes);
            }
            Self::End { session, number, seen } => {
                numbers(&mut out, 8, &[*session]);
                out.extend(number.to_le_bytes());
                out.extend_from_slice(seen.0);
            }
            Self::NoWalk { session } => numbers(&mut out, 9, &[*session]),
            Self::AskKey => out.push(10),
            Self::Key { key, now_ns, since } => {
                out.push(11);
                out.extend_from_slice(key);
                out.extend(now_ns.to_le_bytes());
                out.extend(since.to_le_bytes());
            }
            Self::AskDecisions => out.push(12),
            Self::Decisions(lines) => {
                out.push(13);
                out.extend_from_slice(lines);
            }
            Self::Relay(relay) => {
                out.push(RELAY);
                out.extend_from_slice(relay);
            }
            Self::Silent(seen) => {
                out.push(15);
                out.extend_from_slice(seen.0);
            }
        }
        out
    }
}

fn numbers(out: &mut Vec<u8>, kind: u8, numbers: &[u64]) {
    out.push(kind);
    numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
}

/// Writes a text of at most 255 bytes.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    let text = text.get(..usize::from(u8::MAX)).unwrap_or(text);
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

/// Reads what was written, from its beginning.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn message(&mut self, kind: u8) -> Option<Message<'a>> {
        Some(match kind {
            1 => {
                let (boot, sequence, written_ns) = (self.number()?, self.number()?, self.number()?);
                let length = u32::from_le_bytes(self.take()?) as usize;
                let (plain, webrtc) = self.rest().split_at_checked(length)?;
                Message::Changes { boot, sequence, written_ns, records: Records { plain, webrtc } }
            }
            2 => Message::Alive(Alive {
                boot: self.number()?,
                next: self.number()?,
                now_ns: self.number()?,
                torrents: self.number()?,
                peers: self.number()?,
                decisions: self.number()?,
                key: self.number()?,
                key_since: self.number()?,
                stage: match self.take()? {
                    [0] => Stage::Joining,
                    [1] => Stage::Joined,
                    [2] => Stage::Leaving,
                    _ => return None,
                },
                release: self.text()?,
            }),
            3 => Message::Resend { boot: self.number()?, from: self.number()?, to: self.number()? },
            4 => Message::Lost { boot: self.number()?, from: self.number()?, to: self.number()? },
            5 => {
                let session = self.number()?;
                let extent = match self.take()? {
                    [0] => Extent::Everything,
                    [1] => Extent::Webrtc,
                    _ => return None,
                };
                let digests = self.rest();
                let digests = match digests.len() {
                    0 => None,
                    Digests::BYTES => Some(digests),
                    _ => return None,
                };
                Message::Walk { session, extent, digests }
            }
            6 => Message::More { session: self.number()?, pieces: u32::from_le_bytes(self.take()?) },
            7 => {
                let (session, number) = (self.number()?, u32::from_le_bytes(self.take()?));
                let written_ns = self.number()?;
                let [tag] = self.take()?;
                let content = match tag {
                    0 => Content::Records(self.rest()),
                    1 => Content::Counts(self.rest()),
                    2 => Content::Webrtc(self.rest()),
                    _ => return None,
                };
                Message::Piece { session, number, written_ns, content }
            }
            8 => {
                let (session, number) = (self.number()?, u32::from_le_bytes(self.take()?));
                Message::End { session, number, seen: SeenList(self.rest()) }
            }
            9 => Message::NoWalk { session: self.number()? },
            10 => Message::AskKey,
            11 => Message::Key { key: self.take()?, now_ns: self.number()?, since: self.number()? },
            12 => Message::AskDecisions,
            13 => Message::Decisions(self.rest()),
            RELAY => Message::Relay(self.rest()),
            15 => Message::Silent(SeenList(self.rest())),
            _ => return None,
        })
    }

    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take()?))
    }

    pub(super) fn short(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let [length] = self.take()?;
        let (text, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        str::from_utf8(text).ok()
    }

    fn name(&mut self) -> Option<&'a str> {
        self.text().filter(|name| nodes::is_name(name))
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

const _: () = assert!(GROUPS * 8 + 64 < MAX_MESSAGE);
