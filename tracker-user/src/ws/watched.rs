//! A stream below a WebSocket that knows when no message is on its way, so that the buffers of a quiet connection can be
//! given back: tungstenite's grow with the largest message and never shrink, and most connections are quiet.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Buffers of this size are not worth giving back.
const SMALL: usize = 4 << 10;

/// A stream that frames are read from.
#[derive(Debug)]
pub(super) struct Watched<S> {
    /// `None` once it is taken.
    stream: Option<S>,
    frames: Frames,
    /// More was written at once than a small buffer holds.
    wrote_much: bool,
}

impl<S> Watched<S> {
    /// Watches a stream whose next byte begins a frame.
    pub(super) fn new(stream: S) -> Self {
        Self { stream: Some(stream), frames: Frames::default(), wrote_much: false }
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
        if let Some(bytes) = buffer.filled().get(before..) {
            this.frames.pass(bytes);
        }
        read
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
    fn a_length_beyond_all_measure_does_not_overflow() {
        let mut frames = Frames::default();
        frames.pass(&[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5]);
        assert!(!frames.is_between_messages());
    }

    #[test]
    fn a_stream_is_taken_if_something_large_went_through() {
        for (length, large) in [(SMALL, false), (SMALL + 1, true)] {
            let mut watched = Watched::new(());
            watched.frames.pass(&frame(0x81, true, length));
            assert_eq!(watched.take_if_large().is_some(), large);
        }
        let mut watched = Watched::new(());
        watched.wrote_much = true;
        watched.frames.pass(&[0x81]);
        assert!(watched.take_if_large().is_none(), "within a head");
        watched.frames.pass(&[0x80, 1, 2, 3, 4]);
        assert!(watched.take_if_large().is_some());
        assert!(watched.take_if_large().is_none(), "twice");
    }
}
