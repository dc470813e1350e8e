//! What client networks have asked lately: the tables of [`tracker_common::rate`] for all that the XDP program has not
//! counted. How often they may ask is part of [`crate::admission::Admission`].

use std::{
    fmt,
    sync::{OnceLock, atomic::AtomicU64},
};
use tracker_common::{
    address::Address,
    rate::{BUCKETS_PER_KIND, Kind, Rate, places},
    siphash::Key,
};

/// Buckets for each kind of request, shared by all threads without a lock. A megabyte for each kind that was ever limited.
pub struct Buckets {
    secret: Key,
    tables: [OnceLock<Box<[AtomicU64]>>; Kind::ALL.len()],
}

impl Buckets {
    /// Empty ones. `secret` is random: it decides which networks share a bucket.
    #[must_use]
    pub fn new([k0, k1]: [u64; 2]) -> Self {
        Self { secret: Key { k0, k1 }, tables: Default::default() }
    }

    /// Whether a request of this kind, of `client`'s network at `now_ns`, keeps to `rate`; if so, it is counted.
    #[must_use]
    pub fn admit(&self, kind: Kind, rate: Rate, client: &Address, now_ns: u64) -> bool {
        let make = || (0..BUCKETS_PER_KIND).map(|_| AtomicU64::new(0)).collect();
        let table = self.tables[kind as usize].get_or_init(make);
        let [one, other] = places(self.secret, client);
        rate.admit([&table[one], &table[other]], now_ns)
    }
}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::IpAddr, sync::atomic::Ordering};

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn each_network_and_each_kind_counts_for_itself() {
        let buckets = Buckets::new([1, 2]);
        let rate = Rate::new(10, 3);
        let admitted = |kind, client: &str, now_ns| {
            (0..9).filter(|_| buckets.admit(kind, rate, &address(client), now_ns)).count()
        };
        assert_eq!(admitted(Kind::UdpRequests, "192.0.2.1", 7), 3);
        assert_eq!(admitted(Kind::UdpRequests, "192.0.2.2", 7), 3);
        assert_eq!(admitted(Kind::HttpRequests, "192.0.2.1", 7), 3);
        assert_eq!(admitted(Kind::UdpRequests, "2001:db8:1:2::1", 7), 3);
        assert_eq!(admitted(Kind::UdpRequests, "2001:db8:1:2:ffff::2", 7), 0, "the same /64");
        assert_eq!(admitted(Kind::UdpRequests, "2001:db8:1:3::1", 7), 3, "another /64");
        assert_eq!(admitted(Kind::UdpRequests, "192.0.2.1", 100_000_006), 0);
        assert_eq!(admitted(Kind::UdpRequests, "192.0.2.1", 100_000_007), 1);
    }

    /// What the documentation of [`tracker_common::rate`] says of innocents, with a thousand networks over their rate.
    #[test]
    fn few_innocents_are_hit() {
        let buckets = Buckets::new([3, 4]);
        let rate = Rate::new(1, 1);
        let network = |kind: u8, n: u32| {
            let [_, b, c, d] = n.to_be_bytes();
            Address::from_ipv4([kind, b, c, d])
        };
        for n in 0..1_000 {
            assert!(buckets.admit(Kind::UdpRequests, rate, &network(1, n), 1));
        }
        let table = buckets.tables[Kind::UdpRequests as usize].get().unwrap();
        let is_full = |place: usize| table[place].load(Ordering::Relaxed) != 0;
        let is_hit = |n: &u32| places(buckets.secret, &network(2, *n)).into_iter().all(is_full);
        // A million times (1,000 / 65,536)² is 233, and the root of that is 15.
        let hit = (0..1_000_000).filter(is_hit).count();
        assert!((150..320).contains(&hit), "{hit}");
    }
}
