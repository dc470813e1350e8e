//! A stream below a WebSocket that sees what tungstenite does not tell, and keeps account of what its buffers hold.
//!
//! It knows when no message is on its way, so that large buffers can be given back: tungstenite's grow with the largest
//! message and never shrink, and most connections are quiet. It knows since when a message is on its way, and how many
//! frames there are in a second: tungstenite takes fragments without a word until it has a whole message. And it knows
//! how long a message will be before there is room for it.

use super::{budget::Holding, counters::Closed, frames::Frames};
use crate::clock::{Clock, seconds};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracker_core::model::Seconds;

/// Buffers of this size are not worth giving back.
const SMALL: usize = 4 << 10;

/// Frames that a client may send for each message it may send: fragments, and answers to pings.
const FRAMES_PER_MESSAGE: u32 = 10;

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) messages_per_second: Option<u32>,
    /// Bytes. tungstenite refuses longer ones, and keeps no room for them.
    pub(super) message_size: usize,
}

/// A stream that frames are read from.
#[derive(Debug)]
pub(super) struct Watched<S> {
    /// `None` once it is taken.
    stream: Option<S>,
    frames: Frames,
    output: Output,
    pace: Pace,
    holding: Holding,
    most: usize,
    refused: Option<Closed>,
}

/// What tungstenite holds to be written.
#[derive(Clone, Copy, Debug, Default)]
struct Output {
    unwritten: usize,
    /// The most there has been, to which its buffer has grown.
    peak: usize,
    /// The last that the kernel took, which it may not have sent yet. What it took before, it has sent.
    last: usize,
}

impl Output {
    /// A buffer that doubles, or one and what the kernel holds.
    fn held(self) -> usize {
        self.last.max(2 * self.peak)
    }
}

impl<S> Watched<S> {
    /// Watches a stream whose next byte begins a frame.
    pub(super) fn new(stream: S, clock: Clock, bounds: Bounds, holding: Holding) -> Self {
        let most = bounds.messages_per_second.map(|messages| messages.saturating_mul(FRAMES_PER_MESSAGE));
        Self {
            stream: Some(stream),
            frames: Frames::default(),
            output: Output::default(),
            pace: Pace { clock, most, second: 0, frames: 0, begun_ns: 0, last_begun: 0 },
            holding,
            most: bounds.message_size,
            refused: None,
        }
    }

    /// Why a read has failed, if it was not the stream's fault. Later reads do not fail for it.
    pub(super) fn refused(&self) -> Option<Closed> {
        self.refused
    }

    /// When the message began whose end has not been read, in protocol time.
    pub(super) fn begun_ns(&self) -> Option<u64> {
        (!self.frames.is_between_messages()).then_some(self.pace.begun_ns)
    }

    /// Whether room is kept for a large message that has not ended.
    pub(super) fn waits_for_much(&self) -> bool {
        !self.frames.is_between_messages() && self.frames.held() > SMALL as u64
    }

    /// Whether the buffers above have grown, and nothing read is without its end.
    pub(super) fn is_large(&self) -> bool {
        let grown = self.output.peak > SMALL || self.frames.largest() > SMALL as u64;
        grown && self.output.unwritten == 0 && self.frames.is_between_messages()
    }

    /// The stream and all that is known of it, for empty buffers; this one is of no more use.
    pub(super) fn renew(&mut self) -> Self {
        let Self { stream, frames, output, pace, holding, most, refused } = self;
        let mut renewed = Self {
            stream: stream.take(),
            frames: std::mem::take(frames),
            output: Output { last: output.last, ..Output::default() },
            pace: *pace,
            holding: holding.take(),
            most: *most,
            refused: *refused,
        };
        renewed.frames.forget();
        // Less than before.
        let _ = renewed.weigh();
        renewed
    }

    /// Counts a message that is to be written; says whether there is room for it.
    #[must_use]
    pub(super) fn expect(&mut self, bytes: usize) -> bool {
        let before = self.output;
        self.output.unwritten += bytes;
        self.output.peak = before.peak.max(self.output.unwritten);
        let fits = self.weigh();
        if !fits {
            self.output = before;
        }
        fits
    }

    /// Everything has been written.
    pub(super) fn flushed(&mut self) {
        self.output.unwritten = 0;
        self.holding.go_on();
    }

    /// The client takes nothing for now; says whether what is held for it meanwhile may be held.
    #[must_use]
    pub(super) fn stall(&mut self) -> bool {
        self.holding.stall()
    }

    fn weigh(&mut self) -> bool {
        if self.frames.largest() > self.most as u64 {
            return true;
        }
        let input = usize::try_from(self.frames.held()).unwrap_or(usize::MAX).min(2 * self.most);
        self.holding.set(input + self.output.held())
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>>
    where
        S: Unpin,
    {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Takes note of what was just read; an error if it may not go on, once.
    fn note(&mut self) -> io::Result<()> {
        let slow_enough = self.pace.note(&mut self.frames);
        if self.refused.is_none() {
            self.refused = match (slow_enough, self.weigh()) {
                (false, _) => Some(Closed::Flood),
                (true, false) => Some(Closed::Memory),
                (true, true) => return Ok(()),
            };
            return Err(io::Error::other("refused"));
        }
        Ok(())
    }
}

/// How fast frames come, and how slowly a message.
#[derive(Clone, Copy, Debug)]
struct Pace {
    clock: Clock,
    /// Frames that may begin in a second.
    most: Option<u32>,
    second: Seconds,
    /// Those that did.
    frames: u32,
    /// When the last message was seen to begin, and its number.
    begun_ns: u64,
    last_begun: u32,
}

impl Pace {
    /// Counts what was just read; says whether it is not too much.
    fn note(&mut self, frames: &mut Frames) -> bool {
        let now_ns = self.clock.now_ns();
        if frames.begun != self.last_begun {
            (self.begun_ns, self.last_begun) = (now_ns, frames.begun);
        }
        if seconds(now_ns) != self.second {
            (self.second, self.frames) = (seconds(now_ns), 0);
        }
        self.frames = self.frames.saturating_add(std::mem::take(&mut frames.heads));
        self.most.is_none_or(|most| self.frames <= most)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = this.stream()?.poll_read(cx, buffer);
        match buffer.filled().get(before..) {
            None | Some([]) => read,
            Some(bytes) => {
                this.frames.pass(bytes);
                read.map(|read| read.and(this.note()))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.stream()?.poll_write(cx, bytes);
        if let Poll::Ready(Ok(bytes)) = written {
            this.output.unwritten = this.output.unwritten.saturating_sub(bytes);
            this.output.last = bytes;
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream()?.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::budget::Budget, *};
    use std::sync::Arc;

    fn watched(budget: &Arc<Budget>) -> Watched<()> {
        let bounds = Bounds { messages_per_second: None, message_size: 128 << 10 };
        Watched::new((), Clock::new(1 << 60), bounds, Holding::new(Arc::clone(budget)))
    }

    /// An unmasked frame's head, and so many bytes.
    fn frame(length: usize) -> Vec<u8> {
        [&[0x81, 126], &(length as u16).to_be_bytes()[..], &vec![0; length]].concat()
    }

    #[test]
    fn a_stream_is_renewed_if_something_large_went_through() {
        let budget = Budget::new(1 << 20);
        for (length, large) in [(SMALL, false), (SMALL + 1, true)] {
            let mut watched = watched(&budget);
            watched.frames.pass(&frame(length));
            assert_eq!(watched.is_large(), large);
        }
        let mut watched = watched(&budget);
        assert!(watched.expect(SMALL + 1));
        assert!(!watched.is_large(), "not written");
        watched.flushed();
        watched.frames.pass(&[0x81]);
        assert!(!watched.is_large(), "within a head");
        watched.frames.pass(&[0x80, 1, 2, 3, 4]);
        assert!(watched.is_large());
        let renewed = watched.renew();
        assert!(!renewed.is_large() && renewed.stream.is_some() && watched.stream.is_none());
    }

    #[test]
    fn the_pace_is_kept_through_a_renewal() {
        let budget = Budget::new(1 << 20);
        let mut watched = watched(&budget);
        watched.pace.most = Some(3);
        for (frames, refused) in [(3, None), (1, Some(Closed::Flood))] {
            for _ in 0..frames {
                watched.frames.pass(&frame(SMALL + 1));
            }
            // All within the second of the first, for a clock that stands.
            watched.pace.second = seconds(watched.pace.clock.now_ns());
            assert_eq!((watched.note().is_err(), watched.refused()), (refused.is_some(), refused));
            watched = watched.renew();
        }
    }

    #[test]
    fn what_is_on_its_way_is_counted_and_given_back() {
        let budget = Budget::new(200 << 10);
        let mut one = watched(&budget);
        one.frames.pass(&frame(50_000)[..100]);
        assert!(one.note().is_ok() && one.waits_for_much());
        let reading = budget.used();
        assert!((45_000..=50_000).contains(&reading), "{reading}");
        // The length alone is too much for what is left.
        let mut other = watched(&budget);
        for _ in 0..3 {
            other.frames.pass(&[0x01, 126, 0xff, 0xff]);
            other.frames.pass(&[0; 0xffff]);
        }
        assert!(other.note().is_err());
        assert_eq!((other.refused(), other.note().is_ok()), (Some(Closed::Memory), true));
        assert!(!other.expect(100_000), "nor is there room for such a reply");
        drop(other);
        assert_eq!(budget.used(), reading);
        one.frames.pass(&[0; 50_000 - 96]);
        let mut one = one.renew();
        assert_eq!(budget.used(), 0);
        assert!(one.expect(30_000) && budget.used() > 50_000);
        one.output.last = 30_000;
        one.flushed();
        let one = one.renew();
        assert!((25_000..30_000).contains(&budget.used()), "the kernel may hold it");
        drop(one);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_message_that_will_be_refused_for_its_length_is_not_counted() {
        let budget = Budget::new(1 << 20);
        let mut watched = watched(&budget);
        watched.frames.pass(&[0x81, 127, 0x7f, 0, 0, 0, 0, 0, 0, 0]);
        assert!(watched.note().is_ok());
        assert_eq!(budget.used(), 0);
    }
}
