//! Taking up what was saved: whatever is wrong with it, what was before that is used and the start goes on.

use super::{
    moment::Moment,
    read::{Fault, FileReader},
    take_in::{TakeIn, TakenIn},
    tally::Tally,
};
use crate::{
    kept_file::{self, Unfit},
    set_aside::set_aside,
    state_directory::SWARMS_FILE,
};
use std::{
    fs::File,
    path::Path,
    time::{Duration, Instant},
};
use tracker_core::{
    engine::{CountedBy, Engine, Totals},
    model::Seconds,
    nodes::{MAX_NODES, SharedNodes},
};

/// The longest file that is read, bytes: more than a thousand million peers take.
pub const MAX_FILE: u64 = 64 << 30;
/// How often a line tells how far it is.
const EVERY: Duration = Duration::from_secs(1);
/// How much longer a service manager then waits at least, microseconds.
const EXTENSION: u32 = 30_000_000;

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("it holds something that is no record, in the block that ends at byte {0}")]
    Record(u64),
    #[error("it holds {read} peers and says that it holds {told}")]
    Peers { read: u64, told: u64 },
}

/// What was taken up.
#[derive(Debug)]
pub(super) struct TakenUp {
    pub(super) taken: TakenIn,
    /// What the engine holds then.
    pub(super) totals: Totals,
    /// When it was saved, if it tells.
    pub(super) saved: Option<Moment>,
    /// The size of the file.
    pub(super) size: u64,
    pub(super) wrong: Option<Wrong>,
}

/// Takes the swarms that are saved in the directory into an engine that is empty, at `now` of its clock, and says on the log
/// what was had. Other nodes whose counts are saved get numbers. The limits, the access list and the timeout that the engine has apply. What has expired since is left out.
pub fn restore(
    engine: &Engine,
    nodes: &SharedNodes,
    directory: &Path,
    now: Seconds,
    moment: &Moment,
    tally: &Tally,
) {
    let path = directory.join(SWARMS_FILE);
    let begun = Instant::now();
    let Some(had) = take_up(engine, nodes, &path, now, moment) else { return };
    tally.restored.set(had.taken.peers);
    let Some(wrong) = &had.wrong else {
        let saved = had.saved.unwrap_or_default();
        tally.last_save.set(saved.wall);
        tally.size.set(had.size);
        let (since, took) = (told(moment.since(&saved)), begun.elapsed());
        tracing::info!("{}: restored {had}, as saved {since} ago, in {took:.1?}", path.display());
        return;
    };
    match set_aside(directory, SWARMS_FILE, moment.wall) {
        Ok(aside) => tracing::warn!(
            "{}: {wrong}; restored {had} from before that, and set the file aside as {}",
            path.display(),
            aside.display()
        ),
        Err(error) => tracing::warn!(
            "{}: {wrong}; restored {had} from before that. The file could not be set aside ({error}), so the next save \
             takes its place",
            path.display()
        ),
    }
}

/// Takes up a file, if there is one, as far as nothing is wrong with it.
pub(super) fn take_up(
    engine: &Engine,
    nodes: &SharedNodes,
    path: &Path,
    now: Seconds,
    moment: &Moment,
) -> Option<TakenUp> {
    let mut take_in = TakeIn::new(engine, now);
    let (mut saved, mut size) = (None, 0);
    let wrong = match kept_file::open(path, MAX_FILE) {
        Ok(None) => return None,
        Ok(Some((file, length))) => {
            size = length;
            read(file, size, moment, (&mut take_in, nodes), &mut saved).err()
        }
        Err(unfit) => Some(unfit.into()),
    };
    Some(TakenUp { taken: take_in.taken(), totals: engine.totals(), saved, size, wrong })
}

fn read(
    file: File,
    size: u64,
    now: &Moment,
    (take_in, nodes): (&mut TakeIn<'_>, &SharedNodes),
    saved: &mut Option<Moment>,
) -> Result<(), Wrong> {
    let mut reader = FileReader::open(file)?;
    *saved = Some(reader.saved());
    let mut told = Instant::now();
    while let Some(block) = reader.next_block()? {
        let since = now.since(&block.at);
        let taken = match block.node {
            None => take_in.records(block.records, since, CountedBy::Own),
            Some(name) => take_in.shares(nodes, name, block.records, since),
        };
        taken.map_err(|_| Wrong::Record(reader.position()))?;
        if told.elapsed() >= EVERY {
            told = Instant::now();
            let (share, peers) = (reader.position() * 100 / size.max(1), take_in.taken().peers);
            tracing::info!("restoring swarms: {share} % of the file, {peers} peers so far");
            // Who waits for the start is told that it goes on.
            let _ = sd_notify::notify(&[sd_notify::NotifyState::ExtendTimeoutUsec(EXTENSION)]);
        }
    }
    let (read, told) = (take_in.taken().read, reader.totals().unwrap_or_default().peers);
    if read == told { Ok(()) } else { Err(Wrong::Peers { read, told }) }
}

impl std::fmt::Display for TakenUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let TakenIn { peers, expired, refused, unnumbered, .. } = self.taken;
        let Totals { torrents, retained, .. } = self.totals;
        write!(f, "{peers} peers in {torrents} torrents and {retained} counts of downloads of others")?;
        if expired > 0 {
            write!(f, " ({expired} peers have expired)")?;
        }
        if refused > 0 {
            write!(f, " ({refused} peers are not let in by the limits and lists of now)")?;
        }
        if unnumbered > 0 {
            write!(f, " (what some nodes counted is left out: there are more than {MAX_NODES})")?;
        }
        Ok(())
    }
}

/// A duration for people.
fn told(seconds: Seconds) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
