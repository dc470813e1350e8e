//! A stream below a WebSocket that sees what tungstenite does not tell.
//!
//! It knows when no message is on its way, so that the buffers of a quiet connection can be given back: tungstenite's
//! grow with the largest message and never shrink, and most connections are quiet. It knows since when a message is on
//! its way, and how many frames there are in a second: tungstenite takes fragments without a word until it has a whole
//! message.

use super::hub::seconds;
use crate::clock::Clock;
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

/// A stream that frames are read from.
#[derive(Debug)]
pub(super) struct Watched<S> {
    /// `None` once it is taken.
    stream: Option<S>,
    frames: Frames,
    /// More was written at once than a small buffer holds.
    wrote_much: bool,
    pace: Pace,
}

impl<S> Watched<S> {
    /// Watches a stream whose next byte begins a frame, for a client that may send so many messages in a second.
    pub(super) fn new(stream: S, clock: Clock, max_messages_per_second: Option<u32>) -> Self {
        let most = max_messages_per_second.map(|messages| messages.saturating_mul(FRAMES_PER_MESSAGE));
        let pace = Pace { clock, most, second: 0, frames: 0, flooded: false, begun_ns: 0, last_begun: 0 };
        Self { stream: Some(stream), frames: Frames::default(), wrote_much: false, pace }
    }

    /// Whether a read has failed because of too many frames in a second. Later reads do not.
    pub(super) fn is_flooded(&self) -> bool {
        self.pace.flooded
    }

    /// When the message began whose end has not been read, in protocol time.
    pub(super) fn begun_ns(&self) -> Option<u64> {
        (!self.frames.is_between_messages()).then_some(self.pace.begun_ns)
    }

    /// Takes the stream, if its buffers have grown and nothing read of it is without its end.
    pub(super) fn take_if_large(&mut self) -> Option<S> {
        let large = self.wrote_much || self.frames.largest > SMALL as u64;
        if large && self.frames.is_between_messages() { self.stream.take() } else { None }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>>
    where
        S: Unpin,
    {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// How fast frames come, and how slowly a message.
#[derive(Debug)]
struct Pace {
    clock: Clock,
    /// Frames that may begin in a second.
    most: Option<u32>,
    second: Seconds,
    /// Those that did.
    frames: u32,
    flooded: bool,
    /// When the last message was seen to begin, and its number.
    begun_ns: u64,
    last_begun: u32,
}

impl Pace {
    /// Takes note of what was just read; an error if it is too much, once.
    fn note(&mut self, frames: &mut Frames) -> io::Result<()> {
        let now_ns = self.clock.now_ns();
        if frames.begun != self.last_begun {
            (self.begun_ns, self.last_begun) = (now_ns, frames.begun);
        }
        if seconds(now_ns) != self.second {
            (self.second, self.frames) = (seconds(now_ns), 0);
        }
        self.frames = self.frames.saturating_add(std::mem::take(&mut frames.heads));
        if self.flooded || self.most.is_none_or(|most| self.frames <= most) {
            return Ok(());
        }
        self.flooded = true;
        Err(io::Error::other("too many frames"))
    }
}

/// Follows frames by their heads (RFC 6455, section 5.2).
#[derive(Debug, Default)]
struct Frames {
    /// What has been read of a head, without its mask.
    head: [u8; 10],
    head_len: u8,
    /// Bytes of mask and payload still to come.
    left: u64,
    /// Frames of the same message are still to come.
    fragmented: bool,
    closing: bool,
    largest: u64,
    /// Heads read to their end and not yet counted.
    heads: u32,
    /// Numbers messages as they begin; a control frame between two messages is one too. Wraps.
    begun: u32,
}

impl Frames {
    fn is_between_messages(&self) -> bool {
        self.head_len == 0 && self.left == 0 && !self.fragmented && !self.closing
    }

    fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let skipped = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.left -= skipped as u64;
                bytes = &bytes[skipped..];
            } else {
                if self.head_len == 0 && !self.fragmented {
                    self.begun = self.begun.wrapping_add(1);
                }
                self.head[usize::from(self.head_len)] = first;
                self.head_len += 1;
                bytes = rest;
                self.end_head();
            }
        }
    }

    /// Takes up the payload, if the head is whole.
    fn end_head(&mut self) {
        let [first, second, extended @ ..] = self.head;
        let (whole, length) = match second & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes([extended[0], extended[1]]))),
            127 => (10, u64::from_be_bytes(extended)),
            short => (2, u64::from(short)),
        };
        if self.head_len < 2 || self.head_len < whole {
            return;
        }
        self.head_len = 0;
        self.heads = self.heads.saturating_add(1);
        self.left = length.saturating_add(if second & 0x80 == 0 { 0 } else { 4 });
        self.largest = self.largest.max(length);
        match first & 0x0f {
            0..8 => self.fragmented = first & 0x80 == 0,
            8 => self.closing = true,
            _ => {}
        }
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
                read.map(|read| read.and(this.pace.note(&mut this.frames)))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.wrote_much |= bytes.len() > SMALL;
        this.stream()?.poll_write(cx, bytes)
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
    use super::*;

    /// A frame's bytes: first byte, masked or not, payload length.
    fn frame(first: u8, masked: bool, length: usize) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match length {
            0..126 => bytes.push(mask | length as u8),
            126..0x1_0000 => {
                bytes.push(mask | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        // Mask and payload look like heads of further frames.
        bytes.extend(std::iter::repeat_n(0x81, length + if masked { 4 } else { 0 }));
        bytes
    }

    #[test]
    fn ends_of_frames_are_found_however_they_are_cut() {
        for length in [0, 1, 125, 126, 127, 300, 0xffff, 0x1_0000, 70_000] {
            for masked in [false, true] {
                let bytes = frame(0x81, masked, length);
                for cut in [1, 2, 3, 5, 7, 10, 11, 14, 1000, bytes.len()] {
                    let mut frames = Frames::default();
                    let pieces = bytes.chunks(cut).count();
                    for (number, piece) in bytes.chunks(cut).enumerate() {
                        frames.pass(piece);
                        assert_eq!(frames.is_between_messages(), number + 1 == pieces, "{length}, {cut}");
                    }
                    assert_eq!(frames.largest, length as u64);
                }
            }
        }
    }

    #[test]
    fn a_message_in_fragments_ends_with_its_last_and_a_close_ends_all() {
        let mut frames = Frames::default();
        for (first, between) in [
            (0x81, true),
            (0x01, false),
            (0x89, false),
            (0x00, false),
            (0x80, true),
            (0x8a, true),
            (0x88, false),
            (0x81, false),
        ] {
            frames.pass(&frame(first, true, 3));
            assert_eq!(frames.is_between_messages(), between, "{first:x}");
        }
    }

    #[test]
    fn heads_and_beginnings_are_counted() {
        let mut frames = Frames::default();
        // A message, an empty one, one in three fragments with a pong between, and half a head.
        for (first, length, heads, begun) in
            [(0x81, 200, 1, 1), (0x82, 0, 2, 2), (1, 3, 3, 3), (0x8a, 0, 4, 3), (0, 0, 5, 3), (0x80, 9, 6, 3)]
        {
            frames.pass(&frame(first, true, length));
            assert_eq!((frames.heads, frames.begun), (heads, begun), "{first:x}");
        }
        frames.pass(&[0x81]);
        assert_eq!((frames.heads, frames.begun), (6, 4));
    }

    #[test]
    fn a_length_beyond_all_measure_does_not_overflow() {
        let mut frames = Frames::default();
        frames.pass(&[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5]);
        assert!(!frames.is_between_messages());
    }

    #[test]
    fn a_stream_is_taken_if_something_large_went_through() {
        for (length, large) in [(SMALL, false), (SMALL + 1, true)] {
            let mut watched = Watched::new((), Clock::new(1 << 60), None);
            watched.frames.pass(&frame(0x81, true, length));
            assert_eq!(watched.take_if_large().is_some(), large);
        }
        let mut watched = Watched::new((), Clock::new(1 << 60), None);
        watched.wrote_much = true;
        watched.frames.pass(&[0x81]);
        assert!(watched.take_if_large().is_none(), "within a head");
        watched.frames.pass(&[0x80, 1, 2, 3, 4]);
        assert!(watched.take_if_large().is_some());
        assert!(watched.take_if_large().is_none(), "twice");
    }
}
