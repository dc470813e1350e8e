//! What the WebSocket side counts. Any thread may count; the counters of each kind of event are a few cache lines that
//! all threads share, which costs nothing next to the system calls of a message.

use std::sync::atomic::{AtomicU64, Ordering};
use tracker_core::ws::Kind;

/// What is sent to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// The reply to an announce.
    Announce = 0,
    /// The reply to a scrape.
    Scrape = 1,
    /// A failure.
    Failure = 2,
    /// Somebody's offer.
    Offer = 3,
    /// Somebody's answer.
    Answer = 4,
    /// A ping.
    Ping = 5,
}

impl Sent {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Announce, Self::Scrape, Self::Failure, Self::Offer, Self::Answer, Self::Ping];

    /// The value of the `kind` label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::Scrape => "scrape",
            Self::Failure => "failure",
            Self::Offer => "offer",
            Self::Answer => "answer",
            Self::Ping => "ping",
        }
    }
}

/// Why an offer or answer did not get to its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lost {
    /// The receiver's queue is full.
    QueueFull = 0,
    /// The receiver has just gone, or goes with this still in its queue.
    Gone = 1,
    /// An answer to no known offer, or to somebody who has left the torrent.
    Unroutable = 2,
}

impl Lost {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::Gone, Self::Unroutable];

    /// The value of the `reason` label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Gone => "gone",
            Self::Unroutable => "unroutable",
        }
    }
}

/// Why a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// The client closed it, or it broke.
    Client = 0,
    /// It sent a message larger than `websocket.max_message_size`.
    Oversize = 1,
    /// It broke the rules of WebSocket.
    Protocol = 2,
    /// It sent more than `websocket.max_messages_per_second`, or ten times as many frames.
    Flood = 3,
    /// Nothing was heard of it for `websocket.idle_timeout`, or a message that it began had no end for as long.
    Idle = 4,
    /// It did not take what was sent within `websocket.send_timeout`.
    Stalled = 5,
    /// The tracker is stopping.
    Drained = 6,
}

impl Closed {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Client, Self::Oversize, Self::Protocol, Self::Flood, Self::Idle, Self::Stalled, Self::Drained];

    /// The value of the `reason` label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Oversize => "oversize",
            Self::Protocol => "protocol",
            Self::Flood => "flood",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Drained => "drained",
        }
    }
}

/// Two cache lines: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

/// Counters that only grow. Any thread may write and read.
#[derive(Debug, Default)]
pub struct Counters {
    received: Padded<[AtomicU64; Kind::ALL.len()]>,
    sent: Padded<[AtomicU64; Sent::ALL.len()]>,
    lost: Padded<[AtomicU64; Lost::ALL.len()]>,
    closed: [AtomicU64; Closed::ALL.len()],
}

impl Counters {
    /// Messages received of a kind. Pings and their answers are not among them.
    #[must_use]
    pub fn received(&self, kind: Kind) -> u64 {
        self.received.0[kind as usize].load(Ordering::Relaxed)
    }

    /// Messages sent of a kind.
    #[must_use]
    pub fn sent(&self, kind: Sent) -> u64 {
        self.sent.0[kind as usize].load(Ordering::Relaxed)
    }

    /// Offers and answers lost for a reason.
    #[must_use]
    pub fn lost(&self, reason: Lost) -> u64 {
        self.lost.0[reason as usize].load(Ordering::Relaxed)
    }

    /// Connections ended for a reason.
    #[must_use]
    pub fn closed(&self, reason: Closed) -> u64 {
        self.closed[reason as usize].load(Ordering::Relaxed)
    }

    pub(super) fn add_received(&self, kind: Kind) {
        self.received.0[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_sent(&self, kind: Sent, count: u64) {
        self.sent.0[kind as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn add_lost(&self, reason: Lost, count: u64) {
        self.lost.0[reason as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn add_closed(&self, reason: Closed) {
        self.closed[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_label_is_its_place() {
        assert!(Sent::ALL.iter().enumerate().all(|(place, kind)| *kind as usize == place));
        assert!(Lost::ALL.iter().enumerate().all(|(place, reason)| *reason as usize == place));
        assert!(Closed::ALL.iter().enumerate().all(|(place, reason)| *reason as usize == place));
        assert!(Kind::ALL.iter().enumerate().all(|(place, kind)| *kind as usize == place));
    }
}
