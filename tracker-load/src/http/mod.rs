//! Load for HTTP trackers (BEP 3): [`request`] writes requests, [`response`] and [`bencode`] read and check
//! replies, [`connection`] waits for one at a time, [`lane`] is a worker with many connections.

pub mod bencode;
pub mod connection;
pub mod lane;
pub mod request;
pub mod response;

use crate::{
    error::Error,
    figures::{Figures, Wrong},
    net::{
        channel::Path,
        load::{Connections, Job, Protocol},
        stream::{PATIENCE, Stream},
    },
    workload::Workload,
};
use connection::Connection;
use std::{io, sync::Arc, time::Duration};

/// What to ask of an HTTP tracker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where connections go.
    pub path: Path,
    /// What requests consist of.
    pub requests: request::Requests,
    /// Whether connections stay open from request to request.
    pub keep_alive: bool,
    /// Connections at a time, at least one.
    pub connections: usize,
    /// Requests that are on their way at a time on each connection, at least one.
    pub pipeline: usize,
    /// The share of scrapes among the requests, 0..=1.
    pub scrapes: f64,
    /// Peers wanted in each announce.
    pub wanted: u16,
    /// Torrents in each scrape.
    pub scrape_hashes: u16,
    /// Who announces what.
    pub workload: Arc<Workload>,
    /// After this long a request is unanswered.
    pub timeout: Duration,
    /// Worker threads.
    pub threads: usize,
    /// Requests follow from this number.
    pub seed: u64,
}

/// Load over HTTP.
pub type Http = Connections<Settings>;

/// One announce on a connection of its own, so that what is no tracker is found out before the load.
fn prove(settings: &Settings) -> Result<(), Error> {
    let target = settings.path.target.to_string();
    let odd = |what: String| Error::NotATracker { target: target.clone(), what };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            Error::Silent { target: target.clone(), what: "announce", waited: PATIENCE }
        }
        io::ErrorKind::InvalidData => odd("what it answered is no HTTP response with a length".into()),
        _ => odd(format!("the first announce failed: {error}")),
    };
    let mut connection = Connection::new(Stream::first(settings.path.target, settings.path.tls.as_ref())?);
    let mut request = Vec::new();
    settings.requests.announce(&mut request, &settings.workload.peer(0), settings.wanted);
    connection.send(&request).map_err(failed)?;
    let answer = connection.receive(false).map_err(failed)?;
    if let Some(reason) = bencode::failure(&answer.body) {
        return Err(odd(format!("it refused the first announce: {reason}")));
    }
    match judge(answer.status, &answer.body, Asked::Announce, settings) {
        Ok(()) => Ok(()),
        Err(Wrong::Status) => Err(odd(format!(
            "it answered the first announce with status {}; is the path right?",
            answer.status
        ))),
        Err(wrong) => Err(odd(format!(
            "what it answered the first announce with is no tracker's reply ({})",
            wrong.label()
        ))),
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Announce,
    Scrape,
}

fn judge(status: u16, body: &[u8], asked: Asked, settings: &Settings) -> Result<(), Wrong> {
    if status != 200 {
        return Err(Wrong::Status);
    }
    match asked {
        Asked::Announce => bencode::check_announce(body, settings.wanted),
        Asked::Scrape => bencode::check_scrape(body, settings.scrape_hashes),
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
        lane::run(job)
    }
}
