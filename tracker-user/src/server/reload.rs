//! Reload: what can change while running is prepared aside and swapped whole.

use super::Server;
use crate::{
    config::{AccessMode, Apply, Config, process_environment},
    material::Material,
    policy,
    room::Room,
};
use tracker_core::{access::AccessList, engine::Engine, model::Seconds, policy::Policy};

impl Server {
    /// Takes up what can change while running: prepared aside, swapped whole, the old kept on any error.
    pub(super) fn reload(&mut self) {
        let mut loaded = Config::load(&self.args, &process_environment());
        for warning in std::mem::take(&mut loaded.warnings) {
            tracing::warn!("{warning}");
        }
        let config = loaded.config.take();
        let material = config.as_ref().map(|config| {
            let (material, problems) = Material::gather(config);
            // What takes a restart is read by whoever starts it.
            for problem in problems.into_iter().filter(|p| p.table == "access" || !p.of_this_user) {
                loaded.wrong(problem.table, problem.key, problem.reason);
            }
            material
        });
        let (Some(config), Some(Material { access, .. }), true) =
            (config, material, loaded.errors.is_empty())
        else {
            for error in loaded.errors {
                tracing::error!("{error}");
            }
            tracing::error!("not reloaded: the running configuration stays");
            return;
        };
        // The last that can fail, since it is swapped as it is read.
        let renewed = match self.tls.as_ref().map_or(Ok(false), |tls| tls.reload()) {
            Ok(renewed) => renewed,
            Err(error) => {
                tracing::error!("not reloaded: the running configuration and certificate stay: {error}");
                return;
            }
        };
        let changes = Config::changed_keys(&self.config, &config);
        let room = Room::of(&config);
        self.engine.set_policy(Policy { max_peers: room.peers, ..policy::from_config(&config) });
        if self.room != room {
            tracing::info!("there is room for {room}");
            self.room = room;
        }
        take_up_access(&self.engine, &config, access, self.clock.now());
        for change in changes.iter().filter(|change| change.apply == Apply::Restart) {
            tracing::warn!("{change} has changed and needs a restart");
        }
        // What needs a restart is compared with what runs, not with what was last read.
        self.config.swarm = config.swarm;
        self.config.access = config.access;
        self.config.limits = config.limits;
        self.config.websocket.interval = config.websocket.interval;
        self.config.websocket.max_offers = config.websocket.max_offers;
        self.running_config.send_replace(self.config.clone());
        let certificate = match (&self.tls, renewed) {
            (None, _) => "",
            (Some(_), true) => ", and another certificate",
            (Some(_), false) => ", and the same certificate",
        };
        tracing::info!("reloaded: [swarm], [access] and [limits]{certificate}");
    }
}

/// Swaps the access list and says what it holds: an empty or shortened one shows here.
pub(super) fn take_up_access(engine: &Engine, config: &Config, list: AccessList, now: Seconds) {
    let hashes = list.len();
    engine.set_access(list, now);
    match config.access.mode {
        AccessMode::Off => {}
        AccessMode::Allow if hashes == 0 => {
            tracing::warn!("access: the list is empty, so every torrent is refused");
        }
        AccessMode::Allow => tracing::info!("access: only the {hashes} listed torrents are served"),
        AccessMode::Deny => tracing::info!("access: the {hashes} listed torrents are refused"),
    }
}
