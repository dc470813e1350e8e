//! WebSocket from the client's side (RFC 6455): the handshake and whole frames, no extensions.

use crate::{figures::Wrong, http::response, target::Target};
use std::ops::Range;

/// The headers that ask for a WebSocket, each with its end. The key is fixed, as in RFC 6455 section 1.3: measuring and
/// testing need no secrecy.
pub const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// What the server must make of that key.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The longest message that is read, bytes.
const MOST_MESSAGE: u64 = 1 << 20;
/// The bit of the first byte that says that a message ends with its frame.
const LAST: u8 = 0x80;

/// What frames are.
pub mod opcode {
    /// Goes on with a message.
    pub const CONTINUE: u8 = 0;
    /// A text message.
    pub const TEXT: u8 = 1;
    /// A message of bytes.
    pub const BINARY: u8 = 2;
    /// The closing handshake.
    pub const CLOSE: u8 = 8;
    /// Wants a pong.
    pub const PING: u8 = 9;
    /// Answers a ping.
    pub const PONG: u8 = 10;
}

/// A whole frame in a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether it is the last one of its message.
    pub last: bool,
    /// What it is, see [`opcode`].
    pub opcode: u8,
    /// Where its payload lies; the next frame begins where it ends.
    pub payload: Range<usize>,
}

/// The request that begins a WebSocket.
#[must_use]
pub fn handshake(target: &Target) -> Vec<u8> {
    format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\n{UPGRADE}User-Agent: riptide-load\r\n\r\n",
        target.path,
        target.authority()
    )
    .into()
}

/// Reads the answer to [`handshake`]: how long it is, once it is whole.
///
/// # Errors
/// [`Wrong::Status`] if the server does not switch protocols, [`Wrong::Malformed`] if it is no such answer.
pub fn handshake_answer(buffer: &[u8]) -> Result<Option<usize>, Wrong> {
    let mut room = response::room();
    match response::head(buffer, &mut room)? {
        None => Ok(None),
        Some(head) if head.status != 101 => Err(Wrong::Status),
        Some(head) if head.values("sec-websocket-accept").eq([ACCEPT.as_bytes()]) => Ok(Some(head.len)),
        Some(_) => Err(Wrong::Malformed),
    }
}

/// Appends a frame with this payload that is a whole message, masked as clients must.
pub fn write(to: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: u32) {
    write_part(to, true, opcode, payload, mask);
}

/// Appends a frame with this payload, the last one of a message or not, masked as clients must.
pub fn write_part(to: &mut Vec<u8>, last: bool, opcode: u8, payload: &[u8], mask: u32) {
    to.push(if last { LAST | opcode } else { opcode });
    match payload.len() {
        len @ ..=125 => to.push(0x80 | len as u8),
        len @ ..=0xffff => {
            to.push(0x80 | 126);
            to.extend((len as u16).to_be_bytes());
        }
        len => {
            to.push(0x80 | 127);
            to.extend((len as u64).to_be_bytes());
        }
    }
    let mask = mask.to_be_bytes();
    to.extend(mask);
    let start = to.len();
    to.extend(payload);
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (words, rest) = to[start..].as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The frame at the beginning of the buffer, if it is whole.
///
/// # Errors
/// [`Wrong::Malformed`] if no server may send it, or it is longer than this reader takes.
pub fn read(buffer: &[u8]) -> Result<Option<Frame>, Wrong> {
    let [first, second, rest @ ..] = buffer else { return Ok(None) };
    let (last, opcode) = (first & LAST != 0, first & !LAST);
    // Nothing else is spoken without extensions, and control frames come whole.
    if !matches!(opcode, opcode::CONTINUE..=opcode::BINARY | opcode::CLOSE..=opcode::PONG)
        || !last && opcode >= opcode::CLOSE
    {
        return Err(Wrong::Malformed);
    }
    let (head, len) = match second {
        0..=125 => (2, u64::from(*second)),
        126 => match rest.first_chunk::<2>() {
            Some(&len) => (4, u64::from(u16::from_be_bytes(len))),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(&len) => (10, u64::from_be_bytes(len)),
            None => return Ok(None),
        },
        // Servers do not mask.
        128.. => return Err(Wrong::Malformed),
    };
    if len > MOST_MESSAGE {
        return Err(Wrong::Malformed);
    }
    let payload = head..head + len as usize;
    Ok((buffer.len() >= payload.end).then_some(Frame { last, opcode, payload }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Protocol;

    #[test]
    fn the_handshake_of_rfc_6455() {
        let target = Target::parse("ws://server.example/chat", Protocol::Ws, false).unwrap();
        let text = String::from_utf8(handshake(&target)).unwrap();
        assert!(text.starts_with("GET /chat HTTP/1.1\r\nHost: server.example:80\r\nUpgrade: websocket\r\n"));
        assert!(
            text.contains("\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
                && text.ends_with("\r\n\r\n")
        );
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nConnection: Upgrade\r\n\
            sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x00";
        for len in 0..answer.len() - 2 {
            assert_eq!(handshake_answer(&answer[..len]), Ok(None), "{len}");
        }
        assert_eq!(handshake_answer(answer), Ok(Some(answer.len() - 2)));
        assert_eq!(handshake_answer(b"HTTP/1.1 404 No\r\n\r\n"), Err(Wrong::Status));
        assert_eq!(handshake_answer(b"HTTP/1.1 101 Yes\r\n\r\n"), Err(Wrong::Malformed));
        assert_eq!(handshake_answer(b"SSH-2.0\r\n\r\n"), Err(Wrong::Malformed));
    }

    #[test]
    fn a_masked_text_as_rfc_6455_writes_it() {
        // Section 5.7: a single-frame masked text message that contains "Hello".
        let mut bytes = Vec::new();
        write(&mut bytes, opcode::TEXT, b"Hello", 0x37fa_213d);
        assert_eq!(bytes, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        for len in [125, 126, 1000, 0xffff, 0x1_0000] {
            let payload: Vec<u8> = (0..len).map(|n: usize| (n % 251) as u8).collect();
            let mut bytes = Vec::new();
            write(&mut bytes, opcode::TEXT, &payload, 0x0102_0304);
            let head = bytes.len() - len;
            assert_eq!(
                head,
                if len < 126 {
                    6
                } else if len < 0x1_0000 {
                    8
                } else {
                    14
                }
            );
            assert!(
                bytes[head..].iter().zip(&payload).enumerate().all(|(i, (a, b))| a ^ b == (i % 4) as u8 + 1)
            );
        }
    }

    #[test]
    fn frames_are_read_when_they_are_whole() {
        // Section 5.7 again, unmasked, and a ping behind it.
        let bytes = [0x81, 5, b'H', b'e', b'l', b'l', b'o', 0x89, 0];
        for len in 0..7 {
            assert_eq!(read(&bytes[..len]), Ok(None), "{len}");
        }
        assert_eq!(read(&bytes), Ok(Some(Frame { last: true, opcode: opcode::TEXT, payload: 2..7 })));
        assert_eq!(read(&bytes[7..]), Ok(Some(Frame { last: true, opcode: opcode::PING, payload: 2..2 })));
        let long = [&[0x81, 126, 1, 0][..], &[b'x'; 256]].concat();
        assert_eq!(read(&long), Ok(Some(Frame { last: true, opcode: opcode::TEXT, payload: 4..260 })));
        assert_eq!(read(&long[..259]), Ok(None));
        // Section 5.7: a fragmented unmasked text message, its first frame.
        let part = Frame { last: false, opcode: opcode::TEXT, payload: 2..5 };
        assert_eq!(read(&[0x01, 3, b'H', b'e', b'l', 0x80, 2, b'l', b'o']), Ok(Some(part)));
        for bad in
            [&[0x83, 0][..], &[0x81, 0x85], &[0xc1, 0], &[0x09, 0], &[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0]]
        {
            assert_eq!(read(bad), Err(Wrong::Malformed), "{bad:?}");
        }
    }
}
