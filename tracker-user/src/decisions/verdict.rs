//! Who decided what and when, and which of two verdicts counts.

use super::entry::Entry;
use crate::node_name::NodeName;
use std::fmt;

/// The latest time that a verdict may have, the end of the year 9999, in milliseconds since 1970: calendars of four digits end
/// there.
pub const MAX_WHEN: u64 = 253_402_300_799_999;
/// How far the time of another node's verdict may be ahead of the own clock, milliseconds (5 minutes). A clock that is wrong by
/// more is nobody's judge of what is newer: for as long as it is ahead, nobody else's verdict would count.
pub const MOST_AHEAD: u64 = 5 * MINUTE;
/// A minute, milliseconds.
pub const MINUTE: u64 = 60 * 1000;

/// That an entry holds, or is taken back: when and by whom. Of two that are about the same entry the greater counts: the later
/// one, then that of the node whose name sorts last, then what was taken back. All nodes agree on that, in whatever order they
/// hear of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Milliseconds since 1970 by the clock of whoever decided, at most [`MAX_WHEN`]. 0 of what was kept before times were.
    pub when: u64,
    /// Where it was decided.
    pub node: NodeName,
    /// Whether it holds no more.
    pub taken_back: bool,
}

/// A decision, or that it was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it is about.
    pub entry: Entry,
    /// What was decided, when and where.
    pub stamp: Stamp,
}

impl Verdict {
    /// Whether the decision holds by it.
    #[must_use]
    pub const fn holds(&self) -> bool {
        !self.stamp.taken_back
    }
}

/// The word for a decision that holds.
pub(super) const HOLDS: &str = "holds";
/// The word for one that does not.
pub(super) const TAKEN_BACK: &str = "taken-back";

/// A verdict as it is written down, as in `ban 10.0.0.0/8 holds 1790000000000 node-a`. It shows keys.
pub(super) struct Line<'a>(pub(super) &'a Entry, pub(super) &'a Stamp);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(entry, Stamp { when, node, taken_back }) = self;
        let word = if *taken_back { TAKEN_BACK } else { HOLDS };
        write!(f, "{} {entry} {word} {when} {node}", entry.kind().label())
    }
}
