//! The frames of a stream, followed by their heads as they pass.

/// Follows frames by their heads (RFC 6455, section 5.2).
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// What has been read of a head, without its mask.
    head: [u8; 10],
    head_len: u8,
    /// Bytes of mask and payload still to come.
    left: u64,
    /// Frames of the same message are still to come.
    fragmented: bool,
    closing: bool,
    /// The longest frame's payload.
    largest: u64,
    /// Payload of the last message that came in fragments, as far as their heads have been read.
    collected: u64,
    /// Heads read to their end and not yet counted.
    pub(super) heads: u32,
    /// Numbers messages as they begin; a control frame between two messages is one too. Wraps.
    pub(super) begun: u32,
}

impl Frames {
    pub(super) fn is_between_messages(&self) -> bool {
        self.head_len == 0 && self.left == 0 && !self.fragmented && !self.closing
    }

    /// The payload of the longest frame.
    pub(super) fn largest(&self) -> u64 {
        self.largest
    }

    /// Bytes that tungstenite keeps room for: its buffer has grown to the longest frame, and fragments are put together
    /// beside it.
    pub(super) fn held(&self) -> u64 {
        self.largest.saturating_add(if self.is_between_messages() { 0 } else { self.collected })
    }

    /// Forgets how long frames were: the buffer is another one.
    pub(super) fn forget(&mut self) {
        self.largest = 0;
    }

    /// Follows what is read next.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
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
            0..8 => {
                let (begins, ends) = (!self.fragmented, first & 0x80 != 0);
                self.collected = match (begins, ends) {
                    (true, true) => 0,
                    (true, false) => length,
                    (false, _) => self.collected.saturating_add(length),
                };
                self.fragmented = !ends;
            }
            8 => self.closing = true,
            _ => {}
        }
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
    fn what_is_kept_of_a_message_is_its_longest_frame_and_all_its_fragments() {
        let mut frames = Frames::default();
        for (first, length, held) in [
            (0x81, 100, 100),
            (0x81, 50, 100),
            // Three fragments: what has come is collected beside the longest, until the last has come.
            (0x01, 300, 600),
            (0x89, 5, 600),
            (0x00, 200, 800),
            (0x80, 10, 300),
            (0x81, 20, 300),
        ] {
            frames.pass(&frame(first, true, length));
            assert_eq!(frames.held(), held, "{first:x} {length}");
        }
        // A length alone is enough.
        frames.pass(&frame(0x81, true, 70_000)[..14]);
        assert_eq!((frames.held(), frames.is_between_messages()), (70_000, false));
        frames.pass(&[0; 70_000]);
        frames.forget();
        assert_eq!((frames.held(), frames.is_between_messages()), (0, true));
    }
}
