//! A WebSocket that waits for its frames.

use super::frame::{self, Frame};
use crate::http::connection::{Answer, Connection, invalid};
use std::io;

/// A WebSocket, past its handshake.
#[derive(Debug)]
pub struct Socket(Connection);

/// Why there is no WebSocket.
#[derive(Debug)]
pub enum Refused {
    /// The tracker answered something else than that it switches to WebSocket.
    Answer(Answer),
    /// The connection failed, or what came is no answer.
    Failed(io::Error),
}

impl Socket {
    /// Shakes hands with this request, which asks by [`frame::UPGRADE`]. Gives the answer too; its body is left unread.
    ///
    /// # Errors
    /// If the tracker does not do its part.
    pub fn open(mut connection: Connection, request: &[u8]) -> Result<(Self, Answer), Refused> {
        connection.send(request).map_err(Refused::Failed)?;
        let answer = connection.receive(true).map_err(Refused::Failed)?;
        match answer.header("sec-websocket-accept") {
            Some(frame::ACCEPT) if answer.status == 101 => Ok((Self(connection), answer)),
            _ => Err(Refused::Answer(answer)),
        }
    }

    /// What it came from.
    pub const fn connection(&mut self) -> &mut Connection {
        &mut self.0
    }

    /// Sends a whole message.
    ///
    /// # Errors
    /// If the connection is gone, or takes nothing in time.
    pub fn send(&mut self, opcode: u8, payload: &[u8], mask: u32) -> io::Result<()> {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, opcode, payload, mask);
        self.0.send(&bytes)
    }

    /// The next frame and its payload.
    ///
    /// # Errors
    /// `InvalidData` if it is none, `UnexpectedEof` at the end, `WouldBlock` or `TimedOut` if nothing comes in time.
    pub fn receive(&mut self) -> io::Result<(Frame, Vec<u8>)> {
        loop {
            if let Some(frame) = frame::read(&self.0.input).map_err(invalid)? {
                let payload = self.0.input[frame.payload.clone()].to_vec();
                self.0.input.drain(..frame.payload.end);
                return Ok((frame, payload));
            }
            if self.0.more()? == 0 {
                return Err(self.0.cut_off());
            }
        }
    }
}
