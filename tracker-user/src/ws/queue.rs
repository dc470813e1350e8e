//! What waits to be written to a connection: bounded, filled by any task, emptied by the connection's own.

use super::counters::Lost;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::VecDeque,
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
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    relays: VecDeque<Relay>,
    bytes: usize,
    closing: bool,
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
    /// The connection is to be closed, whatever waits.
    Close,
}

impl Queue {
    /// Adds a message, or says why it is lost.
    pub(super) fn push(&self, relay: Relay, limits: Limits) -> Result<(), Lost> {
        let mut inner = self.0.lock();
        if inner.ended {
            return Err(Lost::Gone);
        }
        let bytes = inner.bytes + relay.text().len();
        if inner.relays.len() >= limits.messages || bytes > limits.bytes {
            return Err(Lost::QueueFull);
        }
        inner.bytes = bytes;
        inner.relays.push_back(relay);
        wake(inner);
        Ok(())
    }

    /// Takes no more messages, and drops those that wait; gives their number.
    pub(super) fn end(&self) -> usize {
        let mut inner = self.0.lock();
        inner.ended = true;
        inner.bytes = 0;
        let relays = std::mem::take(&mut inner.relays);
        drop(inner);
        relays.len()
    }

    /// Asks for the connection to be closed.
    pub(super) fn close(&self) {
        let mut inner = self.0.lock();
        inner.closing = true;
        wake(inner);
    }

    /// Takes what is next.
    pub(super) fn next(&self) -> Next {
        let mut inner = self.0.lock();
        if inner.closing {
            return Next::Close;
        }
        let Some(relay) = inner.relays.pop_front() else { return Next::Empty };
        inner.bytes -= relay.text().len();
        if inner.relays.is_empty() && inner.relays.capacity() > KEPT {
            inner.relays = VecDeque::new();
        }
        Next::Relay(relay)
    }

    /// Ready if [`Queue::next`] gives something else than [`Next::Empty`]; otherwise the task is woken once that is so.
    pub(super) fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_for(context, |inner| inner.closing || !inner.relays.is_empty())
    }

    /// Ready if the connection is to be closed. Until then the task may be woken for less.
    pub(super) fn poll_close(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_for(context, |inner| inner.closing)
    }

    fn poll_for(&self, context: &mut Context<'_>, condition: impl Fn(&Inner) -> bool) -> Poll<()> {
        let mut inner = self.0.lock();
        if condition(&inner) {
            return Poll::Ready(());
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
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    const LIMITS: Limits = Limits { messages: 3, bytes: 10 };

    fn relay(text: &str) -> Relay {
        Relay::Answer { text: text.to_owned() }
    }

    #[test]
    fn messages_come_out_as_they_went_in_and_no_more_of_them_than_there_is_room_for() {
        let queue = Queue::default();
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
        let queue = Queue::default();
        queue.push(relay("1"), LIMITS).unwrap();
        queue.close();
        assert_eq!(queue.next(), Next::Close);
        assert_eq!(queue.next(), Next::Close);
    }

    #[test]
    fn an_ended_queue_tells_what_it_held_and_takes_nothing() {
        let queue = Queue::default();
        queue.push(relay("1"), LIMITS).unwrap();
        queue.push(relay("2"), LIMITS).unwrap();
        assert_eq!(queue.end(), 2);
        assert_eq!(queue.push(relay("3"), LIMITS), Err(Lost::Gone));
        assert_eq!((queue.next(), queue.end()), (Next::Empty, 0));
    }

    #[test]
    fn memory_is_given_back() {
        let queue = Queue::default();
        let many = Limits { messages: 1000, bytes: 1000 };
        assert!((0..100).all(|_| queue.push(relay("x"), many).is_ok()));
        while queue.next() != Next::Empty {}
        assert!(queue.0.lock().relays.capacity() <= KEPT);
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
        let queue = Queue::default();
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
        queue.close();
        assert_eq!(counting.0.load(Ordering::Relaxed), 2);
    }
}
