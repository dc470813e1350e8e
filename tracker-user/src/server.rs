//! The life of the tracker: start, reload, drain, stop. Everything that begins or ends is here, in order.

use crate::{
    access_file::{self, AccessFileError},
    cli::RunArgs,
    clock::{Clock, monotonic_ns},
    config::{AccessMode, Apply, Config, ConfigErrors, process_environment},
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
        manager::{self, Manager},
    },
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
};
use tracker_common::connection_id::{ConnectionIds, lifetime_slots};
use tracker_core::{access::AccessList, engine::Engine};

/// How long requests in hand may take once a stop was asked for.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

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

    /// Takes up what can change while running: prepared aside, swapped whole, the old kept on any error.
    fn reload(&mut self) {
        let loaded = Config::load(&self.args, &process_environment());
        let config = match loaded {
            Ok((config, warnings)) => {
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                config
            }
            Err(ConfigErrors(errors)) => {
                for error in errors {
                    tracing::error!("{error}");
                }
                tracing::error!("not reloaded: the running configuration stays");
                return;
            }
        };
        let access = match access_file::read(&config.access) {
            Ok(access) => access,
            Err(error) => {
                tracing::error!("not reloaded: the running configuration stays: {error}");
                return;
            }
        };
        let changes = Config::changed_keys(&self.config, &config);
        self.engine.set_policy(policy::from_config(&config));
        take_up_access(&self.engine, &config, access);
        for change in changes.iter().filter(|change| change.apply == Apply::Restart) {
            tracing::warn!("{change} has changed and needs a restart");
        }
        // What needs a restart is compared with what runs, not with what was last read.
        self.config.swarm = config.swarm;
        self.config.access = config.access;
        self.config.limits = config.limits;
        self.running_config.send_replace(self.config.clone());
        tracing::info!("reloaded: [swarm], [access] and [limits]");
    }

    /// Stops in order, within one deadline. Returns what failed.
    fn drain(self) -> Vec<String> {
        let Self { config, ids, mut signals, xdp, mut pool, runtime, .. } = self;
        tracing::info!("stopping");
        runtime.spawn(async move {
            tokio::select! {
                Some(()) = signals.terminate.recv() => tracing::warn!("a second signal: ended at once, nothing is saved"),
                Some(()) = signals.interrupt.recv() => tracing::warn!("a second signal: ended at once, nothing is saved"),
                () = tokio::time::sleep(DRAIN_DEADLINE) => {
                    tracing::error!("stopping took longer than {DRAIN_DEADLINE:?}: ended at once, nothing is saved");
                }
                // The runtime is going, and with it the signals.
                else => return,
            }
            std::process::exit(1);
        });
        if let Some(xdp) = xdp {
            runtime.block_on(xdp.stop());
        }
        pool.stop();
        let problems = pool.join();
        if let Err(warning) = ids.save(&config.state.directory, monotonic_ns(), &state::boot_id()) {
            // The start has told of a directory that cannot be written; what more is lost is the time of the stop.
            tracing::debug!("{warning}");
        }
        runtime.shutdown_timeout(Duration::from_secs(1));
        problems
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

/// Swaps the access list and says what it holds: an empty or shortened one shows here.
fn take_up_access(engine: &Engine, config: &Config, list: AccessList) {
    let hashes = list.len();
    engine.set_access(list);
    match config.access.mode {
        AccessMode::Off => {}
        AccessMode::Allow if hashes == 0 => {
            tracing::warn!("access: the list is empty, so every torrent is refused");
        }
        AccessMode::Allow => tracing::info!("access: only the {hashes} listed torrents are served"),
        AccessMode::Deny => tracing::info!("access: the {hashes} listed torrents are refused"),
    }
}

fn drop_privileges(config: &Config, needs: Needs) -> Result<(), StartError> {
    let Some(identity) = Identity::resolve(&config.privileges)? else { return Ok(()) };
    identity.hand_over(&config.state.directory)?;
    Ok(identity.become_it(needs)?)
}
