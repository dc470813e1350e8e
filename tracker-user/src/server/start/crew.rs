//! The threads that serve clients: the runtime of HTTP and all that waits, and the UDP workers.

use super::swarms::Swarms;
use crate::{
    config::{BusyPoll, Config},
    metrics::serving::Serving,
    pressure,
    server::{
        Signals,
        start_error::{StartError, system},
    },
    shared_key::SharedKey,
    threads::Threads,
    udp::{
        bind, polling,
        pool::{Pool, Shared, usable_cpus},
    },
    xdp::{deferral::Deferral, manager::Prepared},
};
use std::{num::NonZero, sync::Arc};
use tokio::{runtime::Runtime, sync::mpsc::UnboundedSender};
use tracker_common::connection_id::lifetime_slots;

/// The runtime, and room for the numbers of all threads that serve.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) runtime: Runtime,
    pub(super) signals: Signals,
    /// How many threads the runtime has.
    pub(super) io_threads: usize,
    udp_threads: usize,
    io: Arc<Threads>,
    serves_http: bool,
}

/// The UDP workers, at work.
#[derive(Debug)]
pub(super) struct Workers {
    pub(super) pool: Pool,
    /// Interrupts that are put off for them.
    pub(super) deferrals: Vec<Deferral>,
    /// All threads that serve, for those who look how busy they are.
    pub(super) watched: pressure::Workers,
    /// The same, for metrics.
    pub(super) serving: Arc<Serving>,
}

/// UDP workers that the configuration asks for.
pub(super) fn udp_threads(config: &Config) -> usize {
    match config.udp.listen.addresses.is_empty() {
        true => 0,
        false => threads(config.udp.workers),
    }
}

/// So many threads, or as many as there are CPUs to use.
fn threads(configured: Option<NonZero<usize>>) -> usize {
    configured.map_or_else(|| usable_cpus().len().max(1), NonZero::get)
}

impl Crew {
    /// Starts the runtime, and takes signals from now on.
    ///
    /// # Errors
    /// When threads are short.
    pub(super) fn start(config: &Config, udp_threads: usize, serves_http: bool) -> Result<Self, StartError> {
        let io_threads = if serves_http { threads(config.http.workers) } else { 1 };
        let io = Arc::new(Threads::new(io_threads));
        let joining = io.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(io_threads)
            .thread_name("riptide-io")
            .on_thread_start(move || joining.join())
            .enable_all()
            .build()
            .map_err(system("a thread"))?;
        let signals = runtime.block_on(async { Signals::new() }).map_err(system("signal handlers"))?;
        Ok(Self { runtime, signals, io_threads, udp_threads, io, serves_http })
    }

    /// Has the UDP workers serve these sockets. AF_XDP sockets they get later.
    ///
    /// # Errors
    /// When threads are short.
    pub(super) fn serve_udp(
        &self,
        config: &Config,
        sockets: Vec<bind::Listener>,
        (swarms, key): (&Swarms, &SharedKey),
        xdp: &Prepared,
        farewell: &UnboundedSender<String>,
    ) -> Result<Workers, StartError> {
        let deferrals = polling::begin(config, &sockets.iter().flat_map(|listener| &listener.sockets));
        let udp = Arc::new(Threads::new(self.udp_threads));
        let shared = Shared {
            engine: swarms.engine.clone(),
            clock: swarms.clock,
            key: key.clone(),
            lifetime_slots: lifetime_slots(config.udp.connection_id_lifetime.as_secs()),
            busy_poll: config.xdp.busy_poll == BusyPoll::Always && !xdp.reports().read().is_empty(),
            backlog: (!xdp.is_empty()).then_some(config.xdp.copy_backlog.into()),
            threads: udp.clone(),
            patiences: deferrals.iter().filter_map(Deferral::patience).cloned().collect(),
        };
        let watched = pressure::Workers {
            udp: (!shared.busy_poll).then_some(udp),
            io: self.serves_http.then(|| self.io.clone()),
            cpus: usable_cpus().len(),
        };
        let by_service = [("udp", &watched.udp), ("http", &watched.io)];
        let known =
            by_service.into_iter().filter_map(|(what, threads)| Some((what, threads.as_ref()?.clone())));
        let serving = Arc::new(Serving::new(known.collect()));
        let pool = Pool::spawn(&config.udp, sockets, self.udp_threads, &shared, farewell)
            .map_err(system("a worker"))?;
        Ok(Workers { pool, deferrals, watched, serving })
    }
}
