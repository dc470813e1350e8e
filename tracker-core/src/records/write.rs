//! Writing records.

use super::{PeerRecord, State, TorrentRecord};
use crate::{
    engine::{Cause, Change, Known, Place, Seen, Share, Verdict, Visitor, own},
    model::{Counts, InfoHash, Seconds},
    nodes::NodeNumber,
};
use std::collections::BTreeMap;
use tracker_common::address::Family;

/// Writes records of torrents and peers into a buffer.
#[derive(Debug, Default)]
pub struct RecordWriter {
    torrent: Option<TorrentRecord>,
    /// The peers of the torrent, already written.
    ipv4: Vec<u8>,
    ipv6: Vec<u8>,
    counts: [u64; 2],
    out: Vec<u8>,
}

impl RecordWriter {
    /// Begins a torrent; if it is the same as before, its peers go on. The higher of two counts of downloads holds.
    pub fn torrent(&mut self, torrent: TorrentRecord) {
        match &mut self.torrent {
            Some(before) if before.info_hash == torrent.info_hash => {
                before.downloaded = before.downloaded.max(torrent.downloaded);
                before.age = before.age.min(torrent.age);
            }
            _ => {
                self.end();
                self.torrent = Some(torrent);
            }
        }
    }

    /// Adds a peer to the torrent begun last. Before there is one, nothing is written.
    pub fn peer(&mut self, peer: &PeerRecord) {
        let family = peer.address.family();
        let list = match family {
            Family::Ipv4 => &mut self.ipv4,
            Family::Ipv6 => &mut self.ipv6,
        };
        match family {
            Family::Ipv4 => list.extend_from_slice(&peer.address.ipv4_bytes()),
            Family::Ipv6 => list.extend_from_slice(&peer.address.octets()),
        }
        list.extend_from_slice(&peer.port.to_be_bytes());
        varint(list, u64::from(peer.age) << 3 | peer.state.kind());
        self.counts[family as usize] += 1;
    }

    /// Writes a change that happened at `change.at`, as seen at `now`. Expiry is not written, since everybody finds out
    /// alone, nor a purge, since everybody has a list of their own. Of a WebRTC peer, which ends with its connection, only
    /// the torrent's count of downloads is told.
    pub fn change(&mut self, change: &Change, now: Seconds) {
        if matches!(change.cause, Cause::Expiry | Cause::Purge) {
            return;
        }
        let since = now.saturating_sub(change.at);
        let (state, age) = change.after.map_or((State::Gone, 0), here);
        self.torrent(TorrentRecord { info_hash: change.info_hash, downloaded: change.downloaded, age: 0 });
        let Place::At(address, port) = change.peer else { return };
        self.peer(&PeerRecord { address, port, state, age: age.saturating_add(since) });
    }

    /// Bytes written since the last time, but for the few that begin the torrent at hand.
    #[must_use]
    pub fn written(&self) -> usize {
        self.out.len() + self.ipv4.len() + self.ipv6.len()
    }

    /// Ends the torrent and gives all that was written since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        self.end();
        std::mem::take(&mut self.out)
    }

    fn end(&mut self) {
        if let Some(torrent) = self.torrent.take() {
            self.out.extend_from_slice(&torrent.info_hash.0);
            for number in [torrent.downloaded.into(), torrent.age.into(), self.counts[0], self.counts[1]] {
                varint(&mut self.out, number);
            }
            self.out.extend_from_slice(&self.ipv4);
            self.out.extend_from_slice(&self.ipv6);
        }
        self.ipv4.clear();
        self.ipv6.clear();
        self.counts = [0; 2];
    }
}

pub(super) const fn here(known: Known) -> (State, Seconds) {
    (State::Here { role: known.role, counted: known.counted }, known.age)
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes down what a walk comes by: all torrents, their IPv4 and IPv6 peers, and the counts that are kept of others. What
/// other nodes counted of downloads is written apart.
#[derive(Debug, Default)]
pub struct WalkWriter {
    records: RecordWriter,
    /// What others counted of the torrent that comes next.
    shares: Vec<Share>,
    /// At most one for each of [`crate::nodes::MAX_NODES`].
    others: BTreeMap<NodeNumber, RecordWriter>,
}

impl WalkWriter {
    /// Gives all that was written since the last time but what [`WalkWriter::take_shares`] does. The counts of downloads in it
    /// are this node's.
    pub fn take(&mut self) -> Vec<u8> {
        self.records.take()
    }

    /// Gives the counts of other nodes that were written since the last time, as records of torrents without peers, for each
    /// node that has some.
    pub fn take_shares(&mut self) -> impl Iterator<Item = (NodeNumber, Vec<u8>)> {
        let others = self.others.iter_mut().map(|(node, writer)| (*node, writer.take()));
        others.filter(|(_, records)| !records.is_empty())
    }

    /// This node's part of a torrent's count.
    fn own(&mut self, downloaded: u32) -> u32 {
        let own = own(downloaded, &self.shares);
        self.shares.clear();
        own
    }
}

impl Visitor for WalkWriter {
    const WANTS_SHARES: bool = true;

    fn shares(&mut self, info_hash: &InfoHash, shares: &[Share], age: Seconds) {
        self.shares.extend_from_slice(shares);
        for &(node, downloaded) in shares {
            let record = TorrentRecord { info_hash: *info_hash, downloaded, age };
            self.others.entry(node).or_default().torrent(record);
        }
    }

    fn torrent(&mut self, info_hash: &InfoHash, counts: &Counts, _: bool) -> Verdict {
        let downloaded = self.own(counts.downloaded);
        self.records.torrent(TorrentRecord { info_hash: *info_hash, downloaded, age: 0 });
        Verdict::Keep
    }

    fn peer(&mut self, peer: &Seen<'_>) -> Verdict {
        if let Place::At(address, port) = peer.place() {
            let (state, age) = here(peer.known());
            self.records.peer(&PeerRecord { address, port, state, age });
        }
        Verdict::Keep
    }

    fn retained(&mut self, info_hash: &InfoHash, downloaded: u32, age: Seconds) -> Verdict {
        let downloaded = self.own(downloaded);
        // Where this node counted none, the others' shares say it all.
        if downloaded > 0 {
            self.records.torrent(TorrentRecord { info_hash: *info_hash, downloaded, age });
        }
        Verdict::Keep
    }
}
