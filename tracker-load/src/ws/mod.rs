//! Load for WebTorrent trackers: [`frame`] is WebSocket, [`message`] the JSON inside, [`lane`] a worker with its
//! connections.

pub mod frame;
pub mod lane;
pub mod message;

use crate::{
    engine::{Engine, Offered, Span},
    error::Error,
    figures::{Figures, Wrong},
    limits,
    net::{
        channel::Path,
        stream::{PATIENCE, Stream},
    },
    progress::Watch,
    rng::{Rng, mix},
    workers,
    workload::Workload,
};
use frame::Opcode;
use message::Message;
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

/// What connections do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Announce again when the reply to the last announce is there.
    Announce,
    /// Announce once, close, and begin anew.
    Churn,
    /// Announce once, and stay.
    Idle,
}

/// What to ask of a WebTorrent tracker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where connections go.
    pub path: Path,
    /// The request that begins a WebSocket.
    pub handshake: Vec<u8>,
    /// What connections do.
    pub mode: Mode,
    /// Connections at a time, at least one.
    pub connections: usize,
    /// Offers in each announce.
    pub offers: u16,
    /// Peers wanted in each announce.
    pub wanted: u16,
    /// The share of offers that are answered, 0..=1.
    pub answers: f64,
    /// The session description in offers and answers: plain ASCII without quotes or backslashes.
    pub sdp: String,
    /// Torrents of each connection, at least one.
    pub torrents_per_connection: u64,
    /// Who announces what.
    pub workload: Arc<Workload>,
    /// After this long a request is unanswered.
    pub timeout: Duration,
    /// Worker threads.
    pub threads: usize,
    /// Requests follow from this number.
    pub seed: u64,
}

/// Load over WebSocket.
#[derive(Debug)]
pub struct Ws {
    settings: Settings,
    origin: Instant,
    probes: u64,
}

impl Ws {
    /// Makes sure that a tracker is there.
    ///
    /// # Errors
    /// When it cannot be reached, is silent, or answers something else than a tracker does.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        limits::room_for(settings.connections as u64 + 3 * settings.threads as u64)?;
        prove(&settings)?;
        Ok(Self { settings, origin: Instant::now(), probes: 0 })
    }
}

/// One announce on a connection of its own, so that what is no tracker is found out before the load.
fn prove(settings: &Settings) -> Result<(), Error> {
    let target = settings.path.target.to_string();
    let odd = |what: String| Error::NotATracker { target: target.clone(), what };
    let mut first =
        First { stream: Stream::first(settings.path.target, settings.path.tls.as_ref())?, input: vec![] };
    let silent = |what| Error::Silent { target: target.clone(), what, waited: PATIENCE };

    first.write(&settings.handshake).map_err(|error| odd(format!("the handshake failed: {error}")))?;
    loop {
        match frame::handshake_answer(&first.input) {
            Ok(Some(len)) => {
                first.input.drain(..len);
                break;
            }
            Ok(None) => {}
            Err(Wrong::Status) => {
                let line = first.input.split(|&byte| byte == b'\r').next().unwrap_or_default();
                let line = String::from_utf8_lossy(line);
                return Err(odd(format!("it does not switch to WebSocket: {line}; is the path right?")));
            }
            Err(_) => return Err(odd("what it answered is no WebSocket handshake".into())),
        }
        first.read().map_err(|error| match error {
            None => silent("handshake"),
            Some(error) => odd(format!("the handshake failed: {error}")),
        })?;
    }

    let (mut text, mut request) = (Vec::new(), Vec::new());
    // A peer apart from all of the load: trackers guard a peer ID that they have just seen elsewhere.
    let peer = settings.workload.member(u64::MAX, 0, settings.torrents_per_connection);
    message::announce(&mut text, &peer, settings.wanted, 0, 0, &settings.sdp);
    frame::write(&mut request, Opcode::Text, &text, 1);
    let lost = |error: io::Error| odd(format!("it ended the connection at the first announce: {error}"));
    first.write(&request).map_err(lost)?;
    loop {
        match frame::read(&first.input) {
            Ok(Some(read)) => {
                let payload = &first.input[read.payload.clone()];
                match (read.opcode, message::read(payload)) {
                    (Opcode::Text, Ok(Message::Announced(_))) => return Ok(()),
                    (Opcode::Text, Err(Wrong::Refused)) => {
                        let reason = message::failure(payload).unwrap_or_default();
                        return Err(odd(format!("it refused the first announce: {reason}")));
                    }
                    (Opcode::Text, Err(wrong)) => {
                        let kind = wrong.label();
                        return Err(odd(format!(
                            "what it answered the first announce with is no reply ({kind})"
                        )));
                    }
                    (Opcode::Close, _) => {
                        return Err(odd("it closed the connection at the first announce".into()));
                    }
                    // Relays of others, and pings: the reply is still to come.
                    _ => {}
                }
                first.input.drain(..read.payload.end);
                continue;
            }
            Ok(None) => {}
            Err(_) => return Err(odd("what it sends is no WebSocket text".into())),
        }
        first.read().map_err(|error| error.map_or_else(|| silent("announce"), lost))?;
    }
}

/// The connection that proves a tracker: it waits.
struct First {
    stream: Stream,
    input: Vec<u8>,
}

impl First {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.stream.write(bytes)?;
            bytes = &bytes[written..];
        }
        self.stream.flush()
    }

    /// Reads more; `None` if nothing came in time.
    fn read(&mut self) -> Result<(), Option<io::Error>> {
        let mut part = [0; 4096];
        match self.stream.read(&mut part) {
            Ok(0) => Err(Some(io::Error::new(io::ErrorKind::UnexpectedEof, "it was closed"))),
            Ok(len) => {
                self.input.extend(&part[..len]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(None)
            }
            Err(error) => Err(Some(error)),
        }
    }
}

impl Engine for Ws {
    fn probe(&mut self, offered: Offered, span: Span, watch: &Watch) -> Result<Figures, Error> {
        if offered != Offered::Closed {
            return Err(Error::Usage(
                "a WebTorrent load is not paced: it goes as fast as replies come".into(),
            ));
        }
        self.probes += 1;
        let Self { settings, origin, probes } = self;
        let workers = settings.threads.clamp(1, settings.connections.max(1));
        workers::run((0..workers).collect(), |number| {
            lane::run(lane::Job {
                settings,
                // The first ones take what does not divide.
                connections: settings.connections / workers
                    + usize::from(number < settings.connections % workers),
                number: number as u64,
                workers: workers as u64,
                origin: *origin,
                span,
                watch,
                published: watch.lane(number),
                rng: Rng::new(settings.seed ^ mix(*probes ^ ((number as u64) << 32))),
            })
        })
    }
}
