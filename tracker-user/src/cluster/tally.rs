//! What a node counts.

/// Counts since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Changes that were sent.
    pub changes_out: u64,
    /// Peers that others told of.
    pub changes_in: u64,
    /// Bytes of messages that were sent.
    pub bytes_out: u64,
    /// Bytes of messages that came.
    pub bytes_in: u64,
    /// Batches of changes that did not come the first time.
    pub lost_batches: u64,
    /// Of these, such that came when they were asked for again.
    pub repaired_batches: u64,
    /// Times that something was lacking that nobody sends again, so that a walk had to tell it.
    pub gaps: u64,
    /// Walks over the swarms that were got, to the end.
    pub walks_in: u64,
    /// Walks that were given, to the end.
    pub walks_out: u64,
    /// Walks that did not come to their end.
    pub walks_failed: u64,
    /// Journals that were too small.
    pub overflowed: u64,
    /// Messages that nobody could read.
    pub unreadable: u64,
    /// Messages of nodes that are cut off, or one too many.
    pub refused: u64,
}
