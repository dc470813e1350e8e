//! The layouts of the maps that the XDP program and the loader share, and their names.

use crate::{
    address::{Address, Family},
    rate::{self, Rate},
    siphash::Key,
};
use bytemuck::{Pod, Zeroable};

/// Array of one [`Settings`].
pub const SETTINGS: &str = "SETTINGS";
/// Array of two 16-byte SipHash keys, indexed by [`crate::connection_id::key_index`].
pub const KEYS: &str = "KEYS";
/// Hash from [`Destination`] to one byte: the tracker's own addresses and ports.
pub const DESTINATIONS: &str = "DESTINATIONS";
/// XSKMAP from receive queue to AF_XDP socket.
pub const SOCKETS: &str = "SOCKETS";
/// LPM trie of IPv4 networks whose frames are dropped: 32 bits of prefix length, the address in network order, to one byte.
pub const BANNED4: &str = "BANNED4";
/// The same of IPv6.
pub const BANNED6: &str = "BANNED6";
/// Per-CPU array of [`Tally`], indexed by [`Counter::index`].
pub const COUNTERS: &str = "COUNTERS";
/// Array of a 64-bit counter for each receive queue: frames that came to it. User space maps it.
pub const ARRIVALS: &str = "ARRIVALS";
/// Array of one [`Rates`].
pub const RATES: &str = "RATES";
/// Array of [`LIMITED_KINDS`] times [`rate::BUCKETS_PER_KIND`] buckets, see [`rate`]. The program's alone.
pub const BUCKETS: &str = "BUCKETS";
/// The load-time constant that switches the program's log on.
pub const LOG: &str = "LOG";
/// The program's name in the object.
pub const PROGRAM: &str = "riptide";

/// Receive queues of an interface that are served by AF_XDP, and counted; the network stack serves any beyond.
pub const MAX_QUEUES: u32 = 256;
/// How many [`Destination`]s fit.
pub const MAX_DESTINATIONS: u32 = 16_384;
/// How many banned networks of a family fit: twice as many as may be configured and decided, since new ones are put in
/// before old ones are taken out. Memory is taken only for those that there are.
pub const MAX_BANNED: u32 = 1 << 25;

/// What the program does, written by user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Settings {
    /// Added to the coarse monotonic clock to give protocol time; nanoseconds.
    pub clock_base_ns: u64,
    /// Zero: every frame passes.
    pub enabled: u32,
    /// How many slots a connection ID lives, see [`crate::connection_id`].
    pub lifetime_slots: u32,
    /// The interface's own MAC address as a number, its six bytes big-endian; frames for others pass.
    pub mac: u64,
    /// Non-zero on a loopback interface, where loopback sources are real.
    pub allow_loopback: u32,
    /// How often destinations were taken out of the map, modulo 2³²: a [`Recent`] from before is void.
    pub removals: u32,
    /// How often another key took a place, modulo 2³²: what was prepared with one from before is void.
    pub key_changes: u32,
    /// What is limited, as a set of [`rate::Kind::bit`]; how, the [`Rates`] say.
    pub limited: u32,
    /// The families of which networks are banned, as [`Settings::family_bit`] numbers them: the tries of others are not
    /// looked at.
    pub banned: u32,
    /// Zero.
    pub reserved: u32,
}
const _: () = assert!(size_of::<Settings>() == 48);

impl Settings {
    /// The bit of a family in [`Settings::banned`].
    #[inline(always)]
    #[must_use]
    pub const fn family_bit(family: Family) -> u32 {
        1 << family as u32
    }
}

/// The kinds of request that the program limits: the first ones.
pub const LIMITED_KINDS: usize = 2;
const _: () = assert!(
    (rate::Kind::UdpRequests as usize) < LIMITED_KINDS && (rate::Kind::UdpConnects as usize) < LIMITED_KINDS
);

/// How often a client network may ask, written by user space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Rates {
    /// The two words of the key that spreads networks over buckets.
    pub secret: [u64; 2],
    /// By [`rate::Kind`].
    pub rates: [Rate; LIMITED_KINDS],
}
const _: () = assert!(size_of::<Rates>() == 48);

impl Rates {
    /// The key that spreads networks over buckets.
    #[inline(always)]
    #[must_use]
    pub const fn secret(&self) -> Key {
        Key { k0: self.secret[0], k1: self.secret[1] }
    }
}

/// The VLAN tags of a frame: the identifiers, with [`Vlan::PRESENT`] set where there is a tag at all, since a tag
/// with identifier 0 (a priority tag) is not the same as none. Host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct Vlan {
    /// The first tag.
    pub outer: u16,
    /// The second tag.
    pub inner: u16,
}

impl Vlan {
    /// No tag.
    pub const NONE: Self = Self { outer: 0, inner: 0 };
    /// Marks a tag that is there.
    pub const PRESENT: u16 = 0x8000;

    /// Bytes that the tags take in the frame.
    #[must_use]
    pub const fn len(self) -> usize {
        (self.outer >> 15) as usize * 4 + (self.inner >> 15) as usize * 4
    }

    /// Whether there is no tag.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.outer == 0
    }
}

/// An address and port of the tracker's, as frames with these VLAN tags may name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct Destination {
    /// The address.
    pub address: Address,
    /// The tags.
    pub vlan: Vlan,
    /// The UDP port, host byte order.
    pub port: u16,
    /// Zero.
    pub reserved: u16,
}
const _: () = assert!(size_of::<Destination>() == 24);

impl Destination {
    /// An address and port behind these tags.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Address, port: u16, vlan: Vlan) -> Self {
        Self { address, vlan, port, reserved: 0 }
    }

    /// All of it in three words, in an order of its own: they are compared in registers, where parts of a word would not be.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> [u64; 3] {
        let [high, low] = self.address.words();
        [high, low, (self.port as u64) << 32 | (self.vlan.inner as u64) << 16 | self.vlan.outer as u64]
    }
}

/// The destination that a CPU last found in the map of them: nearly all frames have the same, and the lookup in the hash is
/// a good part of what a verdict costs. The program's alone: a per-CPU array of one that user space never touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Recent {
    /// The destination, as [`Destination::words`] gives it.
    pub destination: [u64; 3],
    /// One more than [`Settings::removals`] when it was found; 0 in an entry that nobody has written.
    pub found_at: u64,
}
const _: () = assert!(size_of::<Recent>() == 32);

/// One per-CPU counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Tally {
    /// Frames.
    pub frames: u64,
    /// Bytes of UDP payload, where the frame was parsed that far.
    pub payload_bytes: u64,
}
const _: () = assert!(size_of::<Tally>() == 16);

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $verdict:ident, $label:literal;)*) => {
        /// What became of a frame: the index of its counter, and its names in metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Counter { $($(#[$doc])* $name = $number,)* }

        impl Counter {
            /// Every counter, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// What was done with the frame.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$verdict,)* }
            }

            /// The reason or action, as metrics name it.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

counters! {
    /// A connect answered in place.
    ConnectAnswered = 0, Answer, "connect";
    /// An announce with a valid connection ID, given to AF_XDP.
    AnnounceRedirected = 1, Redirect, "announce";
    /// A scrape with a valid connection ID, given to AF_XDP.
    ScrapeRedirected = 2, Redirect, "scrape";
    /// A connection ID that is forged, expired or from the future.
    BadConnectionId = 3, Drop, "bad_connection_id";
    /// Too short, an unknown action, or a connect without the protocol ID.
    Malformed = 4, Drop, "malformed";
    /// A source that cannot be answered.
    BadSource = 5, Drop, "bad_source";
    /// The reply could not be written; never seen on a working kernel.
    ReplyFailed = 6, Drop, "reply_failed";
    /// The program is switched off.
    Disabled = 7, Pass, "disabled";
    /// For another station, or to many; or from a MAC address that is nobody's, or ours.
    ForeignMac = 8, Pass, "foreign_mac";
    /// The frame ends before its headers or its IP length do.
    Truncated = 9, Pass, "truncated";
    /// Neither IPv4 nor IPv6 behind at most two VLAN tags.
    NotIp = 10, Pass, "not_ip";
    /// An IPv4 header with options.
    IpOptions = 11, Pass, "ip_options";
    /// A fragment.
    Fragment = 12, Pass, "fragment";
    /// Another transport, or IPv6 extension headers.
    NotUdp = 13, Pass, "not_udp";
    /// A UDP datagram that is not for the tracker.
    ForeignDestination = 14, Pass, "foreign_destination";
    /// No AF_XDP socket serves the queue: the ordinary sockets answer.
    NoSocket = 15, Pass, "no_socket";
    /// An IPv4 header whose checksum is wrong.
    BadChecksum = 16, Pass, "bad_checksum";
    /// Its client network asks more often than it may.
    RateLimited = 17, Drop, "rate_limited";
    /// From a network that is banned.
    Banned = 18, Drop, "banned";
}

labelled! {
    /// What is done with a frame.
    pub enum Kind {
        /// Answered in the kernel.
        Answer = "answer",
        /// Given to an AF_XDP socket.
        Redirect = "redirect",
        /// Discarded.
        Drop = "drop",
        /// Left to the network stack, untouched.
        Pass = "pass",
    }
}

impl Counter {
    /// How many entries the counter map has.
    pub const ENTRIES: u32 = {
        let (mut entries, mut place) = (0, 0);
        while place < Self::ALL.len() {
            let end = (Self::ALL[place] as u32 + 1) * 2;
            entries = if end > entries { end } else { entries };
            place += 1;
        }
        entries
    };

    /// The index of the counter for a family; frames that are not IP count as IPv4.
    #[inline(always)]
    #[must_use]
    pub const fn index(self, family: Family) -> u32 {
        self as u32 * 2 + family as u32
    }
}
