//! Several trackers that share their swarms by way of a real NATS server, and what they are held against.

mod hand;
mod model;
mod node;
mod prober;
mod records;
mod transfer;

pub use hand::{Hand, Heard, joined};
pub use model::{Over, Peer, Swarms, View};
pub use node::{Cluster, Node, Plan};
pub use prober::Prober;
pub use records::{GONE, LEECHER, SEEDER, torrent, varint};
pub use transfer::transfer_between_nodes;

use std::time::{Duration, Instant};

/// How long nodes may take to agree: a client of NATS waits up to eight seconds before it connects again.
const AGREEMENT: Duration = Duration::from_secs(20);

/// Asks again until nothing is wrong any more, or says what is.
pub(crate) fn until_right(awaited: &str, mut wrong: impl FnMut() -> Option<String>) {
    let deadline = Instant::now() + AGREEMENT;
    while let Some(what) = wrong() {
        assert!(Instant::now() < deadline, "waited {AGREEMENT:?} in vain: {awaited}\n{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
