//! Writing records.

use super::{PeerRecord, State, TorrentRecord};
use crate::{
    engine::{Cause, Change, Known, Place, Seen, Verdict, Visitor},
    model::{Counts, InfoHash, Seconds},
};
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

    /// Bytes written, without those of the torrent that is not ended.
    #[must_use]
    pub fn written(&self) -> usize {
        self.out.len()
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

const fn here(known: Known) -> (State, Seconds) {
    (State::Here { role: known.role, counted: known.counted }, known.age)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes down what a walk comes by: all torrents, their IPv4 and IPv6 peers, and the counts that are kept of others.
#[derive(Debug, Default)]
pub struct WalkWriter {
    /// Where it is written.
    pub records: RecordWriter,
}

impl Visitor for WalkWriter {
    fn torrent(&mut self, info_hash: &InfoHash, counts: &Counts, _: bool) -> Verdict {
        self.records.torrent(TorrentRecord { info_hash: *info_hash, downloaded: counts.downloaded, age: 0 });
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
        self.records.torrent(TorrentRecord { info_hash: *info_hash, downloaded, age });
        Verdict::Keep
    }
}
