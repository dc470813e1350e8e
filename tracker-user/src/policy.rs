//! From configuration to the engine's policy.

use crate::config::Config;
use std::time::Duration;
use tracker_core::policy::Policy;

/// What `[swarm]` and `[limits]` say.
#[must_use]
pub fn from_config(config: &Config) -> Policy {
    let (swarm, limits) = (&config.swarm, &config.limits);
    Policy {
        interval: seconds(swarm.interval),
        min_interval: seconds(swarm.min_interval),
        peer_timeout: seconds(swarm.peer_timeout),
        default_num_want: swarm.default_num_want,
        max_num_want: swarm.max_num_want,
        max_peers_per_torrent: limits.peers_per_torrent,
        max_torrents: limits.torrents,
        peers_per_address: limits.peers_per_address,
        downloaded_retention: seconds(swarm.downloaded_retention),
        downloaded_entries: swarm.downloaded_entries,
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
