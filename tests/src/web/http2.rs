//! As much of HTTP/2 (RFC 9113) as a few requests on one connection need.

use super::stream::{Stream, wait_closed};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection, past the prefaces.
pub struct Connection {
    stream: Stream,
    next: u32,
}

/// A response as far as it is looked at: whether its status is 200, and the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether the status is 200.
    pub ok: bool,
    /// The body.
    pub body: Vec<u8>,
}

impl Connection {
    /// Speaks over a stream.
    #[must_use]
    pub fn new(mut stream: Stream) -> Self {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("to send");
        let mut connection = Self { stream, next: 1 };
        connection.send(SETTINGS, 0, 0, &[]);
        connection
    }

    /// Asks for these targets, all before the first answer is read, and gives the answers in the order of the targets.
    #[must_use]
    pub fn get(&mut self, targets: &[String]) -> Vec<Answer> {
        let first = self.next;
        for target in targets {
            // HPACK (RFC 7541): indexed ":method: GET" and ":scheme: https", then literals under the names ":path" and
            // ":authority" of the static table, not to be indexed.
            let mut block = vec![0x82, 0x87, 0x04];
            block.extend(string(target));
            block.push(0x01);
            block.extend(string("localhost"));
            self.send(HEADERS, END_HEADERS | END_STREAM, self.next, &block);
            self.next += 2;
        }
        let mut answers: BTreeMap<u32, Answer> = BTreeMap::new();
        let mut open = targets.len();
        while open > 0 {
            let (kind, flags, id, payload) = self.receive();
            match kind {
                HEADERS => answers.entry(id).or_default().ok = is_200(&payload),
                DATA if payload.is_empty() => {}
                DATA => {
                    // The connection's window, which is opened again by what was read.
                    let read = u32::try_from(payload.len()).expect("a length");
                    self.send(WINDOW_UPDATE, 0, 0, &read.to_be_bytes());
                    answers.entry(id).or_default().body.extend(&payload);
                }
                SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => self.send(PING, ACK, 0, &payload),
                RST_STREAM | GOAWAY | CONTINUATION => panic!("a frame of type {kind}: {payload:02x?}"),
                _ => {}
            }
            if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                open -= 1;
            }
        }
        assert!(answers.keys().copied().eq((first..self.next).step_by(2)), "streams {:?}", answers.keys());
        answers.into_values().collect()
    }

    /// Opens so many streams, each with a request that is taken back at once, and says how many it could before the
    /// tracker had enough of it.
    #[must_use]
    pub fn open_and_reset(mut self, streams: u32, target: &str) -> u32 {
        let mut block = vec![0x82, 0x87, 0x04];
        block.extend(string(target));
        block.push(0x01);
        block.extend(string("localhost"));
        for opened in 0..streams {
            let id = 2 * opened + 1;
            let headers = frame(HEADERS, END_HEADERS | END_STREAM, id, &block);
            let reset = frame(RST_STREAM, 0, id, &8_u32.to_be_bytes());
            if self.stream.write_all(&[headers, reset].concat()).is_err() {
                return opened;
            }
        }
        streams
    }

    /// Waits until the tracker says that it takes no more requests and closes the connection.
    pub fn wait_closed(&mut self) {
        while self.receive().0 != GOAWAY {}
        self.stream.finish().expect("to shut it down");
        wait_closed(&mut self.stream);
    }

    fn send(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) {
        self.stream.write_all(&frame(kind, flags, id, payload)).expect("to send");
        self.stream.flush().expect("to send");
    }

    #[track_caller]
    fn receive(&mut self) -> (u8, u8, u32, Vec<u8>) {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("a length")];
        self.stream.read_exact(&mut payload).expect("a frame's payload");
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        (head[3], head[4], id, payload)
    }
}

/// The bytes of a frame.
fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(id.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A string literal of HPACK, without Huffman coding.
fn string(text: &str) -> Vec<u8> {
    let length = text.len();
    let mut bytes = Vec::new();
    if let Ok(short @ 0..=126) = u8::try_from(length) {
        bytes.push(short);
    } else {
        bytes.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            bytes.push(u8::try_from(rest % 128).expect("seven bits") | 0x80);
            rest /= 128;
        }
        bytes.push(u8::try_from(rest).expect("seven bits"));
    }
    bytes.extend(text.as_bytes());
    bytes
}

/// Whether a header block begins with the indexed field ":status: 200", behind updates of the table's size.
fn is_200(block: &[u8]) -> bool {
    block.iter().find(|byte| **byte & 0xe0 != 0x20) == Some(&0x88)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_strings_have_long_lengths() {
        assert_eq!(string("ab"), [2, b'a', b'b']);
        assert_eq!(string(&"x".repeat(127))[..3], [127, 0, b'x']);
        // RFC 7541, C.1.2: 1337 with a prefix of five bits is 31, 154, 10.
        assert_eq!(string(&"x".repeat(127 + 1306))[..3], [127, 154, 10]);
    }
}
