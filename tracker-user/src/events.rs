//! Counts of events, one for each label.

use std::{
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering},
};
use tracker_common::label::Labelled;

/// Counters that only grow. Any thread may write and read: these are for events whose system calls cost far more than a
/// cache line that threads share.
#[derive(Debug)]
pub struct Events<L> {
    counts: Box<[AtomicU64]>,
    labels: PhantomData<L>,
}

impl<L: Labelled> Events<L> {
    /// It has happened once more.
    pub fn add(&self, label: L) {
        self.add_all(label, 1);
    }

    /// It has happened so many times.
    pub fn add_all(&self, label: L, times: u64) {
        self.counts[label.number()].fetch_add(times, Ordering::Relaxed);
    }

    /// How often it has happened so far.
    #[must_use]
    pub fn of(&self, label: L) -> u64 {
        self.counts[label.number()].load(Ordering::Relaxed)
    }

    /// How often each has, with its label.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        L::ALL.iter().map(|&label| (label.label(), self.of(label)))
    }

    /// All together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.each().map(|(_, count)| count).sum()
    }
}

impl<L: Labelled> Default for Events<L> {
    fn default() -> Self {
        Self { counts: L::ALL.iter().map(|_| AtomicU64::new(0)).collect(), labels: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracker_common::address::Family;

    #[test]
    fn each_label_has_its_own_count() {
        let events = Events::default();
        events.add(Family::Ipv6);
        events.add_all(Family::Ipv6, 2);
        events.add(Family::Ipv4);
        assert_eq!((events.of(Family::Ipv4), events.of(Family::Ipv6), events.sum()), (1, 3, 4));
        assert_eq!(events.each().collect::<Vec<_>>(), [("ipv4", 1), ("ipv6", 3)]);
    }
}
