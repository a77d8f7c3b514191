//! Holes: records that somebody lacks in the middle of a journal, as ranges of their numbers.

use crate::log::Origin;
use crate::log::tree::TREE_SIZE_MAX;
use crate::record::Records;
use std::ops::Range;

/// The most ranges of one message (1,024, some 16 KiB). Larger, and one message has its responder look up more at once; smaller, and
/// a store with much damage asks more often. Who lacks more asks again for the rest.
pub const HOLES_MAX: usize = 1_024;

/// What somebody lacks of a journal: 1 to [`HOLES_MAX`] ranges of numbers, none of them empty, ascending, none touching the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holes {
    origin: Origin,
    ranges: Vec<Range<u64>>,
}

/// How holes are encoded: a range is its first number and the one behind its last.
pub(crate) type Encoded = (Origin, Vec<(u64, u64)>);

impl Holes {
    /// These ranges of a journal's records; nothing where they are not as [`Holes`] has them, or of numbers that no journal has.
    pub fn new(origin: Origin, ranges: Vec<Range<u64>>) -> Option<Self> {
        let are_full = ranges.iter().all(|range| range.start < range.end && range.end <= TREE_SIZE_MAX);
        let ascend = ranges.windows(2).all(|pair| pair[0].end < pair[1].start);
        let fit = (1..=HOLES_MAX).contains(&ranges.len());
        (are_full && ascend && fit).then_some(Holes { origin, ranges })
    }

    /// The journal.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// The first number that is lacking.
    pub fn start(&self) -> u64 {
        self.ranges[0].start
    }

    /// The number behind all that are lacking.
    pub fn end(&self) -> u64 {
        self.ranges[self.ranges.len() - 1].end
    }

    /// Whether the record of this number is lacking.
    pub fn has(&self, public_seq: u64) -> bool {
        let before = self.ranges.partition_point(|range| range.end <= public_seq);
        self.ranges.get(before).is_some_and(|range| range.start <= public_seq)
    }

    /// What is lacking of a frame of records that was kept, as a frame of its own; nothing where there is none, or the frame does not
    /// hold.
    pub fn cut(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let records = Records::check(frame, &self.origin.federation()).ok()?;
        let lacking = records.only(|seq| self.has(seq)).filter(|lacking| lacking.origin() == self.origin)?;
        Some(lacking.bytes().to_vec())
    }

    pub(crate) fn to_encode(&self) -> Encoded {
        (self.origin, self.ranges.iter().map(|range| (range.start, range.end)).collect())
    }

    pub(crate) fn of_encoded((origin, ranges): Encoded) -> Option<Self> {
        Holes::new(origin, ranges.into_iter().map(|(start, end)| start..end).collect())
    }
}

/// What of some ranges lies within another one.
pub fn clipped(ranges: &[Range<u64>], within: Range<u64>) -> Vec<Range<u64>> {
    let clip = |range: &Range<u64>| range.start.max(within.start)..range.end.min(within.end);
    ranges.iter().map(clip).filter(|range| !range.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::FederationId;
    use crate::key::{NodeId, SecretKey};
    use proptest::prelude::*;

    fn origin() -> Origin {
        Origin::new(FederationId([1; 32]), NodeId(SecretKey::from_seed(&[1; 32]).public()), 3)
    }

    #[test]
    fn ranges_that_are_empty_descend_touch_overlap_are_too_many_or_of_no_journal_are_no_holes() {
        let check = |ranges: &[Range<u64>], good: bool| {
            assert_eq!(Holes::new(origin(), ranges.to_vec()).is_some(), good, "{ranges:?}");
        };
        check(&[5..6], true);
        check(&[0..1, 2..3, TREE_SIZE_MAX - 1..TREE_SIZE_MAX], true);
        check(&[], false);
        check(&[5..5], false);
        #[allow(clippy::reversed_empty_ranges)]
        check(&[6..5], false);
        check(&[7..8, 5..6], false);
        check(&[5..7, 7..8], false);
        check(&[5..8, 7..9], false);
        check(&[5..6, 5..6], false);
        check(&[5..TREE_SIZE_MAX + 1], false);
        let many = |count: usize| (0..count as u64).map(|n| 2 * n..2 * n + 1).collect::<Vec<_>>();
        check(&many(HOLES_MAX), true);
        check(&many(HOLES_MAX + 1), false);
    }

    proptest! {
        #[test]
        fn what_is_lacking_is_what_the_ranges_say(
            numbers in prop::collection::btree_set(0_u64..200, 1..60),
            next in 0_u64..210,
        ) {
            let mut ranges: Vec<Range<u64>> = Vec::new();
            for n in &numbers {
                match ranges.last_mut().filter(|range| range.end == *n) {
                    Some(range) => range.end = n + 1,
                    None => ranges.push(*n..n + 1),
                }
            }
            let holes = Holes::new(origin(), ranges).expect("as they have to be");
            prop_assert!((0..210).all(|n| holes.has(n) == numbers.contains(&n)));
            let left: Vec<u64> = clipped(holes.ranges(), next..150).into_iter().flatten().collect();
            prop_assert_eq!(left, numbers.range(next..150.max(next)).copied().collect::<Vec<_>>());
            prop_assert_eq!(Some(&holes.start()), numbers.first());
            prop_assert_eq!(Some(holes.end() - 1), numbers.last().copied());
            prop_assert_eq!(Holes::of_encoded(holes.to_encode()), Some(holes));
        }
    }
}
