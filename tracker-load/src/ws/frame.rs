//! WebSocket from the client's side (RFC 6455): the handshake and whole frames, no extensions.

use crate::{figures::Wrong, target::Target};
use std::ops::Range;

/// A fixed key and what the server must make of it, as in RFC 6455 section 1.3: measuring needs no secrecy.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The longest head of a handshake's answer, bytes.
const MOST_HEAD: usize = 16 << 10;
/// The longest message that is read, bytes.
const MOST_MESSAGE: u64 = 1 << 20;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A text message.
    Text = 1,
    /// The end.
    Close = 8,
    /// Wants a pong.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

/// A whole frame in a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub opcode: Opcode,
    /// Where its payload lies; the next frame begins where it ends.
    pub payload: Range<usize>,
}

/// The request that begins a WebSocket.
#[must_use]
pub fn handshake(target: &Target) -> Vec<u8> {
    format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nUser-Agent: riptide-load\r\n\r\n",
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
    let Some(len) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if buffer.len() > MOST_HEAD { Err(Wrong::Malformed) } else { Ok(None) };
    };
    let mut lines = buffer[..len].split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let status = lines.next().and_then(|line| line.strip_prefix(b"HTTP/1.1 ")).ok_or(Wrong::Malformed)?;
    if !status.starts_with(b"101") {
        return Err(Wrong::Status);
    }
    let accepted = lines.any(|line| {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return false };
        line[..colon].eq_ignore_ascii_case(b"sec-websocket-accept")
            && line[colon + 1..].trim_ascii() == ACCEPT
    });
    if accepted { Ok(Some(len + 4)) } else { Err(Wrong::Malformed) }
}

/// Appends a frame with this payload, masked as clients must.
pub fn write(to: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: u32) {
    to.push(0x80 | opcode as u8);
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
/// [`Wrong::Malformed`] if no server may send it, or it is split or longer than this reader takes.
pub fn read(buffer: &[u8]) -> Result<Option<Frame>, Wrong> {
    let [first, second, rest @ ..] = buffer else { return Ok(None) };
    let opcode = match first {
        0x81 => Opcode::Text,
        0x88 => Opcode::Close,
        0x89 => Opcode::Ping,
        0x8a => Opcode::Pong,
        _ => return Err(Wrong::Malformed),
    };
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
    Ok((buffer.len() >= payload.end).then_some(Frame { opcode, payload }))
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
        write(&mut bytes, Opcode::Text, b"Hello", 0x37fa_213d);
        assert_eq!(bytes, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        for len in [125, 126, 1000, 0xffff, 0x1_0000] {
            let payload: Vec<u8> = (0..len).map(|n: usize| (n % 251) as u8).collect();
            let mut bytes = Vec::new();
            write(&mut bytes, Opcode::Text, &payload, 0x0102_0304);
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
        assert_eq!(read(&bytes), Ok(Some(Frame { opcode: Opcode::Text, payload: 2..7 })));
        assert_eq!(read(&bytes[7..]), Ok(Some(Frame { opcode: Opcode::Ping, payload: 2..2 })));
        let long = [&[0x81, 126, 1, 0][..], &[b'x'; 256]].concat();
        assert_eq!(read(&long), Ok(Some(Frame { opcode: Opcode::Text, payload: 4..260 })));
        assert_eq!(read(&long[..259]), Ok(None));
        for bad in
            [&[0x01, 0][..], &[0x81, 0x85], &[0xc1, 0], &[0x82, 0], &[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0]]
        {
            assert_eq!(read(bad), Err(Wrong::Malformed), "{bad:?}");
        }
    }
}
