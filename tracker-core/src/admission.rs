//! What a client gets: decided here, before the engine, alike for UDP, HTTP and WebTorrent. Who writes a reply is told
//! values and asks nobody.
//!
//! Each rule is a type of its own with its own file, and [`Admission`] asks them in order. Whether a torrent is served
//! the engine finds out itself, under the lock of the torrent's shard, so that none is left once a purge has gone by;
//! what a client is told of that is said here.

use crate::{
    banned::Banned,
    buckets::Buckets,
    clients::ClientPrefixes,
    interval::{Interval, Span},
    keys::Keys,
    model::Seconds,
    networks::Network,
    pressure::Measures,
};
use std::sync::Arc;
use tracker_common::{
    address::Address,
    rate::{Kind, Rate},
};

/// The protocol that a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// BEP 15.
    Udp,
    /// BEP 3.
    Http,
    /// WebSocket messages.
    Webtorrent,
}

/// Where a client says that it is, as other peers should see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The address.
    pub address: Address,
    /// The port, host byte order, where it says another one than it announces.
    pub port: Option<u16>,
}

/// An announce, as far as the operator has a say in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applicant<'a> {
    /// What it came by.
    pub door: Door,
    /// The key that it shows, where it shows anything as one.
    pub key: Option<&'a [u8]>,
    /// Its peer ID; it may have another length over HTTP, and is not looked at without [`Admission::denied_clients`].
    pub peer_id: &'a [u8],
    /// Where it came from, behind any proxies.
    pub source: Address,
    /// Where it listens, host byte order; nothing over WebTorrent, whose peers meet through the tracker.
    pub port: u16,
    /// Where it says that it is.
    pub claim: Option<Claim>,
    /// How many peers it wants, or how many offers it brings; negative, or nothing said, for the default.
    pub num_want: Option<i64>,
}

/// What it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The address under which it is known.
    pub address: Address,
    /// The port, host byte order.
    pub port: u16,
    /// How many peers at most; room in the reply may cap it further.
    pub peers: usize,
    /// How long it is asked to wait before it announces again, as far as the swarm does not matter.
    pub interval: Interval,
}

/// What the operator has decided about clients; part of [`crate::policy::Policy`], and swapped with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// How long a client is asked to wait between announces, without pressure.
    pub interval: Seconds,
    /// And under the greatest.
    pub max_interval: Seconds,
    /// By how many thousandths of it a reply's interval differs from another's, up or down.
    pub interval_jitter: u32,
    /// How long it must wait at least, without pressure.
    pub min_interval: Seconds,
    /// How long a client of WebTorrent is asked to wait, whose peers live as long as its connection.
    pub webtorrent_interval: Seconds,
    /// And under the greatest pressure.
    pub max_webtorrent_interval: Seconds,
    /// Peers given to a client that does not say how many it wants. Fifty is what BEP 3's readers expect.
    pub default_num_want: usize,
    /// The most peers given in one reply, of both families together.
    pub max_num_want: usize,
    /// The most offers of one announce that are relayed.
    pub max_offers: usize,
    /// The networks whose clients may say that they are elsewhere.
    pub trusted: Vec<Network>,
    /// How often a client network may ask, by [`Kind`].
    pub rates: [Rate; Kind::ALL.len()],
    /// The networks whose clients get nothing.
    pub banned: Banned,
    /// The client software that is not served.
    pub denied_clients: Arc<ClientPrefixes>,
    /// In private mode, the keys of those who are served.
    pub keys: Option<Arc<Keys>>,
}

impl Admission {
    /// Whether a client keeps to the rate of such requests; if so, this one is counted in `buckets`. `now_ns` is the protocol
    /// time.
    #[inline]
    #[must_use]
    pub fn admits(&self, buckets: &Buckets, kind: Kind, client: &Address, now_ns: u64) -> bool {
        let rate = self.rates[kind as usize];
        rate.is_none() || buckets.admit(kind, rate, client, now_ns)
    }

    /// Decides what a client gets, under the pressure that there is.
    ///
    /// # Errors
    /// If it is not served.
    #[inline]
    pub fn admit(&self, applicant: &Applicant<'_>, measures: Measures) -> Result<Terms, Rejected> {
        let Applicant { door, key, peer_id, source, port, claim, num_want } = *applicant;
        self.check_key(key)?;
        if !self.denied_clients.is_empty() && self.denied_clients.match_any(peer_id) {
            return Err(Rejected::ClientDenied);
        }
        let asked = num_want
            .and_then(|n| u64::try_from(n).ok())
            .map_or(self.default_num_want, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let most = match door {
            Door::Udp => self.most_by_udp(measures),
            Door::Http => self.max_num_want,
            Door::Webtorrent => self.max_offers,
        };
        let place = claim.filter(|claim| self.believes(source, claim));
        Ok(Terms {
            address: place.map_or(source, |place| place.address),
            port: place.and_then(|place| place.port).unwrap_or(port),
            peers: asked.min(most),
            interval: self.interval_by(door, measures),
        })
    }

    /// Whether clients need a key.
    #[inline]
    #[must_use]
    pub const fn is_private(&self) -> bool {
        self.keys.is_some()
    }

    /// Checks the key that a client shows, where one is needed.
    ///
    /// # Errors
    /// If it shows none, or another.
    #[inline]
    pub fn check_key(&self, key: Option<&[u8]>) -> Result<(), Rejected> {
        match (&self.keys, key) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(Rejected::KeyMissing),
            (Some(keys), Some(key)) if keys.contains(key) => Ok(()),
            (Some(_), Some(_)) => Err(Rejected::KeyUnknown),
        }
    }

    /// The most peers given in a reply by UDP.
    #[inline]
    #[must_use]
    pub fn most_by_udp(&self, measures: Measures) -> usize {
        self.max_num_want.min(measures.peers as usize)
    }

    /// How long clients of UDP and HTTP are asked to wait on average, where a swarm has not just begun.
    #[must_use]
    pub fn present_interval(&self, measures: Measures) -> Seconds {
        measures.interval(self.interval, self.max_interval)
    }

    /// How long clients are asked to wait that come by this door.
    #[inline]
    #[must_use]
    pub fn interval_by(&self, door: Door, measures: Measures) -> Interval {
        let (shortest, longest, least) = match door {
            Door::Udp | Door::Http => (self.interval, self.max_interval, self.min_interval),
            Door::Webtorrent => (self.webtorrent_interval, self.max_webtorrent_interval, 0),
        };
        Interval::new(Span { shortest, longest, least, jitter: self.interval_jitter }, measures)
    }

    /// Whether a client is where it says it is. Anybody could aim peers at a victim otherwise.
    fn believes(&self, source: Address, claim: &Claim) -> bool {
        claim.address.is_unicast() && self.trusted.iter().any(|network| network.contains(source))
    }

    /// When a client may come back that was refused. Where there was no room, that is after the interval that it would have
    /// been told, in which peers go, and where its key is not known, too: it may be a new one.
    #[must_use]
    pub fn retry(&self, rejected: Rejected, interval: Seconds) -> Option<Retry> {
        match rejected {
            Rejected::NotPermitted | Rejected::Banned | Rejected::ClientDenied | Rejected::KeyMissing => {
                Some(Retry::Never)
            }
            Rejected::TooManyTorrents | Rejected::MemoryFull | Rejected::KeyUnknown => {
                Some(Retry::Minutes(interval.div_ceil(60).max(1)))
            }
            Rejected::RateLimited => Some(Retry::Minutes(1)),
            Rejected::PeerIdTaken | Rejected::TooManyMemberships => None,
        }
    }
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            interval: 30 * 60,
            max_interval: 60 * 60,
            interval_jitter: 100,
            min_interval: 5 * 60,
            webtorrent_interval: 2 * 60,
            max_webtorrent_interval: 4 * 60,
            default_num_want: 50,
            max_num_want: 200,
            max_offers: 10,
            trusted: Vec::new(),
            rates: [Rate::NONE; Kind::ALL.len()],
            banned: Banned::default(),
            denied_clients: Arc::default(),
            keys: None,
        }
    }
}

/// Why an announce is refused, whoever finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The access list does not permit the torrent.
    #[error("the access list does not permit this torrent")]
    NotPermitted,
    /// The client's network is banned.
    #[error("the client's network is banned")]
    Banned,
    /// Its software is one of [`Admission::denied_clients`].
    #[error("clients with this beginning of the peer ID are not served")]
    ClientDenied,
    /// It shows no key, and needs one of [`Admission::keys`].
    #[error("there is no key in the announce address")]
    KeyMissing,
    /// It shows something that is none of [`Admission::keys`].
    #[error("the key in the announce address is not known")]
    KeyUnknown,
    /// The torrent is new, and [`crate::policy::Policy::max_torrents`] are stored.
    #[error("the limit of torrents is reached")]
    TooManyTorrents,
    /// The torrent is new, and there is hardly room for peers any more: [`crate::policy::Policy::max_peers`].
    #[error("the limit of peers is nearly reached")]
    MemoryFull,
    /// A WebRTC peer with this peer ID is in the torrent, from another address.
    #[error("the peer ID belongs to a peer at another address")]
    PeerIdTaken,
    /// A WebSocket connection is in all the torrents that it may be in.
    #[error("the limit of torrents of one connection is reached")]
    TooManyMemberships,
    /// The client's network asks more often than it may.
    #[error("the client's network asks more often than it may")]
    RateLimited,
}

impl Rejected {
    /// What the client is told: plain ASCII without a NUL.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::NotPermitted => "info hash not allowed on this tracker",
            Self::Banned => "your network is banned from this tracker",
            Self::ClientDenied => "client not allowed on this tracker, use another program",
            Self::KeyMissing => "this tracker needs a key: use the announce address that was given to you",
            Self::KeyUnknown => {
                "this tracker needs a key: the one in your announce address is wrong or withdrawn"
            }
            Self::TooManyTorrents | Self::MemoryFull => "tracker full, try again later",
            Self::PeerIdTaken => "peer ID is in use by another client",
            Self::TooManyMemberships => "too many torrents on one connection",
            Self::RateLimited => "too many requests, try again later",
        }
    }
}

/// When a client that was refused may ask again ([BEP 31](https://www.bittorrent.org/beps/bep_0031.html)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Asking again will not help.
    Never,
    /// After so many minutes.
    Minutes(u32),
}

#[cfg(test)]
mod tests;
