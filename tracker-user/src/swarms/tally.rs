//! What metrics tell of saving.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts and levels, written by whoever saves and restores.
#[derive(Debug, Default)]
pub struct Tally {
    /// Saves that came to a good end.
    pub saved: Level,
    /// Saves that did not.
    pub failed: Level,
    /// When what is on disk was saved, seconds since 1970; 0 if there is nothing.
    pub last_save: Level,
    /// How large that is, bytes.
    pub size: Level,
    /// Peers restored at the start.
    pub restored: Level,
}

/// A number that threads share.
#[derive(Debug, Default)]
pub struct Level(AtomicU64);

impl Level {
    /// What it is.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Makes it this.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Makes it one more.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
