//! Reload: what can change while running is prepared aside and swapped whole.

use super::{Server, decide::Lists};
use crate::{
    config::{AccessMode, Apply, Change, Config, process_environment},
    material::{Material, Problem},
    orders::{Certificate, NotReloaded, Reloaded},
    policy,
    room::Room,
};
use std::sync::Arc;
use tracker_core::{access::AccessList, engine::Engine, model::Seconds, policy::Policy};

impl Server {
    /// Takes up what can change while running: prepared aside, swapped whole, the old kept on any error. The log says what
    /// came of it, whoever asked.
    ///
    /// # Errors
    /// What is wrong with the configuration, or with what it names.
    pub(super) fn reload(&mut self) -> Result<Reloaded, NotReloaded> {
        let outcome = self.take_up();
        if let Err(error) = &outcome {
            for problem in &error.problems {
                tracing::error!("{problem}");
            }
            tracing::error!("{error}");
        }
        outcome
    }

    fn take_up(&mut self) -> Result<Reloaded, NotReloaded> {
        let mut loaded = Config::load(&self.args, &process_environment());
        let mut warnings: Vec<String> =
            loaded.warnings.drain(..).map(|warning| warning.to_string()).collect();
        let config = loaded.config.take();
        let material = config.as_ref().map(|config| {
            let (mut material, problems) = Material::gather(config);
            warnings.append(&mut material.warnings);
            // What takes a restart is read by whoever starts it.
            let is_read_here = |problem: &Problem| ["access", "tls.acme"].contains(&problem.table);
            for problem in problems.into_iter().filter(|p| is_read_here(p) || !p.of_this_user) {
                loaded.wrong(problem.table, problem.key, problem.reason);
            }
            material
        });
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let (Some(config), Some(Material { access, mut networks, clientele, acme, .. }), true) =
            (config, material, loaded.errors.is_empty())
        else {
            let problems = loaded.errors.iter().map(ToString::to_string).collect();
            return Err(NotReloaded { problems });
        };
        // The last that can fail, since it is swapped as it is read.
        let renewed = self.tls.as_ref().map(|tls| tls.reload()).transpose();
        let certificate = match renewed {
            Ok(renewed) => renewed.map(|yes| if yes { Certificate::Renewed } else { Certificate::Same }),
            Err(error) => return Err(NotReloaded { problems: vec![error.to_string()] }),
        };
        let changes = Config::changed_keys(&self.config, &config);
        let room = Room::of(&config);
        if networks == self.lists.networks {
            // What is the same is known for it everywhere.
            networks = Arc::clone(&self.lists.networks);
        }
        self.lists = Lists { access, networks, clientele };
        let clientele = self.decisions.look(|decisions| self.lists.clientele.with(decisions));
        let mut policy = Policy { max_peers: room.peers, ..policy::from_config(&config) };
        policy.admission.banned = self.decisions.look(|decisions| self.lists.banned(decisions));
        let banned = policy.admission.banned.clone();
        self.engine.set_policy(clientele.govern(policy));
        // A long list takes the XDP programs a moment, which nobody waits for.
        drop(self.ban(&banned));
        if let Some(xdp) = &self.xdp {
            xdp.lending().limit(policy::rates_of_xdp(&config.limits));
        }
        // Who came by a key that is gone, or by none, stays connected otherwise.
        self.http.recheck_keys();
        if self.room != room {
            tracing::info!("there is room for {room}");
            self.room = room;
        }
        let listed_torrents = (config.access.mode != AccessMode::Off).then(|| self.lists.access.len());
        let denied_networks = config.access.denied_networks.as_ref().map(|_| self.lists.networks.len());
        let access = self.decisions.look(|decisions| self.lists.access(decisions));
        take_up_access(&self.engine, &config, access, self.clock.now());
        tell_networks(denied_networks);
        clientele.log();
        let (denied_clients, listed_keys) = self.lists.clientele.lengths();
        // Whether the certificate is from files or from an ACME server is decided at the start.
        let is_fixed = |change: &Change| change.table == "tls.acme" && self.acme.is_some() != acme.is_some();
        let keys = |apply| {
            let of = |change: &&Change| if is_fixed(change) { Apply::Restart } else { change.apply };
            changes.iter().filter(|change| of(change) == apply).map(ToString::to_string).collect::<Vec<_>>()
        };
        let (taken_up, needs_restart) = (keys(Apply::Reload), keys(Apply::Restart));
        for key in &needs_restart {
            tracing::warn!("{key} has changed and needs a restart");
        }
        // What needs a restart is compared with what runs, not with what was last read.
        self.config.swarm = config.swarm;
        self.config.access = config.access;
        self.config.limits = config.limits;
        self.config.websocket.interval = config.websocket.interval;
        self.config.websocket.max_offers = config.websocket.max_offers;
        if let (Some(running), Some(settings)) = (&self.acme, acme) {
            running.take_up(settings);
            self.config.tls_acme = config.tls_acme;
        }
        self.running_config.send_replace(self.config.clone());
        let and_certificate = match certificate {
            None => "",
            Some(Certificate::Renewed) => ", and another certificate",
            Some(Certificate::Same) => ", and the same certificate",
        };
        tracing::info!("reloaded: [swarm], [access] and [limits]{and_certificate}");
        let room_peers = self.room.peers;
        Ok(Reloaded {
            taken_up,
            needs_restart,
            certificate,
            listed_torrents,
            denied_networks,
            denied_clients,
            keys: listed_keys,
            room_peers,
            warnings,
        })
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

/// Says how many networks the operator's list bans, if there is one.
pub(super) fn tell_networks(denied_networks: Option<usize>) {
    if let Some(networks) = denied_networks {
        tracing::info!("access: clients of the {networks} listed networks get nothing");
    }
}
