//! A client of NATS in a few lines, which shares nothing with the tracker's: a node that is written by hand, or a hostile one.

use super::wire::{Piece, piece};
use crate::{
    PATIENCE,
    web::{
        stream::{Stream, is_closed},
        tls::handshake_as,
    },
};
use rustls::ClientConfig;
use serde_json::json;
use std::{
    collections::VecDeque,
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// A message as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its subject.
    pub subject: String,
    /// Where an answer should go.
    pub reply: Option<String>,
    /// Its headers as they were sent, or nothing.
    pub headers: Vec<u8>,
    /// The rest of it.
    pub payload: Vec<u8>,
}

/// How to log in.
#[derive(Clone, Default)]
pub struct Login {
    /// User and password.
    pub user: Option<(String, String)>,
    /// TLS, and the name of the server in it.
    pub tls: Option<(Arc<ClientConfig>, String)>,
    /// Whether TLS begins before the server has said anything, as at its port for routes.
    pub is_tls_first: bool,
}

impl Login {
    /// By user and password.
    #[must_use]
    pub fn user(user: &str, password: &str) -> Self {
        Self { user: Some((user.into(), password.into())), ..Self::default() }
    }

    /// The same over TLS with whoever has this name.
    #[must_use]
    pub fn over(self, tls: Arc<ClientConfig>, name: &str) -> Self {
        Self { tls: Some((tls, name.to_owned())), ..self }
    }
}

/// A connection that is logged in.
pub struct Client {
    stream: Stream,
    bytes: Vec<u8>,
    messages: VecDeque<Message>,
    errors: Vec<String>,
    pongs: usize,
    subscriptions: usize,
}

/// Why nothing more was read.
enum Silence {
    Late,
    Closed,
}

impl Client {
    /// Connects without a login.
    #[must_use]
    pub fn connect(to: SocketAddr) -> Self {
        Self::login(to, &Login::default()).unwrap_or_else(|e| panic!("NATS at {to}: {e}"))
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// What the server says against it, or what prevents a connection.
    pub fn login(to: SocketAddr, login: &Login) -> Result<Self, String> {
        let mut stream = Stream::wait_for(to, None, None, PATIENCE).map_err(|e| e.to_string())?;
        if !login.is_tls_first {
            greeting(&mut stream)?;
        }
        if let Some((tls, name)) = &login.tls {
            stream = handshake_as(tls.clone(), stream, name).map_err(|e| e.to_string())?;
        }
        if login.is_tls_first {
            greeting(&mut stream)?;
        }
        let mut options = json!({
            "verbose": false, "pedantic": false, "headers": true, "lang": "tests", "version": "1", "protocol": 1,
        });
        if let Some((user, password)) = &login.user {
            options["user"] = user.as_str().into();
            options["pass"] = password.as_str().into();
        }
        let mut client = Self {
            stream,
            bytes: Vec::new(),
            messages: VecDeque::new(),
            errors: Vec::new(),
            pongs: 0,
            subscriptions: 0,
        };
        client.send(format!("CONNECT {options}\r\n").as_bytes()).map_err(|e| e.to_string())?;
        client.settle()?;
        match client.errors.pop() {
            Some(error) => Err(error),
            None => Ok(client),
        }
    }

    /// Asks for all messages with such a subject.
    pub fn subscribe(&mut self, subject: &str) {
        self.subscriptions += 1;
        let line = format!("SUB {subject} {}\r\n", self.subscriptions);
        self.send(line.as_bytes()).expect("to subscribe");
    }

    /// Publishes these bytes.
    pub fn publish(&mut self, subject: &str, payload: &[u8]) {
        let mut bytes = format!("PUB {subject} {}\r\n", payload.len()).into_bytes();
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(b"\r\n");
        self.send(&bytes).expect("to publish");
    }

    /// Waits until the server has done all that it was told. Gives what it had to say against any of it.
    pub fn flush(&mut self) -> Vec<String> {
        self.settle().unwrap_or_else(|e| panic!("NATS: {e}"));
        std::mem::take(&mut self.errors)
    }

    /// The next message.
    #[must_use]
    pub fn message(&mut self) -> Message {
        self.message_within(PATIENCE).expect("a message in time")
    }

    /// The next message, if it comes within this time.
    pub fn message_within(&mut self, time: Duration) -> Option<Message> {
        let deadline = Instant::now() + time;
        while self.messages.is_empty() {
            match self.read(deadline) {
                Ok(()) => {}
                Err(Silence::Late) => return None,
                Err(Silence::Closed) => panic!("the NATS server closed the connection: {:?}", self.errors),
            }
        }
        self.messages.pop_front()
    }

    /// What has arrived by now, without waiting for more.
    pub fn arrived(&mut self) -> Vec<Message> {
        self.flush();
        self.messages.drain(..).collect()
    }

    /// Waits until the server, or whoever is before it, has closed the connection.
    pub fn wait_closed(mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.read(deadline) {
                Ok(()) => {}
                Err(Silence::Closed) => return,
                Err(Silence::Late) => panic!("the connection is still open"),
            }
        }
    }

    fn settle(&mut self) -> Result<(), String> {
        let awaited = self.pongs + 1;
        let deadline = Instant::now() + PATIENCE;
        let sent = self.send(b"PING\r\n");
        while self.pongs < awaited {
            match self.read(deadline) {
                Ok(()) => {}
                Err(Silence::Late) => return Err("no answer in time".to_owned()),
                // It says why before it closes.
                Err(Silence::Closed) => {
                    return Err(self.errors.pop().unwrap_or_else(|| format!("closed, {sent:?}")));
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Takes in what arrives next.
    fn read(&mut self, deadline: Instant) -> Result<(), Silence> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Silence::Late);
        }
        self.stream.socket().set_read_timeout(Some(left)).expect("a timeout");
        let mut buffer = [0; 1 << 16];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(Silence::Closed),
            Ok(length) => self.bytes.extend_from_slice(&buffer[..length]),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(Silence::Late);
            }
            Err(e) if is_closed(&e) => return Err(Silence::Closed),
            // An alert of TLS, which also comes after the handshake.
            Err(e) => {
                self.errors.push(e.to_string());
                return Err(Silence::Closed);
            }
        }
        let mut done = 0;
        loop {
            let rest = &self.bytes[done..];
            let (line, whole) = match piece(rest) {
                Piece::Incomplete => break,
                Piece::Line(line) => (line, line),
                Piece::Message { line, whole } => (line, whole),
                Piece::Foreign => panic!("NATS: {}", rest.escape_ascii()),
            };
            let text = String::from_utf8_lossy(&rest[..line - 2]).into_owned();
            let payload = rest.get(line..whole.saturating_sub(2)).unwrap_or_default().to_vec();
            done += whole;
            self.take(&text, payload);
        }
        self.bytes.drain(..done);
        Ok(())
    }

    fn take(&mut self, line: &str, mut payload: Vec<u8>) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (subject, reply, headers) = match words.as_slice() {
            ["MSG", subject, _, _] => (subject, None, 0),
            ["MSG", subject, _, reply, _] => (subject, Some(*reply), 0),
            ["HMSG", subject, _, headers, _] => (subject, None, headers.parse().expect("a length")),
            ["HMSG", subject, _, reply, headers, _] => {
                (subject, Some(*reply), headers.parse().expect("a length"))
            }
            // Who is gone already need not be answered.
            ["PING"] => return drop(self.send(b"PONG\r\n")),
            ["PONG"] => return self.pongs += 1,
            ["-ERR", ..] => return self.errors.push(line.trim_start_matches("-ERR").trim().to_owned()),
            _ => return,
        };
        let rest = payload.split_off(headers);
        self.messages.push_back(Message {
            subject: (*subject).to_owned(),
            reply: reply.map(str::to_owned),
            headers: payload,
            payload: rest,
        });
    }
}

/// Reads the first line, and not a byte more: TLS may follow.
fn greeting(stream: &mut Stream) -> Result<(), String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") {
        stream.read_exact(&mut byte).map_err(|e| e.to_string())?;
        line.push(byte[0]);
    }
    let is_server = line.starts_with(b"INFO ");
    is_server.then_some(()).ok_or_else(|| format!("no server of NATS: {}", line.escape_ascii()))
}
