//! The requests in flight, in a ring of fixed size: no allocation per request.
//!
//! Transaction IDs are consecutive, so a reply's ID is its place, and requests expire in the order they were sent.

use super::mix::Kind;

/// A request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it was sent, nanoseconds.
    pub sent_at: u64,
    /// Which source sent it.
    pub source: u32,
    /// What it asks for.
    pub kind: Kind,
    /// Peers wanted, or hashes asked for.
    pub amount: u16,
    /// Whether it counts: not sent during the warm-up.
    pub counts: bool,
}

/// Whose reply a transaction ID announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This request's.
    Of(Request),
    /// A request's that is unanswered already.
    Late,
    /// Nobody's: never sent, sent by another source, or answered before.
    Nobodys,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Answered,
    Expired,
}

/// How far back a reply may lie to be late rather than nobody's, requests.
const LATE: u32 = 1 << 22;

/// The ring.
#[derive(Debug)]
pub struct Table {
    slots: Box<[(Request, State)]>,
    mask: u32,
    /// The next transaction ID.
    head: u32,
    /// The oldest transaction ID that may still be in flight.
    tail: u32,
    /// How many IDs were given out, but at most [`LATE`].
    given: u32,
}

impl Table {
    /// With room for at least `room` requests in flight (from 1 to 4 million); the first transaction ID is `first`.
    #[must_use]
    pub fn new(room: u32, first: u32) -> Self {
        let room = room.clamp(1, LATE).next_power_of_two();
        let empty = Request { sent_at: 0, source: 0, kind: Kind::Connect, amount: 0, counts: false };
        Self {
            slots: vec![(empty, State::Expired); room as usize].into(),
            mask: room - 1,
            head: first,
            tail: first,
            given: 0,
        }
    }

    /// How many more fit.
    #[must_use]
    pub const fn free(&self) -> u32 {
        self.mask + 1 - self.head.wrapping_sub(self.tail)
    }

    /// Whether nothing is in flight. Exact after [`Table::expire`].
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// Takes up a request and gives its transaction ID. There must be room ([`Table::free`]).
    pub fn push(&mut self, request: Request) -> u32 {
        debug_assert!(self.free() > 0);
        let transaction = self.head;
        self.slots[(transaction & self.mask) as usize] = (request, State::Waiting);
        self.head = self.head.wrapping_add(1);
        self.given = (self.given + 1).min(LATE);
        transaction
    }

    /// Takes back the latest `count` requests, which could not be sent.
    pub const fn retract(&mut self, count: u32) {
        self.head = self.head.wrapping_sub(count);
        self.given = self.given.saturating_sub(count);
    }

    /// A reply with this transaction ID came to this source.
    pub fn take(&mut self, transaction: u32, source: u32) -> Reply {
        let back = self.head.wrapping_sub(transaction);
        if back == 0 || back > self.given {
            return Reply::Nobodys;
        }
        if back > self.mask + 1 {
            return Reply::Late;
        }
        let (request, state) = &mut self.slots[(transaction & self.mask) as usize];
        match *state {
            _ if request.source != source => Reply::Nobodys,
            State::Waiting => {
                *state = State::Answered;
                Reply::Of(*request)
            }
            State::Answered => Reply::Nobodys,
            State::Expired => {
                *state = State::Answered;
                Reply::Late
            }
        }
    }

    /// Gives up the requests sent before `time`, each of them to `unanswered`.
    pub fn expire(&mut self, time: u64, mut unanswered: impl FnMut(&Request)) {
        while self.tail != self.head {
            let (request, state) = &mut self.slots[(self.tail & self.mask) as usize];
            if *state == State::Waiting {
                if request.sent_at >= time {
                    return;
                }
                *state = State::Expired;
                unanswered(request);
            }
            self.tail = self.tail.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::collections::BTreeMap;

    fn request(sent_at: u64) -> Request {
        Request { sent_at, source: 0, kind: Kind::Announce, amount: 30, counts: true }
    }

    #[test]
    fn a_reply_finds_its_request_once() {
        let mut table = Table::new(4, u32::MAX - 1);
        let ids: Vec<u32> = (0..3).map(|n| table.push(request(n))).collect();
        assert_eq!(ids, [u32::MAX - 1, u32::MAX, 0]);
        assert_eq!(table.take(u32::MAX, 0), Reply::Of(request(1)));
        assert_eq!(table.take(u32::MAX, 0), Reply::Nobodys, "answered twice");
        assert_eq!(table.take(0, 7), Reply::Nobodys, "another source");
        assert_eq!(table.take(1, 0), Reply::Nobodys, "never sent");
        assert_eq!(table.take(u32::MAX - 2, 0), Reply::Nobodys, "never sent");
        assert_eq!(table.free(), 1);
    }

    #[test]
    fn what_is_old_expires_in_order_and_is_late_then() {
        let mut table = Table::new(4, 10);
        for time in 0..4 {
            table.push(request(time * 10));
        }
        assert_eq!(table.free(), 0);
        table.take(11, 0);
        let mut gone = vec![];
        table.expire(30, |request| gone.push(request.sent_at));
        assert_eq!(gone, [0, 20]);
        assert_eq!((table.free(), table.is_empty()), (3, false));
        assert_eq!(table.take(12, 0), Reply::Late);
        assert_eq!(table.take(12, 0), Reply::Nobodys, "late twice");
        for time in 4..7 {
            table.push(request(time * 10));
        }
        assert_eq!(table.take(10, 0), Reply::Late, "its place is taken, but it was sent");
        table.expire(u64::MAX, |_| {});
        assert!(table.is_empty());
    }

    #[test]
    fn what_was_not_sent_is_forgotten() {
        let mut table = Table::new(8, 0);
        for time in 0..5 {
            table.push(request(time));
        }
        table.retract(2);
        assert_eq!(table.take(3, 0), Reply::Nobodys);
        assert_eq!(table.push(request(9)), 3);
        assert_eq!(table.take(3, 0), Reply::Of(request(9)));
    }

    /// Against a map from ID to request, over many wraps.
    #[test]
    fn agrees_with_a_naive_model() {
        let mut rng = Rng::new(4);
        let mut table = Table::new(64, u32::MAX - 500);
        let mut model: BTreeMap<u32, u64> = BTreeMap::new();
        let mut newest = u32::MAX - 500;
        for now in 0..20_000_u64 {
            if table.free() > 0 && rng.below(3) > 0 {
                newest = table.push(request(now));
                model.insert(newest, now);
            }
            if rng.below(2) == 0 {
                let id = newest.wrapping_sub(u32::try_from(rng.below(80)).unwrap());
                let expected = model.remove(&id);
                match table.take(id, 0) {
                    Reply::Of(found) => assert_eq!(Some(found.sent_at), expected),
                    Reply::Late | Reply::Nobodys => assert_eq!(expected, None, "at {now}"),
                }
            }
            if rng.below(10) == 0 {
                let mut lost = 0;
                table.expire(now.saturating_sub(40), |_| lost += 1);
                let before = model.len();
                model.retain(|_, sent_at| *sent_at >= now.saturating_sub(40));
                assert_eq!(lost, before - model.len());
            }
        }
    }
}
