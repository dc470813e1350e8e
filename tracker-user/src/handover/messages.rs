//! What two processes say to each other while one takes over from the other: versioned, length-prefixed, bounded.
//!
//! A frame is a byte that names its kind, three zero bytes, the length of the rest (four bytes, little-endian), and the
//! rest: JSON, or for swarms records ([`tracker_core::records`]), before which another node may be named. Processes
//! whose protocol has the same major version speak; fields and kinds that one does not know it passes over, so a minor
//! version may add some.

use crate::metrics::before::{Counted, Series, Took};
use serde::{Deserialize, Serialize};
use tracker_common::{hex, siphash::Key};
use tracker_core::{
    model::Seconds,
    records::{split_name, with_name},
};

/// The version of the protocol: major, minor.
pub const VERSION: [u32; 2] = [1, 2];
/// Bytes before the rest of a frame.
pub const HEAD: usize = 8;
/// The longest rest of a frame, bytes.
pub const MAX_REST: usize = 4 << 20;
/// The most descriptors that come with one frame; the kernel's limit is 253.
pub const MAX_DESCRIPTORS: usize = 128;
/// The most things that are handed over open.
pub const MAX_ITEMS: usize = 16 << 10;
/// The longest reason that is told, bytes.
const MAX_REASON: usize = 4 << 10;

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the protocol.
    pub version: [u32; 2],
    /// The version of the program.
    pub release: String,
    /// The process.
    pub pid: u32,
}

impl Hello {
    /// This process.
    #[must_use]
    pub fn own() -> Self {
        Self { version: VERSION, release: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id() }
    }

    /// Whether the two understand each other.
    #[must_use]
    pub const fn is_understood(&self) -> bool {
        self.version[0] == VERSION[0]
    }
}

/// Something that is handed over open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Item {
    /// A UDP socket; a listener may have several.
    Udp {
        /// As the configuration says.
        configured: String,
        /// The address it is bound to.
        address: String,
    },
    /// A listener of HTTP or HTTPS.
    Http {
        /// As the configuration says: an address, or `unix:` and a path.
        configured: String,
        /// Where it listens.
        address: String,
    },
    /// The listener of metrics.
    Metrics {
        /// As the configuration says.
        configured: String,
        /// Where it listens.
        address: String,
    },
    /// The listener of the control socket.
    Control {
        /// Its path.
        path: String,
    },
    /// The link of the XDP program on an interface.
    Link {
        /// The interface's name.
        interface: String,
        /// Its number.
        index: u32,
        /// `native` or `generic`.
        mode: String,
    },
    /// Something that a later version hands over.
    #[serde(other)]
    Unknown,
}

/// What is handed over: the things open in the order of their descriptors, and what connection IDs are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// What the descriptors are.
    pub items: Vec<Item>,
    /// The key, in hexadecimal.
    key: String,
    /// What is added to the monotonic clock, nanoseconds.
    pub clock_base_ns: u64,
}

impl Inventory {
    /// What is handed over.
    #[must_use]
    pub fn new(items: Vec<Item>, master: Key, clock_base_ns: u64) -> Self {
        Self { items, key: hex::Hex(&master.to_bytes()).to_string(), clock_base_ns }
    }

    /// The key that connection IDs derive from, if it is one.
    #[must_use]
    pub fn master(&self) -> Option<Key> {
        hex::decode(self.key.as_bytes()).map(Key::from_bytes)
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Who speaks.
    Hello(Hello),
    /// So many descriptors come with this frame.
    Descriptors(usize),
    /// What they are.
    Inventory(Inventory),
    /// Everything else is had; the swarms may come.
    Fetch,
    /// The time, as the engines of both count it, at which the records that come next were written: a second more until they
    /// are taken in, and whoever went just before would be there again.
    Written(Seconds),
    /// Records. The counts of downloads in them are those of this node, which the two are.
    Swarms(Vec<u8>),
    /// What another node counted of downloads.
    Shares {
        /// Its name.
        node: String,
        /// Records of torrents without peers.
        records: Vec<u8>,
    },
    /// All that there was has come; from here on changes come.
    Walked,
    /// All is ready to serve.
    Prepared,
    /// What was counted so far.
    Counted(Counted),
    /// From now on it is the taker that serves.
    Yours,
    /// It does.
    Serving,
    /// The giver has heard that, and serves no more.
    Left,
    /// The giver has no more to say.
    Bye,
    /// The one who says so gives up, and why. The giver then serves on.
    Revoked(String),
    /// Something that a later version says.
    Unknown(u8),
}

/// Bytes that are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what came is no message of a hand-over: {0}")]
pub struct Malformed(pub String);

impl Message {
    const fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => b'h',
            Self::Descriptors(_) => b'd',
            Self::Inventory(_) => b'i',
            Self::Fetch => b'f',
            Self::Written(_) => b't',
            Self::Swarms(_) => b's',
            Self::Shares { .. } => b'n',
            Self::Walked => b'w',
            Self::Prepared => b'p',
            Self::Counted(_) => b'c',
            Self::Yours => b'y',
            Self::Serving => b'r',
            Self::Left => b'l',
            Self::Bye => b'b',
            Self::Revoked(_) => b'x',
            Self::Unknown(kind) => *kind,
        }
    }

    /// As a frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let rest = match self {
            Self::Hello(hello) => json(hello),
            Self::Descriptors(count) => json(count),
            Self::Inventory(inventory) => json(inventory),
            Self::Counted(counted) => json(&WireCounted::from(counted)),
            Self::Revoked(reason) => json(&cut(reason)),
            Self::Written(at) => at.to_le_bytes().to_vec(),
            Self::Swarms(records) => records.clone(),
            Self::Shares { node, records } => with_name(node, records).unwrap_or_default(),
            Self::Fetch
            | Self::Walked
            | Self::Prepared
            | Self::Yours
            | Self::Serving
            | Self::Left
            | Self::Bye
            | Self::Unknown(_) => Vec::new(),
        };
        let len = u32::try_from(rest.len()).unwrap_or(u32::MAX).to_le_bytes();
        [&[self.kind(), 0, 0, 0][..], &len, &rest].concat()
    }

    /// The length of the rest of a frame, as its head tells.
    ///
    /// # Errors
    /// When it is longer than [`MAX_REST`], or this is no head.
    pub fn rest_len(head: [u8; HEAD]) -> Result<usize, Malformed> {
        let [_, a, b, c, len @ ..] = head;
        let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
        if [a, b, c] != [0; 3] {
            return Err(Malformed("it has no head".to_owned()));
        }
        if len > MAX_REST {
            return Err(Malformed(format!("it has {len} bytes, more than {MAX_REST}")));
        }
        Ok(len)
    }

    /// Reads a frame whose head is checked. Whatever the bytes are, this ends and allocates no more than some times their
    /// length.
    ///
    /// # Errors
    /// When the rest is not what its kind is to have.
    pub fn read(kind: u8, rest: &[u8]) -> Result<Self, Malformed> {
        Ok(match kind {
            b'h' => Self::Hello(from_json(rest)?),
            b'd' => match from_json(rest)? {
                count @ 1..=MAX_DESCRIPTORS => Self::Descriptors(count),
                _ => return Err(Malformed("a number of descriptors that is out of bounds".to_owned())),
            },
            b'i' => {
                let inventory: Inventory = from_json(rest)?;
                if inventory.items.len() > MAX_ITEMS || inventory.master().is_none() {
                    return Err(Malformed("an inventory with too much in it, or without a key".to_owned()));
                }
                Self::Inventory(inventory)
            }
            b'f' => Self::Fetch,
            b't' => match rest.try_into() {
                Ok(at) => Self::Written(Seconds::from_le_bytes(at)),
                Err(_) => return Err(Malformed("a time that is no number of four bytes".to_owned())),
            },
            b's' => Self::Swarms(rest.to_vec()),
            b'n' => match split_name(rest) {
                Some((node, records)) => Self::Shares { node: node.to_owned(), records: records.to_vec() },
                None => return Err(Malformed("counts of a node without a name".to_owned())),
            },
            b'w' => Self::Walked,
            b'p' => Self::Prepared,
            b'c' => Self::Counted(from_json::<WireCounted>(rest)?.into()),
            b'y' => Self::Yours,
            b'r' => Self::Serving,
            b'l' => Self::Left,
            b'b' => Self::Bye,
            b'x' => Self::Revoked(cut(&from_json::<String>(rest)?).to_owned()),
            kind => Self::Unknown(kind),
        })
    }

    /// Its name, for those who read of it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "Hello",
            Self::Descriptors(_) => "Descriptors",
            Self::Inventory(_) => "Inventory",
            Self::Fetch => "Fetch",
            Self::Written(_) => "Written",
            Self::Swarms(_) => "Swarms",
            Self::Shares { .. } => "Shares",
            Self::Walked => "Walked",
            Self::Prepared => "Prepared",
            Self::Counted(_) => "Counted",
            Self::Yours => "Yours",
            Self::Serving => "Serving",
            Self::Left => "Left",
            Self::Bye => "Bye",
            Self::Revoked(_) => "Revoked",
            Self::Unknown(_) => "an unknown message",
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Strings, numbers, lists and structs of them have a form in JSON.
    serde_json::to_vec(value).unwrap_or_default()
}

fn from_json<'a, T: Deserialize<'a>>(rest: &'a [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(rest).map_err(|error| Malformed(error.to_string()))
}

fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(MAX_REASON)]
}

type WireLabels = Vec<(String, String)>;

/// [`Counted`] as it is sent.
#[derive(Debug, Default, Serialize, Deserialize)]
struct WireCounted {
    /// Each by its name and labels.
    counters: Vec<(String, WireLabels, u64)>,
    durations: Vec<([String; 2], Vec<u64>, f64)>,
}

impl From<&Counted> for WireCounted {
    fn from(counted: &Counted) -> Self {
        let counter = |(series, value): (&Series, &u64)| (series.name.clone(), series.labels.clone(), *value);
        let took = |(of, took): (&[String; 2], &Took)| (of.clone(), took.buckets.clone(), took.seconds);
        Self {
            counters: counted.counters.iter().map(counter).collect(),
            durations: counted.durations.iter().map(took).collect(),
        }
    }
}

impl From<WireCounted> for Counted {
    fn from(wire: WireCounted) -> Self {
        let counter = |(name, labels, value)| (Series { name, labels }, value);
        let took = |(of, buckets, seconds)| (of, Took { buckets, seconds });
        Self {
            counters: wire.counters.into_iter().map(counter).collect(),
            durations: wire.durations.into_iter().map(took).collect(),
        }
    }
}
