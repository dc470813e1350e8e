//! What other nodes of a cluster send, by all kinds of subjects: whatever the bytes are, a node takes them in or not, keeps no more than
//! bounds say, sends no more than it is asked for, and goes on.
//!
//! A message is two bytes with its length, one that says whose it is and by which kind of subject it comes, one that says how much later
//! in tenths of a second, and itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use parking_lot::Mutex;
use std::{cell::RefCell, sync::Arc};
use tracker_core::{engine::Engine, nodes::Nodes, policy::Policy, rng::Rng};
use tracker_user::cluster::{
    Channel,
    node::{Node, Settings},
};

const SECOND: u64 = 1_000_000_000;
/// Other nodes that are listened to.
const MAX_NODES: usize = 6;
/// What a node may send for one message: changes that are asked for again, or a window of pieces.
const MAX_OUT: usize = 4 * 64;

thread_local! {
    /// One engine for many runs: it is large. It keeps what runs before put there, up to a limit.
    static ENGINE: RefCell<Option<Arc<Engine>>> = const { RefCell::new(None) };
}

fuzz_target!(|bytes: &[u8]| {
    let engine = ENGINE.with_borrow_mut(|engine| {
        let policy = Policy { max_peers: 10_000, max_torrents: 1000, ..Policy::default() };
        engine.get_or_insert_with(|| Arc::new(Engine::new(policy, [1, 2]))).clone()
    });
    let settings = Settings {
        name: "own".into(),
        boot: 1,
        release: "fuzzed",
        succeeds: false,
        max_nodes: MAX_NODES,
        max_replay: 10_000,
        max_records_per_second: 10_000,
        max_relays_per_second: 10,
    };
    let mut node = Node::new(settings, engine, Arc::<Mutex<Nodes>>::default(), Rng::new([3, 4]));
    let (mut rest, mut now_ns) = (bytes, 1_790_000_000 * SECOND);
    node.connected(now_ns);
    while let Some(([low, high, who, later], behind)) = rest.split_first_chunk() {
        let (message, behind) =
            behind.split_at(behind.len().min(usize::from(*low) | usize::from(*high) << 8));
        rest = behind;
        let name =
            ["a", "b", "own", "zz-1", "", "no.token", "c", "d", "e", "f", "g"][usize::from(*who >> 2) % 11];
        let channel = [Channel::Changes, Channel::Alive, Channel::Direct][usize::from(*who & 3) % 3];
        node.receive(name, channel, message, now_ns);
        for _ in 0..(*later).min(40) {
            now_ns += SECOND / 10;
            node.tick(now_ns);
        }
        for _ in 0..100 {
            if !node.work(now_ns) {
                break;
            }
        }
        assert!(node.out.len() <= MAX_OUT * (1 + usize::from(*later)), "{} messages", node.out.len());
        node.out.clear();
        node.effects.clear();
        assert!(node.others().count() <= MAX_NODES);
        assert!(node.others().all(|(_, other)| other.processes.len() <= 4));
    }
});
