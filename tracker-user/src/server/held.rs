//! What the tracker holds from outside: listeners, UDP sockets, the key and the clock of connection IDs. One value, whose
//! parts were made here or received; whoever starts the tracker does not care which.

use super::Addresses;
use crate::{
    clock::monotonic_ns,
    config::Config,
    control,
    handover::{descriptors::Received, messages::Item},
    http::endpoint::{self, Bound, Listening},
    metrics::listener::Listener,
    state::{self, ConnectionIdState, NoRandomness},
    state_directory,
    udp::bind,
    unix::Ours,
    xdp::interface::Inherited,
};
use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
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
    /// What programs of another process hang on.
    pub(super) links: Vec<Inherited>,
    /// What connection IDs are made of.
    pub(super) ids: ConnectionIdState,
    /// The state directory can be written; if not, the log has told.
    pub(super) is_kept: bool,
}

impl Held {
    /// Opens everything that the configuration names and that was not `received`, for so many UDP workers, and takes up the
    /// saved key. What is not wanted stays in `received`.
    ///
    /// # Errors
    /// The first that could not be had; what was had before is closed again.
    pub(super) fn have(
        config: &Config,
        udp_workers: usize,
        received: &mut Option<Received>,
    ) -> Result<Self, Error> {
        let udp = bind::have_all(&config.udp, udp_workers, |address| received.as_mut()?.udp(address))?;
        let http = endpoint::have_all(&config.http, &config.tls, |address| received.as_mut()?.http(address))?;
        if udp.is_empty() && http.is_empty() {
            return Err(Error::NoListener);
        }
        let had = config.metrics.listen.and_then(|address| received.as_mut()?.metrics(address));
        let metrics = match (had, config.metrics.listen) {
            (None, Some(address)) => Some(bind_metrics(address)?),
            (had, _) => had,
        };
        let had = control::path(&config.control).and_then(|path| received.as_mut()?.control(path));
        let control = match had {
            Some((listener, name)) => Some(control::Bound { listener, name }),
            None => control::bind(&config.control)?,
        };
        let (links, (ids, is_kept)) = match received {
            Some(received) => (received.links(), keep_state(config, received.ids())),
            None => (Vec::new(), open_state(config)?),
        };
        Ok(Self { udp, http, metrics, control, links, ids, is_kept })
    }

    /// Listeners by further descriptors, for another process to take over.
    ///
    /// # Errors
    /// When descriptors are short.
    pub(super) fn share_listeners(&self) -> io::Result<Vec<(Item, OwnedFd)>> {
        let mut shared = Vec::new();
        for Bound { configured, address, listener, .. } in &self.http {
            let (configured, address) = (configured.to_string(), address.to_string());
            shared.push((Item::Http { configured, address }, listener.share()?));
        }
        if let Some(listener) = &self.metrics {
            let (configured, address) = (listener.configured.to_string(), listener.address.to_string());
            shared.push((Item::Metrics { configured, address }, listener.share()?.into()));
        }
        if let Some(control) = &self.control {
            let path = control.path().display().to_string();
            shared.push((Item::Control { path }, control.listener.try_clone()?.into()));
        }
        Ok(shared)
    }

    /// Where clients and the operator come in.
    pub(super) fn addresses(&self) -> Addresses {
        let http = |tls| {
            let of = self.http.iter().filter(|bound| bound.tls == tls);
            of.map(|bound| bound.address.clone()).collect()
        };
        Addresses {
            udp: self.udp.iter().map(|listener| listener.address).collect(),
            http: http(false),
            https: http(true),
            metrics: self.metrics.as_ref().map(|listener| listener.address),
            control: self.control.as_ref().map(|bound| bound.path().to_owned()),
        }
    }

    /// Whose the names of Unix sockets are.
    pub(super) fn ours(&self) -> Vec<Ours> {
        let name = |bound: &Bound| match &bound.listener {
            Listening::Unix(_, file) => Some(file.ours()),
            Listening::Tcp(_) => None,
        };
        self.http
            .iter()
            .filter_map(name)
            .chain(self.control.iter().map(|control| control.name.ours()))
            .collect()
    }
}

/// Writes down what another process uses, unless it has done so itself in the same place. Whether it is kept.
fn keep_state(config: &Config, ids: ConnectionIdState) -> (ConnectionIdState, bool) {
    let (directory, boot) = (&config.state.directory, state::boot_id());
    // A disk may take its time, and somebody waits.
    if ids.is_kept(directory, &boot) {
        return (ids, true);
    }
    let saved = ids.save(directory, monotonic_ns(), &boot);
    if let Err(warning) = &saved {
        tracing::warn!("{warning}");
    }
    (ids, saved.is_ok())
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
