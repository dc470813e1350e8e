//! Connections of a private tracker.

use super::{Tracker, announce, announced, client::until};
use crate::ws::Closed;
use std::sync::Arc;
use tracker_core::{admission::Admission, keys::Keys, policy::Policy};

const ROOM: usize = 1 << 16;
const KEYS: [&str; 2] = ["ABCDEFGH", "IJKLMNOP"];

impl Tracker {
    /// Serves those with one of these keys from now on.
    fn admit(&self, keys: &[&str]) {
        let keys = Keys::parse([1, 2, 3, 4], keys.join("\n").as_bytes()).unwrap();
        let admission = Admission { keys: Some(Arc::new(keys)), interval_jitter: 0, ..Admission::default() };
        self.engine.set_policy(Policy { admission, ..Policy::default() });
        self.hub.recheck_keys();
    }
}

#[tokio::test]
async fn whoever_shows_no_key_is_told_so_and_stays_out() {
    let tracker = Tracker::new(|_| ());
    tracker.admit(&KEYS);
    let mut member = tracker.connect_by("/ABCDEFGH", 1, ROOM);
    assert_eq!(member.ask(&announce('a', "")).await, announced(1));
    for (path, host) in [("/announce", 2), ("", 3), ("/ABCDEFGI/announce", 4)] {
        let mut stranger = tracker.connect_by(path, host, ROOM);
        let reply = stranger.ask(&announce('b', "")).await;
        assert!(reply.contains("this tracker needs a key"), "{path}: {reply}");
        let reply = stranger.ask(super::SCRAPE).await;
        assert!(reply.contains("this tracker needs a key"), "{path}: {reply}");
    }
    assert_eq!(tracker.counts(), (0, 1));
}

#[tokio::test]
async fn connections_end_with_their_keys() {
    let tracker = Tracker::new(|_| ());
    let mut before = tracker.connect(1, ROOM);
    let mut members = KEYS.map(|key| tracker.connect_by(&format!("/{key}/announce"), 2, ROOM));
    before.ask(&announce('a', "")).await;
    for (peer, member) in ['b', 'c'].into_iter().zip(&mut members) {
        member.ask(&announce(peer, "")).await;
    }
    // The tracker becomes private: who came without a key leaves the swarm.
    tracker.admit(&KEYS);
    assert_eq!(before.closed().await, 1008);
    drop(before);
    until("one to leave", || tracker.hub.connections() == 2).await;
    assert_eq!(tracker.counts(), (0, 2));
    // A key is withdrawn.
    tracker.admit(&KEYS[1..]);
    let [mut gone, mut left] = members;
    assert_eq!(gone.closed().await, 1008);
    drop(gone);
    until("another to leave", || tracker.hub.connections() == 1).await;
    assert_eq!(left.ask(&announce('c', "")).await, announced(1));
    assert_eq!(tracker.hub.counters().closed.of(Closed::Key), 2);
    // And public again.
    let admission = Admission { interval_jitter: 0, ..Admission::default() };
    tracker.engine.set_policy(Policy { admission, ..Policy::default() });
    tracker.hub.recheck_keys();
    let mut anybody = tracker.connect(3, ROOM);
    assert_eq!(anybody.ask(&announce('d', "")).await, announced(2));
    assert_eq!(left.ask(&announce('c', "")).await, announced(2));
}
