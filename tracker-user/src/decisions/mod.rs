//! What an operator decides while the tracker runs, by `riptide control`: it holds at once, beside the files that the
//! configuration names, is kept in the state directory, and can be told to other nodes, which hold the same in the end.
//!
//! `entry` is what can be decided upon, `verdict` who decided it and when, `set` all of them, merged in any order. `text` is how
//! they are written down: in a `file`, and in the pieces of `wire`. `keeper` has those that hold, `merged` is what came of
//! a merge.

pub mod entry;
pub mod file;
pub mod keeper;
pub mod merged;
pub mod set;
pub mod text;
pub mod verdict;
pub mod wire;

pub use entry::{Entry, Kind, NoEntry};
pub use keeper::{Keeper, NotDecided};
pub use merged::Merged;
pub use set::Decisions;
pub use verdict::{Stamp, Verdict};
