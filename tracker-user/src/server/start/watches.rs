//! What is looked at for as long as the tracker runs.

use super::common::Common;
use crate::{config::Config, pressure, sweep};
use tokio::sync::watch;

/// The certificate: whether its files have changed, and when it ends.
pub(super) fn watch_certificate(common: Common<'_>) {
    if let Some(tls) = &common.sources.tls {
        let ends = common.farewell("the watch over the certificate");
        let watch = tls.clone().watch(common.config.tls.reload_interval);
        let warn = tls.clone().warn_of_expiry();
        common.crew.runtime.spawn(async move {
            let _ends = ends;
            tokio::join!(watch, warn);
        });
    }
}

/// Peers that are not heard of any more, and pressure. Both follow the configuration by what is returned.
pub(super) fn watch_swarms(common: Common<'_>, workers: pressure::Workers) -> watch::Sender<Config> {
    let Common { config, clock, crew, sources, .. } = common;
    let (running_config, config_seen) = watch::channel(config.clone());
    let sweep_ends = common.farewell("the sweep");
    crew.runtime.spawn(sweep::run(sources.engine.clone(), clock, config_seen.clone(), sweep_ends));
    let watch_ends = common.farewell("the watch over pressure");
    let watch = pressure::Watch::new(sources.clone(), workers, clock, config);
    crew.runtime.spawn(watch.run(config_seen, watch_ends));
    running_config
}
