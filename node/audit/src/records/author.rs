//! What is held of one author: everything from the floor up to the mark's `next`, and runs behind holes.

use super::place::Fields;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// How far an author's records are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Records below it were pruned.
    pub floor: u64,
    /// The first `public_seq` that is not held, from the floor on: everything between them is held.
    pub next: u64,
    /// The highest `public_seq` that is held.
    pub last: Option<u64>,
    /// How many records are held.
    pub records: u64,
    /// The bytes of their frames on disk.
    pub bytes: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Author {
    /// Records below it were pruned.
    pub floor: u64,
    /// The segment in which the frame that says so stands; 0 while there is none.
    pub floor_at: u32,
    /// Held from the floor up to here.
    next: u64,
    /// Runs behind holes, by their start, each with its end. Never empty, never touching.
    runs: BTreeMap<u64, u64>,
    records: u64,
    pub bytes: u64,
    /// Starts of runs that came or went since the index was fed.
    changed: BTreeSet<u64>,
}

impl Author {
    pub fn holds(&self, seq: u64) -> bool {
        let behind_a_hole = || self.runs.range(..=seq).next_back().is_some_and(|(_, end)| seq < *end);
        seq >= self.floor && (seq < self.next || behind_a_hole())
    }

    pub fn mark(&self) -> Mark {
        let dense = (self.next > self.floor).then(|| self.next - 1);
        let last = self.runs.last_key_value().map(|(_, end)| end - 1).or(dense);
        Mark { floor: self.floor, next: self.next, last, records: self.records, bytes: self.bytes }
    }

    /// How many runs stand behind holes, which is how many holes there are.
    pub fn holes(&self) -> usize {
        self.runs.len()
    }

    /// Whether there are as many records as are said to be held: not so in an index that lost a run.
    pub fn adds_up(&self) -> bool {
        self.records == self.count()
    }

    fn count(&self) -> u64 {
        let behind: u64 = self.runs.iter().map(|(start, end)| end - start).sum();
        self.next - self.floor + behind
    }

    /// The first holes.
    pub fn first_holes(&self, limit: usize) -> Vec<Range<u64>> {
        let mut from = self.next;
        let mut holes = Vec::with_capacity(limit.min(self.runs.len()));
        for (start, end) in self.runs.iter().take(limit) {
            holes.push(from..*start);
            from = *end;
        }
        holes
    }

    /// Takes up a record that was not held.
    pub fn insert(&mut self, seq: u64) {
        debug_assert!(seq >= self.floor && !self.holds(seq));
        self.records += 1;
        let (mut start, mut end) = (seq, seq + 1);
        if let Some(after) = self.runs.remove(&end) {
            self.changed.insert(end);
            end = after;
        }
        if seq == self.next {
            self.next = end;
            return;
        }
        if let Some((before, _)) = self.runs.range(..seq).next_back().filter(|(_, end)| **end == seq) {
            start = *before;
        }
        self.runs.insert(start, end);
        self.changed.insert(start);
    }

    /// Forgets everything below; true if the floor rose.
    pub fn raise_floor(&mut self, below: u64) -> bool {
        if below <= self.floor {
            return false;
        }
        self.floor = below;
        self.next = self.next.max(below);
        while let Some((start, end)) = self.runs.first_key_value().map(|(s, e)| (*s, *e))
            && start <= self.next
        {
            self.runs.remove(&start);
            self.changed.insert(start);
            self.next = self.next.max(end);
        }
        self.records = self.count();
        true
    }

    /// The starts of runs that came or went, with their ends if they are there now.
    pub fn changed(&self) -> impl Iterator<Item = (u64, Option<u64>)> + '_ {
        self.changed.iter().map(|start| (*start, self.runs.get(start).copied()))
    }

    pub fn forget_changed(&mut self) {
        self.changed.clear();
    }

    /// What the index keeps of it, without the runs.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.floor_at.to_be_bytes().to_vec();
        for number in [self.floor, self.next, self.records, self.bytes] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = Fields(bytes);
        let author = Author {
            floor_at: rest.u32()?,
            floor: rest.u64()?,
            next: rest.u64()?,
            records: rest.u64()?,
            bytes: rest.u64()?,
            ..Author::default()
        };
        rest.end(author).filter(|author| author.floor <= author.next)
    }

    /// Puts back a run that the index kept; false if it cannot be one.
    pub fn restore_run(&mut self, start: u64, end: u64) -> bool {
        let behind = self.runs.last_key_value().map_or(self.next, |(_, end)| *end);
        let fits = start > behind && end > start;
        if fits {
            self.runs.insert(start, end);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marks_and_holes_are_those_of_a_plain_set(
            steps in prop::collection::vec((0_u64..40, prop::bool::weighted(0.1)), 1..80)
        ) {
            let (mut author, mut set, mut floor) = (Author::default(), BTreeSet::new(), 0);
            for (seq, prune) in steps {
                if prune {
                    prop_assert_eq!(author.raise_floor(seq), seq > floor);
                    floor = floor.max(seq);
                    set.retain(|s| *s >= floor);
                } else if seq >= floor && set.insert(seq) {
                    author.insert(seq);
                }
                let next = (floor..).find(|s| !set.contains(s)).expect("endless");
                prop_assert_eq!((author.mark().next, author.mark().last), (next, set.last().copied()));
                prop_assert!((0..50).all(|s| author.holds(s) == set.contains(&s)));
                let last = set.last().copied().unwrap_or(0);
                let missing: Vec<u64> = (next..last).filter(|s| !set.contains(s)).collect();
                let holes: Vec<u64> = author.first_holes(99).into_iter().flatten().collect();
                prop_assert_eq!(missing, holes);
                prop_assert_eq!(author.holes(), author.first_holes(99).len());
                prop_assert!(author.adds_up() && author.mark().records == set.len() as u64);
                // What the index would hold by now, fed piece by piece, is what there is.
                let mut restored = Author::parse(&author.to_bytes()).expect("our own bytes");
                for (start, end) in &author.runs {
                    prop_assert!(restored.restore_run(*start, *end));
                }
                prop_assert_eq!(restored.mark(), author.mark());
            }
        }

        #[test]
        fn changed_runs_bring_a_stale_copy_up_to_date(
            steps in prop::collection::vec((0_u64..40, prop::bool::weighted(0.1), prop::bool::ANY), 1..80)
        ) {
            let (mut author, mut copy) = (Author::default(), BTreeMap::new());
            for (seq, prune, feed) in steps {
                if prune {
                    author.raise_floor(seq);
                } else if seq >= author.floor && !author.holds(seq) {
                    author.insert(seq);
                }
                if feed {
                    for (start, end) in author.changed() {
                        match end {
                            Some(end) => copy.insert(start, end),
                            None => copy.remove(&start),
                        };
                    }
                    author.forget_changed();
                    prop_assert_eq!(&copy, &author.runs);
                }
            }
        }
    }
}
