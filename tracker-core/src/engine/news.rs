//! What of all that becomes of peers is news to other nodes: most announces say only that a peer is still there.

use super::{
    change::Cause,
    report::{Known, Place},
};
use crate::model::Seconds;

/// Spreads what is hardly different over all words, by its high half.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Whether other nodes are to hear of a change that happened at `now`: only of what a client of this node did, and of a peer
/// that merely stays only when it is heard of for the first time since a boundary. Boundaries are `period` seconds apart (at
/// least 1), and `phase` moves them. So a peer that stays is told of once a period, and nobody has to remember when that was.
pub(super) fn is_news(
    cause: Cause,
    before: Option<Known>,
    after: Option<Known>,
    now: Seconds,
    period: Seconds,
    phase: u32,
) -> bool {
    if cause != Cause::Announce {
        return false;
    }
    match (before, after) {
        (Some(before), Some(after)) => {
            let since_boundary = (u64::from(now) + u64::from(phase)) % u64::from(period.max(1));
            before.role != after.role
                || before.counted != after.counted
                || u64::from(before.age) > since_boundary
        }
        (None, None) => false,
        _ => true,
    }
}

/// Where a peer's boundaries lie: elsewhere than those of others, so that not all are told of at once.
pub(super) fn phase(peer: &Place) -> u32 {
    let word = match peer {
        Place::At(address, port) => {
            let [high, low] = address.words();
            high ^ low.rotate_left(16) ^ u64::from(*port)
        }
        // Behind the name of the software it is random.
        Place::Named(peer_id) => peer_id.0.last_chunk().map_or(0, |last| u64::from_le_bytes(*last)),
    };
    (word.wrapping_mul(SPREAD) >> 32) as u32
}

/// Between which boundaries a peer was heard of at this time: a number that changes at each of them, and is the same at all nodes
/// that agree on the time and on the peer timeout.
#[must_use]
pub fn refresh_cell(peer: &Place, heard: Seconds, timeout: Seconds) -> u32 {
    ((u64::from(heard) + u64::from(phase(peer))) / u64::from((timeout / 3).max(1))) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PeerId, Role};
    use tracker_common::address::Address;

    const NOW: Seconds = 1_700_000_000;
    const LEECHER: Known = Known { role: Role::Leecher, counted: false, age: 0 };
    const SEEDER: Known = Known { role: Role::Seeder, ..LEECHER };

    fn heard(before: Known, age: Seconds) -> Option<Known> {
        Some(Known { age, ..before })
    }

    #[test]
    fn who_comes_changes_or_goes_is_news_and_who_stays_is_not() {
        // No boundary is near: the last one was at this very second.
        let (period, phase) = (900, 900 - NOW % 900);
        for (before, after, is, what) in [
            (None, Some(LEECHER), true, "it comes"),
            (heard(LEECHER, 0), None, true, "it goes"),
            (None, None, false, "it may not enter"),
            (heard(LEECHER, 0), Some(SEEDER), true, "it has another role"),
            (heard(SEEDER, 0), Some(LEECHER), true, "and back"),
            (heard(SEEDER, 0), Some(Known { counted: true, ..SEEDER }), true, "its download counts"),
            (heard(SEEDER, 0), Some(SEEDER), false, "it stays"),
            (heard(SEEDER, 1), Some(SEEDER), true, "it was not heard of since the boundary"),
        ] {
            assert_eq!(is_news(Cause::Announce, before, after, NOW, period, phase), is, "{what}");
            for cause in [Cause::Record, Cause::Expiry, Cause::Purge] {
                assert!(!is_news(cause, before, after, NOW, period, phase), "{what}, by {cause:?}");
            }
        }
    }

    /// Whether a boundary lies between two moments, counted out.
    fn boundary_between(earlier: u64, later: u64, period: u64, phase: u64) -> bool {
        (earlier + 1..=later).any(|at| (at + phase).is_multiple_of(period))
    }

    #[test]
    fn who_stays_is_told_of_once_a_period() {
        for (period, every, phase) in [(900, 60, 0), (900, 61, 17), (7, 1, 3), (1, 1, 0), (10, 25, 4)] {
            let (mut told, mut last) = (0, NOW);
            for now in (NOW + every..NOW + 10_000).step_by(every as usize) {
                let age = now - last;
                let news = is_news(Cause::Announce, heard(SEEDER, age), Some(SEEDER), now, period, phase);
                let expected = boundary_between(last.into(), now.into(), period.into(), phase.into());
                assert_eq!(news, expected, "{period} {every} {phase} {now}");
                (told, last) = (told + u32::from(news), now);
            }
            let (most, rounds) = (10_000 / period.max(every) + 1, 10_000 / every);
            assert!((most - 2..=most).contains(&told) || told == rounds, "{told} {most}");
        }
    }

    /// Neighbours are told of at different times: of 3,000, each sixtieth of a period has its share.
    #[test]
    fn refreshes_spread() {
        let of_ports = (0..3000).map(|n| Place::At(Address::from_ipv4([10, 0, 0, 1]), n));
        let of_hosts =
            (0..3000_u16).map(|n| Place::At(Address::from_ipv4([10, 0, (n >> 8) as u8, n as u8]), 6881));
        let ids = (0..3000_u64).map(|n| {
            let mut id = *b"-WW0001-000000000000";
            id[12..].copy_from_slice(&n.wrapping_mul(0x5851_f42d_4c95_7f2d).to_be_bytes());
            Place::Named(PeerId(id))
        });
        let all: [Vec<Place>; 3] = [of_ports.collect(), of_hosts.collect(), ids.collect()];
        for places in all {
            let mut slots = [0; 60];
            places.iter().for_each(|place| slots[(phase(place) % 900) as usize / 15] += 1);
            assert!(slots.iter().all(|of| (20..=90).contains(of)), "{slots:?}");
        }
    }
}
