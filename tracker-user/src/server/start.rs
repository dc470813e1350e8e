//! Start: everything that can fail is had before anything is served.

use super::{Addresses, Server, Signals, reload::take_up_access};
use crate::{
    access_file::{self, AccessFileError},
    cli::RunArgs,
    clock::{Clock, monotonic_ns},
    config::Config,
    farewell::Farewell,
    metrics::{self, Sources},
    policy,
    privileges::{Identity, Needs, PrivilegeError},
    state::{self, ConnectionIdState, NoRandomness},
    sweep,
    udp::{
        bind,
        pool::{Pool, Shared, seed, usable_cpus},
    },
    xdp::{
        interface::{Context, Workers},
        manager,
    },
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::{
    runtime::Runtime,
    sync::{mpsc, watch},
};
use tracker_common::connection_id::{ConnectionIds, lifetime_slots};
use tracker_core::engine::Engine;

/// Why the tracker could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The list of info hashes.
    #[error(transparent)]
    Access(#[from] AccessFileError),
    /// A UDP listener.
    #[error(transparent)]
    Bind(#[from] bind::Error),
    /// No listener is left.
    #[error("no address to listen on: this host has neither IPv4 nor IPv6, or udp.listen is empty")]
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
    /// XDP was asked for by name.
    #[error(transparent)]
    Xdp(#[from] manager::StartError),
    /// The user and group to become.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// Threads, descriptors or memory are short.
    #[error("the system refused {what}: {source}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl Server {
    /// Binds, attaches, drops privileges and serves. When it returns, everything is up.
    ///
    /// # Errors
    /// The first thing that could not be had; what was had before is given back.
    pub fn start(config: Config, args: RunArgs) -> Result<Self, StartError> {
        let access = access_file::read(&config.access)?;
        let workers = config.udp.workers.map_or_else(|| usable_cpus().len().max(1), std::num::NonZero::get);
        let listeners = bind::bind_all(&config.udp, workers)?;
        if listeners.is_empty() {
            return Err(StartError::NoListener);
        }
        let udp: Vec<SocketAddr> = listeners.iter().map(|listener| listener.address).collect();
        let metrics_listener = config.metrics.listen.map(bind_metrics).transpose()?;

        let ids = open_state(&config)?;
        let clock = Clock::new(ids.clock_base_ns);
        let lifetime_slots = lifetime_slots(config.udp.connection_id_lifetime.as_secs());
        let prepared = manager::prepare(Context {
            config: config.xdp.clone(),
            listeners: udp.clone(),
            clock,
            master: ids.master,
            lifetime_slots,
        })?;
        let reports = prepared.reports();

        // Everything that needs root is had; all threads begin after this and inherit what is left.
        drop_privileges(&config, Needs { xdp: !prepared.is_empty(), busy_poll: config.xdp.busy_poll })?;

        let engine =
            Arc::new(Engine::new(policy::from_config(&config), seed().map_err(system("random bytes"))?));
        take_up_access(&engine, &config, access);
        let shared = Shared {
            engine: engine.clone(),
            clock,
            ids: ConnectionIds::new(ids.master, lifetime_slots, clock.now_ns()),
            busy_poll: config.xdp.busy_poll && !reports.read().is_empty(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("riptide-io")
            .enable_all()
            .build()
            .map_err(system("a thread"))?;
        let signals = runtime.block_on(async { Signals::new() }).map_err(system("signal handlers"))?;
        let (farewell, ended) = mpsc::unbounded_channel();
        let pool =
            Pool::spawn(&config.udp, listeners, workers, &shared, &farewell).map_err(system("a worker"))?;
        for address in &udp {
            tracing::info!("udp listens on {address}");
        }

        let metrics = metrics_listener.as_ref().and_then(|listener| listener.local_addr().ok());
        if let Some(listener) = metrics_listener {
            let sockets = pool.sockets().map_err(system("descriptors"))?;
            let sources = Sources { engine: engine.clone(), workers: pool.counters(), sockets, xdp: reports };
            serve_metrics(&runtime, listener, sources).map_err(system("the metrics listener"))?;
        }
        if let Some(address) = metrics {
            tracing::info!("metrics are served on http://{address}/metrics");
        }
        let (running_config, config_seen) = watch::channel(config.clone());
        let sweep_ends = Farewell::new("the sweep", farewell.clone());
        runtime.spawn(sweep::run(engine.clone(), clock, config_seen, sweep_ends));
        let xdp = prepared.run(Workers::new(pool.handles().to_vec()), &farewell)?;

        let addresses = Addresses { udp, metrics };
        Ok(Self { args, config, engine, addresses, ids, ended, running_config, signals, xdp, pool, runtime })
    }
}

fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

fn bind_metrics(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|source| StartError::Metrics { address, source })
}

fn serve_metrics(runtime: &Runtime, listener: TcpListener, sources: Sources) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = runtime.block_on(async { tokio::net::TcpListener::from_std(listener) })?;
    runtime.spawn(async move {
        if let Err(error) = axum::serve(listener, metrics::router(Arc::new(sources))).await {
            tracing::error!("metrics: {error}");
        }
    });
    Ok(())
}

fn open_state(config: &Config) -> Result<ConnectionIdState, StartError> {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall_ns = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
    let (ids, warning) =
        ConnectionIdState::open(&config.state.directory, monotonic_ns(), wall_ns, &state::boot_id())?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    Ok(ids)
}

fn drop_privileges(config: &Config, needs: Needs) -> Result<(), StartError> {
    let Some(identity) = Identity::resolve(&config.privileges)? else { return Ok(()) };
    identity.hand_over(&config.state.directory)?;
    Ok(identity.become_it(needs)?)
}
