//! Runs from seeds.

use crate::scenario::{
    EXPIRING_PEER_TIMEOUT_S, Fault, Network, PEER_TIMEOUT_S, PEERS, Scenario, Step, Stranger, TORRENTS,
    one_of,
};
use tracker_core::{model::Event, rng::Rng};

/// How long a client waits at least from one announce to the next: records tell seconds, and clocks may be one apart.
const PAUSE_MS: u64 = 4000;

/// The run that follows from a seed, with so many nodes, or as many as the seed says.
pub(crate) fn scenario(seed: u64, nodes: Option<usize>) -> Scenario {
    let mut rng = Rng::new([seed, 3]);
    let nodes = nodes.unwrap_or_else(|| 2 + rng.below(4));
    let network = Network {
        delay_ms: one_of(&mut rng, [0, 50, 400, 2500]),
        lost_permille: one_of(&mut rng, [0, 0, 50, 200]),
        duplicated_permille: one_of(&mut rng, [0, 30]),
        second_ms: one_of(&mut rng, [0, 8000]),
    };
    let expires = rng.below(8) == 0;
    let calm_ms = 4000 + 1000 * rng.below(16) as u64 + if expires { 30_000 } else { 0 };
    let end_ms = calm_ms + if expires { 45_000 } else { 30_000 };
    let mut steps = clients(&mut rng, nodes, calm_ms);
    steps.extend(faults(&mut rng, nodes, calm_ms));
    // Whatever goes wrong ends.
    let mends = [Fault::Heal, Fault::ServerUp, Fault::Calm].into_iter();
    let of_node = |at| [Fault::Thaw(at), Fault::Deaf(at, 0), Fault::Restart(at)];
    steps.extend(mends.chain((0..nodes).flat_map(of_node)).map(|fault| (calm_ms, Step::Fault(fault))));
    if expires {
        steps.extend(who_stays(&mut rng, nodes, calm_ms, end_ms));
    }
    steps.sort_by_key(|(at, _)| *at);
    let mut clocks_ms: Vec<_> = (0..nodes).map(|_| (rng.next_u64() % 100).cast_signed()).collect();
    if rng.below(4) == 0 {
        clocks_ms[rng.below(nodes)] = one_of(&mut rng, [-9000, -3000, 3000, 9000]);
    }
    Scenario {
        seed,
        nodes,
        stranger: one_of(&mut rng, [None, None, None, None, Some(Stranger::Hostile), Some(Stranger::Newer)]),
        network,
        peer_timeout_s: if expires { EXPIRING_PEER_TIMEOUT_S } else { PEER_TIMEOUT_S },
        max_replay: one_of(&mut rng, [200, 4000, 1 << 20, 1 << 20]),
        clocks_ms,
        steps,
        calm_ms,
        end_ms,
    }
}

/// One client of each torrent announces until all others are forgotten.
fn who_stays(rng: &mut Rng, nodes: usize, from_ms: u64, end_ms: u64) -> Vec<(u64, Step)> {
    let times = (from_ms + 11_000..end_ms - 3000).step_by(8000);
    let at = |at| (0..TORRENTS).map(move |torrent| (at, torrent));
    times
        .flat_map(at)
        .map(|(at, torrent)| {
            let node = rng.below(nodes);
            (at, Step::Announce { node, torrent, peer: 0, event: Event::None, left: 0 })
        })
        .collect()
}

fn clients(rng: &mut Rng, nodes: usize, until_ms: u64) -> Vec<(u64, Step)> {
    let mut steps = Vec::new();
    for torrent in 0..TORRENTS {
        for peer in 0..PEERS {
            let (mut at, mut node) = (300 + rng.below(PAUSE_MS as usize) as u64, rng.below(nodes));
            let (mut is_here, mut left, mut has_completed) =
                (false, if rng.below(3) == 0 { 0 } else { 9 }, false);
            while at < until_ms {
                let event = match (is_here, rng.below(4)) {
                    (false, 0) => {
                        at += PAUSE_MS;
                        continue;
                    }
                    (false, _) => Event::Started,
                    (true, 0) => Event::Stopped,
                    (true, 1) if left > 0 && !has_completed => Event::Completed,
                    (true, _) => Event::None,
                };
                is_here = event != Event::Stopped;
                if event == Event::Completed {
                    (left, has_completed) = (0, true);
                }
                steps.push((at, Step::Announce { node, torrent, peer, event, left }));
                at += PAUSE_MS + rng.below(6000) as u64;
                if rng.below(4) == 0 {
                    node = rng.below(nodes);
                }
            }
        }
    }
    steps
}

fn faults(rng: &mut Rng, nodes: usize, until_ms: u64) -> Vec<(u64, Step)> {
    let mut steps = Vec::new();
    for _ in 0..rng.below(5) {
        let begins = rng.below(until_ms as usize) as u64;
        let ends = begins + rng.below((until_ms - begins) as usize + 1) as u64;
        let at = rng.below(nodes);
        let (fault, mend) = match rng.below(10) {
            0..3 => (Fault::Partition(rng.next_u64()), Fault::Heal),
            3..5 => (Fault::Freeze(at), Fault::Thaw(at)),
            5 => (Fault::ServerDown, Fault::ServerUp),
            6..8 => (Fault::Deaf(at, one_of(rng, [300, 1000])), Fault::Deaf(at, 0)),
            _ => (Fault::Kill(at), Fault::Restart(at)),
        };
        if matches!(fault, Fault::Kill(_)) && rng.below(2) == 0 {
            steps.push((rng.below(begins as usize + 1) as u64, Step::Fault(Fault::Save(at))));
        }
        steps.extend([(begins, Step::Fault(fault)), (ends, Step::Fault(mend))]);
    }
    steps
}
