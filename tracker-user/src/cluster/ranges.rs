//! Which of a row of numbers are missing.

/// The most gaps that are told apart; further ones are taken for one with the gap before, which asks for some twice.
const MOST: usize = 256;

/// Gaps in a row of numbers, in order, none of them empty, none touching another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Numbers from `from` on and below `to` are missing, none of which was known to be.
    pub fn add(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let at = self.0.partition_point(|gap| gap.1 < from);
        let behind = self.0.partition_point(|gap| gap.0 <= to);
        let (mut from, mut to) = (from, to);
        for gap in self.0.get(at..behind).unwrap_or_default() {
            (from, to) = (from.min(gap.0), to.max(gap.1));
        }
        self.0.splice(at..behind.max(at), [(from, to)]);
        self.bound();
    }

    /// Makes one of the two first, where there are more than may be.
    fn bound(&mut self) {
        while self.0.len() > MOST {
            let first = self.0.remove(0);
            if let Some(second) = self.0.first_mut() {
                second.0 = first.0;
            }
        }
    }

    /// This number is not missing any more; whether it was.
    pub fn remove(&mut self, number: u64) -> bool {
        !self.remove_all(number, number.saturating_add(1)).0.is_empty()
    }

    /// Numbers from `from` on and below `to` are not missing any more. Gives those that were.
    pub fn remove_all(&mut self, from: u64, to: u64) -> Self {
        let mut removed = Self::default();
        if from >= to {
            return removed;
        }
        let mut left = Vec::with_capacity(self.0.len() + 1);
        for &(first, behind) in &self.0 {
            let parts = [(first, behind.min(from)), (first.max(to), behind)];
            left.extend(parts.into_iter().filter(|part| part.0 < part.1));
            removed.add(first.max(from), behind.min(to));
        }
        self.0 = left;
        self.bound();
        removed
    }

    /// All of these are missing, too.
    pub fn add_all(&mut self, others: &Self) {
        others.0.iter().for_each(|&(from, to)| self.add(from, to));
    }

    /// The first gap, cut to so many numbers.
    #[must_use]
    pub fn first(&self, most: u64) -> Option<(u64, u64)> {
        self.0.first().map(|&(from, to)| (from, to.min(from.saturating_add(most))))
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are missing.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|gap| gap.1 - gap.0).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use tracker_core::rng::Rng;

    #[test]
    fn gaps_are_as_a_set_of_numbers_says() {
        let mut rng = Rng::new([7, 9]);
        for _ in 0..2000 {
            let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
            for _ in 0..20 {
                let (from, length) = (rng.below(60) as u64, rng.below(9) as u64);
                match rng.below(3) {
                    0 => {
                        ranges.add(from, from + length);
                        model.extend(from..from + length);
                    }
                    1 => assert_eq!(ranges.remove(from), model.remove(&from)),
                    _ => {
                        let removed = ranges.remove_all(from, from + length);
                        let expected = model.range(from..from + length).count() as u64;
                        assert_eq!(removed.count(), expected);
                        model.retain(|number| !(from..from + length).contains(number));
                    }
                }
                assert_eq!(ranges.count(), model.len() as u64);
                assert_eq!(ranges.first(1).map(|gap| gap.0), model.first().copied());
                let numbers: Vec<_> = ranges.0.iter().flat_map(|gap| gap.0..gap.1).collect();
                assert!(numbers.iter().eq(model.iter()), "{ranges:?} {model:?}");
                assert!(ranges.0.is_sorted_by(|a, b| a.1 < b.0));
            }
        }
    }

    #[test]
    fn there_are_no_more_gaps_than_may_be() {
        let mut ranges = Ranges::default();
        for number in 0..10_000 {
            ranges.add(2 * number, 2 * number + 1);
        }
        assert_eq!(ranges.0.len(), MOST);
        assert!((0..10_000).all(|number| ranges.remove(2 * number)), "none is forgotten");
        ranges.add(1, u64::MAX);
        assert_eq!(ranges.first(32), Some((1, 33)));
        // Such as are taken out of the midst leave no more of them either.
        (0..10_000).for_each(|number| assert!(ranges.remove(2 * number + 2)));
        assert_eq!(ranges.0.len(), MOST);
    }
}
