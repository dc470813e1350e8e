//! What happens in a run: all of it follows from a seed, and a run that fails can be made smaller.

use crate::generate;
use std::fmt;
use tracker_core::{model::Event, rng::Rng};

/// What the network does to messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Network {
    /// The longest delay; each message has its own, so that they overtake each other.
    pub(crate) delay_ms: usize,
    /// Of a thousand messages.
    pub(crate) lost_permille: usize,
    /// Of a thousand messages.
    pub(crate) duplicated_permille: usize,
    /// How much later the second of two comes, at the most.
    pub(crate) second_ms: usize,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Nodes whose bit is set do not reach the others.
    Partition(u64),
    /// All reach each other again.
    Heal,
    /// A process writes down what it knows.
    Save(usize),
    /// A process ends at once, and what it knew is lost.
    Kill(usize),
    /// It starts again, with what was written down.
    Restart(usize),
    /// A process does nothing.
    Freeze(usize),
    /// It goes on.
    Thaw(usize),
    /// So many of a thousand messages to a node are lost.
    Deaf(usize, usize),
    /// The server of all is gone.
    ServerDown,
    /// It is back.
    ServerUp,
    /// Nothing is lost, late or twice any more.
    Calm,
}

/// What happens at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A client announces.
    Announce {
        /// To which node.
        node: usize,
        /// Which torrent.
        torrent: u8,
        /// Which client.
        peer: u8,
        /// Why.
        event: Event,
        /// What it still has to get.
        left: u64,
    },
    /// Something goes wrong, or is mended.
    Fault(Fault),
}

/// Somebody beside the nodes who has a name in their cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// Sends numbers from nowhere, requests for anything, and bytes that mean nothing.
    Hostile,
    /// Sends messages of a version that nobody knows yet.
    Newer,
}

/// A run.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    pub(crate) stranger: Option<Stranger>,
    pub(crate) network: Network,
    pub(crate) peer_timeout_s: u32,
    /// Bytes of own changes that a node keeps.
    pub(crate) max_replay: usize,
    /// How far the clock of each node is ahead, milliseconds.
    pub(crate) clocks_ms: Vec<i64>,
    /// Milliseconds, and what happens then, in this order.
    pub(crate) steps: Vec<(u64, Step)>,
    /// When clients and faults have ended, and when all has to be as it should.
    pub(crate) calm_ms: u64,
    pub(crate) end_ms: u64,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, nodes, stranger, network, peer_timeout_s, max_replay, .. } = self;
        writeln!(
            f,
            "seed {seed}, {nodes} nodes, stranger {stranger:?}, {network:?}, peers stay {peer_timeout_s} s"
        )?;
        writeln!(f, "{max_replay} bytes are kept, clocks are ahead by {:?} ms", self.clocks_ms)?;
        for (at, step) in &self.steps {
            match step {
                Step::Announce { node, torrent, peer, event, left } => {
                    let address = format_args!("node {node}: peer {peer} of torrent {torrent}");
                    writeln!(f, "{at:6} {address}: {event:?}, left {left}")?;
                }
                Step::Fault(fault) => writeln!(f, "{at:6} {fault:?}")?,
            }
        }
        writeln!(f, "{:6} end", self.end_ms)
    }
}

/// Torrents and clients of each.
pub(crate) const TORRENTS: u8 = 4;
pub(crate) const PEERS: u8 = 12;
/// How long peers stay, where clients are to outlive it and where not.
pub(crate) const EXPIRING_PEER_TIMEOUT_S: u32 = 30;
pub(crate) const PEER_TIMEOUT_S: u32 = 2700;

impl Scenario {
    /// The one that follows from a seed, with so many nodes, or as many as the seed says.
    pub(crate) fn new(seed: u64, nodes: Option<usize>) -> Self {
        generate::scenario(seed, nodes)
    }

    /// Whether peers are forgotten in it.
    pub(crate) const fn expires(&self) -> bool {
        self.peer_timeout_s == EXPIRING_PEER_TIMEOUT_S
    }

    /// Whether it is over once all is as it should be. Some runs go on: all has to stay so.
    pub(crate) const fn may_end_early(&self) -> bool {
        !self.expires() && !self.seed.is_multiple_of(4)
    }

    /// The smallest run that can be found which still fails: without what does not matter.
    pub(crate) fn shrunk(&self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut smallest = self.clone();
        let simpler: [fn(&mut Self); 6] = [
            |scenario| scenario.stranger = None,
            |scenario| scenario.clocks_ms.fill(0),
            |scenario| scenario.network.duplicated_permille = 0,
            |scenario| scenario.network.lost_permille = 0,
            |scenario| scenario.network.delay_ms = 0,
            |scenario| scenario.max_replay = 1 << 20,
        ];
        for simplify in simpler {
            let mut smaller = smallest.clone();
            simplify(&mut smaller);
            if fails(&smaller) {
                smallest = smaller;
            }
        }
        let mut part = smallest.steps.len().div_ceil(2);
        while part > 0 {
            let mut at = 0;
            while at < smallest.steps.len() {
                let mut smaller = smallest.clone();
                let end = (at + part).min(smaller.steps.len());
                // What mends stays, or nothing has to be as it should.
                let keeps = |(at, step): &(u64, Step)| *at == self.calm_ms && matches!(step, Step::Fault(_));
                let kept: Vec<_> = smaller.steps.drain(at..end).filter(keeps).collect();
                let removed = end - at - kept.len();
                smaller.steps.splice(at..at, kept);
                if removed > 0 && fails(&smaller) {
                    smallest = smaller;
                } else {
                    at = end;
                }
            }
            part = if part == 1 { 0 } else { part.div_ceil(2) };
        }
        smallest
    }
}

/// One of these.
pub(crate) fn one_of<T: Copy, const N: usize>(rng: &mut Rng, of: [T; N]) -> T {
    of[rng.below(N)]
}
