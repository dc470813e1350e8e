//! A running tracker is taken over: by a process that it started itself, or by one that somebody else did.

use super::{Server, premises::Premises};
use crate::{
    handover::{
        channel::Channel,
        giver::{Cancel, Giver},
        messages::{Hello, Message},
        successor::Successor,
    },
    orders::{Reply, Upgraded},
};
use std::{
    io,
    net::Shutdown,
    os::unix::net::UnixStream,
    process::{Child, ExitStatus},
    sync::mpsc as sync_mpsc,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// The thread that hands over.
const THREAD: &str = "riptide-handover";
/// How long a process that was started to take over may take in all.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often it is looked whether it is still there.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// What the main loop hears of a hand-over.
#[derive(Debug)]
pub(super) enum Event {
    /// Another process serves now.
    Left(Hello),
    /// It does not.
    Stayed(String),
    /// The process that was started to take over has ended, or was ended.
    SuccessorEnded(String),
}

/// A hand-over that goes on.
#[derive(Debug)]
pub(super) struct Giving {
    cancel: Cancel,
    ender: UnixStream,
    /// Dropped when the last clients have ended.
    _ended: sync_mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

/// A process that was started to take over.
#[derive(Debug)]
pub(super) struct Started {
    /// Hears when it has taken over. Dropped, it is to end.
    taken: sync_mpsc::Sender<()>,
    /// Who is told what comes of it.
    told: Reply<Result<Upgraded, String>>,
}

impl Server {
    /// Starts the program that is now installed in this one's place, so that it takes over. `told` hears what comes of it.
    pub(super) fn upgrade(&mut self, told: Reply<Result<Upgraded, String>>) {
        let started = match (&self.started, &self.successor) {
            (Some(_), _) => Err("another process is about to take over already".to_owned()),
            _ if self.config.privileges.user.is_some() => Err(
                "this process has given up root (privileges.user) and cannot start one that attaches XDP: run `riptide run \
                 --take-over` as root, with the same configuration"
                    .to_owned(),
            ),
            (None, Err(error)) => Err(format!("the path of this program is not known: {error}")),
            (None, Ok(successor)) => self.start_successor(successor).map_err(|error| error.to_string()),
        };
        match started {
            Ok(started) => {
                self.started = Some(Started { told, ..started });
            }
            Err(reason) => {
                tracing::error!("hand-over: not begun: {reason}");
                told.send(Err(reason));
            }
        }
    }

    fn start_successor(&self, successor: &Successor) -> io::Result<Started> {
        let child = successor.start()?;
        tracing::info!("hand-over: started process {} to take over", child.id());
        let (taken, fate) = sync_mpsc::channel();
        let events = self.events.0.clone();
        thread::Builder::new().name(format!("{THREAD}-wait")).spawn(move || {
            if let Some(ended) = await_end(child, &fate) {
                // Nobody listens while the server is stopping.
                let _ = events.send(Event::SuccessorEnded(ended));
            }
        })?;
        Ok(Started { taken, told: Reply::to_nobody() })
    }

    /// Hands everything over to whoever is at the other end of a connection. `inbox` is what it has said already.
    pub(super) fn hand_over(&mut self, stream: UnixStream, inbox: Vec<u8>) {
        if let Err(error) = self.begin_to_give(stream, inbox) {
            tracing::error!("hand-over: not begun: {error}");
        }
    }

    fn begin_to_give(&mut self, stream: UnixStream, inbox: Vec<u8>) -> io::Result<()> {
        let mut channel = Channel::new(stream, inbox)?;
        if self.giving.is_some() {
            let reason = "another process is taking over";
            // Nothing is waiting to be sent, so nobody is waited for.
            let _ = channel.send(&Message::Revoked(reason.to_owned()), BETWEEN_LOOKS);
            return Err(io::Error::other(reason));
        }
        let (ender, cancel) = (channel.ender()?, Cancel::default());
        let giver = Giver::new(channel, self.premises.clone(), cancel.clone());
        let (ended, clients) = sync_mpsc::channel();
        let events = self.events.0.clone();
        let thread =
            thread::Builder::new().name(THREAD.into()).spawn(move || give(giver, &events, &clients))?;
        self.giving = Some(Giving { cancel, ender, _ended: ended, thread });
        Ok(())
    }

    /// Takes note of what comes of a hand-over. Whether another process serves now.
    pub(super) fn heard(&mut self, event: Event) -> bool {
        match event {
            Event::Left(other) => {
                tracing::info!(
                    "hand-over: process {} (riptide {}) serves; this one ends once its last clients have",
                    other.pid,
                    other.release
                );
                if let Some(Started { taken, told }) = self.started.take() {
                    let _ = taken.send(());
                    told.send(Ok(Upgraded { pid: other.pid, version: other.release }));
                }
                true
            }
            Event::Stayed(reason) => {
                tracing::error!("hand-over: failed, this process serves on: {reason}");
                self.giving = None;
                self.stay(&reason);
                false
            }
            Event::SuccessorEnded(how) => {
                if self.started.is_some() {
                    let reason = format!("the process that was to take over {how}; its own lines say why");
                    tracing::error!("hand-over: failed, this process serves on: {reason}");
                    self.stay(&reason);
                }
                false
            }
        }
    }

    fn stay(&mut self, reason: &str) {
        if let Some(started) = self.started.take() {
            started.told.send(Err(reason.to_owned()));
        }
    }
}

impl Giving {
    /// Ends it, whatever it has come to. What was not the other process's by then stays here.
    pub(super) fn end(self) {
        self.cancel.set();
        let _ = self.ender.shutdown(Shutdown::Read);
        self.finish();
    }

    /// The last clients have ended.
    pub(super) fn finish(self) {
        let Self { _ended: ended, thread, .. } = self;
        drop(ended);
        if thread.join().is_err() {
            tracing::error!("the thread {THREAD} panicked");
        }
    }
}

fn give(
    mut giver: Giver<Premises>,
    events: &mpsc::UnboundedSender<Event>,
    clients: &sync_mpsc::Receiver<()>,
) {
    match giver.give() {
        Ok(other) => {
            let _ = events.send(Event::Left(other));
            giver.follow(|wait| clients.recv_timeout(wait) != Err(sync_mpsc::RecvTimeoutError::Timeout));
        }
        Err(failure) => {
            let _ = events.send(Event::Stayed(failure.to_string()));
        }
    }
}

/// Waits for a process until it has taken over, and ends it if it is not to any more. Says how it ended, if it has.
fn await_end(mut child: Child, fate: &sync_mpsc::Receiver<()>) -> Option<String> {
    let begun = Instant::now();
    loop {
        let unwanted = match fate.recv_timeout(BETWEEN_LOOKS) {
            Ok(()) => return None,
            Err(sync_mpsc::RecvTimeoutError::Disconnected) => true,
            Err(sync_mpsc::RecvTimeoutError::Timeout) => begun.elapsed() > PATIENCE,
        };
        match child.try_wait() {
            Ok(Some(status)) => return Some(how(status)),
            Ok(None) if unwanted => {
                // Both fail only if it has ended meanwhile.
                let _ = child.kill();
                let _ = child.wait();
                return Some("took too long and was ended".to_owned());
            }
            Ok(None) => {}
            Err(error) => return Some(format!("cannot be waited for: {error}")),
        }
    }
}

fn how(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("ended with status {code}"),
        None => format!("ended by {status}"),
    }
}
