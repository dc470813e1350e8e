//! Messages of somebody who means no good, or speaks a language of tomorrow.

use crate::scenario::Stranger;
use tracker_core::rng::Rng;
use tracker_user::cluster::wire::{Alive, Extent, Message, Records, SeenList, Stage, VERSION};

impl Stranger {
    /// The name that it has.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            // Before all others, in case that matters.
            Self::Hostile => "evil",
            Self::Newer => "newer",
        }
    }

    /// What it sends in a tick: by which kind of subject, and to one node of so many or to all.
    pub(crate) fn sends(self, rng: &mut Rng, now_ns: u64) -> Vec<(u8, Vec<u8>)> {
        match self {
            Self::Newer if rng.below(10) > 0 => Vec::new(),
            Self::Newer => vec![(rng.below(3) as u8, [&[VERSION + 1][..], &noise(rng, 40)].concat())],
            Self::Hostile => {
                (0..1 + rng.below(3)).map(|_| (rng.below(3) as u8, hostile(rng, now_ns))).collect()
            }
        }
    }
}

fn noise(rng: &mut Rng, most: usize) -> Vec<u8> {
    (0..rng.below(most + 1)).map(|_| rng.next_u64() as u8).collect()
}

fn hostile(rng: &mut Rng, now_ns: u64) -> Vec<u8> {
    let (boot, number) = (rng.below(4) as u64, rng.next_u64() >> rng.below(64));
    let noise = noise(rng, 60);
    match rng.below(12) {
        0..4 => Message::Changes { boot, sequence: number, written_ns: now_ns, records: Records::default() }
            .write(),
        4 => Message::Resend { boot, from: number, to: rng.next_u64() }.write(),
        5 => Message::Lost { boot, from: number, to: rng.next_u64() }.write(),
        6 => Message::Walk { session: number, extent: Extent::Everything, digests: None }.write(),
        7 => Message::More { session: number, pieces: u32::MAX }.write(),
        // How far it knows others, as if anybody could know so much.
        8 => {
            let seen = tracker_user::cluster::wire::Seen { name: "n0", boot, next: number };
            let seen = SeenList::write([seen].into_iter());
            Message::Silent(SeenList::of(&seen)).write()
        }
        9..11 => {
            let stage = if rng.below(2) == 0 { Stage::Joined } else { Stage::Joining };
            Message::Alive(Alive { boot, next: number, now_ns, stage, release: "x", ..Alive::default() })
                .write()
        }
        _ if rng.below(6) == 0 => [&[VERSION, 1 + rng.below(16) as u8][..], &noise].concat(),
        _ => Message::NoWalk { session: number }.write(),
    }
}
