//! How many peers there is room for, in the memory that this process may use.

use crate::{
    config::{Config, XdpMode},
    memory::Memory,
    ws::memory_of,
    xdp::{frame::FRAME_LEN, queues::receive_queues},
};
use std::fmt;

/// The worst that a stranger can make a peer cost, bytes: one of two in a torrent of their own that are of different
/// networks, with the torrent's entries in the tables, each grown just now. In a large swarm a peer costs a thirtieth of it.
const WORST_PEER: u64 = 320;
/// What a kept count of downloads costs, bytes.
const DOWNLOADED_ENTRY: u64 = 64;
/// The worst that what another node counted of a torrent's downloads costs, bytes: alone, with its entry in a table that has grown just
/// now. Those of further nodes take eight.
const SHARE: u64 = 96;
/// What the process takes without any peer or client, bytes.
const OWN: u64 = 32 << 20;
/// Peers that are kept however little memory there is.
const LEAST: u64 = 10_000;

/// How many peers are kept in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// So many.
    pub peers: usize,
    /// The memory that this follows from; `None` where the configuration names the number, or the system no memory.
    memory: Option<Memory>,
}

impl Room {
    /// What `limits.peers` says; for `"auto"` what fits into the memory that this process may use.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        if let Some(count) = config.limits.peers {
            return Self { peers: count.get(), memory: None };
        }
        let memory = Memory::detect();
        let fitting = |memory: &Memory| fitting(memory.bytes, fixed(config), worst_peer(config));
        let count = memory.as_ref().map_or(u64::MAX, fitting);
        Self { peers: usize::try_from(count).unwrap_or(usize::MAX), memory }
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.memory {
            Some(memory) => write!(f, "{} peers, from {memory}", self.peers),
            None => write!(f, "{} peers", self.peers),
        }
    }
}

/// Three quarters of the memory, less what is spoken for; the last quarter is for connections and for what allocators and
/// growing tables hold twice.
fn fitting(memory: u64, fixed: u64, peer: u64) -> u64 {
    ((memory / 4 * 3).saturating_sub(fixed) / peer).max(LEAST)
}

/// What other nodes counted is bounded by peers and kept counts, as [`tracker_core::policy::Policy::max_shares`] has it.
const fn has_shares(config: &Config) -> bool {
    !config.cluster.servers.is_empty()
}

/// The worst that a peer costs, with its part of what other nodes may have counted, bytes.
const fn worst_peer(config: &Config) -> u64 {
    if has_shares(config) { WORST_PEER + SHARE / 2 } else { WORST_PEER }
}

/// Bytes that are spoken for before any peer.
fn fixed(config: &Config) -> u64 {
    let Config { swarm, xdp, websocket, .. } = config;
    let packets = match xdp.mode {
        XdpMode::Off => 0,
        _ => xdp.interfaces.iter().map(|name| queues(name) * u64::from(xdp.frames) * FRAME_LEN as u64).sum(),
    };
    let sockets = if websocket.enabled { memory_of(websocket) as u64 } else { 0 };
    let kept = if has_shares(config) { DOWNLOADED_ENTRY + SHARE } else { DOWNLOADED_ENTRY };
    swarm.downloaded_entries as u64 * kept + sockets + packets + OWN
}

/// One where the driver does not say, or the interface is not there yet.
fn queues(interface: &str) -> u64 {
    receive_queues(interface).ok().flatten().unwrap_or(1).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::NatsServer, host::Host};
    use std::num::NonZero;

    #[test]
    fn what_is_left_of_three_quarters_is_for_peers() {
        let mut config = Config::default();
        config.websocket.memory = Some(5 << 20);
        assert_eq!(fixed(&config), 64_000_000 + (5 << 20) + (32 << 20));
        config.websocket.enabled = false;
        config.swarm.downloaded_entries = 0;
        assert_eq!(fixed(&config), 32 << 20);
        // 192 MiB less 32, by 320 bytes.
        assert_eq!(fitting(256 << 20, 32 << 20, worst_peer(&config)), 524_288);
        assert_eq!(fitting(64 << 20, 64 << 20, worst_peer(&config)), 10_000);
        assert_eq!(fitting(u64::MAX, 0, worst_peer(&config)), u64::MAX / 4 * 3 / 320);
    }

    #[test]
    fn what_other_nodes_count_has_its_room() {
        let mut config = Config::default();
        config.websocket.enabled = false;
        config.cluster.servers =
            vec![NatsServer { tls: false, host: Host::Name("a".to_owned()), port: 4222 }];
        assert_eq!((fixed(&config), worst_peer(&config)), (160_000_000 + (32 << 20), 368));
    }

    #[test]
    fn frames_of_every_queue_count() {
        let mut config = Config::default();
        config.swarm.downloaded_entries = 0;
        config.websocket.enabled = false;
        config.xdp.interfaces = vec!["lo".to_owned(), "none-such0".to_owned()];
        config.xdp.frames = 8192;
        assert_eq!(fixed(&config), (32 << 20) + 2 * 8192 * 2048);
        config.xdp.mode = XdpMode::Off;
        assert_eq!(fixed(&config), 32 << 20);
    }

    #[test]
    fn a_number_is_taken_as_it_is() {
        let mut config = Config::default();
        config.limits.peers = NonZero::new(7);
        let room = Room::of(&config);
        assert_eq!((room.peers, room.to_string().as_str()), (7, "7 peers"));
        config.limits.peers = None;
        let room = Room::of(&config);
        assert!(room.peers >= 10_000 && room.to_string().contains(" MiB "), "{room}");
    }
}
