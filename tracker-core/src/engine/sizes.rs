//! How many torrents have how many peers, kept while peers come and go.

use super::report::SwarmSizes;

/// Torrents of a shard by the buckets of [`SwarmSizes`].
#[derive(Debug, Default)]
pub(super) struct Sizes([u32; SwarmSizes::BUCKETS]);

impl Sizes {
    /// A torrent that had so many peers has one more or one less now; with none it is no swarm.
    #[inline]
    pub(super) fn moved(&mut self, from: usize, to: usize) {
        let (from, to) = (bucket(from), bucket(to));
        if from == to {
            return;
        }
        if let Some(count) = from.and_then(|bucket| self.0.get_mut(bucket)) {
            *count -= 1;
        }
        if let Some(count) = to.and_then(|bucket| self.0.get_mut(bucket)) {
            *count += 1;
        }
    }

    /// Adds them to those of other shards.
    pub(super) fn add_to(&self, all: &mut SwarmSizes) {
        for (all, own) in all.torrents.iter_mut().zip(self.0) {
            *all += u64::from(own);
        }
    }
}

#[inline]
fn bucket(peers: usize) -> Option<usize> {
    match peers {
        0 => None,
        // Most swarms have one or two.
        1 | 2 => Some(peers - 1),
        _ => Some(SwarmSizes::BOUNDS.partition_point(|&bound| (bound as usize) < peers)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swarm_is_counted_where_its_size_belongs() {
        let mut sizes = Sizes::default();
        for peers in 0..=600_000 {
            let bounds = SwarmSizes::BOUNDS.iter();
            let naive = bounds.clone().position(|&bound| peers <= bound).unwrap_or(SwarmSizes::BOUNDS.len());
            assert_eq!(bucket(peers as usize), (peers > 0).then_some(naive), "{peers}");
            sizes.moved(peers as usize, peers as usize + 1);
        }
        let mut all = SwarmSizes::default();
        sizes.add_to(&mut all);
        assert_eq!(all.torrents.iter().sum::<u64>(), 1);
        assert_eq!(all.torrents[SwarmSizes::BUCKETS - 1], 1);
    }
}
