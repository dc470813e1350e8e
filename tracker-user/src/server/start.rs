//! Start: everything that can fail is had before anything is served.

use super::{
    Addresses, Server, Signals,
    held::{self, Held},
    reload::take_up_access,
};
use crate::{
    cli::RunArgs,
    clock::Clock,
    config::{BusyPoll, Config, ListenAddress},
    control::{self, Control},
    farewell::Farewell,
    http::{self, Http, counters::Counters, endpoint::Bound},
    logging::Lines,
    material::Material,
    metrics::Sources,
    orders::Orders,
    policy,
    privileges::{Identity, Needs, PrivilegeError},
    random::seed,
    room::Room,
    stats::Stats,
    swarms::{self, Saver},
    sweep,
    udp::{
        polling,
        pool::{Pool, Shared, usable_cpus},
    },
    ws::Hub,
    xdp::{interface::Context, manager},
};
use std::{io, num::NonZero, path::Path, sync::Arc};
use tokio::sync::{mpsc, watch};
use tracker_common::connection_id::{ConnectionIds, lifetime_slots};
use tracker_core::{engine::Engine, policy::Policy};

/// Why the tracker could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What it holds from outside.
    #[error(transparent)]
    Held(#[from] held::Error),
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
    pub fn start(
        config: Config,
        material: Material,
        args: RunArgs,
        log: Arc<Lines>,
    ) -> Result<Self, StartError> {
        let Material { access, tls, identity } = material;
        let tls = tls.map(Arc::new);
        let udp_workers = match config.udp.listen.addresses.is_empty() {
            true => 0,
            false => threads(config.udp.workers),
        };
        let Held { udp: sockets, http: listeners, metrics, control, ids, is_kept } =
            Held::make(&config, udp_workers)?;
        let (mut http_config, mut websocket_config) = (config.http.clone(), config.websocket.clone());
        if !listeners.is_empty() {
            http::fit_descriptors(&mut http_config, &mut websocket_config);
        }
        let addresses = Addresses {
            udp: sockets.iter().map(|listener| listener.address).collect(),
            http: addresses_of(&listeners, false),
            https: addresses_of(&listeners, true),
            metrics: metrics.as_ref().map(|listener| listener.address),
            control: control.as_ref().map(|bound| bound.path().to_owned()),
        };

        let clock = Clock::new(ids.clock_base_ns);
        let lifetime_slots = lifetime_slots(config.udp.connection_id_lifetime.as_secs());
        let prepared = manager::prepare(Context {
            config: config.xdp.clone(),
            listeners: addresses.udp.clone(),
            clock,
            master: ids.master,
            lifetime_slots,
            // Sockets are opened when that user is all that is left.
            keeps_rights: config.privileges.user.is_none(),
        })?;
        let deferrals = polling::begin(&config, &sockets);
        let spins = config.xdp.busy_poll == BusyPoll::Always;
        let reports = prepared.reports();

        // Everything that needs root is had; all threads begin after this and inherit what is left.
        if let Some(identity) = identity {
            let needs = Needs { xdp: !prepared.is_empty(), busy_poll: spins };
            let streams = listeners.iter().filter_map(Bound::unix_path);
            let sockets = streams.chain(control.as_ref().map(control::Bound::path));
            drop_privileges(&identity, &config, sockets, needs)?;
        }
        log.begin_thread().map_err(system("a thread"))?;

        let room = Room::of(&config);
        tracing::info!("there is room for {room}");
        let policy = Policy { max_peers: room.peers, ..policy::from_config(&config) };
        let engine = Arc::new(Engine::new(policy, seed().map_err(system("random bytes"))?));
        take_up_access(&engine, &config, access, clock.now());
        let tally = swarms::restore_if_kept(&config.state, &engine, clock);
        let shared = Shared {
            engine: engine.clone(),
            clock,
            ids: ConnectionIds::new(ids.master, lifetime_slots, clock.now_ns()),
            busy_poll: spins && !reports.read().is_empty(),
        };
        let io_threads = if listeners.is_empty() { 1 } else { threads(config.http.workers) };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(io_threads)
            .thread_name("riptide-io")
            .enable_all()
            .build()
            .map_err(system("a thread"))?;
        let signals = runtime.block_on(async { Signals::new() }).map_err(system("signal handlers"))?;
        let (farewell, ended) = mpsc::unbounded_channel();
        let pool =
            Pool::spawn(&config.udp, sockets, udp_workers, &shared, &farewell).map_err(system("a worker"))?;

        let saving = swarms::Settings::of(&config.state, !is_kept);
        let saver =
            Saver::start(saving, engine.clone(), clock, tally, &farewell).map_err(system("a thread"))?;

        let counters = Arc::new(Counters::new(io_threads));
        let hub = match config.websocket.enabled && !listeners.is_empty() {
            true => {
                let [ticket_key, seed] = [(); 2].map(|()| seed().map_err(system("random bytes")));
                let hub = Hub::new(&websocket_config, engine.clone(), clock, ticket_key?, seed?);
                if hub.most_connections() < websocket_config.max_connections {
                    tracing::info!(
                        "websocket.memory holds {} WebSockets, fewer than websocket.max_connections",
                        hub.most_connections()
                    );
                }
                Some(hub)
            }
            false => None,
        };
        let sources = Arc::new(Sources {
            engine: engine.clone(),
            workers: pool.counters(),
            sockets: pool.sockets().map_err(system("descriptors"))?,
            xdp: reports,
            http: counters.clone(),
            websocket: hub.clone(),
            log: log.clone(),
            swarms: saver.tally().clone(),
        });
        let stats = (config.http.stats && !listeners.is_empty()).then(|| Stats::new(sources.clone()));
        if let Some(stats) = &stats {
            runtime.spawn(stats.clone().sample());
        }
        if let Some(tls) = &tls {
            let ends = Farewell::new("the watch over the certificate", farewell.clone());
            let watch = tls.clone().watch(config.tls.reload_interval);
            runtime.spawn(async move {
                let _ends = ends;
                watch.await;
            });
        }
        let shared = http::Shared {
            engine: engine.clone(),
            clock,
            threads: io_threads,
            counters,
            hub,
            stats: stats.map(|stats| stats as Arc<dyn http::Statistics>),
        };
        let http = {
            let _inside = runtime.enter();
            Http::start(
                &http_config,
                websocket_config.send_timeout,
                listeners,
                tls.as_ref(),
                shared,
                &farewell,
            )
            .map_err(system("HTTP"))?
        };
        if let Some(listener) = metrics {
            let _inside = runtime.enter();
            listener.serve(&config.metrics, sources.clone()).map_err(system("the metrics listener"))?;
        }
        let (giving_orders, orders) = Orders::channel();
        let control = control
            .map(|bound| {
                let shared = control::Shared {
                    engine: engine.clone(),
                    clock,
                    sources,
                    stage: http.stage(),
                    orders: giving_orders,
                    saver: saver.clone(),
                    listeners: addresses.told(bound.path()),
                };
                let _inside = runtime.enter();
                Control::start(&config.control, bound, shared, &farewell)
            })
            .transpose()
            .map_err(system("the control socket"))?;
        addresses.log();

        let (running_config, config_seen) = watch::channel(config.clone());
        let sweep_ends = Farewell::new("the sweep", farewell.clone());
        runtime.spawn(sweep::run(engine.clone(), clock, config_seen, sweep_ends));
        let xdp = prepared.run(pool.servers(), &farewell)?;
        http.serving();

        Ok(Self {
            args,
            config,
            engine,
            clock,
            addresses,
            ids,
            log,
            room,
            saver,
            ended,
            running_config,
            signals,
            orders,
            tls,
            xdp,
            http,
            control,
            pool,
            deferrals,
            runtime,
        })
    }
}

/// So many threads, or as many as there are CPUs to use.
fn threads(configured: Option<NonZero<usize>>) -> usize {
    configured.map_or_else(|| usable_cpus().len().max(1), NonZero::get)
}

fn addresses_of(listeners: &[Bound], tls: bool) -> Vec<ListenAddress> {
    listeners.iter().filter(|bound| bound.tls == tls).map(|bound| bound.address.clone()).collect()
}

fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

fn drop_privileges<'a>(
    identity: &Identity,
    config: &Config,
    sockets: impl Iterator<Item = &'a Path>,
    needs: Needs,
) -> Result<(), StartError> {
    identity.hand_over(&config.state.directory)?;
    for path in sockets {
        identity.hand_over_socket(path)?;
    }
    Ok(identity.become_it(needs)?)
}
