//! Who announces what: a fixed population of torrents and peers, computed from a seed instead of kept in memory.

use crate::rng::{Rng, mix};
use tracker_common::load;

/// How peers are spread over torrents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Popularity {
    /// Every torrent is as likely as any other.
    Uniform,
    /// The torrent of rank k is k^-s times as likely as the first (Zipf's law); s above 0.
    Zipf(f64),
}

/// The population. The same for the same values, on every machine.
#[derive(Clone, Debug)]
pub struct Workload {
    torrents: u64,
    peers: u64,
    seeders: f64,
    seed: u64,
    /// The seed as it was given, which the kernel engine has, too.
    given: u64,
    ranks: Ranks,
}

/// A peer: it always announces the same torrent, from the same port, in the same role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What it shares.
    pub info_hash: [u8; 20],
    /// Its name: letters, digits and hyphens only.
    pub peer_id: [u8; 20],
    /// Where it says that it listens; never 0.
    pub port: u16,
    /// Whether it has everything.
    pub seeder: bool,
}

impl Workload {
    /// `torrents` and `peers` are at least 1 (0 is taken for 1), `seeders` is the share of peers that have everything.
    #[must_use]
    pub fn new(torrents: u64, peers: u64, seeders: f64, popularity: Popularity, seed: u64) -> Self {
        let torrents = torrents.max(1);
        let ranks = match popularity {
            Popularity::Uniform => Ranks::Uniform,
            Popularity::Zipf(exponent) => Ranks::Zipf(Zipf::new(torrents, exponent)),
        };
        Self {
            torrents,
            peers: peers.max(1),
            seeders,
            seed: mix(seed ^ 0x5269_7074_6964_6521),
            given: seed,
            ranks,
        }
    }

    /// How many torrents there are.
    #[must_use]
    pub const fn torrents(&self) -> u64 {
        self.torrents
    }

    /// How many peers there are.
    #[must_use]
    pub const fn peers(&self) -> u64 {
        self.peers
    }

    /// The peer of this number, below [`Workload::peers`].
    #[must_use]
    pub fn peer(&self, number: u64) -> Peer {
        let mut rng = Rng::new(self.seed ^ mix(number));
        let info_hash = self.info_hash(self.torrent(&mut rng));
        let seeder = rng.unit() < self.seeders;
        let port = (1 + rng.below(65_535)) as u16;
        let mut peer_id = *b"-RL0100-000000000000";
        let (mut name, digits) = (rng.next_u64(), b"0123456789abcdefghijklmnopqrstuv");
        for byte in &mut peer_id[8..] {
            *byte = digits[(name & 31) as usize];
            name >>= 5;
        }
        Peer { info_hash, peer_id, port, seeder }
    }

    /// A peer that shares its source address with every `sources`-th other one, so that each peer always comes from
    /// the same address. `source` is below `sources`.
    #[must_use]
    pub fn peer_of_source(&self, source: u64, sources: u64, rng: &mut Rng) -> Peer {
        let sources = sources.max(1);
        let rows = (self.peers.saturating_sub(source)).div_ceil(sources).max(1);
        self.peer(rng.below(rows) * sources + source)
    }

    /// A peer of a connection that shares several torrents: the same peer ID in each of its `slots`, and the same role
    /// each time in the same torrent.
    #[must_use]
    pub fn member(&self, connection: u64, slot: u64, slots: u64) -> Peer {
        let number = connection.wrapping_mul(slots).wrapping_add(slot);
        let torrent = self.torrent(&mut Rng::new(self.seed ^ mix(number)));
        let role = Rng::new(self.seed ^ mix(connection) ^ mix(!torrent)).unit();
        let Peer { peer_id, port, .. } = self.peer(connection);
        Peer { info_hash: self.info_hash(torrent), peer_id, port, seeder: role < self.seeders }
    }

    /// A torrent, as likely as it is popular; by number, the most popular first.
    #[must_use]
    pub fn torrent(&self, rng: &mut Rng) -> u64 {
        match &self.ranks {
            Ranks::Uniform => rng.below(self.torrents),
            Ranks::Zipf(zipf) => zipf.sample(rng) - 1,
        }
    }

    /// The info hash of the torrent of this number, the same one that the kernel engine makes.
    #[must_use]
    pub fn info_hash(&self, torrent: u64) -> [u8; 20] {
        let words = load::info_hash(torrent as u32, (self.given ^ torrent >> 32) as u32);
        let mut hash = [0; 20];
        for (bytes, word) in hash.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        hash
    }
}

#[derive(Clone, Debug)]
enum Ranks {
    Uniform,
    Zipf(Zipf),
}

/// Zipf's distribution by rejection: the cost does not depend on the number of ranks, and no table is kept.
///
/// The probabilities k^-s are covered by the density 1 on (0, 1] and x^-s on (1, n], whose inverse is known in closed
/// form; a candidate is kept with the ratio of the two.
#[derive(Clone, Debug)]
struct Zipf {
    exponent: f64,
    /// The area under the cover.
    area: f64,
    ranks: u64,
}

impl Zipf {
    fn new(ranks: u64, exponent: f64) -> Self {
        let n = ranks as f64;
        let area = if is_one(exponent) {
            1.0 + n.ln()
        } else {
            (n.powf(1.0 - exponent) - exponent) / (1.0 - exponent)
        };
        Self { exponent, area, ranks }
    }

    /// Where the area left of the result is `share` of the whole.
    fn inverse(&self, share: f64) -> f64 {
        let area = share * self.area;
        let s = self.exponent;
        if area <= 1.0 {
            area
        } else if is_one(s) {
            (area - 1.0).exp()
        } else {
            (area * (1.0 - s) + s).powf(1.0 / (1.0 - s))
        }
    }

    /// A rank from 1 on.
    fn sample(&self, rng: &mut Rng) -> u64 {
        loop {
            let place = self.inverse(rng.unit());
            let rank = (crate::numbers::whole(place) + 1).min(self.ranks);
            let cover = if rank == 1 { 1.0 } else { place.powf(-self.exponent) };
            if rng.unit() * cover < (rank as f64).powf(-self.exponent) {
                return rank;
            }
        }
    }
}

fn is_one(exponent: f64) -> bool {
    (exponent - 1.0).abs() < 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn shares(popularity: Popularity, torrents: u64, draws: u32) -> Vec<f64> {
        let workload = Workload::new(torrents, 1, 0.5, popularity, 1);
        let mut rng = Rng::new(5);
        let mut seen = vec![0_u32; usize::try_from(torrents).unwrap()];
        for _ in 0..draws {
            seen[usize::try_from(workload.torrent(&mut rng)).unwrap()] += 1;
        }
        seen.iter().map(|&n| f64::from(n) / f64::from(draws)).collect()
    }

    #[test]
    fn uniform_torrents_are_equally_likely() {
        for share in shares(Popularity::Uniform, 20, 200_000) {
            assert!((share - 0.05).abs() < 0.003, "{share}");
        }
    }

    #[test]
    fn zipf_ranks_follow_their_law() {
        for exponent in [0.5, 1.0, 1.3] {
            let weights: Vec<f64> = (1..=50).map(|k| f64::from(k).powf(-exponent)).collect();
            let all: f64 = weights.iter().sum();
            let drawn = shares(Popularity::Zipf(exponent), 50, 400_000);
            for (rank, (weight, share)) in weights.iter().zip(&drawn).enumerate() {
                let expected = weight / all;
                // Five standard deviations of a binomial share.
                let slack = 5.0 * (expected * (1.0 - expected) / 400_000.0).sqrt();
                assert!((share - expected).abs() < slack, "s {exponent} rank {rank}: {share} {expected}");
            }
        }
    }

    #[test]
    fn one_torrent_is_enough() {
        for popularity in [Popularity::Uniform, Popularity::Zipf(1.0), Popularity::Zipf(0.7)] {
            assert_eq!(Workload::new(1, 1, 0.5, popularity, 9).torrent(&mut Rng::new(1)), 0);
        }
    }

    #[test]
    fn a_peer_is_always_the_same_and_the_roles_have_their_share() {
        let workload = Workload::new(1000, 20_000, 0.75, Popularity::Uniform, 1);
        assert_eq!(workload.peer(77), workload.peer(77));
        let peers: Vec<Peer> = (0..20_000).map(|n| workload.peer(n)).collect();
        let seeders = peers.iter().filter(|peer| peer.seeder).count();
        assert!((14_600..15_400).contains(&seeders), "{seeders}");
        let hashes: HashSet<_> = peers.iter().map(|peer| peer.info_hash).collect();
        assert_eq!(hashes.len(), 1000, "each torrent has 20 peers on average");
        assert_eq!(peers.iter().map(|peer| peer.peer_id).collect::<HashSet<_>>().len(), 20_000);
        assert!(peers.iter().all(|peer| peer.port != 0));
        let other = Workload::new(1000, 20_000, 0.75, Popularity::Uniform, 2);
        assert_ne!(other.peer(77).info_hash, workload.peer(77).info_hash);
        assert_ne!(other.info_hash(1), workload.info_hash(1));
    }

    #[test]
    fn a_connection_is_one_peer_in_several_torrents() {
        let workload = Workload::new(5, 100, 0.5, Popularity::Uniform, 1);
        let mut roles = std::collections::BTreeMap::new();
        let mut ids = HashSet::new();
        for connection in 0..20 {
            for slot in 0..10 {
                let peer = workload.member(connection, slot, 10);
                assert_eq!(peer.peer_id, workload.member(connection, 0, 10).peer_id);
                assert_eq!(*roles.entry((connection, peer.info_hash)).or_insert(peer.seeder), peer.seeder);
                ids.insert(peer.peer_id);
            }
        }
        assert_eq!(ids.len(), 20);
        let seeders = roles.values().filter(|seeder| **seeder).count();
        assert!((30..roles.len() - 20).contains(&seeders), "{seeders} of {}", roles.len());
    }

    #[test]
    fn each_source_has_its_own_peers() {
        let workload = Workload::new(10, 7, 0.5, Popularity::Uniform, 3);
        let mut rng = Rng::new(1);
        let all: Vec<_> = (0..7).map(|n| workload.peer(n).peer_id).collect();
        for source in 0..3 {
            let mut seen = HashSet::new();
            for _ in 0..200 {
                let id = workload.peer_of_source(source, 3, &mut rng).peer_id;
                let number = all.iter().position(|other| *other == id).unwrap() as u64;
                assert_eq!(number % 3, source);
                seen.insert(number);
            }
            assert_eq!(seen.len(), if source == 0 { 3 } else { 2 });
        }
    }
}
