//! The order of a network's peers in their array: seeders first, then partial seeds, then leechers.

use super::{
    peer::Peer,
    pieces::{Pieces, View},
};
use crate::model::Role;

/// Peers in a piece of an array: few enough to be copied within a request.
pub(super) const PIECE: usize = 2048;

/// The peers of one network, to be read.
#[derive(Debug)]
pub(super) struct List<'a, P> {
    peers: View<'a, P, PIECE>,
    pub(super) shape: Shape,
}

impl<P> Clone for List<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for List<'_, P> {}

impl<'a, P> List<'a, P> {
    /// Peers that lie in one slice.
    #[inline]
    pub(super) const fn of(peers: &'a [P], shape: Shape) -> Self {
        Self { peers: View::of(peers), shape }
    }

    /// Peers in an array of any length.
    #[inline]
    pub(super) fn in_pieces(peers: &'a Pieces<P, PIECE>, shape: Shape) -> Self {
        Self { peers: peers.view(), shape }
    }

    #[inline]
    pub(super) const fn len(self) -> usize {
        self.shape.len as usize
    }

    #[inline]
    pub(super) fn get(self, position: usize) -> Option<&'a P> {
        self.peers.get(position)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = &'a P> {
        self.peers.iter()
    }

    /// The peers from one position to another, without that one, in slices.
    #[inline]
    pub(super) fn range(self, start: usize, end: usize, give: &mut impl FnMut(&[P])) {
        self.peers.range(start, end, give);
    }

    #[inline]
    pub(super) const fn role(self, position: usize) -> Role {
        if position < self.shape.seeders as usize {
            Role::Seeder
        } else if position < self.shape.uploaders as usize {
            Role::PartialSeed
        } else {
            Role::Leecher
        }
    }
}

/// The array in which a network's peers are: of any kind.
pub(super) trait Slots<P> {
    fn at(&self, position: usize) -> P;
    fn put(&mut self, position: usize, peer: P);
}

impl<P: Copy> Slots<P> for [P] {
    #[inline(always)]
    fn at(&self, position: usize) -> P {
        self[position]
    }

    #[inline(always)]
    fn put(&mut self, position: usize, peer: P) {
        self[position] = peer;
    }
}

impl<P: Copy + Default> Slots<P> for Pieces<P, PIECE> {
    #[inline(always)]
    fn at(&self, position: usize) -> P {
        self.get(position).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn put(&mut self, position: usize, peer: P) {
        if let Some(slot) = self.get_mut(position) {
            *slot = peer;
        }
    }
}

/// Is told when peers change their positions.
pub(super) trait Moves<P> {
    /// `peer` went from one position to another that was free.
    fn moved(&mut self, peer: &P, from: usize, to: usize);
    /// Two peers changed places.
    fn swapped(&mut self, a: (&P, usize), b: (&P, usize));
}

/// Nobody needs to know.
pub(super) struct Untracked;

impl<P> Moves<P> for Untracked {
    fn moved(&mut self, _: &P, _: usize, _: usize) {}
    fn swapped(&mut self, _: (&P, usize), _: (&P, usize)) {}
}

/// How many of an array's slots are taken, and where roles begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) len: u32,
    /// Seeders come first.
    pub(super) seeders: u32,
    /// Seeders, and partial seeds behind them: who has something to give and wants nothing (BEP 21).
    pub(super) uploaders: u32,
}

impl Shape {
    /// By role.
    #[inline]
    pub(super) const fn counts(self) -> [usize; 3] {
        let Self { len, seeders, uploaders } = self;
        [(len - uploaders) as usize, (uploaders - seeders) as usize, seeders as usize]
    }

    /// Adds a peer where `slots` has a free slot behind the taken ones, and returns its position.
    pub(super) fn insert<P: Peer>(
        &mut self,
        slots: &mut (impl Slots<P> + ?Sized),
        peer: P,
        role: Role,
        moves: &mut impl Moves<P>,
    ) -> usize {
        let mut free = self.len as usize;
        self.len += 1;
        if role != Role::Leecher {
            free = shift(slots, self.uploaders as usize, free, moves);
            self.uploaders += 1;
        }
        if role == Role::Seeder {
            free = shift(slots, self.seeders as usize, free, moves);
            self.seeders += 1;
        }
        slots.put(free, peer);
        free
    }

    /// Removes the peer at `hole`; the last slot becomes free.
    pub(super) fn remove<P: Peer>(
        &mut self,
        slots: &mut (impl Slots<P> + ?Sized),
        mut hole: usize,
        moves: &mut impl Moves<P>,
    ) {
        if hole < self.seeders as usize {
            self.seeders -= 1;
            hole = shift(slots, self.seeders as usize, hole, moves);
        }
        if hole < self.uploaders as usize {
            self.uploaders -= 1;
            hole = shift(slots, self.uploaders as usize, hole, moves);
        }
        self.len -= 1;
        shift(slots, self.len as usize, hole, moves);
    }

    /// Gives the peer at `position` a role and returns its new position.
    pub(super) fn set_role<P: Peer>(
        &mut self,
        slots: &mut (impl Slots<P> + ?Sized),
        mut position: usize,
        role: Role,
        moves: &mut impl Moves<P>,
    ) -> usize {
        let mut go = |position, to| {
            swap(slots, position, to, moves);
            to
        };
        // Over one border after the other.
        if role == Role::Leecher && position < self.seeders as usize {
            self.seeders -= 1;
            position = go(position, self.seeders as usize);
        }
        if role == Role::Leecher && position < self.uploaders as usize {
            self.uploaders -= 1;
            position = go(position, self.uploaders as usize);
        }
        if role != Role::Leecher && position >= self.uploaders as usize {
            position = go(position, self.uploaders as usize);
            self.uploaders += 1;
        }
        if role == Role::PartialSeed && position < self.seeders as usize {
            self.seeders -= 1;
            position = go(position, self.seeders as usize);
        }
        if role == Role::Seeder && position >= self.seeders as usize {
            position = go(position, self.seeders as usize);
            self.seeders += 1;
        }
        position
    }
}

/// Moves the peer at `from` to a free slot and returns the one that is free then.
#[inline]
fn shift<P: Peer>(
    slots: &mut (impl Slots<P> + ?Sized),
    from: usize,
    free: usize,
    moves: &mut impl Moves<P>,
) -> usize {
    if from != free {
        let peer = slots.at(from);
        slots.put(free, peer);
        moves.moved(&peer, from, free);
    }
    from
}

fn swap<P: Peer>(slots: &mut (impl Slots<P> + ?Sized), a: usize, b: usize, moves: &mut impl Moves<P>) {
    if a != b {
        let (at_a, at_b) = (slots.at(a), slots.at(b));
        moves.swapped((&at_a, a), (&at_b, b));
        slots.put(a, at_b);
        slots.put(b, at_a);
    }
}
