//! Where the tracker is in its life.

/// Where the tracker is in its life, as `/health` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not everything is up.
    Starting,
    /// Everything is.
    Serving,
    /// It is about to end.
    Draining,
}
