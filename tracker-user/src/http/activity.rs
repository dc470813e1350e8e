//! What is known of a connection while it lives: whoever reads it, answers on it or ends it looks here.

use crate::clock::monotonic_ns;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long a connection that is closed for its silence may take to end in order.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long the first bytes of a connection may still take once the tracker drains: they may have come already.
pub(super) const FIRST_WORDS: Duration = Duration::from_millis(100);

/// What is known of a connection while it lives.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// When the last request came, coarse monotonic nanoseconds; 0 before the first.
    last_request: AtomicU64,
    /// Bytes have come that are no whole request yet. A hint, as only what HTTP makes of them can tell.
    partial: AtomicBool,
    /// What was read last looks like the end of a request without a body.
    ends_request: AtomicBool,
    expect_more: AtomicBool,
    /// The client has taken all there is of a reply, and waits for more.
    awaits: AtomicBool,
}

impl Activity {
    /// Bytes have come.
    #[inline]
    pub(super) fn read(&self, bytes: &[u8]) {
        // Between requests these are nothing (RFC 9112, section 2.2).
        let only_line_ends = bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        let ends_request = only_line_ends || bytes.ends_with(b"\n\r\n") || bytes.ends_with(b"\n\n");
        self.ends_request.store(ends_request, Ordering::Relaxed);
        if !only_line_ends {
            self.partial.store(true, Ordering::Relaxed);
        }
    }

    /// The head of a request has come.
    #[inline]
    pub(super) fn asked(&self) {
        // The beginning of the next one may have come along.
        if self.ends_request.load(Ordering::Relaxed) {
            self.partial.store(false, Ordering::Relaxed);
        }
        self.last_request.store(monotonic_ns(), Ordering::Relaxed);
    }

    /// The body of a request has come.
    pub(super) fn took_body(&self) {
        self.partial.store(false, Ordering::Relaxed);
    }

    /// How long after the start of a drain what may be on its way is waited for before the connection is told to end.
    /// `drops_beginnings` says that telling it so loses a request that has only begun to come.
    pub(super) fn patience(&self, drops_beginnings: bool) -> Duration {
        let partial = self.partial.load(Ordering::Relaxed);
        match self.last_request() {
            // HTTP that has seen no byte closes at once.
            None if !partial => FIRST_WORDS,
            None => Duration::ZERO,
            _ if drops_beginnings && partial => LAST_WORDS,
            _ => Duration::ZERO,
        }
    }

    /// When the last request came, coarse monotonic nanoseconds; `None` before the first.
    pub(super) fn last_request(&self) -> Option<u64> {
        Some(self.last_request.load(Ordering::Relaxed)).filter(|&at| at != 0)
    }

    /// A reply begins that has an end only with the connection, or the tracker.
    pub(super) fn awaiting(self: Arc<Self>) -> Awaiting {
        Awaiting(self)
    }

    /// Whether the tracker is the one that is to speak.
    pub(super) fn awaits(&self) -> bool {
        self.awaits.load(Ordering::Relaxed)
    }

    /// A reply refuses a request that is still on its way.
    pub(super) fn expect_more(&self) {
        self.expect_more.store(true, Ordering::Relaxed);
    }

    /// Whether it does.
    pub(super) fn expects_more(&self) -> bool {
        self.expect_more.load(Ordering::Relaxed)
    }
}

/// A reply without an end, on its way.
#[derive(Debug)]
pub(super) struct Awaiting(Arc<Activity>);

impl Awaiting {
    /// Whether the client has taken all there is. What it has not taken yet it may take as long for as for a request.
    pub(super) fn set(&self, awaits: bool) {
        self.0.awaits.store(awaits, Ordering::Relaxed);
        if !awaits {
            self.0.last_request.store(monotonic_ns(), Ordering::Relaxed);
        }
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        self.set(false);
    }
}
