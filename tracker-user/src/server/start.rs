//! Start: everything that can fail is had before anything is served. The order of the steps is here, each of them in `start/`.

mod common;
mod crew;
mod doors;
mod operator;
mod rights;
mod standing;
mod succession;
mod swarms;
mod watches;

use super::{
    Server,
    cluster::{Others, Tracker},
    decide::Lists,
    held::{self, Held},
    premises::Premises,
    rekey::Rekey,
    start_error::{StartError, system},
};
use crate::{
    cli::RunArgs,
    config::{BusyPoll, Config, XdpMode},
    control::Control,
    counters::WorkerCounters,
    decisions::Keeper,
    handover::{successor::Successor, taker::Taker},
    http::{self, counters::Counters},
    logging::Lines,
    material::Material,
    metrics::{Sources, before::Before},
    orders::Orders,
    privileges::Needs,
    shared_key::SharedKey,
    swarms::{Saver, Settings},
    tls::acme::Acme,
    udp::bind,
    xdp::manager::Manager,
};
use common::Common;
use crew::{Crew, Workers};
use parking_lot::Mutex;
use standing::Standing;
use std::sync::Arc;
use swarms::{Filled, Swarms};
use tokio::sync::mpsc;

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

        // What is held from outside: sockets, and what the state directory keeps.
        let udp_threads = crew::udp_threads(&config);
        let mut received = None;
        if args.take_over {
            let (begun, open) = succession::begin(&config)?;
            *taker = Some(begun);
            received = Some(open);
        }
        let held = Held::have(&config, udp_threads, &mut received)?;
        let (addresses, ours) = (held.addresses(), held.ours());
        let shared_listeners = held.share_listeners().map_err(system("descriptors"))?;
        let Held { udp: sockets, http: listeners, metrics, control, mut links, ids, is_kept } = held;
        let most = match listeners.is_empty() {
            true => http::MostConnections::wanted(&config.http, &config.websocket),
            false => http::MostConnections::fit(&config.http, &config.websocket),
        };
        let mut standing = Standing::take_up(&config, of_cluster.as_ref(), (ids, is_kept), taker.is_some());

        // The last that needs root. All threads begin after this and inherit what is left.
        let mut prepared = rights::prepare_xdp(&config, &addresses, &standing, &lists, &mut links)?;
        if let Some(identity) = identity {
            let busy_poll = config.xdp.busy_poll == BusyPoll::Always;
            let needs = Needs { xdp: !prepared.is_empty(), busy_poll };
            rights::become_user(&identity, &config, &listeners, control.as_ref(), needs)?;
        }
        log.begin_thread().map_err(system("a thread"))?;

        // What is served, and those who serve it.
        let (farewell, ended) = mpsc::unbounded_channel();
        let swarms = Swarms::none_yet(&config, &lists, &standing)?;
        let Filled { cluster, tally } =
            swarms.fill(&config, of_cluster.as_ref(), &standing, taker.as_mut(), &farewell)?;
        let (engine, clock) = (swarms.engine.clone(), swarms.clock);
        let crew = Crew::start(&config, udp_threads, !listeners.is_empty())?;
        let counters = Arc::new(Counters::new(crew.io_threads));
        let hub = doors::hub(&config, &listeners, most.websockets, &engine, clock)?;
        if let (Some(hub), Some(cluster)) = (&hub, &cluster) {
            hub.connect(Arc::new(Others(cluster.clone())));
        }
        let before = Arc::<Before>::default();

        // Until this has been said the process before serves; from then on datagrams wait in the sockets, and nothing is decided
        // but here.
        if let Some(taker) = taker {
            taker.prepared(swarms.taken_into(), &before)?;
            standing.catch_up(&config, &lists, &engine, &mut prepared);
            bind::adopt(&config.udp, &sockets).map_err(held::Error::from)?;
        }
        let Standing { node, ids, key_since, decisions, .. } = standing;
        let decisions = Keeper::new(decisions, &config.state.directory, config.control.max_decisions, node);
        let key = SharedKey::new(ids);

        // From here on clients are served, over UDP first.
        let Workers { pool, deferrals, watched, serving } =
            crew.serve_udp(&config, sockets, (&swarms, &key), &prepared, &farewell)?;
        let kept = (engine.clone(), swarms.nodes.clone());
        let saver = Saver::start(Settings::of(&config.state, !is_kept), kept, clock, tally, &farewell)
            .map_err(system("a thread"))?;
        // What was dropped by sockets that are no more wanted.
        let closed = Arc::<WorkerCounters>::default();
        let sources = Arc::new(Sources {
            engine: engine.clone(),
            workers: pool.counters().into_iter().chain([closed.clone()]).collect(),
            sockets: pool.sockets(),
            xdp: prepared.reports(),
            xdp_wanted: match config.xdp.mode {
                XdpMode::Off => Vec::new(),
                _ => config.xdp.interfaces.clone(),
            },
            http: counters,
            websocket: hub.clone(),
            log: log.clone(),
            swarms: saver.tally().clone(),
            tls: tls.clone(),
            clients: Arc::default(),
            before: before.clone(),
            serving,
            cluster: cluster.clone(),
        });
        let common = Common { config: &config, clock, crew: &crew, sources: &sources, farewell: &farewell };
        let stats = doors::stats(common, &listeners);
        watches::watch_certificate(common);
        doors::serve_kept_certificate(common, acme.as_ref());
        let http = doors::open(common, listeners, most.http, stats, &addresses)?;
        let running_config = watches::watch_swarms(common, watched);
        let xdp = prepared.run(pool.servers(), &farewell)?;
        let metrics = operator::serve_metrics(common, metrics)?;
        let (giving_orders, orders) = Orders::channel();
        let by = (&giving_orders, &saver);
        let control = operator::serve_control(common, control, by, http.stage(), &addresses)?;
        http.serving();

        // The process before is left alone: not before another program is on its interfaces, or nobody wants one there.
        drop(links);
        let last = match taker.take() {
            Some(taker) => succession::finish(taker, received, &swarms, &before, &closed)?,
            None => None,
        };
        // Not before that one has left it to this one.
        let acme = tls.as_ref().zip(acme).map(|(tls, settings)| {
            let _inside = crew.runtime.enter();
            Acme::start(settings, tls.clone(), &config.state.directory, &farewell)
        });

        let premises = Premises {
            config: Arc::new(config.clone()),
            engine: engine.clone(),
            nodes: swarms.nodes,
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
            cluster.serve(Box::new(Tracker { rekey, key_since, decisions, orders, hub }));
        }
        let Crew { runtime, signals, .. } = crew;
        Ok(Self {
            args,
            config,
            engine,
            clock,
            addresses,
            log,
            room: swarms.room,
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
