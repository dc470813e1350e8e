//! What the load generator's two programs and its user space share: the plan, the requests that follow from it, and
//! what is counted. Over IPv4.

use bytemuck::{Pod, Zeroable};

/// Array of one [`Plan`].
pub const PLAN: &str = "PLAN";
/// Array of one [`Progress`].
pub const PROGRESS: &str = "PROGRESS";
/// Array of connection IDs in memory order, by the number of the source address; zero: none yet.
pub const CONNECTIONS: &str = "CONNECTIONS";
/// Array of requests that wait for their reply, by [`slot`]: the transaction ID in the high half, the time of sending
/// in units of 1,024 ns in the low half.
pub const WAITING: &str = "WAITING";
/// Per-CPU array of `u64`, by [`Tally`].
pub const TALLIES: &str = "TALLIES";
/// Per-CPU array of `u64`: replies by [`latency_bucket`].
pub const LATENCIES: &str = "LATENCIES";
/// The generating program's name in the object; it is run by the test-run call in live-frame mode.
pub const GENERATE: &str = "generate";
/// The name of the program that reads replies, attached to the interface that the requests leave by.
pub const RECEIVE: &str = "receive";

/// Source addresses at most.
pub const MAX_SOURCES: u32 = 65_536;
/// Requests that can wait at once; later ones take the places of those never answered.
pub const MAX_WAITING: u32 = 1 << 20;
/// The longest request frame: Ethernet, IPv4, UDP, an announce.
pub const FRAME_LEN: usize = 14 + 20 + 8 + 98;

/// What is sent, and how fast. Addresses and ports in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Plan {
    /// Monotonic time of request 0, nanoseconds.
    pub start_ns: u64,
    /// Requests per nanosecond, 32 binary places after the point.
    pub rate: u64,
    /// Makes two runs differ.
    pub seed: u64,
    /// The tracker's MAC address, six bytes in memory order in the low end, as the first eight bytes of a frame hold it.
    pub destination_mac: [u8; 8],
    /// The sender's MAC address, likewise.
    pub source_mac: [u8; 8],
    /// The first source address; the others follow it.
    pub source: u32,
    /// How many there are; a power of two is not needed.
    pub sources: u32,
    /// The tracker.
    pub destination: u32,
    /// Its port, in the low half; the sender's port in the high half.
    pub ports: u32,
    /// A request whose random word is below this is a connect.
    pub connects_below: u32,
    /// At or above `connects_below`, and below this: an announce. Else a scrape.
    pub announces_below: u32,
    /// Torrents.
    pub torrents: u32,
    /// Peers; each is in one torrent and at one source address.
    pub peers: u32,
    /// A peer whose random word is below this is a seeder.
    pub seeders_below: u32,
    /// Peers wanted.
    pub wanted: u32,
    /// Non-zero: peers and sources come in order, each once before any comes again.
    pub in_order: u32,
    /// A generator that is so many requests behind its plan skips the rest instead of sending a burst.
    pub most_behind: u32,
    /// So many announces of a flood are sent before each request, and count as requests where the rate, the order and what
    /// is skipped are concerned. They are forged, unless `loud`.
    pub flood: u32,
    /// Non-zero: the flood is of one client, whose address follows the other sources' and whose connection ID is right.
    pub loud: u32,
}
const _: () = assert!(size_of::<Plan>() == 96);

/// How far the generator is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Progress {
    /// The next request's number.
    pub next: u64,
    /// Requests that were skipped, because the generator could not keep up.
    pub skipped: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Tally {
    /// Connects sent.
    SentConnects = 0,
    /// Announces sent.
    SentAnnounces = 1,
    /// Scrapes sent.
    SentScrapes = 2,
    /// Right replies to connects.
    Connected = 3,
    /// Right replies to announces.
    Announced = 4,
    /// Right replies to scrapes.
    Scraped = 5,
    /// Error replies.
    Errors = 6,
    /// Replies to no waiting request: of an unknown transaction, or a second one.
    Unknown = 7,
    /// Replies of another kind than their request.
    WrongKind = 8,
    /// Replies whose length does not fit their kind, or that list more peers than were wanted.
    WrongLength = 9,
    /// Announce replies whose first peer has port zero, or whose counts hold fewer than they list.
    WrongPeers = 10,
    /// Bytes of UDP payload in replies.
    ReplyBytes = 11,
    /// Peers in announce replies.
    Peers = 12,
    /// Requests not written: no connection ID for that source, or no room in the frame.
    Unsent = 13,
    /// Announces of a flood sent.
    SentFlood = 14,
    /// Replies to the client that floods, whatever they say.
    LoudReplies = 15,
}

impl Tally {
    /// How many there are.
    pub const COUNT: u32 = 16;
}

/// What a request asks, by the number of its action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A connection ID.
    Connect = 0,
    /// Peers.
    Announce = 1,
    /// Counts.
    Scrape = 2,
}

/// A request of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it asks.
    pub kind: Kind,
    /// The number of its source address.
    pub source: u32,
    /// Two bits of kind, then the low 30 bits of its number.
    pub transaction_id: u32,
    /// The number of its torrent.
    pub torrent: u32,
    /// The port that its peer announces.
    pub port: u16,
    /// Whether its peer is a seeder.
    pub seeder: bool,
}

/// A frame of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A request, which is to be answered.
    Real(Request),
    /// An announce of the one client that floods; its source is the number after the last.
    Loud(Request),
    /// An announce from anywhere, with a connection ID that nobody gave.
    Forged {
        /// What it asks.
        request: Request,
        /// The source address, host byte order.
        source: u32,
        /// The connection ID.
        id: u64,
    },
}

/// The place of a transaction among those that wait.
#[inline(always)]
#[must_use]
pub const fn slot(transaction_id: u32) -> u32 {
    transaction_id & (MAX_WAITING - 1)
}

/// The kind that a transaction ID says.
#[inline(always)]
#[must_use]
pub const fn kind_of(transaction_id: u32) -> u32 {
    transaction_id >> 30
}

/// Mixes a number into a random-looking one (SplitMix64's finaliser).
#[inline(always)]
#[must_use]
pub const fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number below `n` from the low 32 bits of a random word.
#[inline(always)]
const fn below(random: u64, n: u32) -> u32 {
    (((random & 0xffff_ffff) * n as u64) >> 32) as u32
}

#[inline(always)]
const fn at_least_one(n: u32) -> u32 {
    if n == 0 { 1 } else { n }
}

impl Plan {
    /// How many requests should have been sent by now.
    #[inline(always)]
    #[must_use]
    pub const fn due(&self, now_ns: u64) -> u64 {
        if now_ns < self.start_ns {
            return 0;
        }
        // Steps of 256 ns: so the product fits for a day at 10 million a second.
        (((now_ns - self.start_ns) >> 8) * self.rate) >> 24
    }

    /// The rate for so many requests per second; within a ten-thousandth from 10,000 on.
    #[must_use]
    pub const fn rate_of(per_second: u64) -> u64 {
        ((per_second as u128) << 32).div_ceil(1_000_000_000) as u64
    }

    /// The frame of this number.
    #[inline(always)]
    #[must_use]
    pub const fn frame(&self, number: u64) -> Frame {
        let stride = self.flood as u64 + 1;
        let (number, place) = (number / stride, number % stride);
        if place == self.flood as u64 {
            return Frame::Real(self.request(number));
        }
        let random = mix(number ^ self.seed ^ (place + 1) << 40);
        if self.loud != 0 {
            return Frame::Loud(Request {
                kind: Kind::Announce,
                source: self.sources,
                ..self.request(random)
            });
        }
        Frame::Forged {
            request: Request { kind: Kind::Announce, ..self.request(random) },
            // Forged sources are of the network that real ones are of, and sometimes theirs.
            source: self.source & 0xff00_0000 | (random as u32 & 0x00ff_ffff),
            id: mix(random),
        }
    }

    /// The request of this number.
    #[inline(always)]
    #[must_use]
    pub const fn request(&self, number: u64) -> Request {
        let random = mix(number ^ self.seed);
        let word = random as u32;
        let kind = if word < self.connects_below {
            Kind::Connect
        } else if word < self.announces_below {
            Kind::Announce
        } else {
            Kind::Scrape
        };
        let second = mix(random);
        // A divisor of zero would be a panic, which no program may hold.
        let (peers, sources) = (at_least_one(self.peers), at_least_one(self.sources));
        let peer = if self.in_order == 0 { below(second, peers) } else { (number % peers as u64) as u32 };
        let about_peer = mix(peer as u64 ^ 0x5eed);
        Request {
            kind,
            source: peer % sources,
            transaction_id: (kind as u32) << 30 | (number as u32 & 0x3fff_ffff),
            torrent: below(about_peer, self.torrents),
            port: 1024 + ((peer / sources) % 64_000) as u16,
            seeder: ((about_peer >> 32) as u32) < self.seeders_below,
        }
    }
}

/// The info hash of a torrent, as words in memory order. Populations with different seeds have no torrent in common.
#[inline(always)]
#[must_use]
pub const fn info_hash(torrent: u32, seed: u32) -> [u32; 5] {
    let first = mix((seed as u64) << 32 | torrent as u64);
    let second = mix(first);
    [first as u32, (first >> 32) as u32, second as u32, (second >> 32) as u32, torrent]
}

/// Buckets of latency: 16 to each doubling of 1,024 ns.
pub const LATENCY_BUCKETS: u32 = 512;

/// The bucket of a latency in units of 1,024 ns.
#[inline(always)]
#[must_use]
pub const fn latency_bucket(units: u32) -> u32 {
    if units < 16 {
        return units;
    }
    let exponent = 31 - units.leading_zeros();
    (exponent - 3) * 16 + ((units >> (exponent - 4)) & 15)
}

/// The smallest latency of a bucket, in units of 1,024 ns.
#[must_use]
pub const fn latency_of(bucket: u32) -> u64 {
    if bucket < 16 {
        return bucket as u64;
    }
    let exponent = bucket / 16 + 3;
    (16 + (bucket % 16) as u64) << (exponent - 4)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn plan() -> Plan {
        Plan {
            start_ns: 1_000,
            rate: Plan::rate_of(1_000_000),
            seed: 7,
            sources: 256,
            connects_below: u32::MAX / 2,
            announces_below: u32::MAX / 100 * 99,
            torrents: 1_000,
            peers: 20_000,
            seeders_below: u32::MAX / 4 * 3,
            wanted: 30,
            ..Plan::zeroed()
        }
    }

    #[test]
    fn requests_fall_due_at_their_rate() {
        let plan = plan();
        assert_eq!((plan.due(0), plan.due(1_000), plan.due(1_999)), (0, 0, 0));
        assert_eq!(plan.due(1_000 + 1_024), 1);
        for (seconds, rate) in
            [(1, 1_000_000), (100, 10_000_000), (86_400, 10_000_000), (10, 333_333), (60, 10_000)]
        {
            let plan = Plan { rate: Plan::rate_of(rate), start_ns: 0, ..plan };
            let (due, exact) = (plan.due(seconds * 1_000_000_000), seconds * rate);
            assert!(due.abs_diff(exact) <= exact / 10_000 + 1, "{rate}/s after {seconds} s: {due}");
        }
    }

    #[test]
    fn the_mix_and_the_share_of_seeders_are_as_planned() {
        let plan = plan();
        let (mut kinds, mut seeders) = ([0_u32; 3], 0_u32);
        for number in 0..100_000 {
            let request = plan.request(number);
            assert_eq!(kind_of(request.transaction_id), request.kind as u32);
            assert!(request.source < plan.sources && request.torrent < plan.torrents && request.port >= 1024);
            kinds[request.kind as usize] += 1;
            seeders += u32::from(request.seeder);
        }
        assert!(kinds[0].abs_diff(50_000) < 1_000 && kinds[2].abs_diff(1_000) < 200, "{kinds:?}");
        assert!(seeders.abs_diff(75_000) < 1_000, "{seeders}");
    }

    #[test]
    fn a_flood_goes_between_the_same_requests() {
        let (calm, flooded) = (plan(), Plan { flood: 3, source: 0x0a63_0000, ..plan() });
        let mut sources = std::collections::HashSet::new();
        for number in 0..1_000 {
            assert_eq!(calm.frame(number), Frame::Real(calm.request(number)));
            assert_eq!(flooded.frame(4 * number + 3), calm.frame(number));
            for place in 0..3 {
                let Frame::Forged { request, source, id } = flooded.frame(4 * number + place) else {
                    panic!("{number} {place}");
                };
                assert!(request.kind == Kind::Announce && source >> 24 == 10 && id != 0);
                sources.insert(source);
            }
        }
        assert!(sources.len() > 2_900, "{}", sources.len());
    }

    #[test]
    fn a_loud_client_goes_between_the_same_requests() {
        let (calm, loud) = (plan(), Plan { flood: 2, loud: 1, ..plan() });
        for number in 0..1_000 {
            assert_eq!(loud.frame(3 * number + 2), calm.frame(number));
            for place in 0..2 {
                let Frame::Loud(request) = loud.frame(3 * number + place) else {
                    panic!("{number} {place}");
                };
                assert!(request.kind == Kind::Announce && request.source == loud.sources);
            }
        }
    }

    #[test]
    fn in_order_every_peer_comes_once_and_stays_itself() {
        let plan = Plan { in_order: 1, ..plan() };
        let mut seen = std::collections::HashSet::new();
        for number in 0..u64::from(plan.peers) {
            let request = plan.request(number);
            assert!(seen.insert((request.source, request.port)), "{number}");
            let again = Plan { seed: 99, ..plan }.request(number + u64::from(plan.peers));
            let who = |request: Request| (request.source, request.port, request.torrent, request.seeder);
            assert_eq!(who(request), who(again));
        }
    }

    #[test]
    fn latency_buckets_grow_without_gaps() {
        let mut last = 0;
        for units in 0..100_000_u32 {
            let bucket = latency_bucket(units);
            assert!(bucket == last || bucket == last + 1, "{units}: {bucket} after {last}");
            assert!(latency_of(bucket) <= u64::from(units) && u64::from(units) < latency_of(bucket + 1));
            last = bucket;
        }
        assert!(latency_bucket(u32::MAX) < LATENCY_BUCKETS);
    }
}
