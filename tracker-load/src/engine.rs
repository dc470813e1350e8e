//! What sends requests and checks replies.

use crate::{error::Error, figures::Figures, progress::Watch};
use std::time::Duration;

/// How fast requests are offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Offered {
    /// Evenly, this many a second, whatever comes back.
    Rate(f64),
    /// Each connection sends when the last reply is there.
    Closed,
}

/// How long a probe takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Load before anything is counted.
    pub warmup: Duration,
    /// How long requests are counted.
    pub duration: Duration,
}

/// A way to put load on a tracker. Prepared once, it is probed any number of times, one after the other.
///
/// An engine checks every reply, counts what it finds as [`Figures`] says, publishes its counters through the
/// [`Watch`] now and then, and ends soon when that is stopped: with the figures so far.
pub trait Engine {
    /// Offers load for a while, then waits for the last replies.
    ///
    /// # Errors
    /// When the system refuses something that the probe cannot go on without; a tracker that does not answer is a
    /// figure, not an error.
    fn probe(&mut self, offered: Offered, span: Span, watch: &Watch) -> Result<Figures, Error>;
}
