//! What waits to be written to a connection: bounded, filled by any task, emptied by the connection's own.

use super::{
    budget::Budget,
    counters::{Closed, Lost},
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tracker_core::ws::Relay;

/// Room for so many messages is kept when there is none.
const KEPT: usize = 8;

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Messages.
    pub(super) messages: usize,
    /// Bytes of text in all of them.
    pub(super) bytes: usize,
}

/// A bounded queue with one reader. Locks are held for a few instructions.
#[derive(Debug)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    budget: Arc<Budget>,
}

#[derive(Debug, Default)]
struct Inner {
    relays: VecDeque<Relay>,
    bytes: usize,
    /// Why the connection is to be closed, if it is.
    closing: Option<Closed>,
    /// Nobody reads any more.
    ended: bool,
    reader: Option<Waker>,
}

/// What the reader takes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The oldest message.
    Relay(Relay),
    /// Nothing waits.
    Empty,
    /// The connection is to be closed for this reason, whatever waits.
    Close(Closed),
}

impl Queue {
    /// An empty one, whose messages are counted.
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self { inner: Mutex::default(), budget }
    }

    /// Adds a message, or says why it is lost.
    pub(super) fn push(&self, relay: Relay, limits: Limits) -> Result<(), Lost> {
        let mut inner = self.inner.lock();
        if inner.ended {
            return Err(Lost::Gone);
        }
        let bytes = inner.bytes + relay.text().len();
        if inner.relays.len() >= limits.messages || bytes > limits.bytes {
            return Err(Lost::QueueFull);
        }
        if !self.budget.take_message(relay.text()) {
            return Err(Lost::Memory);
        }
        inner.bytes = bytes;
        inner.relays.push_back(relay);
        wake(inner);
        Ok(())
    }

    /// Takes no more messages, and drops those that wait; gives their number.
    pub(super) fn end(&self) -> usize {
        let mut inner = self.inner.lock();
        inner.ended = true;
        inner.bytes = 0;
        let relays = std::mem::take(&mut inner.relays);
        drop(inner);
        relays.iter().for_each(|relay| self.budget.give_message(relay.text()));
        relays.len()
    }

    /// Asks for the connection to be closed, and says why. The first reason counts.
    pub(super) fn close(&self, why: Closed) {
        let mut inner = self.inner.lock();
        inner.closing.get_or_insert(why);
        wake(inner);
    }

    /// Takes what is next.
    pub(super) fn next(&self) -> Next {
        let mut inner = self.inner.lock();
        if let Some(why) = inner.closing {
            return Next::Close(why);
        }
        let Some(relay) = inner.relays.pop_front() else { return Next::Empty };
        inner.bytes -= relay.text().len();
        self.budget.give_message(relay.text());
        if inner.relays.is_empty() && inner.relays.capacity() > KEPT {
            inner.relays = VecDeque::new();
        }
        Next::Relay(relay)
    }

    /// Ready if [`Queue::next`] gives something else than [`Next::Empty`]; otherwise the task is woken once that is so.
    pub(super) fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let is_ready = |inner: &Inner| inner.closing.is_some() || !inner.relays.is_empty();
        self.poll_for(context, |inner| is_ready(inner).then_some(()))
    }

    /// Ready, with the reason, if the connection is to be closed. Until then the task may be woken for less.
    pub(super) fn poll_close(&self, context: &mut Context<'_>) -> Poll<Closed> {
        self.poll_for(context, |inner| inner.closing)
    }

    fn poll_for<T>(&self, context: &mut Context<'_>, look: impl Fn(&Inner) -> Option<T>) -> Poll<T> {
        let mut inner = self.inner.lock();
        if let Some(found) = look(&inner) {
            return Poll::Ready(found);
        }
        match &mut inner.reader {
            Some(reader) => reader.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

/// Only a reader that waits is woken, once, and finds the lock free.
fn wake(mut inner: MutexGuard<'_, Inner>) {
    let reader = inner.reader.take();
    drop(inner);
    if let Some(reader) = reader {
        reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LIMITS: Limits = Limits { messages: 3, bytes: 10 };

    fn queue() -> Queue {
        Queue::new(Budget::new(1 << 20))
    }

    fn relay(text: &str) -> Relay {
        Relay::Answer { text: text.to_owned() }
    }

    #[test]
    fn messages_come_out_as_they_went_in_and_no_more_of_them_than_there_is_room_for() {
        let queue = queue();
        for (text, room) in [("1", Ok(())), ("22", Ok(())), ("333", Ok(())), ("4", Err(Lost::QueueFull))] {
            assert_eq!(queue.push(relay(text), LIMITS), room);
        }
        assert_eq!(queue.next(), Next::Relay(relay("1")));
        assert_eq!(queue.push(relay("666666"), LIMITS), Err(Lost::QueueFull), "eleven bytes");
        assert_eq!(queue.push(relay("55555"), LIMITS), Ok(()), "ten bytes");
        for text in ["22", "333", "55555"] {
            assert_eq!(queue.next(), Next::Relay(relay(text)));
        }
        assert_eq!(queue.next(), Next::Empty);
        queue.push(relay("1234567890"), LIMITS).unwrap();
    }

    #[test]
    fn a_close_goes_before_what_waits() {
        let queue = queue();
        queue.push(relay("1"), LIMITS).unwrap();
        queue.close(Closed::Banned);
        queue.close(Closed::Drained);
        assert_eq!(queue.next(), Next::Close(Closed::Banned));
        assert_eq!(queue.next(), Next::Close(Closed::Banned));
    }

    #[test]
    fn an_ended_queue_tells_what_it_held_and_takes_nothing() {
        let queue = queue();
        queue.push(relay("1"), LIMITS).unwrap();
        queue.push(relay("2"), LIMITS).unwrap();
        assert_eq!(queue.end(), 2);
        assert_eq!(queue.push(relay("3"), LIMITS), Err(Lost::Gone));
        assert_eq!((queue.next(), queue.end()), (Next::Empty, 0));
    }

    #[test]
    fn memory_is_given_back() {
        let queue = queue();
        let many = Limits { messages: 1000, bytes: 1000 };
        assert!((0..100).all(|_| queue.push(relay("x"), many).is_ok()));
        while queue.next() != Next::Empty {}
        assert!(queue.inner.lock().relays.capacity() <= KEPT);
    }

    #[test]
    fn what_waits_is_counted_for_all_queues_together() {
        let budget = Budget::new(10_000);
        let [one, other] = [(); 2].map(|()| Queue::new(Arc::clone(&budget)));
        let many = Limits { messages: 1000, bytes: 1 << 20 };
        let text = "x".repeat(4_000);
        assert_eq!(one.push(relay(&text), many), Ok(()));
        assert_eq!(other.push(relay(&text), many), Ok(()));
        assert_eq!(other.push(relay(&text), many), Err(Lost::Memory));
        assert!((8_000..8_400).contains(&budget.used()), "{}", budget.used());
        assert_eq!(one.next(), Next::Relay(relay(&text)));
        assert_eq!(other.push(relay(&text), many), Ok(()));
        assert_eq!((one.end(), other.end(), budget.used()), (0, 2, 0));
    }

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl std::task::Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_waiting_reader_is_woken_once() {
        let counting = Arc::new(Counting::default());
        let waker = Waker::from(counting.clone());
        let mut context = Context::from_waker(&waker);
        let queue = queue();
        queue.push(relay("1"), LIMITS).unwrap();
        assert!(queue.poll_ready(&mut context).is_ready());
        queue.next();
        assert!(queue.poll_ready(&mut context).is_pending());
        assert!(queue.poll_ready(&mut context).is_pending());
        queue.push(relay("1"), LIMITS).unwrap();
        queue.push(relay("2"), LIMITS).unwrap();
        assert_eq!(counting.0.load(Ordering::Relaxed), 1);
        queue.next();
        queue.next();
        assert!(queue.poll_ready(&mut context).is_pending());
        queue.close(Closed::Drained);
        assert_eq!(counting.0.load(Ordering::Relaxed), 2);
    }
}
