//! Digests of what a node has, by groups of torrents: what two nodes have alike need not be sent.
//!
//! A digest takes in of each peer where it is, its role, and the third of the peer timeout in which it was last heard of, which is how exactly
//! nodes know of each other's peers; and what each node counted of a torrent's downloads. Two nodes whose clocks differ send more than they need.

use tracker_common::siphash::{Key, SipHash24};
use tracker_core::{
    engine::{Cursor, Engine, Place, Seen, Share, Verdict, Visitor, own, refresh_cell},
    model::{Counts, InfoHash, Network, Seconds},
    nodes::Nodes,
};

/// Into how many groups info hashes fall, by their first bits.
pub const GROUPS: usize = 4096;

/// The group of a torrent.
#[must_use]
pub const fn group(info_hash: &InfoHash) -> usize {
    (info_hash.0[0] as usize) << 4 | (info_hash.0[1] >> 4) as usize
}

/// A digest for each group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests(Box<[u64]>);

impl Digests {
    /// Bytes of them, as they are sent.
    pub const BYTES: usize = 8 * GROUPS;

    /// Of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(vec![0; GROUPS].into())
    }

    /// As they are sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        self.0.iter().for_each(|digest| out.extend_from_slice(&digest.to_le_bytes()));
        out
    }

    /// The groups in which these differ from those that were sent; all, if they are no digests.
    #[must_use]
    pub fn differing(&self, bytes: &[u8]) -> Groups {
        let theirs = bytes.as_chunks().0;
        let differs = |(at, ours): (usize, &u64)| {
            theirs.get(at).is_none_or(|theirs| u64::from_le_bytes(*theirs) != *ours)
        };
        Groups(self.0.iter().enumerate().map(differs).collect())
    }
}

impl Default for Digests {
    fn default() -> Self {
        Self::new()
    }
}

/// Some of the groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups(Box<[bool]>);

impl Groups {
    /// Whether a torrent is in one of them.
    #[must_use]
    pub fn have(&self, info_hash: &InfoHash) -> bool {
        self.0.get(group(info_hash)).is_none_or(|is_in| *is_in)
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().filter(|is_in| **is_in).count()
    }
}

/// A walk that computes digests, a slice at a time.
#[derive(Debug)]
pub struct Digesting {
    cursor: Cursor,
    digester: Digester,
}

impl Digesting {
    /// Begins one at the node `own`, which knows others by these numbers. With another `key` all digests are others: who chooses peers
    /// cannot make differences cancel each other out.
    #[must_use]
    pub fn begin(key: u64, own: &str, names: &Nodes) -> Self {
        let key = Key { k0: key, k1: 0 };
        let digester = Digester {
            digests: Digests::new(),
            key,
            own: named(key, own),
            others: names.all().map(|(_, name)| named(key, name)).collect(),
            shares: Vec::new(),
            now: 0,
            timeout: 0,
            info_hash: InfoHash([0; 20]),
        };
        Self { cursor: Cursor::default(), digester }
    }

    /// Goes on over about `budget` items. Whether it is through.
    pub fn step(&mut self, engine: &Engine, now: Seconds, budget: usize) -> bool {
        (self.digester.now, self.digester.timeout) = (now, engine.peer_timeout());
        engine.walk(&mut self.cursor, now, budget, &mut self.digester).ended
    }

    /// What came of it.
    #[must_use]
    pub fn end(self) -> Digests {
        self.digester.digests
    }
}

#[derive(Debug)]
struct Digester {
    digests: Digests,
    key: Key,
    /// What stands for this node's name, and for those of others by their numbers.
    own: u64,
    others: Vec<u64>,
    /// What other nodes counted of the torrent that comes next.
    shares: Vec<Share>,
    now: Seconds,
    timeout: Seconds,
    info_hash: InfoHash,
}

/// What stands for the name of a node.
fn named(key: Key, name: &str) -> u64 {
    let hash = SipHash24::new(key).absorb(name.len() as u64);
    name.bytes().fold(hash, |hash, byte| hash.absorb(byte.into())).finish()
}

impl Digester {
    /// Takes in what nodes counted of a torrent, each by itself: equal sums may be of different ones.
    fn counts(&mut self, info_hash: &InfoHash, downloaded: u32) {
        let shares = std::mem::take(&mut self.shares);
        let own = own(downloaded, &shares);
        if own > 0 {
            self.mix(info_hash, [0, self.own, 0, own.into()]);
        }
        for (node, count) in &shares {
            let name = self.others.get(usize::from(node.get())).copied().unwrap_or_default();
            self.mix(info_hash, [0, name, 0, (*count).into()]);
        }
        self.shares = shares;
        self.shares.clear();
    }

    fn mix(&mut self, info_hash: &InfoHash, words: [u64; 4]) {
        let [head, tail @ ..] = info_hash.0;
        let [a, b] = [0, 8].map(|at| {
            u64::from_le_bytes(tail.get(at..at + 8).and_then(|part| part.try_into().ok()).unwrap_or_default())
        });
        let hash = words
            .into_iter()
            .fold(SipHash24::new(self.key).absorb(u64::from(head)).absorb(a).absorb(b), SipHash24::absorb)
            .finish();
        if let Some(digest) = self.digests.0.get_mut(group(info_hash)) {
            *digest ^= hash;
        }
    }
}

impl Visitor for Digester {
    const WANTS_SHARES: bool = true;

    fn shares(&mut self, _: &InfoHash, shares: &[Share], _: Seconds) {
        self.shares.extend_from_slice(shares);
    }

    fn torrent(&mut self, info_hash: &InfoHash, counts: &Counts, resumed: bool) -> Verdict {
        self.info_hash = *info_hash;
        if resumed {
            self.shares.clear();
        } else if counts.downloaded > 0 {
            self.counts(info_hash, counts.downloaded);
        }
        Verdict::Keep
    }

    fn peer(&mut self, peer: &Seen<'_>) -> Verdict {
        if peer.network() == Network::Webrtc {
            return Verdict::Keep;
        }
        let (known, place) = (peer.known(), peer.place());
        if let Place::At(address, port) = place {
            let cell = refresh_cell(&place, self.now.saturating_sub(known.age), self.timeout);
            let [high, low] = address.words();
            let state = u64::from(port) << 40 | (known.role as u64) << 32 | u64::from(cell);
            self.mix(&{ self.info_hash }, [1, high, low, state]);
        }
        Verdict::Keep
    }

    fn retained(&mut self, info_hash: &InfoHash, downloaded: u32, _: Seconds) -> Verdict {
        self.counts(info_hash, downloaded);
        Verdict::Keep
    }
}
