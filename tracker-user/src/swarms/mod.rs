//! The swarms on disk: saved by a thread of its own while the tracker runs and when it stops, restored when it starts.
//!
//! The file is described in `docs/state-file.md`. What is in it are the records of [`tracker_core::records`].

pub mod format;
pub mod moment;
pub mod read;
pub mod restore;
pub mod save;
pub mod saver;
pub mod take_in;
pub mod tally;

#[cfg(test)]
mod tests;

pub use saver::{Outcome, Saver, Settings};
pub use tally::Tally;

use crate::{clock::Clock, config, state_directory::SWARMS_FILE};
use moment::Moment;
use std::{fs, os::unix::fs::MetadataExt as _, sync::Arc};
use tracker_core::{engine::Engine, nodes::SharedNodes};

/// What metrics tell of what is saved, where the swarms are had from elsewhere.
#[must_use]
pub fn look(state: &config::State) -> Arc<Tally> {
    let tally = Arc::new(Tally::default());
    if state.swarms
        && let Ok(saved) = fs::symlink_metadata(state.directory.join(SWARMS_FILE))
    {
        tally.last_save.set(u64::try_from(saved.mtime()).unwrap_or_default());
        tally.size.set(saved.len());
    }
    tally
}

/// Restores what is saved, if swarms are kept, and gives what metrics tell of it.
#[must_use]
pub fn restore_if_kept(
    state: &config::State,
    engine: &Engine,
    nodes: &SharedNodes,
    clock: Clock,
) -> Arc<Tally> {
    let tally = Arc::new(Tally::default());
    if state.swarms {
        restore::restore(engine, nodes, &state.directory, clock.now(), &Moment::now(), &tally);
    }
    tally
}
