//! Load for WebTorrent trackers: [`frame`] is WebSocket, [`message`] the JSON inside, [`socket`] waits for one
//! connection, [`lane`] is a worker with many.

pub mod frame;
pub mod lane;
pub mod message;
pub mod socket;

use crate::{
    engine::Offered,
    error::Error,
    figures::{Figures, Wrong},
    http::connection::{Answer, Connection},
    net::{
        channel::Path,
        load::{Connections, Job, Protocol},
        stream::{PATIENCE, Stream},
    },
    workload::Workload,
};
use frame::opcode;
use message::Message;
use socket::{Refused, Socket};
use std::{io, sync::Arc, time::Duration};

const NO_HANDSHAKE: &str = "what it answered is no WebSocket handshake";

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
pub type Ws = Connections<Settings>;

/// One announce on a connection of its own, so that what is no tracker is found out before the load.
fn prove(settings: &Settings) -> Result<(), Error> {
    let target = settings.path.target.to_string();
    let odd = |what: String| Error::NotATracker { target: target.clone(), what };
    let silent = |what| Error::Silent { target: target.clone(), what, waited: PATIENCE };
    let connection = Connection::new(Stream::first(settings.path.target, settings.path.tls.as_ref())?);
    let opened = Socket::open(connection, &settings.handshake);
    let (mut socket, _) = opened.map_err(|refused| match refused {
        Refused::Answer(Answer { status: 101, .. }) => odd(NO_HANDSHAKE.into()),
        Refused::Answer(Answer { status, .. }) => {
            odd(format!("it does not switch to WebSocket: it answered {status}; is the path right?"))
        }
        Refused::Failed(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => silent("handshake"),
            io::ErrorKind::InvalidData => odd(NO_HANDSHAKE.into()),
            _ => odd(format!("the handshake failed: {error}")),
        },
    })?;

    let mut text = Vec::new();
    // A peer apart from all of the load: trackers guard a peer ID that they have just seen elsewhere.
    let peer = settings.workload.member(u64::MAX, 0, settings.torrents_per_connection);
    message::announce(&mut text, &peer, settings.wanted, 0, 0, &settings.sdp);
    let lost = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => silent("announce"),
        io::ErrorKind::InvalidData => odd("what it sends is no WebSocket text".into()),
        _ => odd(format!("it ended the connection at the first announce: {error}")),
    };
    socket.send(opcode::TEXT, &text, 1).map_err(lost)?;
    loop {
        let (frame, payload) = socket.receive().map_err(lost)?;
        match (frame.opcode, message::read(&payload)) {
            (opcode::TEXT, Ok(Message::Announced(_))) => return Ok(()),
            (opcode::TEXT, Err(Wrong::Refused)) => {
                let reason = message::failure(&payload).unwrap_or_default();
                return Err(odd(format!("it refused the first announce: {reason}")));
            }
            (opcode::TEXT, Err(wrong)) => {
                let kind = wrong.label();
                return Err(odd(format!("what it answered the first announce with is no reply ({kind})")));
            }
            (opcode::CLOSE, _) => return Err(odd("it closed the connection at the first announce".into())),
            // Relays of others, and pings: the reply is still to come.
            _ => {}
        }
    }
}

impl Protocol for Settings {
    fn connections(&self) -> usize {
        self.connections
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn prove(&self) -> Result<(), Error> {
        prove(self)
    }

    fn work(job: Job<'_, Self>) -> Result<Figures, Error> {
        if job.offered != Offered::Closed {
            return Err(Error::Usage(
                "a WebTorrent load is not paced: it goes as fast as replies come".into(),
            ));
        }
        lane::run(job)
    }
}
