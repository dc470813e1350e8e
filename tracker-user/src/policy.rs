//! From configuration to the engine's policy.

use crate::config::{Config, Limits, Swarm};
use ipnet::IpNet;
use std::{num::NonZero, sync::Arc, time::Duration};
use tracker_common::{
    maps::LIMITED_KINDS,
    rate::{Kind, Rate},
};
use tracker_core::{admission::Admission, banned::Banned, networks::Network, policy::Policy};

/// Nobody is asked to wait longer by WebTorrent.
const MAX_WEBTORRENT_INTERVAL: Duration = Duration::from_secs(4 * 3600);

/// What `[swarm]`, `[limits]` and some keys of `[websocket]` say.
#[must_use]
pub fn from_config(config: &Config) -> Policy {
    let (swarm, limits, websocket) = (&config.swarm, &config.limits, &config.websocket);
    Policy {
        admission: Admission {
            interval: seconds(swarm.interval),
            max_interval: seconds(swarm.max_interval),
            interval_jitter: swarm.interval_jitter.thousandths(),
            min_interval: seconds(swarm.min_interval),
            webtorrent_interval: seconds(websocket.interval),
            max_webtorrent_interval: longest(websocket.interval, swarm),
            default_num_want: swarm.default_num_want,
            max_num_want: swarm.max_num_want,
            max_offers: websocket.max_offers,
            trusted: networks(&swarm.trust_ip_networks),
            rates: Kind::ALL.map(|kind| rate(limits, kind)),
            // Those of a file and of decisions are for whoever has read them: `crate::server`.
            banned: Banned::default(),
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

/// How often a client network may ask.
fn rate(limits: &Limits, kind: Kind) -> Rate {
    let (per_second, burst) = match kind {
        Kind::UdpRequests => (limits.udp_requests_per_second, limits.udp_requests_burst),
        Kind::UdpConnects => (limits.udp_connects_per_second, limits.udp_connects_burst),
        Kind::HttpRequests => (limits.http_requests_per_second, limits.http_requests_burst),
    };
    per_second.map_or(Rate::NONE, |per_second| Rate::new(per_second, burst.unwrap_or(per_second)))
}

/// The same, as far as the XDP program knows of it.
pub(crate) fn rates_of_xdp(limits: &Limits) -> [Rate; LIMITED_KINDS] {
    std::array::from_fn(|kind| Kind::ALL.get(kind).map_or(Rate::NONE, |kind| rate(limits, *kind)))
}

/// As the core takes them.
pub(crate) fn networks(named: &[IpNet]) -> Vec<Network> {
    named.iter().map(|network| Network::new(network.addr(), network.prefix_len())).collect()
}

/// How long an interval of WebTorrent may get: in proportion to the others, and not beyond what its key may say.
fn longest(interval: Duration, swarm: &Swarm) -> u32 {
    let grown = interval.mul_f64(swarm.max_interval.as_secs_f64() / swarm.interval.as_secs_f64().max(1.0));
    seconds(grown.min(MAX_WEBTORRENT_INTERVAL).max(interval))
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_webtorrent_grow_in_proportion() {
        let mut config = Config::default();
        let minutes = |n: u64| Duration::from_secs(60 * n);
        for (interval, max_interval, websocket, longest) in
            [(30, 60, 2, 4), (10, 10, 2, 2), (10, 35, 2, 7), (1, 60, 10, 240), (30, 60, 240, 240)]
        {
            (config.swarm.interval, config.swarm.max_interval) = (minutes(interval), minutes(max_interval));
            config.websocket.interval = minutes(websocket);
            assert_eq!(from_config(&config).admission.max_webtorrent_interval, 60 * longest);
        }
    }
}
