//! What the UDP workers count. Each worker has its own counters and is their only writer, so counting is a plain
//! addition; they are added up when metrics are read.

use crate::events::Events;
use std::sync::atomic::{AtomicU64, Ordering};
use tracker_common::{address::Family, bep15::Action, labelled};
use tracker_core::{
    client_software::ClientSoftware,
    engine::NotKept,
    udp::{DropReason, Outcome},
};

/// A counter with one writer and any number of readers.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds. Only the owning thread may.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Reads. Any thread may.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

labelled! {
    /// Which way a datagram came in user space.
    pub enum Path {
        /// Through an AF_XDP socket.
        Xsk = "xsk",
        /// Through an ordinary UDP socket.
        Socket = "socket",
    }
}

/// Why a datagram or its reply went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dropped {
    /// The responder gave no answer.
    Request(DropReason),
    /// A request or reply found no room: a buffer or ring is full.
    NoBuffer,
    /// The kernel refused to send a reply.
    SendFailed,
    /// The UDP checksum is wrong. Over ordinary sockets the kernel counts this itself.
    BadChecksum,
}

impl Dropped {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Request(DropReason::Malformed),
        Self::Request(DropReason::BadConnectionId),
        Self::Request(DropReason::BadSource),
        Self::Request(DropReason::BadPort),
        Self::NoBuffer,
        Self::SendFailed,
        Self::BadChecksum,
        Self::Request(DropReason::RateLimited),
        Self::Request(DropReason::Banned),
    ];

    const fn index(self) -> usize {
        match self {
            Self::Request(DropReason::Malformed) => 0,
            Self::Request(DropReason::BadConnectionId) => 1,
            Self::Request(DropReason::BadSource) => 2,
            Self::Request(DropReason::BadPort) => 3,
            Self::Request(DropReason::NoBuffer) | Self::NoBuffer => 4,
            Self::SendFailed => 5,
            Self::BadChecksum => 6,
            Self::Request(DropReason::RateLimited) => 7,
            Self::Request(DropReason::Banned) => 8,
        }
    }

    /// The value of the `reason` label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Request(reason) => reason.label(),
            Self::NoBuffer => "no_buffer",
            Self::SendFailed => "send_failed",
            Self::BadChecksum => "bad_checksum",
        }
    }
}

/// The counters of one path of one worker.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct PathCounters {
    requests: [[Count; 2]; 3],
    responses: [[Count; 2]; 4],
    received_bytes: [Count; 2],
    sent_bytes: [Count; 2],
    dropped: [Count; Dropped::ALL.len()],
    not_kept: [Count; NotKept::ALL.len()],
}

impl PathCounters {
    /// A datagram came in.
    #[inline]
    pub fn received(&self, family: Family, payload_bytes: usize) {
        self.received_bytes[family as usize].add(payload_bytes as u64);
    }

    /// The responder has judged a datagram.
    #[inline]
    pub fn judged(&self, family: Family, outcome: Outcome) {
        match outcome {
            Outcome::Reply { request, not_kept, .. } => {
                self.requests[request as usize][family as usize].add(1);
                if let Some(why) = not_kept {
                    self.not_kept[why as usize].add(1);
                }
            }
            Outcome::Drop(reason) => self.dropped(Dropped::Request(reason)),
        }
    }

    /// A reply has been handed to the kernel.
    #[inline]
    pub fn sent(&self, family: Family, reply: Action, payload_bytes: usize) {
        self.responses[reply as usize][family as usize].add(1);
        self.sent_bytes[family as usize].add(payload_bytes as u64);
    }

    /// A request or its reply went no further.
    #[inline]
    pub fn dropped(&self, why: Dropped) {
        self.dropped[why.index()].add(1);
    }

    /// So many requests or replies went no further.
    pub fn dropped_times(&self, why: Dropped, times: u64) {
        self.dropped[why.index()].add(times);
    }

    /// Requests answered or tried to, by what they asked.
    #[must_use]
    pub fn requests(&self, action: Action, family: Family) -> u64 {
        self.requests.get(action as usize).map_or(0, |counts| counts[family as usize].get())
    }

    /// Requests by action, over both families.
    #[must_use]
    pub fn requests_by_action(&self) -> [u64; 3] {
        std::array::from_fn(|action| self.requests[action].iter().map(Count::get).sum())
    }

    /// Replies sent, by what they are.
    #[must_use]
    pub fn responses(&self, action: Action, family: Family) -> u64 {
        self.responses[action as usize][family as usize].get()
    }

    /// UDP payload received and sent.
    #[must_use]
    pub fn bytes(&self, family: Family) -> (u64, u64) {
        (self.received_bytes[family as usize].get(), self.sent_bytes[family as usize].get())
    }

    /// Announcers that were not kept.
    #[must_use]
    pub fn not_kept(&self, why: NotKept) -> u64 {
        self.not_kept[why as usize].get()
    }

    /// Requests and replies that went no further.
    #[must_use]
    pub fn drops(&self, why: Dropped) -> u64 {
        self.dropped[why.index()].get()
    }
}

/// Upper bounds of the request duration histogram, seconds.
pub const DURATION_BOUNDS: [f64; 10] =
    [0.000_001, 0.000_002_5, 0.000_005, 0.000_01, 0.000_025, 0.000_1, 0.000_5, 0.002_5, 0.01, 0.1];

/// How long requests took, from the receipt of their batch until its replies were handed over. All requests of a
/// timed batch count, with the batch's duration: that is what each of them waited.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [[Count; DURATION_BOUNDS.len() + 1]; 3],
    nanoseconds: [Count; 3],
}

impl Durations {
    /// `requests` of this action were in a batch that took so long.
    pub fn record(&self, action: Action, requests: u64, nanoseconds: u64) {
        let seconds = nanoseconds as f64 / 1e9;
        let bucket = DURATION_BOUNDS.partition_point(|bound| *bound < seconds);
        let (Some(buckets), Some(sum)) =
            (self.buckets.get(action as usize), self.nanoseconds.get(action as usize))
        else {
            return;
        };
        buckets[bucket].add(requests);
        sum.add(requests.saturating_mul(nanoseconds));
    }

    /// Requests per bucket, the last one without a bound, and the sum of their durations in seconds.
    #[must_use]
    pub fn read(&self, action: Action) -> ([u64; DURATION_BOUNDS.len() + 1], f64) {
        let index = (action as usize).min(self.buckets.len() - 1);
        (std::array::from_fn(|i| self.buckets[index][i].get()), self.nanoseconds[index].get() as f64 / 1e9)
    }
}

/// All that one worker counts.
#[derive(Debug, Default)]
pub struct WorkerCounters {
    paths: [PathCounters; 2],
    /// How long requests took.
    pub durations: Durations,
    /// Software of the clients whose announces were looked at.
    pub software: Events<ClientSoftware>,
}

impl WorkerCounters {
    /// The counters of a path.
    #[inline]
    #[must_use]
    pub fn path(&self, path: Path) -> &PathCounters {
        &self.paths[path as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drop_reason_has_a_place_and_a_label() {
        let counters = PathCounters::default();
        for why in Dropped::ALL {
            let before = counters.drops(why);
            counters.dropped(why);
            assert_eq!(counters.drops(why), before + 1, "{}", why.label());
        }
    }

    #[test]
    fn durations_fall_into_the_bucket_at_or_above_them() {
        let durations = Durations::default();
        durations.record(Action::Announce, 3, 1_000);
        durations.record(Action::Announce, 2, 1_001);
        durations.record(Action::Announce, 1, 10_000_000_000);
        let (buckets, sum) = durations.read(Action::Announce);
        assert_eq!((buckets[0], buckets[1], buckets[DURATION_BOUNDS.len()]), (3, 2, 1));
        assert!((sum - 10.000_005_002).abs() < 1e-9);
        assert_eq!(durations.read(Action::Connect).0.iter().sum::<u64>(), 0);
    }
}
