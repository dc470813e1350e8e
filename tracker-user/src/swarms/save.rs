//! Writing the file: a walk over the engine in small slices, between any two of which whoever called may wait or give up.

use super::{
    format::{self, BlockHead, Checksum, Kind, MAX_BLOCK, Totals},
    moment::{Moment, uptime},
};
use crate::state_directory::{Replacement, SWARMS_FILE};
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tracker_core::{
    engine::{Cursor, Engine, Place, Seen, Share, Verdict, Visitor},
    model::{Counts, InfoHash, Seconds},
    nodes::SharedNodes,
    records::{WalkWriter, with_name},
};

/// Items visited at a time, some tens of microseconds.
const SLICE: usize = 512;
/// Items whose records make a block. Each takes a few tens of bytes at most.
const BLOCK: usize = 16 * SLICE;
/// A part of a large swarm or the shares of a torrent may be visited beyond a slice, and a torrent's record is 40 bytes at most.
const _: () = assert!((BLOCK + 4096) * 64 < MAX_BLOCK);
/// What may wait in memory to be written to the disk, bytes.
const UNSYNCED: u64 = 8 << 20;

/// What was saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Torrents with peers.
    pub torrents: u64,
    /// Peers. Those of browsers are not saved: they are gone with their connections.
    pub peers: u64,
    /// Download counts of torrents without peers.
    pub kept_counts: u64,
    /// The size of the file.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// When it began, seconds since 1970.
    pub at: u64,
}

/// Why nothing was saved. What was saved before is still there.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The file cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// Whoever called gave it up.
    #[error("saving was given up for a newer save")]
    GivenUp,
    /// It is not wanted.
    #[error("swarms are not saved: state.swarms is false")]
    Off,
    /// The thread that saves is gone.
    #[error("swarms are no longer saved: the tracker is stopping")]
    Stopping,
}

/// Saves all swarms in the directory, with the names of the nodes whose counts the engine has by number. `clock` is the
/// engine's; `rest` is called after each slice with the time that it took,
/// and says whether to go on.
///
/// # Errors
/// If the file cannot be written. The one before is left as it is then.
pub fn save(
    engine: &Engine,
    nodes: &SharedNodes,
    clock: impl Fn() -> Seconds,
    directory: &Path,
    mut rest: impl FnMut(Duration) -> bool,
) -> Result<Saved, SaveError> {
    let begun = Instant::now();
    let failed = |source| SaveError::Write { path: directory.join(SWARMS_FILE), source };
    let mut replacement = Replacement::begin(directory, SWARMS_FILE).map_err(failed)?;
    let moment = Moment::now();
    let mut writer = Writer::begin(replacement.file(), &moment).map_err(failed)?;
    let (mut cursor, mut walk) = (Cursor::default(), Walk::default());
    loop {
        let elapsed = uptime().saturating_sub(moment.uptime);
        let mut visited = 0;
        let mut ended = false;
        while visited < BLOCK && !ended {
            let slice = Instant::now();
            let walked = engine.walk(&mut cursor, clock(), SLICE, &mut walk);
            (visited, ended) = (visited + walked.visited, walked.ended);
            if !rest(slice.elapsed()) {
                return Err(SaveError::GivenUp);
            }
        }
        writer.block(Kind::Records, &walk.writer.take(), elapsed).map_err(failed)?;
        for (node, records) in walk.writer.take_shares() {
            let content = nodes.lock().name(node).and_then(|name| with_name(name, &records));
            writer.block(Kind::Node, &content.unwrap_or_default(), elapsed).map_err(failed)?;
        }
        if ended {
            break;
        }
    }
    let Walk { torrents, peers, kept_counts, .. } = walk;
    let bytes = writer.end(torrents, peers).map_err(failed)?;
    replacement.finish().map_err(failed)?;
    Ok(Saved { torrents, peers, kept_counts, bytes, took: begun.elapsed(), at: moment.wall })
}

/// Writes down what a walk comes by, and counts.
#[derive(Default)]
struct Walk {
    writer: WalkWriter,
    torrents: u64,
    peers: u64,
    kept_counts: u64,
}

impl Visitor for Walk {
    const WANTS_SHARES: bool = true;

    fn shares(&mut self, info_hash: &InfoHash, shares: &[Share], age: Seconds) {
        self.writer.shares(info_hash, shares, age);
    }

    fn torrent(&mut self, info_hash: &InfoHash, counts: &Counts, resumed: bool) -> Verdict {
        self.torrents += u64::from(!resumed);
        self.writer.torrent(info_hash, counts, resumed)
    }

    fn peer(&mut self, peer: &Seen<'_>) -> Verdict {
        self.peers += u64::from(matches!(peer.place(), Place::At(..)));
        self.writer.peer(peer)
    }

    fn retained(&mut self, info_hash: &InfoHash, downloaded: u32, age: Seconds) -> Verdict {
        self.kept_counts += 1;
        self.writer.retained(info_hash, downloaded, age)
    }
}

/// Writes header, blocks and end.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    file: &'a mut File,
    checksum: Checksum,
    blocks: u64,
    bytes: u64,
    /// Of these bytes, how many are on disk.
    synced: u64,
}

impl<'a> Writer<'a> {
    /// Writes the header.
    pub(super) fn begin(file: &'a mut File, saved: &Moment) -> io::Result<Self> {
        let (header, checksum) = format::header(saved);
        file.write_all(&header)?;
        Ok(Self { file, checksum, blocks: 0, bytes: header.len() as u64, synced: 0 })
    }

    /// Writes records of either kind, if there are any, whose ages were true so many seconds after the header's moment.
    pub(super) fn block(&mut self, kind: Kind, content: &[u8], elapsed: u64) -> io::Result<()> {
        if content.is_empty() {
            return Ok(());
        }
        self.blocks += 1;
        self.put(kind, content, u32::try_from(elapsed).unwrap_or(u32::MAX))?;
        // A little at a time: what has to be written at the end is little, and the memory that it waits in.
        if self.bytes - self.synced >= UNSYNCED {
            self.file.sync_data()?;
            self.synced = self.bytes;
        }
        Ok(())
    }

    /// Writes the end and says how long the file has become.
    pub(super) fn end(mut self, torrents: u64, peers: u64) -> io::Result<u64> {
        let totals = Totals { blocks: self.blocks, torrents, peers };
        self.put(Kind::End, &totals.to_bytes(), 0)?;
        Ok(self.bytes)
    }

    fn put(&mut self, kind: Kind, content: &[u8], elapsed: u32) -> io::Result<()> {
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        let (head, checksum) = BlockHead { kind, length, elapsed }.to_bytes(content, self.checksum);
        self.file.write_all(&head)?;
        self.file.write_all(content)?;
        self.checksum = checksum;
        self.bytes += (head.len() + content.len()) as u64;
        Ok(())
    }
}
