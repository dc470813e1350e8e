//! What the operator decides about swarms: one immutable snapshot, swapped whole.

use crate::model::Seconds;

/// Intervals, list lengths and limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a peer is asked to wait between announces.
    pub interval: Seconds,
    /// How long it must wait at least, where the protocol can say so.
    pub min_interval: Seconds,
    /// A peer not heard of for this long is forgotten; at most [`Policy::MAX_PEER_TIMEOUT`], more counts as that.
    pub peer_timeout: Seconds,
    /// Peers given to a client that does not say how many it wants. Fifty is what BEP 3's readers expect.
    pub default_num_want: usize,
    /// The most peers given in one reply, of both families together. The datagram budget may cap it further.
    pub max_num_want: usize,
    /// A torrent that holds this many peers answers new ones without storing them.
    pub max_peers_per_torrent: usize,
    /// With this many torrents stored, an announce for a new one is refused.
    pub max_torrents: usize,
    /// How many peers of one torrent may share an address; `None` for any number. With a limit, each new peer costs a
    /// pass over its torrent's peers of that family and of WebRTC.
    pub peers_per_address: Option<u32>,
    /// How long the `downloaded` count of a torrent without peers is kept.
    pub downloaded_retention: Seconds,
    /// How many such counts are kept at most; the oldest go first.
    pub downloaded_entries: usize,
}

impl Policy {
    /// Four hours. A peer's last sign of life is kept as 15 bits of seconds, which wrap after nine: the rest is the
    /// time a full cycle of sweeps may take.
    pub const MAX_PEER_TIMEOUT: Seconds = 4 * 3600;

    /// How many peers a client gets that asked for `asked`: the one place where that is clamped. Negative, or nothing
    /// said, means the default; zero means none.
    #[must_use]
    pub fn num_want(&self, asked: Option<i64>) -> usize {
        let wanted = asked
            .and_then(|n| u64::try_from(n).ok())
            .map_or(self.default_num_want, |n| usize::try_from(n).unwrap_or(usize::MAX));
        wanted.min(self.max_num_want)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            interval: 30 * 60,
            min_interval: 5 * 60,
            peer_timeout: 45 * 60,
            default_num_want: 50,
            max_num_want: 200,
            max_peers_per_torrent: 1_000_000,
            max_torrents: 20_000_000,
            peers_per_address: None,
            downloaded_retention: 7 * 24 * 3600,
            downloaded_entries: 1_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn num_want_is_clamped() {
        let policy = Policy { default_num_want: 50, max_num_want: 200, ..Policy::default() };
        let cases = [
            (None, 50),
            (Some(-1), 50),
            (Some(i64::MIN), 50),
            (Some(0), 0),
            (Some(1), 1),
            (Some(200), 200),
            (Some(201), 200),
            (Some(0x7fff_ffff), 200),
            (Some(i64::MAX), 200),
        ];
        for (asked, given) in cases {
            assert_eq!(policy.num_want(asked), given, "{asked:?}");
        }
    }

    #[test]
    fn the_default_is_capped_too() {
        assert_eq!(Policy { default_num_want: 90, max_num_want: 9, ..Policy::default() }.num_want(None), 9);
    }
}
