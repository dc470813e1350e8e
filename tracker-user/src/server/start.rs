//! Start: everything that can fail is had before anything is served.

use super::{
    Addresses, Server, Signals,
    cluster::{self, KeySince},
    decide::{self, Lists},
    doors::{self, addresses_of, front_page, reached},
    held::{self, Held},
    premises::Premises,
    rekey::Rekey,
    reload::{take_up_access, tell_networks},
    start_error::{StartError, system},
    succession::{control_socket, finish_taking},
};
use crate::{
    cli::RunArgs,
    clock::Clock,
    config::{BusyPoll, Config, XdpMode},
    control::{self, Control},
    counters::WorkerCounters,
    decisions::{self, Keeper},
    farewell::Farewell,
    front::{self},
    handover::{
        successor::Successor,
        taker::{self, Taker},
    },
    http::{self, Http, counters::Counters, endpoint::Bound},
    logging::Lines,
    material::Material,
    metrics::{Sources, before::Before, serving::Serving},
    node_name::NodeName,
    orders::Orders,
    policy, pressure,
    privileges::{Identity, Needs},
    random::seed,
    room::Room,
    shared_key::SharedKey,
    state::{ConnectionIdState, boot_id},
    stats::Stats,
    swarms::{self, Saver},
    sweep,
    threads::{Threads, aside},
    tls::acme::{self, Acme},
    udp::{
        bind, polling,
        pool::{Pool, Shared, usable_cpus},
    },
    xdp::{
        deferral::Deferral,
        interface::Context,
        manager::{self, Manager},
    },
};
use parking_lot::Mutex;
use std::{num::NonZero, path::Path, sync::Arc};
use tokio::sync::{mpsc, watch};
use tracker_common::{connection_id::lifetime_slots, maps::Rates};
use tracker_core::{engine::Engine, nodes::SharedNodes, policy::Policy};

impl Server {
    /// Binds, attaches, drops privileges and serves; with `--take-over` what the tracker that runs has open is received, and
    /// that one leaves. When this returns, everything is up.
    ///
    /// # Errors
    /// The first thing that could not be had; what was had before is given back.
    pub fn start(
        config: Config,
        material: Material,
        args: RunArgs,
        log: Arc<Lines>,
    ) -> Result<Self, StartError> {
        let mut taker = None;
        let started = Self::begin(config, material, args, log, &mut taker);
        if let (Err(error), Some(taker)) = (&started, &mut taker) {
            taker.give_up(&error.to_string());
        }
        started
    }

    fn begin(
        config: Config,
        material: Material,
        args: RunArgs,
        log: Arc<Lines>,
        taker: &mut Option<Taker>,
    ) -> Result<Self, StartError> {
        let successor = Successor::of_this_process().map_err(|error| error.to_string());
        let Material { access, networks, clientele, tls, acme, cluster: of_cluster, identity, .. } = material;
        let lists = Lists { access, networks, clientele };
        let tls = tls.map(Arc::new);
        let udp_workers = match config.udp.listen.addresses.is_empty() {
            true => 0,
            false => threads(config.udp.workers),
        };
        let mut received = None;
        if args.take_over {
            let (begun, open) = Taker::begin(control_socket(&config)?)?;
            *taker = Some(begun);
            received = Some(open);
        }
        let held = Held::have(&config, udp_workers, &mut received)?;
        let ours = held.ours();
        let shared_listeners = held.share_listeners().map_err(system("descriptors"))?;
        let Held { udp: sockets, http: listeners, metrics, control, mut links, mut ids, is_kept } = held;
        let most = match listeners.is_empty() {
            true => http::MostConnections::wanted(&config.http, &config.websocket),
            false => http::MostConnections::fit(&config.http, &config.websocket),
        };
        let addresses = Addresses {
            udp: sockets.iter().map(|listener| listener.address).collect(),
            http: addresses_of(&listeners, false),
            https: addresses_of(&listeners, true),
            metrics: metrics.as_ref().map(|listener| listener.address),
            control: control.as_ref().map(|bound| bound.path().to_owned()),
        };

        let node = of_cluster.as_ref().map_or_else(NodeName::alone, |of_cluster| of_cluster.node.clone());
        let key_since = match &of_cluster {
            // What is handed over holds with the key and the time it comes with.
            Some(of_cluster) if taker.is_none() => {
                cluster::take_over_key(&config.cluster, of_cluster, &mut ids, &config.state.directory)
            }
            _ => KeySince::now(&ids),
        };
        let mut decisions = decisions::file::take_up(&config.state.directory, &node);
        let clock = Clock::new(ids.clock_base_ns);
        let lifetime_slots = lifetime_slots(config.udp.connection_id_lifetime.as_secs());
        let context = Context {
            config: config.xdp.clone(),
            listeners: addresses.udp.clone(),
            latency: config.udp.latency,
            clock,
            master: ids.master,
            lifetime_slots,
            rates: Rates {
                secret: seed().map_err(system("random bytes"))?,
                rates: policy::rates_of_xdp(&config.limits),
            },
            banned: lists.banned(&decisions),
            // Sockets are opened when that user is all that is left.
            keeps_rights: config.privileges.user.is_none(),
        };
        let mut prepared = manager::prepare(context, &mut links)?;
        let spins = config.xdp.busy_poll == BusyPoll::Always;
        let reports = prepared.reports();

        // Everything that needs root is had; all threads begin after this and inherit what is left.
        if let Some(identity) = identity {
            let needs = Needs { xdp: !prepared.is_empty(), busy_poll: spins };
            let streams = listeners.iter().filter_map(Bound::unix_path);
            let names = streams.chain(control.as_ref().map(control::Bound::path));
            drop_privileges(&identity, &config, names, needs)?;
        }
        log.begin_thread().map_err(system("a thread"))?;

        let room = Room::of(&config);
        tracing::info!("there is room for {room}");
        let clientele = lists.clientele.with(&decisions);
        let policy = clientele.govern(Policy { max_peers: room.peers, ..policy::from_config(&config) });
        let engine = Arc::new(Engine::new(policy, seed().map_err(system("random bytes"))?));
        // Known by number in all that is told of swarms, also where no cluster is on: their counts of downloads stay.
        let nodes = SharedNodes::default();
        let taken_into = taker::Swarms { engine: &engine, nodes: &nodes, clock };
        take_up_access(&engine, &config, lists.access(&decisions), clock.now());
        decide::ban(&engine, &lists.banned(&decisions));
        tell_networks(config.access.denied_networks.as_ref().map(|_| lists.networks.len()));
        clientele.log();
        let (farewell, ended) = mpsc::unbounded_channel();
        let be_a_node = || {
            let parts = cluster::Parts {
                engine: &engine,
                nodes: &nodes,
                clock,
                master: ids.master,
                key_since,
                decisions: decisions.digest(),
                succeeds: args.take_over,
            };
            let node = of_cluster
                .as_ref()
                .map(|of_cluster| cluster::begin(&config.cluster, of_cluster, parts, &farewell));
            node.transpose()
        };
        // A process that takes over listens first, so that nothing is told between the walk and that.
        let early = if args.take_over { be_a_node()? } else { None };
        if let Some(cluster) = &early {
            cluster::wait_for_connection(&config.cluster, cluster);
        }
        // Where the process before has crashed meanwhile, there is what it had saved.
        let fetched = match taker {
            Some(taker) => {
                aside("riptide-takein", || taker.fetch(taken_into)).map_err(system("a thread"))??
            }
            None => false,
        };
        let tally = match fetched {
            true => swarms::look(&config.state),
            false => swarms::restore_if_kept(&config.state, &engine, &nodes, clock),
        };
        let cluster = if args.take_over { early } else { be_a_node()? };
        if let Some(cluster) = cluster.as_ref().filter(|_| !args.take_over) {
            cluster::wait_for_others(&config.cluster, cluster);
        }
        let io_threads = if listeners.is_empty() { 1 } else { threads(config.http.workers) };
        let [udp_threads, serving_threads] =
            [udp_workers, io_threads].map(|threads| Arc::new(Threads::new(threads)));
        let joining = serving_threads.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(io_threads)
            .thread_name("riptide-io")
            .on_thread_start(move || joining.join())
            .enable_all()
            .build()
            .map_err(system("a thread"))?;
        let signals = runtime.block_on(async { Signals::new() }).map_err(system("signal handlers"))?;
        let counters = Arc::new(Counters::new(io_threads));
        let hub = doors::hub(&config, &listeners, most.websockets, &engine, clock)?;
        if let (Some(hub), Some(cluster)) = (&hub, &cluster) {
            hub.connect(Arc::new(cluster::Others(cluster.clone())));
        }
        let before = Arc::<Before>::default();

        // Until this has been said the process before serves; from then on datagrams wait in the sockets.
        if let Some(taker) = taker {
            taker.prepared(taken_into, &before)?;
            // From here on nothing is decided but here. What was decided meanwhile is known only now.
            let last = decisions::file::take_up(&config.state.directory, &node);
            if last != decisions {
                decisions = last;
                engine.set_access(lists.access(&decisions), clock.now());
                decide::ban(&engine, &lists.banned(&decisions));
                engine.change_policy(|policy| lists.clientele.with(&decisions).govern(policy.clone()));
                prepared.ban(lists.banned(&decisions));
            }
            // The same of the key.
            let kept = ConnectionIdState::kept(&config.state.directory, &boot_id()).filter(|_| is_kept);
            if let Some(ConnectionIdState { master, .. }) = kept.filter(|kept| *kept != ids) {
                ids.master = master;
                prepared.rekey(master);
            }
            bind::adopt(&config.udp, &sockets).map_err(held::Error::from)?;
        }
        let decisions = Keeper::new(decisions, &config.state.directory, config.control.max_decisions, node);
        let deferrals = polling::begin(&config, &sockets.iter().flat_map(|listener| &listener.sockets));
        let key = SharedKey::new(ids);
        let shared = Shared {
            engine: engine.clone(),
            clock,
            key: key.clone(),
            lifetime_slots,
            busy_poll: spins && !reports.read().is_empty(),
            backlog: (!prepared.is_empty()).then_some(config.xdp.copy_backlog.into()),
            threads: udp_threads.clone(),
            patiences: deferrals.iter().filter_map(Deferral::patience).cloned().collect(),
        };
        let workers = pressure::Workers {
            udp: (!shared.busy_poll).then_some(udp_threads),
            io: (!listeners.is_empty()).then_some(serving_threads),
            cpus: usable_cpus().len(),
        };
        let by_service = [("udp", &workers.udp), ("http", &workers.io)];
        let known =
            by_service.into_iter().filter_map(|(what, threads)| Some((what, threads.as_ref()?.clone())));
        let serving = Arc::new(Serving::new(known.collect()));
        let pool =
            Pool::spawn(&config.udp, sockets, udp_workers, &shared, &farewell).map_err(system("a worker"))?;
        let saving = swarms::Settings::of(&config.state, !is_kept);
        let saver = Saver::start(saving, (engine.clone(), nodes.clone()), clock, tally, &farewell)
            .map_err(system("a thread"))?;
        // What was dropped by sockets that are no more wanted.
        let closed = Arc::<WorkerCounters>::default();
        let sources = Arc::new(Sources {
            engine: engine.clone(),
            workers: pool.counters().into_iter().chain([closed.clone()]).collect(),
            sockets: pool.sockets(),
            xdp: reports,
            xdp_wanted: match config.xdp.mode {
                XdpMode::Off => Vec::new(),
                _ => config.xdp.interfaces.clone(),
            },
            http: counters.clone(),
            websocket: hub.clone(),
            log: log.clone(),
            swarms: saver.tally().clone(),
            tls: tls.clone(),
            clients: Arc::default(),
            before: before.clone(),
            serving: serving.clone(),
            cluster: cluster.clone(),
        });
        let stats = (config.http.stats && !listeners.is_empty())
            .then(|| Stats::new(sources.clone(), config.http.max_stats_streams));
        if let Some(stats) = &stats {
            runtime.spawn(stats.clone().sample());
        }
        if let Some(tls) = &tls {
            let ends = Farewell::new("the watch over the certificate", farewell.clone());
            let watch = tls.clone().watch(config.tls.reload_interval);
            let warn = tls.clone().warn_of_expiry();
            runtime.spawn(async move {
                let _ends = ends;
                tokio::join!(watch, warn);
            });
        }
        if let (Some(tls), Some(_)) = (&tls, &acme) {
            acme::serve_kept(tls, &config.state.directory);
        }
        let shared = http::Shared {
            engine: engine.clone(),
            clock,
            threads: io_threads,
            connections: most.http,
            counters,
            front: front_page(&config, reached(&config, &addresses), &engine),
            hub: hub.clone(),
            stats: stats.map(|stats| stats as Arc<dyn http::Statistics>),
            remarks: cluster
                .clone()
                .map(|cluster| Arc::new(cluster::Others(cluster)) as Arc<dyn http::Remarks>),
        };
        let http = {
            let _inside = runtime.enter();
            Http::start(
                &config.http,
                config.websocket.send_timeout,
                listeners,
                tls.as_ref(),
                shared,
                &farewell,
            )
            .map_err(system("HTTP"))?
        };
        serving.lives_by(http.stage());
        addresses.log();
        front::log(&config.http, &reached(&config, &addresses), engine.policy().admission.is_private());

        let (running_config, config_seen) = watch::channel(config.clone());
        let sweep_ends = Farewell::new("the sweep", farewell.clone());
        runtime.spawn(sweep::run(engine.clone(), clock, config_seen.clone(), sweep_ends));
        let watch_ends = Farewell::new("the watch over pressure", farewell.clone());
        let watch = pressure::Watch::new(sources.clone(), workers, clock, &config);
        runtime.spawn(watch.run(config_seen, watch_ends));
        let xdp = prepared.run(pool.servers(), &farewell)?;
        let metrics = metrics.map(|listener| {
            let _inside = runtime.enter();
            listener.serve(&config.metrics, sources.clone()).map_err(system("the metrics listener"))
        });
        let metrics = metrics.transpose()?;
        let (giving_orders, orders) = Orders::channel();
        let control = control.map(|bound| {
            let shared = control::Shared {
                engine: engine.clone(),
                clock,
                sources: sources.clone(),
                stage: http.stage(),
                orders: giving_orders.clone(),
                saver: saver.clone(),
                listeners: addresses.told(bound.path()),
            };
            let _inside = runtime.enter();
            Control::start(&config.control, bound, shared, &farewell).map_err(system("the control socket"))
        });
        let control = control.transpose()?;
        http.serving();
        // Not before another program is on their interfaces, or nobody wants one there.
        drop(links);
        let last = match taker.take() {
            Some(taker) => finish_taking(taker, received, (&engine, &nodes), clock, &before, &closed)?,
            None => None,
        };
        // Not before the process before has left it to this one.
        let acme = tls.as_ref().zip(acme).map(|(tls, settings)| {
            let _inside = runtime.enter();
            Acme::start(settings, tls.clone(), &config.state.directory, &farewell)
        });

        let premises = Premises {
            config: Arc::new(config.clone()),
            engine: engine.clone(),
            nodes,
            clock,
            rekey: Rekey::new(key, xdp.as_ref().map(Manager::lending), &config.state.directory),
            sources,
            listeners: Arc::new(shared_listeners),
            sockets: pool.sockets(),
            readers: pool.readers(),
            http: http.lending(),
            acme: acme.as_ref().map(Acme::lending),
            metrics,
            control: control.as_ref().map(Control::lending),
            xdp: xdp.as_ref().map(Manager::lending),
            deferrals: Arc::new(Mutex::new(deferrals)),
            decisions: decisions.clone(),
            cluster: cluster.clone(),
            ours,
        };
        if let Some(cluster) = &cluster {
            let (rekey, decisions, orders) = (premises.rekey.clone(), decisions.clone(), giving_orders);
            cluster.serve(Box::new(cluster::Tracker { rekey, key_since, decisions, orders, hub }));
        }
        Ok(Self {
            args,
            config,
            engine,
            clock,
            addresses,
            log,
            room,
            lists,
            decisions,
            saver,
            cluster,
            ended,
            running_config,
            signals,
            orders,
            tls,
            acme,
            xdp,
            http,
            control,
            pool,
            premises,
            successor,
            started: None,
            giving: None,
            events: mpsc::unbounded_channel(),
            last,
            runtime,
        })
    }
}

/// So many threads, or as many as there are CPUs to use.
fn threads(configured: Option<NonZero<usize>>) -> usize {
    configured.map_or_else(|| usable_cpus().len().max(1), NonZero::get)
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
