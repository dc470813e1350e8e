//! What clients come in by, as the start puts it together.

use super::common::Common;
use crate::{
    clock::Clock,
    config::Config,
    front::{self, FrontPage},
    http::{self, Http, endpoint::Bound},
    random::seed,
    server::{
        Addresses,
        cluster::Others,
        start_error::{StartError, system},
    },
    stats::Stats,
    tls::acme,
    ws::Hub,
};
use std::sync::Arc;
use tracker_core::engine::Engine;

/// All WebSockets, for so many at most, if there are to be any.
///
/// # Errors
/// When random bytes are short.
pub(super) fn hub(
    config: &Config,
    listeners: &[Bound],
    most: usize,
    engine: &Arc<Engine>,
    clock: Clock,
) -> Result<Option<Arc<Hub>>, StartError> {
    if !config.websocket.enabled || listeners.is_empty() {
        return Ok(None);
    }
    let [ticket_key, seed] = [(); 2].map(|()| seed().map_err(system("random bytes")));
    let hub = Hub::new(&config.websocket, most, engine.clone(), clock, ticket_key?, seed?);
    if config.websocket.max_connections.is_some_and(|asked| hub.most_connections() < asked) {
        tracing::info!(
            "websocket.memory holds {} WebSockets, fewer than websocket.max_connections",
            hub.most_connections()
        );
    }
    Ok(Some(hub))
}

/// What listens for clients.
fn reached(config: &Config, addresses: &Addresses) -> front::Listeners {
    front::Listeners {
        udp: addresses.udp.clone(),
        http: addresses.http.clone(),
        https: addresses.https.clone(),
        websocket: config.websocket.enabled,
    }
}

/// The pages of numbers, if they are served.
pub(super) fn stats(common: Common<'_>, listeners: &[Bound]) -> Option<Arc<Stats>> {
    let Common { config, crew, sources, .. } = common;
    if !config.http.stats || listeners.is_empty() {
        return None;
    }
    let stats = Stats::new(sources.clone(), config.http.max_stats_streams);
    crew.runtime.spawn(stats.clone().sample());
    Some(stats)
}

/// Serves the certificate that an ACME server gave lately, where such a server is asked at all.
pub(super) fn serve_kept_certificate(common: Common<'_>, acme: Option<&acme::Settings>) {
    if let (Some(tls), Some(_)) = (&common.sources.tls, acme) {
        acme::serve_kept(tls, &common.config.state.directory);
    }
}

/// Serves HTTP and WebSocket over so many connections at most, and says on the log where. The tracker does not call itself ready
/// yet.
///
/// # Errors
/// When listeners cannot be watched, or random bytes are short.
pub(super) fn open(
    common: Common<'_>,
    listeners: Vec<Bound>,
    most: usize,
    stats: Option<Arc<Stats>>,
    addresses: &Addresses,
) -> Result<Http, StartError> {
    let Common { config, clock, crew, sources, farewell } = common;
    let reached = reached(config, addresses);
    let page = || {
        Arc::new(FrontPage::new(&config.http, sources.engine.clone(), reached.clone()))
            as Arc<dyn http::Front>
    };
    let shared = http::Shared {
        engine: sources.engine.clone(),
        clock,
        threads: crew.io_threads,
        connections: most,
        counters: sources.http.clone(),
        front: config.http.page.then(page),
        hub: sources.websocket.clone(),
        stats: stats.map(|stats| stats as Arc<dyn http::Statistics>),
        remarks: sources.cluster.clone().map(|cluster| Arc::new(Others(cluster)) as Arc<dyn http::Remarks>),
    };
    let _inside = crew.runtime.enter();
    let timeout = config.websocket.send_timeout;
    let http = Http::start(&config.http, timeout, listeners, sources.tls.as_ref(), shared, farewell)
        .map_err(system("HTTP"))?;
    sources.serving.lives_by(http.stage());
    addresses.log();
    front::log(&config.http, &reached, sources.engine.policy().admission.is_private());
    Ok(http)
}
