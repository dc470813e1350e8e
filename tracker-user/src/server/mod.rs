//! The life of the tracker: start, reload, drain, stop. Everything that begins or ends is here, in order.

mod drain;
mod reload;
mod start;

pub use start::StartError;

use crate::{cli::RunArgs, config::Config, state::ConnectionIdState, udp::pool::Pool, xdp::manager::Manager};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
};
use tracker_core::engine::Engine;

/// A running tracker.
#[derive(Debug)]
pub struct Server {
    args: RunArgs,
    config: Config,
    engine: Arc<Engine>,
    addresses: Addresses,
    ids: ConnectionIdState,
    ended: mpsc::UnboundedReceiver<String>,
    /// Kept up to date for the sweep.
    running_config: watch::Sender<Config>,
    signals: Signals,
    // In the order in which they go: frames to the network stack, then workers, then the runtime.
    xdp: Option<Manager>,
    pool: Pool,
    runtime: Runtime,
}

/// Where the tracker listens, ports filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// UDP.
    pub udp: Vec<SocketAddr>,
    /// Metrics.
    pub metrics: Option<SocketAddr>,
}

#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// How a running tracker came to its end.
#[derive(Debug)]
enum End {
    Asked,
    ThreadEnded(String),
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Says on the log, and to systemd, that the tracker serves.
    pub fn announce_ready(&self) {
        let udp: Vec<String> = self.addresses.udp.iter().map(ToString::to_string).collect();
        tracing::info!("ready: serving udp on {}", udp.join(", "));
        if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
            tracing::debug!(%error, "telling systemd");
        }
    }

    /// Serves until asked to stop, or until a thread that should not has ended; then drains.
    ///
    /// # Errors
    /// Names what failed.
    pub fn run(mut self) -> Result<(), RunError> {
        let end = loop {
            let Self { runtime, signals, ended, .. } = &mut self;
            let heard = runtime.block_on(async {
                tokio::select! {
                    _ = signals.hangup.recv() => None,
                    _ = signals.terminate.recv() => Some(End::Asked),
                    _ = signals.interrupt.recv() => Some(End::Asked),
                    Some(thread) = ended.recv() => Some(End::ThreadEnded(thread)),
                }
            });
            match heard {
                None => self.reload(),
                Some(end) => break end,
            }
        };
        let mut problems = self.drain();
        if let End::ThreadEnded(thread) = end
            && problems.is_empty()
        {
            problems.push(format!("{thread} ended by itself"));
        }
        if problems.is_empty() { Ok(()) } else { Err(RunError(problems)) }
    }
}

/// What failed while running.
#[derive(Debug, thiserror::Error)]
#[error("stopped, because {}; this is a fault in the program: please report it, start it again", .0.join("; "))]
pub struct RunError(Vec<String>);

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}
