//! Bounds of connections: in all, per client network, and what the system gives.

use crate::config::{Http, Websocket};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};
use tracker_common::address::Address;

/// How many connections each client network has, where that is limited: an IPv4 address, or a /64 of IPv6.
#[derive(Debug)]
pub(super) struct PerAddress {
    most: u32,
    counts: Mutex<HashMap<Address, u32>>,
}

/// A connection's place among those of its network, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    limit: Arc<PerAddress>,
    network: Address,
}

impl PerAddress {
    /// At most so many connections from one network.
    pub(super) fn new(most: u32) -> Arc<Self> {
        Arc::new(Self { most, counts: Mutex::default() })
    }

    /// A place for a connection from this address; `None` if it has all it may have.
    pub(super) fn take(self: &Arc<Self>, address: Address) -> Option<Place> {
        let network = address.client_network();
        let mut counts = self.counts.lock();
        let count = counts.entry(network).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { limit: self.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.limit.counts.lock();
        if let Entry::Occupied(mut count) = counts.entry(self.network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Descriptors for everything but connections: listeners, the workers' sockets, maps, files.
const OTHER_DESCRIPTORS: u64 = 512;
/// MostConnections of HTTP where the configuration leaves them open.
const CONNECTIONS: usize = 16_384;
/// WebSockets likewise.
const WEBSOCKETS: usize = 65_536;

/// How many connections may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MostConnections {
    /// Of HTTP, TLS included.
    pub(crate) http: usize,
    /// WebSockets.
    pub(crate) websockets: usize,
}

impl MostConnections {
    /// What the configuration asks for.
    pub(crate) fn wanted(http: &Http, websocket: &Websocket) -> Self {
        Self {
            http: http.max_connections.unwrap_or(CONNECTIONS),
            websockets: match websocket.enabled {
                true => websocket.max_connections.unwrap_or(WEBSOCKETS),
                false => 0,
            },
        }
    }

    /// As much of that as the limit of descriptors permits once it is raised, for strangers must not take the last one. A
    /// line says so where it is less.
    pub(crate) fn fit(http: &Http, websocket: &Websocket) -> Self {
        let wanted = Self::wanted(http, websocket);
        let limit = match raise() {
            Ok(limit) => limit,
            Err(error) => {
                tracing::warn!("the limit of descriptors is not known: {error}");
                return wanted;
            }
        };
        let had = wanted.within(limit);
        let Self { http: connections, websockets } = had;
        let is_short = |asked: Option<usize>, had: usize| asked.is_some_and(|asked| had < asked);
        if is_short(http.max_connections, connections)
            || websocket.enabled && is_short(websocket.max_connections, websockets)
        {
            tracing::warn!(
                "the system permits {limit} open descriptors, too few for http.max_connections and \
                 websocket.max_connections: {connections} connections of HTTP and {websockets} WebSockets may be open \
                 instead; raise the limit (`ulimit -Hn`, LimitNOFILE of systemd) or lower these keys"
            );
        } else if had != wanted {
            tracing::info!(
                "{connections} connections of HTTP and {websockets} WebSockets may be open, as the limit of {limit} open \
                 descriptors permits"
            );
        }
        had
    }

    /// Descriptors for all of these connections, and everything else.
    pub(crate) fn descriptors(self) -> u64 {
        (self.http + self.websockets) as u64 + OTHER_DESCRIPTORS
    }

    /// Itself if so many descriptors are enough, else a share of them.
    fn within(self, limit: u64) -> Self {
        if limit >= self.descriptors() {
            return self;
        }
        let (http, websockets) = share(limit, self.http, self.websockets);
        Self { http, websockets }
    }
}

/// What HTTP and WebSocket may have of so many descriptors: half each of what is not reserved for others, and what the
/// other does not want.
fn share(limit: u64, http: usize, websockets: usize) -> (usize, usize) {
    // A limit that is lower still keeps half for others.
    let free = usize::try_from(limit - OTHER_DESCRIPTORS.min(limit / 2)).unwrap_or(usize::MAX);
    // Without one there is no HTTP at all.
    let http = http.min(free - websockets.min(free / 2)).max(1);
    (http, websockets.min(free.saturating_sub(http)))
}

/// The limit after raising it.
fn raise() -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= hard {
        return Ok(soft);
    }
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_or(soft, |()| hard))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let limit = PerAddress::new(2);
        let [one, other] = [1, 2].map(|last| Address::from_ipv4([192, 0, 2, last]));
        let first = limit.take(one);
        let second = limit.take(one);
        assert!(first.is_some() && second.is_some() && limit.take(one).is_none());
        let elsewhere = limit.take(other);
        assert!(elsewhere.is_some());
        drop(first);
        let third = limit.take(one);
        assert!(third.is_some() && limit.take(one).is_none());
        drop((second, third, elsewhere));
        assert!(limit.counts.lock().is_empty());
    }

    #[test]
    fn an_ipv6_client_is_its_64() {
        let limit = PerAddress::new(2);
        let take = |text: &str| limit.take(text.parse::<std::net::IpAddr>().unwrap().into());
        let held = [take("2001:db8:0:1::1"), take("2001:db8:0:1:ffff::2")];
        assert!(held.iter().all(Option::is_some));
        assert!(take("2001:db8:0:1:8000::3").is_none(), "the same /64");
        assert!(take("2001:db8:0:2::1").is_some(), "the next one");
        // IPv4 has no such thing, however it is written.
        let four = [take("192.0.2.1"), take("::ffff:192.0.2.1")];
        assert!(four.iter().all(Option::is_some) && take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some());
        drop((held, four));
        assert!(limit.counts.lock().is_empty());
    }

    #[test]
    fn descriptors_are_shared_and_some_are_kept() {
        for (limit, wanted, had) in [
            (1024, (16_384, 65_536), (256, 256)),
            (1024, (100, 65_536), (100, 412)),
            (1024, (16_384, 100), (412, 100)),
            (1024, (16_384, 0), (512, 0)),
            (100, (16_384, 65_536), (25, 25)),
            (1, (16_384, 65_536), (1, 0)),
            (0, (16_384, 65_536), (1, 0)),
            (u64::MAX, (16_384, 65_536), (16_384, 65_536)),
        ] {
            assert_eq!(share(limit, wanted.0, wanted.1), had, "{limit} for {wanted:?}");
        }
    }

    #[test]
    fn what_is_enough_is_not_shared() {
        let wanted = MostConnections { http: 16_384, websockets: 65_536 };
        assert_eq!(wanted.descriptors(), 82_432);
        assert_eq!(wanted.within(82_432), wanted);
        assert_eq!(wanted.within(1024), MostConnections { http: 256, websockets: 256 });
    }

    #[test]
    fn the_limit_of_descriptors_is_the_systems() {
        let raised = raise().unwrap();
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(raised, soft);
    }
}
