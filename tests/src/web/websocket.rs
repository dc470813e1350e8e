//! A WebSocket as a test speaks it, and the messages of WebTorrent, written by hand.

use super::{
    http::{Answer, Connection},
    stream::{Stream, is_closed, wait_closed},
};
use crate::udp::Id20;
use serde_json::{Value, json};
use std::collections::VecDeque;
pub use tracker_load::ws::frame::opcode;
use tracker_load::ws::{
    frame::{self, UPGRADE},
    socket::{self, Refused},
};

/// What comes out of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// A ping's payload.
    Ping(Vec<u8>),
    /// A pong's payload.
    Pong(Vec<u8>),
    /// The closing handshake: its code, if it has one.
    Close(Option<u16>),
    /// The connection is gone without more words.
    Gone,
}

/// The header lines of a browser's handshake.
#[must_use]
pub fn handshake() -> String {
    let asked = UPGRADE.replace("Connection: Upgrade", "Connection: keep-alive, Upgrade");
    format!("{asked}Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n")
}

/// A WebSocket.
pub struct Socket {
    inner: socket::Socket,
    // Read while something else was awaited.
    early: VecDeque<Message>,
    pings: u64,
}

impl Socket {
    /// Shakes hands over an HTTP connection, with more header lines (each with its end).
    ///
    /// # Errors
    /// The tracker's answer if it is not 101.
    pub fn open(connection: Connection, target: &str, more: &str) -> Result<Self, Answer> {
        let request = connection.request("GET", target, &format!("{}{more}", handshake()));
        let (inner, answer) = match socket::Socket::open(connection.into_inner(), &request) {
            Ok(opened) => opened,
            Err(Refused::Answer(answer)) => {
                assert_ne!(answer.status, 101, "{answer:?}");
                return Err(Answer(answer));
            }
            Err(Refused::Failed(e)) => panic!("an answer to a handshake: {e}"),
        };
        assert!(answer.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")));
        assert!(answer.header("connection").is_some_and(|value| value.to_lowercase().contains("upgrade")));
        assert_eq!(answer.header("sec-websocket-extensions"), None, "no compression");
        Ok(Self { inner, early: VecDeque::new(), pings: 0 })
    }

    /// What it speaks over.
    pub const fn stream(&mut self) -> &mut Stream {
        self.inner.connection().stream()
    }

    /// The bytes of one frame, masked as a client's must be.
    #[must_use]
    pub fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame::write_part(&mut bytes, last, opcode, payload, 0x37fa_213d);
        bytes
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("to send");
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.inner.connection().send(bytes)
    }

    /// Sends a text message.
    pub fn send_text(&mut self, text: &str) {
        self.send_bytes(&Self::frame(true, opcode::TEXT, text.as_bytes()));
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    /// The next message of any kind.
    #[must_use]
    pub fn receive(&mut self) -> Message {
        self.early.pop_front().unwrap_or_else(|| self.read())
    }

    /// The next JSON message; pings are answered on the way.
    #[must_use]
    pub fn json(&mut self) -> Value {
        loop {
            match self.receive() {
                Message::Text(text) => {
                    return serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
                }
                Message::Ping(payload) => self.pong(&payload),
                Message::Pong(_) => {}
                other => panic!("a message expected, not {other:?}"),
            }
        }
    }

    /// Sends a message and gives the next one that comes.
    #[must_use]
    pub fn ask(&mut self, message: &Value) -> Value {
        self.send(message);
        self.json()
    }

    /// Answers a ping.
    pub fn pong(&mut self, payload: &[u8]) {
        self.send_bytes(&Self::frame(true, opcode::PONG, payload));
    }

    /// Proves that the tracker has dealt with everything that was sent before. What came meanwhile is kept.
    pub fn fence(&mut self) {
        self.pings += 1;
        let payload = self.pings.to_be_bytes();
        self.send_bytes(&Self::frame(true, opcode::PING, &payload));
        loop {
            match self.read() {
                Message::Pong(echo) if echo == payload => return,
                end @ (Message::Close(_) | Message::Gone) => panic!("a pong expected, not {end:?}"),
                other => self.early.push_back(other),
            }
        }
    }

    /// Messages that have come before a fence, without waiting for more.
    #[must_use]
    pub fn take_early(&mut self) -> Vec<Value> {
        let texts = self.early.drain(..).filter_map(|message| match message {
            Message::Text(text) => {
                Some(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}")))
            }
            _ => None,
        });
        texts.collect()
    }

    /// Waits for the end of the connection and tells the code of the closing handshake, if there was one. Messages
    /// before it are dropped.
    #[must_use]
    pub fn wait_closed(&mut self) -> Option<u16> {
        let mut code = None;
        loop {
            match self.receive() {
                Message::Close(with) => {
                    code = with;
                    let echo = with.map_or_else(Vec::new, |code| code.to_be_bytes().to_vec());
                    let _ = self.try_send(&Self::frame(true, opcode::CLOSE, &echo));
                }
                Message::Gone => return code,
                _ => {}
            }
        }
    }

    /// Closes it as a client does and waits until the tracker has done so too.
    pub fn close(mut self) {
        self.send_bytes(&Self::frame(true, opcode::CLOSE, &1000_u16.to_be_bytes()));
        loop {
            match self.receive() {
                Message::Close(code) => {
                    assert_eq!(code, Some(1000));
                    wait_closed(self.stream());
                    return;
                }
                Message::Gone => panic!("no closing handshake"),
                _ => {}
            }
        }
    }

    fn read(&mut self) -> Message {
        let mut message = Vec::new();
        let mut kind = None;
        loop {
            let (last, opcode, payload) = match self.inner.receive() {
                Ok((frame, payload)) => (frame.last, frame.opcode, payload),
                Err(e) if is_closed(&e) => return Message::Gone,
                Err(e) => panic!("a WebSocket message: {e}"),
            };
            match opcode {
                opcode::PING => return Message::Ping(payload),
                opcode::PONG => return Message::Pong(payload),
                opcode::CLOSE => {
                    let code = payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
                    return Message::Close(code);
                }
                opcode::CONTINUE => assert!(kind.is_some(), "nothing to go on with"),
                opcode::TEXT | opcode::BINARY => {
                    assert!(kind.replace(opcode).is_none(), "a message inside another");
                }
                other => panic!("a frame of type {other}"),
            }
            message.extend(payload);
            if last {
                return match kind {
                    Some(opcode::TEXT) => Message::Text(String::from_utf8(message).expect("text in UTF-8")),
                    _ => Message::Binary(message),
                };
            }
        }
    }
}

/// A byte string as WebTorrent writes it: one code point for each byte.
#[must_use]
pub fn latin(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// An announce without offers from one that still downloads.
#[must_use]
pub fn announce(info_hash: Id20, peer_id: Id20) -> Value {
    json!({
        "action": "announce", "info_hash": latin(&info_hash), "peer_id": latin(&peer_id), "numwant": 0,
        "uploaded": 0, "downloaded": 0, "left": 1000,
    })
}

/// The same with these fields in place of its own.
#[must_use]
pub fn with(mut message: Value, fields: &Value) -> Value {
    for (key, value) in fields.as_object().expect("fields") {
        message[key] = value.clone();
    }
    message
}

/// An announce with so many offers, whose IDs end in `tag` and their number.
#[must_use]
pub fn offering(info_hash: Id20, peer_id: Id20, tag: u8, count: u8) -> Value {
    let offers: Vec<Value> = (0..count)
        .map(|n| {
            json!({
                "offer": {"type": "offer", "sdp": format!("v=0 offer {tag} {n}")},
                "offer_id": latin(&offer_id(tag, n)),
            })
        })
        .collect();
    with(announce(info_hash, peer_id), &json!({"offers": offers, "numwant": count}))
}

/// The ID of an offer made by [`offering`]: with bytes above 127 in it.
#[must_use]
pub fn offer_id(tag: u8, n: u8) -> Id20 {
    let mut id = [0xfe; 20];
    id[0] = 0;
    id[18] = tag;
    id[19] = n;
    id
}

/// The answer to an offer.
#[must_use]
pub fn answer(info_hash: Id20, peer_id: Id20, to_peer_id: Id20, offer: Id20) -> Value {
    json!({
        "action": "announce", "info_hash": latin(&info_hash), "peer_id": latin(&peer_id),
        "to_peer_id": latin(&to_peer_id), "answer": {"type": "answer", "sdp": "v=0 answer"}, "offer_id": latin(&offer),
    })
}

/// Checks an announce reply and gives seeders and leechers.
#[must_use]
pub fn counts(reply: &Value, info_hash: Id20) -> (u64, u64) {
    assert_eq!(reply["action"], "announce", "{reply}");
    assert_eq!(reply["info_hash"], latin(&info_hash), "{reply}");
    assert!(reply["interval"].is_u64() && reply.get("failure reason").is_none(), "{reply}");
    let number = |key: &str| reply[key].as_u64().unwrap_or_else(|| panic!("{key} of {reply}"));
    (number("complete"), number("incomplete"))
}

/// Checks that a message is a failure and gives its reason.
pub fn failure(reply: &Value) -> String {
    let reason =
        reply["failure reason"].as_str().unwrap_or_else(|| panic!("a failure expected, not {reply}"));
    assert!(!reason.is_empty(), "{reply}");
    reason.to_owned()
}
