//! Sorted ranges that neither overlap nor touch: one binary search answers for any number of blocks.

/// Sorted, disjoint, never adjacent ranges, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranges<N>(Box<[(N, N)]>);

impl<N: Number> Ranges<N> {
    pub(super) fn contains(&self, number: N) -> bool {
        self.holding(number).is_some()
    }

    /// Whether every number of `other` is in `self`.
    pub(super) fn covers(&self, other: &Self) -> bool {
        // Neighbours are merged, so a covered range lies within a single one of ours.
        other.0.iter().all(|&(first, last)| self.holding(first).is_some_and(|end| last <= end))
    }

    /// The end of the range that holds `number`.
    fn holding(&self, number: N) -> Option<N> {
        let after = self.0.partition_point(|&(first, _)| first <= number);
        let &(_, last) = self.0.get(after.checked_sub(1)?)?;
        (number <= last).then_some(last)
    }
}

impl<N: Number> FromIterator<(N, N)> for Ranges<N> {
    fn from_iter<I: IntoIterator<Item = (N, N)>>(ranges: I) -> Self {
        let mut unsorted: Vec<_> = ranges.into_iter().collect();
        unsorted.sort_unstable();
        let mut merged: Vec<(N, N)> = Vec::with_capacity(unsorted.len());
        for (first, last) in unsorted {
            match merged.last_mut() {
                // At the highest number there is no next, and everything that follows touches.
                Some((_, end)) if end.next().is_none_or(|next| first <= next) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged.into_boxed_slice())
    }
}

/// An address as a number.
pub(super) trait Number: Copy + Ord {
    /// The number after this one, unless this is the highest.
    fn next(self) -> Option<Self>;
}

impl Number for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Number for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn overlapping_and_adjacent_ranges_become_one() {
        let ranges: Ranges<u32> = [(10, 19), (0, 4), (20, 29), (12, 15), (31, 40)].into_iter().collect();
        assert_eq!(*ranges.0, [(0, 4), (10, 29), (31, 40)]);
    }

    #[test]
    fn both_ends_of_the_number_line_are_in_reach() {
        let ranges: Ranges<u32> = [(u32::MAX, u32::MAX), (0, 0), (u32::MAX - 1, u32::MAX)].into_iter().collect();
        assert_eq!(*ranges.0, [(0, 0), (u32::MAX - 1, u32::MAX)]);
        assert!(ranges.contains(0) && ranges.contains(u32::MAX) && !ranges.contains(1));
        assert!(!Ranges::<u128>::from_iter([]).contains(0));
    }

    fn small_ranges() -> impl Strategy<Value = Vec<(u32, u32)>> {
        prop::collection::vec((0..64_u32, 0..8_u32).prop_map(|(first, length)| (first, first + length)), 0..8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn they_hold_what_the_unsorted_ranges_hold(given in small_ranges(), others in small_ranges()) {
            let holds = |ranges: &[(u32, u32)], number| ranges.iter().any(|&(a, b)| (a..=b).contains(&number));
            let ranges = Ranges::from_iter(given.iter().copied());
            for number in 0..80 {
                prop_assert_eq!(ranges.contains(number), holds(&given, number));
            }
            let covered = (0..80).all(|number| !holds(&others, number) || holds(&given, number));
            prop_assert_eq!(ranges.covers(&others.into_iter().collect()), covered);
        }
    }
}
