//! From configuration to the engine's policy.

use crate::config::Config;
use ipnet::IpNet;
use std::{num::NonZero, sync::Arc, time::Duration};
use tracker_core::{admission::Admission, networks::Network, policy::Policy};

/// What `[swarm]`, `[limits]` and some keys of `[websocket]` say.
#[must_use]
pub fn from_config(config: &Config) -> Policy {
    let (swarm, limits, websocket) = (&config.swarm, &config.limits, &config.websocket);
    Policy {
        admission: Admission {
            interval: seconds(swarm.interval),
            min_interval: seconds(swarm.min_interval),
            webtorrent_interval: seconds(websocket.interval),
            default_num_want: swarm.default_num_want,
            max_num_want: swarm.max_num_want,
            max_offers: websocket.max_offers,
            trusted: networks(&swarm.trust_ip_networks),
            // Files say that: `crate::clientele`.
            denied_clients: Arc::default(),
            keys: None,
        },
        hide_private: swarm.hide_private_addresses,
        peer_timeout: seconds(swarm.peer_timeout),
        max_peers_per_torrent: limits.peers_per_torrent,
        max_torrents: limits.torrents,
        // What "auto" comes to is for whoever knows the machine: `crate::room`.
        max_peers: limits.peers.map_or(usize::MAX, NonZero::get),
        peers_per_address: limits.peers_per_address,
        downloaded_retention: seconds(swarm.downloaded_retention),
        downloaded_entries: swarm.downloaded_entries,
    }
}

/// As the core takes them.
pub(crate) fn networks(named: &[IpNet]) -> Vec<Network> {
    named.iter().map(|network| Network::new(network.addr(), network.prefix_len())).collect()
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
