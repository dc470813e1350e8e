//! WebRTC peers written down, for other nodes: who they are, and no word of where, since only the node that holds the
//! connection of one reaches it.
//!
//! A stream of records is torrents, one behind the other:
//!
//! | field | bytes |
//! | --- | --- |
//! | info hash | 20 |
//! | number of peers | varint |
//! | the peers: peer ID (20), state | 20 + varint |
//!
//! States and varints are those of all records. A torrent without peers is not written, and may be read.

use super::{State, read, write};
use crate::{
    engine::{Cause, Change, Place, Seen, Verdict, Visitor},
    model::{Counts, InfoHash, Network, PeerId, Seconds},
};

/// A WebRTC peer of the torrent before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebrtcRecord {
    /// Who it is.
    pub peer_id: PeerId,
    /// What it was when it was last heard of.
    pub state: State,
    /// How long ago that was.
    pub age: Seconds,
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebrtcItem {
    /// A torrent; its peers come next.
    Torrent(InfoHash),
    /// A peer of the torrent that came last.
    Peer(WebrtcRecord),
}

/// Writes records of WebRTC peers into a buffer.
#[derive(Debug, Default)]
pub struct WebrtcWriter {
    torrent: Option<InfoHash>,
    /// The peers of the torrent, already written.
    peers: Vec<u8>,
    count: u64,
    out: Vec<u8>,
}

impl WebrtcWriter {
    /// Begins a torrent; if it is the same as before, its peers go on.
    pub fn torrent(&mut self, info_hash: InfoHash) {
        if self.torrent != Some(info_hash) {
            self.end();
            self.torrent = Some(info_hash);
        }
    }

    /// Adds a peer to the torrent begun last. Before there is one, nothing is written.
    pub fn peer(&mut self, peer: &WebrtcRecord) {
        self.peers.extend_from_slice(&peer.peer_id.0);
        write::varint(&mut self.peers, u64::from(peer.age) << 3 | peer.state.kind());
        self.count += 1;
    }

    /// Writes a change that happened at `change.at`, as seen at `now`, if it is one of a WebRTC peer of this node: what a
    /// record told of is another node's to tell.
    pub fn change(&mut self, change: &Change, now: Seconds) {
        let (Cause::Announce, Place::Named(peer_id)) = (change.cause, change.peer) else { return };
        let (state, age) = change.after.map_or((State::Gone, 0), write::here);
        self.torrent(change.info_hash);
        let since = now.saturating_sub(change.at);
        self.peer(&WebrtcRecord { peer_id, state, age: age.saturating_add(since) });
    }

    /// Bytes written since the last time, but for the few that begin the torrent at hand.
    #[must_use]
    pub fn written(&self) -> usize {
        self.out.len() + self.peers.len()
    }

    /// Ends the torrent and gives all that was written since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        self.end();
        std::mem::take(&mut self.out)
    }

    fn end(&mut self) {
        if let Some(info_hash) = self.torrent.take()
            && self.count > 0
        {
            self.out.extend_from_slice(&info_hash.0);
            write::varint(&mut self.out, self.count);
            self.out.extend_from_slice(&self.peers);
        }
        self.peers.clear();
        self.count = 0;
    }
}

/// Writes down the WebRTC peers of this node that a walk comes by.
#[derive(Debug, Default)]
pub struct WebrtcWalkWriter {
    /// Where they are written.
    pub records: WebrtcWriter,
}

impl Visitor for WebrtcWalkWriter {
    fn torrent(&mut self, info_hash: &InfoHash, _: &Counts, _: bool) -> Verdict {
        self.records.torrent(*info_hash);
        Verdict::Keep
    }

    fn wants(&self, network: Network) -> bool {
        network == Network::Webrtc
    }

    fn peer(&mut self, peer: &Seen<'_>) -> Verdict {
        if let Place::Named(peer_id) = peer.place()
            && peer.node().is_none()
        {
            let (state, age) = write::here(peer.known());
            self.records.peer(&WebrtcRecord { peer_id, state, age });
        }
        Verdict::Keep
    }
}

/// Reads records one by one, and ends after the last or at the first that is none.
#[derive(Clone, Debug)]
pub struct WebrtcReader<'a> {
    bytes: &'a [u8],
    rest: &'a [u8],
    /// Peers that the torrent still has to come.
    peers: u64,
}

impl<'a> WebrtcReader<'a> {
    /// Reads from the beginning.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, rest: bytes, peers: 0 }
    }

    fn read(&mut self) -> Option<WebrtcItem> {
        let id = read::take(&mut self.rest)?;
        let number = read::varint(&mut self.rest)?;
        if self.peers == 0 {
            self.peers = number;
            return Some(WebrtcItem::Torrent(InfoHash(id)));
        }
        self.peers -= 1;
        let (state, age) = read::state(number)?;
        Some(WebrtcItem::Peer(WebrtcRecord { peer_id: PeerId(id), state, age }))
    }
}

impl Iterator for WebrtcReader<'_> {
    type Item = Result<WebrtcItem, read::Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() && self.peers == 0 {
            return None;
        }
        let at = self.bytes.len() - self.rest.len();
        let item = self.read();
        if item.is_none() {
            (self.rest, self.peers) = (&[], 0);
        }
        Some(item.ok_or(read::Malformed { at }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::Known, model::Role};

    const HERE: State = State::Here { role: Role::Leecher, counted: false };

    fn peer(id: u8, state: State, age: Seconds) -> WebrtcRecord {
        WebrtcRecord { peer_id: PeerId([id; 20]), state, age }
    }

    /// Two torrents, written by hand.
    fn sample() -> (Vec<WebrtcItem>, Vec<u8>) {
        let items = vec![
            WebrtcItem::Torrent(InfoHash([0xab; 20])),
            WebrtcItem::Peer(peer(1, State::Here { role: Role::Seeder, counted: true }, 15)),
            WebrtcItem::Peer(peer(2, State::Gone, 16)),
            WebrtcItem::Torrent(InfoHash([0xcd; 20])),
            WebrtcItem::Peer(peer(3, HERE, 2047)),
        ];
        let bytes = [
            &[0xab; 20][..],
            &[2],
            &[1; 20],
            &[15 << 3 | 7],
            &[2; 20],
            &[0x81, 0x01],
            &[0xcd; 20],
            &[1],
            &[3; 20],
            &[0xfa, 0x7f],
        ];
        (items, bytes.concat())
    }

    fn written(items: &[WebrtcItem]) -> Vec<u8> {
        let mut writer = WebrtcWriter::default();
        for item in items {
            match item {
                WebrtcItem::Torrent(info_hash) => writer.torrent(*info_hash),
                WebrtcItem::Peer(peer) => writer.peer(peer),
            }
        }
        writer.take()
    }

    #[test]
    fn records_are_the_bytes_that_the_format_says() {
        let (items, bytes) = sample();
        assert_eq!(written(&items), bytes);
        assert_eq!(WebrtcReader::new(&bytes).collect::<Result<Vec<_>, _>>(), Ok(items));
    }

    #[test]
    fn a_torrent_goes_on_and_one_without_peers_is_not_written() {
        let torrent = |byte| WebrtcItem::Torrent(InfoHash([byte; 20]));
        let [one, two] = [1, 2].map(|id| WebrtcItem::Peer(peer(id, HERE, 0)));
        let bytes = written(&[two, torrent(7), torrent(8), one, torrent(8), two, torrent(9)]);
        let read: Vec<_> = WebrtcReader::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(read, [torrent(8), one, two]);
        let empty = [&[7; 20][..], &[0], &[8; 20], &[0]].concat();
        let read: Vec<_> = WebrtcReader::new(&empty).map(Result::unwrap).collect();
        assert_eq!(read, [torrent(7), torrent(8)]);
    }

    #[test]
    fn what_is_cut_short_is_malformed_where_its_record_begins() {
        let (items, bytes) = sample();
        let starts = [0, 21, 42, 64, 85, bytes.len()];
        for length in 1..bytes.len() {
            let read: Vec<_> = WebrtcReader::new(&bytes[..length]).collect();
            let whole = starts.iter().filter(|&&start| start > 0 && start <= length).count();
            assert_eq!(read[..whole], items[..whole].iter().copied().map(Ok).collect::<Vec<_>>());
            // Between two torrents nothing is missing.
            let rest: &[_] =
                if length == starts[3] { &[] } else { &[Err(read::Malformed { at: starts[whole] })] };
            assert_eq!(read[whole..], *rest, "{length} bytes");
        }
    }

    #[test]
    fn what_is_no_record_is_malformed() {
        let torrent = |tail: &[u8]| [&[0xab; 20][..], tail].concat();
        for (bytes, what) in [
            (torrent(&[0x81, 0]), "a number in more bytes than it needs"),
            (torrent(&[0xff, 0xff, 0xff, 0xff, 0xff, 0]), "a number without an end"),
            (torrent(&[0xff, 0xff, 0xff, 0xff, 0x7f]), "many peers, none there"),
            ([torrent(&[1]), torrent(&[0])].concat(), "a peer of no kind"),
        ] {
            assert!(WebrtcReader::new(&bytes).any(|item| item.is_err()), "{what}");
            assert!(WebrtcReader::new(&bytes).count() <= 2, "{what}: reading ends");
        }
    }

    #[test]
    fn changes_of_peers_of_this_node_are_told_and_no_others() {
        let known = |age| Some(Known { role: Role::Seeder, counted: true, age });
        let change = Change {
            info_hash: InfoHash([9; 20]),
            downloaded: 1,
            peer: Place::Named(PeerId([1; 20])),
            before: None,
            after: known(2),
            at: 1000,
            cause: Cause::Announce,
        };
        let mut writer = WebrtcWriter::default();
        writer.change(&change, 1005);
        writer.change(&Change { before: known(0), after: None, ..change }, 1003);
        for cause in [Cause::Record, Cause::Expiry, Cause::Purge] {
            writer.change(&Change { cause, ..change }, 1005);
        }
        let address = tracker_common::address::Address::from_ipv4([10, 0, 0, 1]);
        writer.change(&Change { peer: Place::At(address, 1), ..change }, 1005);
        let expected = [&[9; 20][..], &[2], &[1; 20], &[7 << 3 | 7], &[1; 20], &[3 << 3 | 1]].concat();
        assert_eq!((writer.written(), writer.take(), writer.take()), (42, expected, Vec::new()));
    }
}
