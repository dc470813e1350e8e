//! Records on their way into the engine: older by the time since, in batches that are bounded. The memory of a batch's torrents
//! is asked for together, so that the waits for it overlap.

use tracker_core::{
    engine::{CountedBy, Engine, Located},
    model::Seconds,
    nodes::SharedNodes,
    records::{Malformed, PeerRecord, Reader, Record, TorrentRecord},
};

/// Peers that are kept until they go into the engine together.
const BATCH: usize = 4096;
/// Torrents that do: what the processor's nearest cache has room for.
const TORRENTS: usize = 64;

/// What became of the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenIn {
    /// Peers that were read.
    pub read: u64,
    /// Peers that the engine holds now.
    pub peers: u64,
    /// Peers that were not heard of for too long.
    pub expired: u64,
    /// Peers that the access list or a limit does not let in.
    pub refused: u64,
    /// Times that counts of another node were told for which there is no number any more.
    pub unnumbered: u64,
}

/// Takes records into an engine.
#[derive(Debug)]
pub struct TakeIn<'a> {
    engine: &'a Engine,
    now: Seconds,
    timeout: Seconds,
    /// Whose counts of downloads the records tell.
    by: CountedBy,
    /// By how much ages are too high.
    ahead: Seconds,
    torrent: Option<TorrentRecord>,
    /// Of the torrent: whether some are alive, and for how long the youngest of the others has been gone.
    alive: bool,
    gone: Option<Seconds>,
    /// Torrents that wait, the peers of all of them, and how many of these are not any torrent's in there yet.
    waiting: Vec<Waiting>,
    peers: Vec<PeerRecord>,
    more: usize,
    taken: TakenIn,
}

/// A torrent that waits, and how many of the peers that wait are its.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    at: Located,
    torrent: TorrentRecord,
    peers: usize,
}

impl<'a> TakeIn<'a> {
    /// Into this engine, whose clock is at `now`.
    #[must_use]
    pub fn new(engine: &'a Engine, now: Seconds) -> Self {
        let timeout = engine.peer_timeout();
        Self {
            engine,
            now,
            timeout,
            by: CountedBy::Own,
            ahead: 0,
            torrent: None,
            alive: false,
            gone: None,
            waiting: Vec::with_capacity(TORRENTS),
            peers: Vec::new(),
            more: 0,
            taken: TakenIn::default(),
        }
    }

    /// Of records whose ages were counted by a clock that is so far ahead of the engine's.
    #[must_use]
    pub fn of_a_clock_ahead(self, ahead: Seconds) -> Self {
        Self { ahead, ..self }
    }

    /// Takes in a stream of whole records, whose ages have grown by `since` and whose counts of downloads are this node's or
    /// another one's.
    ///
    /// # Errors
    /// If not all of it were records; what was before the first that is none is taken in.
    pub fn records(&mut self, bytes: &[u8], since: Seconds, by: CountedBy) -> Result<(), Malformed> {
        self.by = by;
        let mut outcome = Ok(());
        for record in Reader::new(bytes) {
            match record {
                Ok(Record::Torrent(torrent)) => {
                    self.end();
                    let age = torrent.age.saturating_add(since);
                    self.torrent = Some(TorrentRecord { age, ..torrent });
                }
                Ok(Record::Peer(peer)) => self.peer(peer, since),
                Err(malformed) => outcome = Err(malformed),
            }
        }
        self.end();
        self.flush();
        outcome
    }

    /// As [`TakeIn::records`], of counts that the node with this name has. It gets a number among `nodes`; where there is none
    /// left, nothing is taken in.
    ///
    /// # Errors
    /// As [`TakeIn::records`].
    pub fn shares(
        &mut self,
        nodes: &SharedNodes,
        name: &str,
        bytes: &[u8],
        since: Seconds,
    ) -> Result<(), Malformed> {
        let number = nodes.lock().number(name);
        let Some(node) = number else {
            self.taken.unnumbered += 1;
            return Ok(());
        };
        self.records(bytes, since, CountedBy::Node(node))
    }

    /// What has become of all so far.
    #[must_use]
    pub const fn taken(&self) -> TakenIn {
        self.taken
    }

    fn peer(&mut self, peer: PeerRecord, since: Seconds) {
        self.taken.read += 1;
        let age = peer.age.saturating_add(since).saturating_sub(self.ahead);
        if let Some(gone) = age.checked_sub(self.timeout) {
            self.taken.expired += 1;
            self.gone = Some(self.gone.map_or(gone, |other| other.min(gone)));
            return;
        }
        self.alive = true;
        self.peers.push(PeerRecord { age, ..peer });
        self.more += 1;
        if self.peers.len() == BATCH {
            if let Some(torrent) = self.torrent {
                self.wait(torrent);
            }
            self.flush();
        }
    }

    /// Ends a torrent. Where none of its peers is left, its count of downloads is kept since the last one went.
    fn end(&mut self) {
        let (alive, gone) = (std::mem::take(&mut self.alive), self.gone.take());
        let Some(torrent) = self.torrent.take() else { return };
        if self.more > 0 {
            self.wait(torrent);
        } else if !alive {
            self.wait(TorrentRecord { age: gone.unwrap_or(torrent.age), ..torrent });
        }
        if self.waiting.len() == TORRENTS {
            self.flush();
        }
    }

    /// A torrent waits, with the peers that are no other one's.
    fn wait(&mut self, torrent: TorrentRecord) {
        let at = self.engine.locate(&torrent.info_hash);
        self.waiting.push(Waiting { at, torrent, peers: std::mem::take(&mut self.more) });
    }

    fn flush(&mut self) {
        let located = self.waiting.iter().map(|waiting| &waiting.at);
        self.engine.prefetch_torrents(located.clone());
        located.for_each(|at| _ = self.engine.prefetch_peers(at));
        let mut rest = &*self.peers;
        for Waiting { at, torrent, peers: count } in &self.waiting {
            let (peers, behind) = rest.split_at(*count);
            rest = behind;
            match self.engine.import_at(at, torrent, peers, self.now, self.by) {
                Ok(imported) => {
                    self.taken.peers += imported.taken as u64;
                    self.taken.refused += imported.refused as u64;
                }
                Err(_) => self.taken.refused += peers.len() as u64,
            }
        }
        self.waiting.clear();
        self.peers.clear();
        self.more = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracker_common::address::Address;
    use tracker_core::{
        model::{InfoHash, Role},
        policy::Policy,
        records::{RecordWriter, State},
    };

    /// Torrents and peers around the bounds of a batch of either, one torrent of more peers than a batch has.
    #[test]
    fn every_torrent_gets_its_own_peers_whatever_waits_with_it() {
        let sizes: Vec<u16> =
            (0..TORRENTS as u16 + 2).map(|n| if n == 3 { 2 * BATCH as u16 + 1 } else { n % 3 }).collect();
        let mut writer = RecordWriter::default();
        for (number, size) in (0_u8..).zip(&sizes) {
            writer.torrent(TorrentRecord { info_hash: InfoHash([number; 20]), downloaded: 1, age: 0 });
            for port in 1..=*size {
                let state = State::Here { role: Role::Seeder, counted: false };
                let address = Address::from_ipv4([10, 0, 0, number]);
                writer.peer(&PeerRecord { address, port, state, age: 0 });
            }
        }
        let engine = Engine::new(Policy::default(), [1, 2]);
        let mut take_in = TakeIn::new(&engine, 1_000_000);
        take_in.records(&writer.take(), 0, CountedBy::Own).unwrap();
        let all = sizes.iter().map(|size| u64::from(*size)).sum();
        assert_eq!((take_in.taken().read, take_in.taken().peers), (all, all));
        for (number, size) in (0_u8..).zip(&sizes) {
            let counts = engine.scrape(&InfoHash([number; 20]));
            assert_eq!((counts.complete as u64, counts.downloaded), (u64::from(*size), 1), "{number}");
        }
    }
}
