//! The control socket: how whoever runs the tracker asks it, and tells it what to do, while it runs.
//!
//! HTTP over a Unix socket, JSON both ways; `docs/openapi.json` describes it, and `riptide control` is its client. Whoever
//! may write to the socket may command the tracker, so its file has mode 0660. Connections, the time of each and the size
//! of a request are bounded: a client that is stuck delays nobody else.

mod answer;
pub mod client;
mod export;
mod listener;
mod router;
mod save;
mod status;
mod stream;
mod text;
mod torrent;

pub use status::Listeners;

use crate::{
    clock::Clock,
    config::{self, ControlSocket},
    farewell::Farewell,
    http::Stage,
    metrics::Sources,
    orders::Orders,
    swarms::Saver,
    unix::{self, SocketFile},
};
use listener::Accepting;
use std::{
    fs::DirBuilder,
    io,
    os::unix::{fs::DirBuilderExt as _, net::UnixListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::timeout,
};
use tracker_core::engine::Engine;

/// The permissions of the socket.
const MODE: u32 = 0o660;
/// Those of its directory where that is made, too.
const DIRECTORY_MODE: u32 = 0o755;
/// How long the replies in hand may take once the tracker ends.
const LAST_REPLIES: Duration = Duration::from_secs(1);

/// The socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("control {path}: {reason}{hint}", path = .path.display(), reason = unix::describe(.source), hint = unix::hint(.source.kind()))]
pub struct Error {
    /// Where.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// An open socket, which nobody serves yet.
#[derive(Debug)]
pub struct Bound {
    /// What accepts connections; it does not block.
    pub listener: UnixListener,
    /// Where it is.
    pub name: SocketFile,
}

impl Bound {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.name.path()
    }
}

/// Where the socket is to be, if there is to be one.
#[must_use]
pub fn path(config: &config::Control) -> Option<&Path> {
    config.listen.as_ref().map(|socket| socket.path.as_path())
}

/// Opens the socket, if there is to be one. The built-in one is left out with a line where it cannot be had.
///
/// # Errors
/// If one that was asked for cannot be had.
pub fn bind(config: &config::Control) -> Result<Option<Bound>, Error> {
    let Some(ControlSocket { path, is_default }) = &config.listen else { return Ok(None) };
    if *is_default && let Some(directory) = path.parent() {
        // Where that fails, the socket's own failure says why.
        let _ = DirBuilder::new().mode(DIRECTORY_MODE).create(directory);
    }
    match unix::open(path, MODE) {
        Ok((listener, name)) => Ok(Some(Bound { listener, name })),
        Err(source) => {
            let error = Error { path: path.clone(), source };
            if !is_default {
                return Err(error);
            }
            tracing::info!("{error}; this one is left out: control.listen names another, or \"off\"");
            Ok(None)
        }
    }
}

/// What the control socket works on.
#[derive(Debug)]
pub struct Shared {
    /// The swarms.
    pub engine: Arc<Engine>,
    /// Protocol time.
    pub clock: Clock,
    /// Where everything is counted.
    pub sources: Arc<Sources>,
    /// Where the tracker is in its life.
    pub stage: watch::Receiver<Stage>,
    /// What the main loop is told to do.
    pub orders: Orders,
    /// The thread that saves.
    pub saver: Saver,
    /// Where the tracker listens.
    pub listeners: Listeners,
}

/// Who takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// This process.
    Here,
    /// Another one, which listens at the same socket.
    Elsewhere,
    /// Nobody.
    Closed,
}

/// The way to have connections accepted or not.
#[derive(Clone, Debug)]
pub struct Lending(Arc<watch::Sender<Open>>);

impl Lending {
    /// Accepts no connection from now on; those that come wait for whoever listens at the same socket.
    pub fn lend(&self) {
        self.0.send_replace(Open::Elsewhere);
    }

    /// Accepts them again.
    pub fn reclaim(&self) {
        self.0.send_replace(Open::Here);
    }
}

/// The control socket, served.
#[derive(Debug)]
pub struct Control {
    open: Lending,
    permits: Arc<Semaphore>,
    most: u32,
}

impl Control {
    /// Serves the socket on the runtime in whose context this is called. `ended` hears of an end that nobody asked for.
    ///
    /// # Errors
    /// If the system refuses to watch the socket.
    pub fn start(
        config: &config::Control,
        bound: Bound,
        shared: Shared,
        ended: &mpsc::UnboundedSender<String>,
    ) -> io::Result<Self> {
        let farewell = Farewell::new("the control socket", ended.clone());
        let (open, seen) = watch::channel(Open::Here);
        let permits = Arc::new(Semaphore::new(config.max_connections));
        let accepting = Accepting {
            listener: tokio::net::UnixListener::from_std(bound.listener)?,
            _name: bound.name,
            router: router::router(config, shared),
            permits: permits.clone(),
            patience: config.request_timeout,
        };
        tokio::spawn(accepting.run(seen, farewell));
        let most = u32::try_from(config.max_connections).unwrap_or(u32::MAX);
        Ok(Self { open: Lending(Arc::new(open)), permits, most })
    }

    /// The way to leave connections that come to another process.
    #[must_use]
    pub fn lending(&self) -> Lending {
        self.open.clone()
    }

    /// Takes no more connections, removes the socket's name, and lets replies in hand go out, for a moment.
    pub async fn finish(self) {
        self.open.0.send_replace(Open::Closed);
        // Each connection has a permit, and so has the accept loop. An error would be a closed semaphore, or clients who
        // do not take their reply: they are cut off.
        let _ = timeout(LAST_REPLIES, self.permits.acquire_many(self.most)).await;
    }
}
