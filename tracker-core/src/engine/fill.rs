//! Which peers an announcer is given, written in their compact form.

use super::{
    Lists, Want,
    common::Common,
    peer::{Contact, Peer4, Peer6},
    sample::Candidates,
    swarm::Swarm,
};
use crate::{model::Role, policy::Policy, rng::Rng};
use std::sync::atomic::Ordering;
use tracker_common::address::{Address, Family};

/// Which addresses an announcer is not given, since it could not reach them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hidden {
    loopback: bool,
    private: bool,
}

impl Hidden {
    /// From an announcer at this address: the tracker's own host reaches everybody, a private network its own.
    #[inline]
    pub(super) fn from(address: &Address, common: Common<'_>, policy: &Policy) -> Self {
        let outside = !address.is_loopback();
        Self {
            loopback: outside && common.has_loopback.load(Ordering::Relaxed),
            private: outside && policy.hide_private && !address.is_private(),
        }
    }

    fn hides(self, address: &Address) -> bool {
        (self.loopback && address.is_loopback()) || (self.private && address.is_private())
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) family: Family,
    pub(super) role: Role,
    /// Where it is stored, if it is.
    pub(super) me: Option<(Family, usize)>,
    pub(super) want: Want,
    pub(super) hidden: Hidden,
}

/// Writes peers to `lists` and returns how many, by family.
#[inline]
pub(super) fn fill(swarm: &Swarm, asker: Asker, rng: &mut Rng, lists: &mut Lists<'_>) -> [usize; 2] {
    let Asker { family: own, role, me, want, hidden } = asker;
    let me = |family| me.and_then(|(own, position)| (own == family).then_some(position));
    let ipv4 = Candidates::new(swarm.list::<Peer4>(), role, me(Family::Ipv4));
    let ipv6 = Candidates::new(swarm.list::<Peer6>(), role, me(Family::Ipv6));
    let most = [
        ipv4.len().min(lists.ipv4.len() / Peer4::COMPACT),
        ipv6.len().min(lists.ipv6.len() / Peer6::COMPACT),
    ];
    let counts = want.share(own, most);
    [draw(&ipv4, counts[0], hidden, rng, lists.ipv4), draw(&ipv6, counts[1], hidden, rng, lists.ipv6)]
}

/// Writes the compact forms of `count` peers one behind the other, without those that are hidden, and returns how many.
#[inline]
fn draw<P: Contact>(
    candidates: &Candidates<'_, P>,
    count: usize,
    hidden: Hidden,
    rng: &mut Rng,
    mut room: &mut [u8],
) -> usize {
    let mut write = |peers: &[P]| {
        let all = std::mem::take(&mut room);
        let (here, rest) = all.split_at_mut(all.len().min(peers.len() * P::COMPACT));
        P::write(peers, here);
        room = rest;
    };
    if !hidden.loopback && !hidden.private {
        candidates.draw(count, rng, write);
        return count;
    }
    let mut written = 0;
    candidates.draw(count, rng, |peers| {
        for peer in peers.iter().filter(|peer| !hidden.hides(&peer.address())) {
            write(std::slice::from_ref(peer));
            written += 1;
        }
    });
    written
}
