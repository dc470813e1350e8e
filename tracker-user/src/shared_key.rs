//! The master key of connection IDs while the tracker runs: one for all who issue and check them, which may be swapped.

use crate::state::ConnectionIdState;
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use tracker_common::{connection_id::ConnectionIds, siphash::Key};

/// What connection IDs are made of, as it is now.
#[derive(Clone, Debug)]
pub struct SharedKey(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<ConnectionIdState>,
    /// How often the key was swapped, modulo 2³². Written under the lock, so whoever sees another number finds the key that
    /// belongs to it.
    swaps: AtomicU32,
}

impl SharedKey {
    /// Begins with what was saved, made or received.
    #[must_use]
    pub fn new(state: ConnectionIdState) -> Self {
        Self(Arc::new(Inner { state: Mutex::new(state), swaps: AtomicU32::new(0) }))
    }

    /// What they are made of now.
    #[must_use]
    pub fn state(&self) -> ConnectionIdState {
        *self.0.state.lock()
    }

    /// Puts another master key in the place of the one that was: IDs of that one hold no more. Whether it is another.
    pub fn swap(&self, master: Key) -> bool {
        let mut state = self.0.state.lock();
        let is_another = state.master != master;
        if is_another {
            state.master = master;
            self.0.swaps.fetch_add(1, Ordering::Relaxed);
        }
        is_another
    }

    /// For a thread that issues and checks IDs which live so long, see [`tracker_common::connection_id`].
    #[must_use]
    pub fn follow(&self, lifetime_slots: u32) -> Follower {
        Follower { shared: self.clone(), lifetime_slots, seen: None }
    }
}

/// Follows the key, at the cost of a relaxed load for each look.
#[derive(Debug)]
pub struct Follower {
    shared: SharedKey,
    lifetime_slots: u32,
    /// The number of swaps at the last look that found something.
    seen: Option<u32>,
}

impl Follower {
    /// By what IDs are issued and checked from now on, if that is not what was found last. The first look always finds
    /// something. `now_ns` is the protocol time.
    #[inline]
    pub fn look(&mut self, now_ns: u64) -> Option<ConnectionIds> {
        let is_known = self.seen == Some(self.shared.0.swaps.load(Ordering::Relaxed));
        if is_known { None } else { Some(self.ids(now_ns)) }
    }

    /// By what they are issued and checked now. `now_ns` is the protocol time.
    #[cold]
    pub fn ids(&mut self, now_ns: u64) -> ConnectionIds {
        let state = self.shared.0.state.lock();
        self.seen = Some(self.shared.0.swaps.load(Ordering::Relaxed));
        ConnectionIds::new(state.master, self.lifetime_slots, now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use tracker_common::address::Address;

    const LIFETIME: u32 = 4;
    const NOW: u64 = 1_700_000_000_000_000_000;
    const CLIENT: Address = Address::from_ipv4([192, 0, 2, 1]);

    fn key(n: u64) -> Key {
        Key { k0: n, k1: !n }
    }

    fn shared() -> SharedKey {
        SharedKey::new(ConnectionIdState { master: key(0), clock_base_ns: 5 })
    }

    fn of(master: Key) -> ConnectionIds {
        ConnectionIds::new(master, LIFETIME, NOW)
    }

    #[test]
    fn each_follower_finds_each_key_once() {
        let shared = shared();
        let mut followers = [shared.follow(LIFETIME), shared.follow(LIFETIME)];
        for n in 0..3 {
            assert_eq!(shared.swap(key(n)), n > 0, "the first is there already");
            for follower in &mut followers {
                let ids = follower.look(NOW).expect("another key");
                assert_eq!(ids.issue(&CLIENT), of(key(n)).issue(&CLIENT));
                assert!(n == 0 || !ids.is_valid(of(key(n - 1)).issue(&CLIENT), &CLIENT));
                assert!(follower.look(NOW).is_none());
            }
        }
        assert_eq!(shared.state(), ConnectionIdState { master: key(2), clock_base_ns: 5 });
    }

    #[test]
    fn of_many_swaps_the_last_is_found() {
        let shared = shared();
        let mut follower = shared.follow(LIFETIME);
        for n in 1..10 {
            shared.swap(key(n));
        }
        assert_eq!(follower.look(NOW).expect("a key").issue(&CLIENT), of(key(9)).issue(&CLIENT));
        assert!(follower.look(NOW).is_none());
        shared.swap(key(0));
        assert_eq!(follower.look(NOW).expect("a key").issue(&CLIENT), of(key(0)).issue(&CLIENT));
    }

    #[test]
    fn whoever_follows_while_it_is_swapped_ends_with_the_last() {
        const LAST: u64 = 2_000;
        let shared = shared();
        let last = of(key(LAST)).issue(&CLIENT);
        thread::scope(|scope| {
            for _ in 0..2 {
                let mut follower = shared.follow(LIFETIME);
                scope.spawn(move || while follower.look(NOW).is_none_or(|ids| ids.issue(&CLIENT) != last) {});
            }
            for n in 1..=LAST {
                shared.swap(key(n));
            }
        });
    }
}
