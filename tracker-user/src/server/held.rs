//! What the tracker holds from outside: listeners, UDP sockets, the key and the clock of connection IDs. One value, whose
//! parts were made here or received; whoever starts the tracker does not care which.

use crate::{
    clock::monotonic_ns,
    config::Config,
    control,
    http::endpoint::{self, Bound},
    metrics::listener::Listener,
    state::{self, ConnectionIdState, NoRandomness},
    state_directory,
    udp::bind,
};
use std::{
    io,
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

/// What could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A UDP listener.
    #[error(transparent)]
    Bind(#[from] bind::Error),
    /// An HTTP listener.
    #[error(transparent)]
    Endpoint(#[from] endpoint::Error),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// No listener is left.
    #[error("no address to listen on: this host has neither IPv4 nor IPv6")]
    NoListener,
    /// The metrics listener.
    #[error("metrics {address}: {reason}; choose another address with --metrics, or \"off\"", reason = bind::describe(.source))]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The key of connection IDs.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// What the tracker holds from outside.
#[derive(Debug)]
pub(super) struct Held {
    /// UDP sockets.
    pub(super) udp: Vec<bind::Listener>,
    /// What HTTP and WebSocket come in by, with TLS and without.
    pub(super) http: Vec<Bound>,
    /// What metrics are asked by.
    pub(super) metrics: Option<Listener>,
    /// What `riptide control` speaks to.
    pub(super) control: Option<control::Bound>,
    /// What connection IDs are made of.
    pub(super) ids: ConnectionIdState,
    /// The state directory can be written; if not, the log has told.
    pub(super) is_kept: bool,
}

impl Held {
    /// Opens everything that the configuration names, for so many UDP workers, and takes up the saved key.
    ///
    /// # Errors
    /// The first that could not be had; what was had before is closed again.
    pub(super) fn make(config: &Config, udp_workers: usize) -> Result<Self, Error> {
        let udp = bind::bind_all(&config.udp, udp_workers)?;
        let http = endpoint::bind_all(&config.http, &config.tls)?;
        if udp.is_empty() && http.is_empty() {
            return Err(Error::NoListener);
        }
        let metrics = config.metrics.listen.map(bind_metrics).transpose()?;
        let control = control::bind(&config.control)?;
        let (ids, is_kept) = open_state(config)?;
        Ok(Self { udp, http, metrics, control, ids, is_kept })
    }
}

fn bind_metrics(address: SocketAddr) -> Result<Listener, Error> {
    Listener::bind(address).map_err(|source| Error::Metrics { address, source })
}

fn open_state(config: &Config) -> Result<(ConnectionIdState, bool), Error> {
    state_directory::tidy(&config.state.directory);
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall_ns = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
    let (ids, warning) =
        ConnectionIdState::open(&config.state.directory, monotonic_ns(), wall_ns, &state::boot_id())?;
    if let Some(warning) = &warning {
        tracing::warn!("{warning}");
    }
    let is_kept = warning.is_none() || state_directory::is_writable(&config.state.directory);
    Ok((ids, is_kept))
}
