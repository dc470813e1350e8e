//! What clients come in by, as the start puts it together.

use super::{
    Addresses,
    start_error::{StartError, system},
};
use crate::{
    clock::Clock,
    config::{Config, ListenAddress},
    front::{self, FrontPage},
    http::{self, endpoint::Bound},
    random::seed,
    ws::Hub,
};
use std::sync::Arc;
use tracker_core::engine::Engine;

/// What listens for clients.
pub(super) fn reached(config: &Config, addresses: &Addresses) -> front::Listeners {
    front::Listeners {
        udp: addresses.udp.clone(),
        http: addresses.http.clone(),
        https: addresses.https.clone(),
        websocket: config.websocket.enabled,
    }
}

/// The page at `/`, if it is served.
pub(super) fn front_page(
    config: &Config,
    listeners: front::Listeners,
    engine: &Arc<Engine>,
) -> Option<Arc<dyn http::Front>> {
    let page = || Arc::new(FrontPage::new(&config.http, engine.clone(), listeners)) as Arc<dyn http::Front>;
    config.http.page.then(page)
}

/// Where HTTP is spoken, with TLS or without.
pub(super) fn addresses_of(listeners: &[Bound], tls: bool) -> Vec<ListenAddress> {
    listeners.iter().filter(|bound| bound.tls == tls).map(|bound| bound.address.clone()).collect()
}

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
