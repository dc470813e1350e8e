//! The side of the new process: takes everything over, step by step, as its own start gets on.

use super::{
    channel::{Channel, Error},
    descriptors::Received,
    messages::{Hello, Malformed, Message},
};
use crate::{clock::Clock, metrics::before::Before, swarms::take_in::TakeIn};
use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tracker_core::{
    engine::{CountedBy, Engine},
    nodes::SharedNodes,
};

/// What the other process is asked for at its control socket.
const REQUEST: &[u8] = b"POST /take-over HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\
                         Connection: Upgrade\r\nUpgrade: riptide-handover\r\n\r\n";
/// The longest answer to that, bytes.
const MAX_ANSWER: usize = 16 << 10;
/// How long the other process may take for each message.
const TALK: Duration = Duration::from_secs(10);
/// How long it may take to let go of everything once this one is prepared.
const YOURS: Duration = Duration::from_secs(30);
/// How long is waited for what has come.
const AT_ONCE: Duration = Duration::from_millis(1);
/// How long it is listened to for what its last clients do: longer than they may take.
const LAST_CLIENTS: Duration = Duration::from_secs(10);

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no control socket.
    #[error("--take-over: control.listen is \"off\", and what runs is asked over the control socket")]
    NoSocket,
    /// Nobody answers.
    #[error("--take-over: no tracker answers at {}: {source}; start without --take-over where none runs", path.display())]
    NoTracker {
        /// The control socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It refuses.
    #[error("--take-over: the tracker at {} refuses: {reason}", path.display())]
    Refused {
        /// The control socket.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It did not get so far.
    #[error("--take-over: {step}: {source}")]
    Talk {
        /// What was to be done.
        step: &'static str,
        /// What happened.
        source: Error,
    },
    /// They do not understand each other.
    #[error(
        "--take-over: the tracker that runs is riptide {release} and speaks version {theirs} of the hand-over, this one \
         version {ours}: stop that one and start this one, which takes a moment in which nobody is answered"
    )]
    Version {
        /// Of the other one.
        release: String,
        /// Its version.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
}

/// Where the swarms go that are taken over.
#[derive(Clone, Copy, Debug)]
pub struct Swarms<'a> {
    /// What holds them.
    pub engine: &'a Engine,
    /// Where other nodes that counted their downloads get numbers.
    pub nodes: &'a SharedNodes,
    /// The engine's clock.
    pub clock: Clock,
}

/// A hand-over as it goes on. Where the other process crashes, it goes on without.
#[derive(Debug)]
pub struct Taker {
    /// While the other process is there.
    channel: Option<Channel>,
    other: Hello,
}

impl Taker {
    /// Asks the tracker at this control socket, and receives all that it has open.
    ///
    /// # Errors
    /// When there is none, or it refuses.
    pub fn begin(socket: &Path) -> Result<(Self, Received), Failure> {
        let mut channel = ask(socket)?;
        let step = "greeting the tracker that runs";
        channel.send(&Message::Hello(Hello::own()), TALK).map_err(during(step))?;
        let other = match channel.receive(TALK).map_err(during(step))? {
            Message::Hello(hello) => hello,
            other => return Err(during(step)(Error::Unexpected(other.name()))),
        };
        if !other.is_understood() {
            let (theirs, ours) = (other.version[0], Hello::own().version[0]);
            return Err(Failure::Version { release: other.release, theirs, ours });
        }
        let received = Received::receive(&mut channel, TALK).map_err(during("receiving its sockets"))?;
        tracing::info!("hand-over: taking over from process {} (riptide {})", other.pid, other.release);
        Ok((Self { channel: Some(channel), other }, received))
    }

    /// Takes in the swarms. Whether they are whole: they are not where the other process crashes.
    ///
    /// # Errors
    /// When the other process gives up, or says what it should not.
    pub fn fetch(&mut self, swarms: Swarms<'_>) -> Result<bool, Failure> {
        self.step("taking in its swarms", |channel| {
            channel.send(&Message::Fetch, TALK)?;
            until(channel, TALK, &Message::Walked, swarms, None)
        })?;
        Ok(self.channel.is_some())
    }

    /// Says that all is prepared, and takes in the last changes. When this returns, it is this process that serves.
    ///
    /// # Errors
    /// As [`Taker::fetch`]. That it crashes is none.
    pub fn prepared(&mut self, swarms: Swarms<'_>, before: &Before) -> Result<(), Failure> {
        self.step("waiting until it lets go", |channel| {
            channel.send(&Message::Prepared, TALK)?;
            until(channel, YOURS, &Message::Yours, swarms, Some(before))
        })
    }

    /// Says that this process serves. What the last clients of the other one do comes still.
    ///
    /// # Errors
    /// When the other process has given up waiting, and serves itself again.
    pub fn serving(mut self) -> Result<Last, Failure> {
        self.step("telling that this process serves", |channel| {
            channel.send(&Message::Serving, TALK)?;
            match channel.receive(TALK) {
                Ok(Message::Left) => Ok(()),
                Ok(other) => Err(Error::Unexpected(other.name())),
                // It is stuck. Had it taken everything back, it would have said so.
                Err(Error::Late(_)) => Err(Error::Gone),
                Err(error) => Err(error),
            }
        })?;
        Ok(Last { channel: self.channel })
    }

    /// Says why this process cannot go on.
    pub fn give_up(&mut self, reason: &str) {
        if let Some(channel) = &mut self.channel {
            // It finds out anyway.
            let _ = channel.send(&Message::Revoked(reason.to_owned()), TALK);
        }
    }

    fn step(
        &mut self,
        step: &'static str,
        work: impl FnOnce(&mut Channel) -> Result<(), Error>,
    ) -> Result<(), Failure> {
        let Some(channel) = &mut self.channel else { return Ok(()) };
        match work(channel) {
            Ok(()) => Ok(()),
            // What it said before it went may not have been read.
            Err(Error::Gone) if let Err(Error::Revoked(reason)) = last_words(channel) => {
                Err(during(step)(Error::Revoked(reason)))
            }
            Err(Error::Gone) => {
                tracing::warn!(
                    "hand-over: process {} ended while {step}; this one goes on with what it has",
                    self.other.pid
                );
                self.channel = None;
                Ok(())
            }
            Err(source) => Err(during(step)(source)),
        }
    }
}

/// What still comes from a process that does not serve any more.
#[derive(Debug)]
pub struct Last {
    channel: Option<Channel>,
}

impl Last {
    /// The way to end it from another thread; nothing where nothing comes.
    #[must_use]
    pub fn ender(&self) -> Option<UnixStream> {
        self.channel.as_ref()?.ender().ok()
    }

    /// Takes in what comes until the other process is gone.
    pub fn follow(self, swarms: Swarms<'_>, before: &Arc<Before>) {
        let Some(mut channel) = self.channel else { return };
        match until(&mut channel, LAST_CLIENTS, &Message::Bye, swarms, Some(before)) {
            Ok(()) => tracing::info!("hand-over: done, the process before is gone"),
            Err(error) => tracing::info!("hand-over: done, the process before ended early: {error}"),
        }
    }
}

/// Takes in what comes until a message.
pub(super) fn until(
    channel: &mut Channel,
    patience: Duration,
    last: &Message,
    Swarms { engine, nodes, clock }: Swarms<'_>,
    before: Option<&Before>,
) -> Result<(), Error> {
    let mut written = None;
    loop {
        match (channel.receive(patience)?, before) {
            (Message::Written(at), _) => written = Some(at),
            // Whoever a limit or list of this process refuses announces again, and is told why.
            (Message::Swarms(records), _) => {
                let now = clock.now();
                let since = now.saturating_sub(written.take().unwrap_or(now));
                TakeIn::new(engine, now)
                    .records(&records, since, CountedBy::Own)
                    .map_err(|error| Malformed(error.to_string()))?;
            }
            (Message::Shares { node, records }, _) => TakeIn::new(engine, clock.now())
                .shares(nodes, &node, &records, 0)
                .map_err(|error| Malformed(error.to_string()))?,
            (Message::Counted(counted), Some(before)) => before.set(counted),
            (message, _) if message == *last => return Ok(()),
            (other, _) => return Err(Error::Unexpected(other.name())),
        }
    }
}

/// Reads what is there to be read from a process that is gone.
fn last_words(channel: &mut Channel) -> Result<(), Error> {
    loop {
        channel.receive(AT_ONCE)?;
    }
}

/// A connection to the tracker at a control socket that is to hand over.
fn ask(path: &Path) -> Result<Channel, Failure> {
    let gone = |source| Failure::NoTracker { path: path.to_owned(), source };
    let mut stream = UnixStream::connect(path).map_err(gone)?;
    stream.set_read_timeout(Some(TALK)).map_err(gone)?;
    stream.set_write_timeout(Some(TALK)).map_err(gone)?;
    stream.write_all(REQUEST).map_err(gone)?;
    let mut answer = Vec::new();
    let mut byte = [0; 1];
    // Byte by byte: what comes behind the head is not for this. There is nothing until this process speaks.
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < MAX_ANSWER {
        match stream.read(&mut byte).map_err(gone)? {
            0 => return Err(gone(io::ErrorKind::UnexpectedEof.into())),
            _ => answer.extend(byte),
        }
    }
    let head = String::from_utf8_lossy(&answer);
    if head.split(' ').nth(1) == Some("101") {
        return Channel::new(stream, Vec::new()).map_err(gone);
    }
    let mut reason = String::new();
    let told = stream.take(MAX_ANSWER as u64).read_to_string(&mut reason);
    let reason = match told {
        Ok(_) if !reason.trim().is_empty() => reason.trim().to_owned(),
        _ => head.lines().next().unwrap_or_default().to_owned(),
    };
    Err(Failure::Refused { path: path.to_owned(), reason })
}

fn during(step: &'static str) -> impl Fn(Error) -> Failure {
    move |source| Failure::Talk { step, source }
}
