//! The memory that all connections may hold together, and who lets go first when there is no more.
//!
//! A connection counts for [`CONNECTION`] while it is open. On top of it count the messages in its queue, and what its
//! torrents and buffers hold beyond what that covers. Connections are admitted up to three quarters of the whole, so that a crowd
//! of quiet ones leaves room for messages. When something does not fit, the one that has waited longest for a client to
//! take a message, or to end one, is told to let go: slow clients first.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Notify;
use tracker_core::ws::Relay;

/// What a quiet connection takes, with TLS: 7 KiB of its task, buffers and places in tables, up to 10 KiB of TLS's state
/// and the kernel's for its socket, and [`COVERED`].
pub(super) const CONNECTION: usize = 24 << 10;
/// What a connection's buffers may hold without being counted: small messages pass whatever else goes on.
const COVERED: usize = 4 << 10;
/// What a message in a queue takes beside its text, where the queue has room for as many again.
pub(super) const MESSAGE: usize = 96;
const _: () = assert!(2 * size_of::<Relay>() <= MESSAGE);

/// The kernel's buffers of a connection; it takes twice as much for its own needs.
pub const SEND_BUFFER: usize = 32 << 10;
/// As [`SEND_BUFFER`].
pub const RECEIVE_BUFFER: usize = 32 << 10;
/// Bytes not sent yet with which the kernel takes more: so what it holds for a client that takes nothing is no more than
/// the last thing written.
pub const UNSENT: u32 = 1;
/// What is held for a client that takes nothing, beside what is to be sent: requests that nobody reads meanwhile, in the
/// kernel, and a record of TLS.
const STALLED: usize = 2 * RECEIVE_BUFFER + (16 << 10);

/// Bytes, shared by all connections. Two cache lines of its own, since every thread writes it.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Budget {
    used: AtomicUsize,
    most: usize,
    /// One permit for each thing that did not fit.
    wanted: Notify,
}

impl Budget {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), most, wanted: Notify::new() })
    }

    /// All that may be used.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// What is used now.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How many connections there may be if nothing else is counted.
    pub(super) fn most_connections(&self) -> usize {
        self.for_connections() / CONNECTION
    }

    fn for_connections(&self) -> usize {
        self.most / 4 * 3
    }

    /// Counts one more connection, if there is room; it is given back by [`Budget::dismiss`].
    pub(super) fn admit(&self) -> bool {
        self.add(CONNECTION, self.for_connections())
    }

    pub(super) fn dismiss(&self) {
        self.give(CONNECTION);
    }

    /// Counts a message that is to wait in a queue, if there is room.
    pub(super) fn take_message(&self, text: &str) -> bool {
        self.take(text.len() + MESSAGE)
    }

    pub(super) fn give_message(&self, text: &str) {
        self.give(text.len() + MESSAGE);
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = self.add(bytes, self.most);
        if !fits {
            self.wanted.notify_one();
        }
        fits
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn add(&self, bytes: usize, most: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.checked_add(bytes).is_some_and(|after| after <= most);
        if !fits {
            self.give(bytes);
        }
        fits
    }

    /// Waits until the caller is to let go of what it holds: others want memory, and nobody has waited longer.
    pub(super) async fn wanted(self: Arc<Self>) {
        loop {
            self.wanted.notified().await;
            // What was wanted may have been had long since.
            if self.used() > self.most - self.most / 8 {
                return;
            }
        }
    }
}

/// What one connection holds. Given back when dropped.
#[derive(Debug)]
pub(super) struct Holding {
    budget: Arc<Budget>,
    /// As counted.
    bytes: usize,
    stalled: bool,
}

impl Holding {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, bytes: 0, stalled: false }
    }

    /// What is held goes over to another; this one has nothing left.
    pub(super) fn take(&mut self) -> Self {
        let Self { budget, bytes, stalled } = self;
        let budget = Arc::clone(budget);
        Self { budget, bytes: std::mem::take(bytes), stalled: std::mem::take(stalled) }
    }

    /// Counts so many bytes in place of those before, or says that there is no room for more than before. Less
    /// is always had.
    #[must_use]
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        let counted = bytes.saturating_sub(COVERED);
        if counted > self.bytes && !self.budget.take(counted - self.bytes) {
            return false;
        }
        if counted < self.bytes {
            self.budget.give(self.bytes - counted);
        }
        self.bytes = counted;
        true
    }

    /// Counts what is held while a client takes nothing; says whether there is room.
    #[must_use]
    pub(super) fn stall(&mut self) -> bool {
        self.stalled = self.stalled || self.budget.take(STALLED);
        self.stalled
    }

    /// The client has taken it all.
    pub(super) fn go_on(&mut self) {
        if std::mem::take(&mut self.stalled) {
            self.budget.give(STALLED);
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.go_on();
        self.budget.give(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    #[test]
    fn connections_have_three_quarters_and_messages_what_is_left() {
        let budget = Budget::new(8 * CONNECTION);
        assert_eq!(budget.most_connections(), 6);
        assert_eq!((0..10).filter(|_| budget.admit()).count(), 6);
        let text = "x".repeat(CONNECTION - MESSAGE);
        assert!(budget.take_message(&text) && budget.take_message(&text) && !budget.take_message(&text));
        assert_eq!(budget.used(), budget.most());
        budget.dismiss();
        assert!(!budget.admit(), "messages have what a connection gave back");
        budget.give_message(&text);
        assert!(!budget.admit());
        budget.give_message(&text);
        assert!(budget.admit() && !budget.admit());
    }

    #[test]
    fn what_a_connection_holds_is_counted_beyond_what_it_is_covered_for() {
        let budget = Budget::new(100 << 10);
        let mut holding = Holding::new(Arc::clone(&budget));
        assert!(holding.set(COVERED) && budget.used() == 0);
        assert!(holding.set(COVERED + 1000) && budget.used() == 1000);
        assert!(!holding.set(COVERED + budget.most() + 1), "more than there is");
        assert_eq!(budget.used(), 1000);
        assert!(holding.stall() && holding.stall());
        assert_eq!(budget.used(), 1000 + STALLED);
        let mut other = Holding::new(Arc::clone(&budget));
        assert!(!other.stall());
        let mut taken = holding.take();
        drop(holding);
        assert_eq!(budget.used(), 1000 + STALLED);
        taken.go_on();
        assert!(taken.set(0) && budget.used() == 0);
        assert!(taken.set(5000) && other.stall());
        drop((taken, other));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn who_has_waited_longest_lets_go_first_and_only_while_memory_is_short() {
        let budget = Budget::new(100 << 10);
        let mut context = Context::from_waker(Waker::noop());
        let mut first = pin!(Arc::clone(&budget).wanted());
        let mut second = pin!(Arc::clone(&budget).wanted());
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        // Too much for anybody, while little is used.
        assert!(!budget.take(1 << 20));
        assert!(first.as_mut().poll(&mut context).is_pending());
        // It waits anew, behind the other.
        assert!(budget.take(95 << 10) && !budget.take(10 << 10));
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_ready());
        assert!(!budget.take(10 << 10));
        assert!(first.as_mut().poll(&mut context).is_ready());
    }
}
