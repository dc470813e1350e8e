//! Where the tracker is in its life.

/// Where the tracker is in its life, as `/health` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not everything is up.
    Starting,
    /// Everything is.
    Serving,
    /// As serving, but connections that come now are another process's, which listens at the same places.
    Lent,
    /// As serving, but whoever spreads clients is to send no more: it ends soon.
    Closing,
    /// It is about to end.
    Draining,
    /// It is about to end, and another process listens at the same places.
    Left,
}

impl Stage {
    /// Whether connections are to end once their requests are answered.
    #[must_use]
    pub const fn is_ending(self) -> bool {
        matches!(self, Self::Draining | Self::Left)
    }

    /// Whether connections are accepted.
    #[must_use]
    pub const fn accepts(self) -> bool {
        matches!(self, Self::Starting | Self::Serving | Self::Closing)
    }
}
