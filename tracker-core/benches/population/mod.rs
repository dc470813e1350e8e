//! Who announces what, in every bench of the engine: three peers in four have everything.

#![allow(dead_code, reason = "each bench uses a part")]

use std::{error::Error, fs};
use tracker_common::{address::Address, load::mix};
use tracker_core::{
    engine::{Announce, Engine, Lists, Want},
    model::{Event, InfoHash},
    policy::Policy,
    rng::Rng,
};

/// How peers are spread over torrents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Each torrent has as many as any other.
    Even,
    /// Each peer is in any of them.
    Uniform,
    /// The n-th torrent has an n-th of what the first one has: Zipf's law with exponent 1.
    Zipf,
}

/// Peers and what each announces; a peer is always in the same torrent.
#[derive(Debug)]
pub(crate) struct Population {
    torrents: u64,
    peers: u64,
    spread: Spread,
    wanted: usize,
    ipv6: bool,
    /// Of Zipf's law: for each torrent the sum of the shares up to it.
    sums: Vec<f64>,
}

impl Population {
    /// So many peers of IPv4, which want 30 others.
    #[must_use]
    pub(crate) fn new(torrents: u64, peers: u64, spread: Spread) -> Self {
        let mut sum = 0.0;
        let shares = (1..=torrents).map(|n| {
            sum += 1.0 / n as f64;
            sum
        });
        let sums = if spread == Spread::Zipf { shares.collect() } else { Vec::new() };
        Self { torrents, peers, spread, wanted: 30, ipv6: false, sums }
    }

    /// The same over IPv6.
    #[must_use]
    pub(crate) fn over_ipv6(self) -> Self {
        Self { ipv6: true, ..self }
    }

    /// How many peers there are.
    #[must_use]
    pub(crate) const fn peers(&self) -> u64 {
        self.peers
    }

    fn torrent_of(&self, peer: u64) -> u64 {
        match self.spread {
            Spread::Even => peer % self.torrents,
            Spread::Uniform => mix(peer) % self.torrents,
            Spread::Zipf => {
                let all = self.sums.last().copied().unwrap_or_default();
                let at = mix(peer) as f64 / u64::MAX as f64 * all;
                (self.sums.partition_point(|sum| *sum < at) as u64).min(self.torrents - 1)
            }
        }
    }

    /// What the peer of this number announces.
    #[must_use]
    pub(crate) fn announce(&self, peer: u64) -> Announce {
        let [a, b, c, d, ..] = peer.to_le_bytes();
        let address = match self.ipv6 {
            false => Address::from_ipv4([d % 100 + 1, c, b, a]),
            true => Address::from_octets([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 1, d, c, b, a]),
        };
        Announce {
            info_hash: info_hash(self.torrent_of(peer)),
            address,
            port: 6881,
            event: Event::None,
            left: u64::from(peer.is_multiple_of(4)),
            want: Want::Own(self.wanted),
        }
    }

    /// So many announces of peers drawn at random.
    #[must_use]
    pub(crate) fn draw(&self, count: usize) -> Vec<Announce> {
        let mut rng = Rng::new([3, 4]);
        (0..count).map(|_| self.announce(rng.below(self.peers as usize) as u64)).collect()
    }

    /// An engine that every peer has announced itself to, once, at time 0.
    ///
    /// # Errors
    /// If it refuses one.
    pub(crate) fn engine(&self) -> Result<Engine, Box<dyn Error>> {
        let engine = Engine::new(Policy { max_torrents: usize::MAX, ..Policy::default() }, [1, 2]);
        let mut rng = Rng::new([1, 2]);
        for peer in 0..self.peers {
            engine.announce(&self.announce(peer), 0, &mut rng, &mut Lists::default())?;
        }
        Ok(engine)
    }
}

/// Of the torrent of this number.
pub(crate) fn info_hash(torrent: u64) -> InfoHash {
    let mut hash = [0; 20];
    let words = [mix(torrent), mix(torrent ^ 1 << 63), torrent];
    hash.chunks_mut(8).zip(words).for_each(|(part, word)| {
        let bytes = word.to_le_bytes();
        part.copy_from_slice(&bytes[..part.len()]);
    });
    InfoHash(hash)
}

/// The tables to be measured, as far as memory allows: torrents, each with two peers. What is left out is told.
pub(crate) fn tables() -> (Vec<u64>, Option<String>) {
    /// Bytes that the largest one takes with everything around it.
    const LARGEST: u64 = 4 << 30;
    let mut tables = vec![10_000, 100_000, 1_000_000];
    let available = available();
    if available.is_some_and(|bytes| bytes >= LARGEST) {
        tables.push(10_000_000);
        return (tables, None);
    }
    let available = available.map_or("an unknown amount".into(), |bytes| format!("{} MiB", bytes >> 20));
    let why =
        format!("10 M torrents are left out: they take {} MiB, and {available} is available", LARGEST >> 20);
    (tables, Some(why))
}

/// Bytes that can be used without swapping.
fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}
