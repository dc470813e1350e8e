//! Records of a file on their way into the engine: older by the time since, in batches that are bounded.

use tracker_core::{
    engine::Engine,
    model::Seconds,
    records::{Malformed, PeerRecord, Reader, Record, TorrentRecord},
};

/// Peers that are kept until they go into the engine together.
const BATCH: usize = 4096;

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
}

/// Takes records into an engine.
#[derive(Debug)]
pub struct TakeIn<'a> {
    engine: &'a Engine,
    now: Seconds,
    timeout: Seconds,
    torrent: Option<TorrentRecord>,
    peers: Vec<PeerRecord>,
    /// Of the torrent: how many are alive, and for how long the youngest of the others has been gone.
    alive: bool,
    gone: Option<Seconds>,
    taken: TakenIn,
}

impl<'a> TakeIn<'a> {
    /// Into this engine, whose clock is at `now`.
    #[must_use]
    pub fn new(engine: &'a Engine, now: Seconds) -> Self {
        let timeout = engine.peer_timeout();
        let (peers, taken) = (Vec::new(), TakenIn::default());
        Self { engine, now, timeout, torrent: None, peers, alive: false, gone: None, taken }
    }

    /// Takes in a stream of whole records, whose ages have grown by `since`.
    ///
    /// # Errors
    /// If not all of it were records; what was before the first that is none is taken in.
    pub fn records(&mut self, bytes: &[u8], since: Seconds) -> Result<(), Malformed> {
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
        outcome
    }

    /// What has become of all so far.
    #[must_use]
    pub const fn taken(&self) -> TakenIn {
        self.taken
    }

    fn peer(&mut self, peer: PeerRecord, since: Seconds) {
        self.taken.read += 1;
        let age = peer.age.saturating_add(since);
        if let Some(gone) = age.checked_sub(self.timeout) {
            self.taken.expired += 1;
            self.gone = Some(self.gone.map_or(gone, |other| other.min(gone)));
            return;
        }
        self.alive = true;
        self.peers.push(PeerRecord { age, ..peer });
        if self.peers.len() == BATCH {
            self.flush();
        }
    }

    /// Ends a torrent. Where none of its peers is left, its count of downloads is kept since the last one went.
    fn end(&mut self) {
        let (alive, gone) = (std::mem::take(&mut self.alive), self.gone.take());
        if !self.peers.is_empty() {
            self.flush();
        } else if let Some(torrent) = self.torrent
            && !alive
        {
            let torrent = TorrentRecord { age: gone.unwrap_or(torrent.age), ..torrent };
            // There is no peer to be refused.
            let _ = self.engine.import(&torrent, &[], self.now);
        }
        self.torrent = None;
    }

    fn flush(&mut self) {
        if let Some(torrent) = &self.torrent {
            let all = self.peers.len() as u64;
            match self.engine.import(torrent, &self.peers, self.now) {
                Ok(imported) => {
                    self.taken.peers += imported.taken as u64;
                    self.taken.refused += imported.refused as u64;
                }
                Err(_) => self.taken.refused += all,
            }
        }
        self.peers.clear();
    }
}
