//! A client that writes and reads frames by hand (RFC 6455, section 5).

use std::{fmt::Debug, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

/// Nothing here takes longer.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;
/// The bit of a frame that ends its message.
pub(super) const FIN: u8 = 0x80;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) opcode: u8,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    #[track_caller]
    pub(super) fn text(self) -> String {
        assert_eq!(self.opcode, TEXT, "{self:?}");
        String::from_utf8(self.payload).unwrap()
    }

    /// The status of a close frame.
    #[track_caller]
    pub(super) fn status(&self) -> u16 {
        assert_eq!(self.opcode, CLOSE, "{self:?}");
        u16::from_be_bytes(self.payload[..2].try_into().unwrap())
    }
}

pub(super) async fn within<T>(what: impl Debug, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("in vain: {what:?}"))
}

/// Looks again and again, until a condition holds.
pub(super) async fn until(what: &str, condition: impl Fn() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// The bytes of a masked frame.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        medium @ 126..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

pub(super) struct Client<S>(pub(super) S);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(super) async fn raw(&mut self, bytes: &[u8]) {
        within("writing", self.0.write_all(bytes)).await.unwrap();
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.raw(&frame(FIN | TEXT, text.as_bytes())).await;
    }

    /// The next frame; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 2];
        within("a frame", self.0.read_exact(&mut head)).await.ok()?;
        assert_eq!(head[1] & 0x80, 0, "masked");
        assert_eq!(head[0] & 0x70, 0, "compressed");
        let length = match head[1] {
            126 => usize::from(within("a length", self.0.read_u16()).await.unwrap()),
            127 => within("a length", self.0.read_u64()).await.unwrap() as usize,
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        within("a payload", self.0.read_exact(&mut payload)).await.unwrap();
        Some(Frame { opcode: head[0] & 0x0f, payload })
    }

    /// The next text, pings left aside.
    pub(super) async fn hear(&mut self) -> String {
        loop {
            let frame = self.next().await.expect("closed");
            if frame.opcode != PING {
                return frame.text();
            }
        }
    }

    pub(super) async fn ask(&mut self, text: &str) -> String {
        self.say(text).await;
        self.hear().await
    }

    /// Reads the close frame and the end of the stream; gives the status.
    pub(super) async fn closed(&mut self) -> u16 {
        loop {
            let frame = self.next().await.expect("closed without a word");
            if frame.opcode == CLOSE {
                assert_eq!(self.next().await, None);
                return frame.status();
            }
        }
    }
}
