//! The compact range: the few hashes from which a growing tree's root is known, whatever its size.
//!
//! A leaf costs two hashes on average and no allocation.

use super::tree::{Error, Hash, Subtree, check_size, node_hash};

/// The most peaks: one for each bit of a size.
const PEAKS_MAX: usize = 64;

/// A tree's right edge: the roots of the complete subtrees that its size is the sum of, the largest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    /// The first `size.count_ones()` are in use, the others are zero.
    peaks: [Hash; PEAKS_MAX],
}

impl Default for CompactRange {
    fn default() -> Self {
        Self::new()
    }
}

impl CompactRange {
    /// The tree without leaves.
    pub fn new() -> Self {
        CompactRange { size: 0, peaks: [Hash([0; 32]); PEAKS_MAX] }
    }

    /// Takes up a tree again from its size and its peaks, the largest first.
    ///
    /// # Errors
    /// [`Error::Size`] or [`Error::Peaks`]. Whether the peaks are the right ones, only the root shows.
    pub fn from_peaks(size: u64, peaks: &[Hash]) -> Result<Self, Error> {
        check_size(size)?;
        if peaks.len() != size.count_ones() as usize {
            return Err(Error::Peaks { size, got: peaks.len() });
        }
        let mut range = Self::new();
        range.size = size;
        range.peaks[..peaks.len()].copy_from_slice(peaks);
        Ok(range)
    }

    /// Takes up the tree of `size` leaves from the hashes of complete subtrees that `read` gives.
    ///
    /// # Errors
    /// [`Error::Size`], and what `read` returns.
    pub fn from_subtrees<E: From<Error>>(
        size: u64,
        mut read: impl FnMut(Subtree) -> Result<Hash, E>,
    ) -> Result<Self, E> {
        check_size(size)?;
        let mut range = Self::new();
        let mut rest = size;
        while rest != 0 {
            let level = rest.ilog2();
            rest &= !(1 << level);
            let index = range.size >> level;
            range.peaks[range.len()] = read(Subtree { level: level as u8, index })?;
            range.size |= 1 << level;
        }
        Ok(range)
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf: Hash) {
        self.append_with(leaf, |_, _| ());
    }

    /// Appends a leaf by its hash and hands every complete subtree that ends with it to `completed`, the leaf itself first
    /// and then upwards: what a store of tiles keeps (at levels that are multiples of 8).
    pub fn append_with(&mut self, leaf: Hash, mut completed: impl FnMut(Subtree, &Hash)) {
        let mut len = self.len();
        let mut hash = leaf;
        let mut at = Subtree::leaf(self.size);
        completed(at, &hash);
        for _ in 0..self.size.trailing_ones() {
            len -= 1;
            hash = node_hash(&self.peaks[len], &hash);
            self.peaks[len] = Hash([0; 32]);
            at = Subtree { level: at.level + 1, index: at.index >> 1 };
            completed(at, &hash);
        }
        self.peaks[len] = hash;
        self.size += 1;
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The peaks, the largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks[..self.len()]
    }

    /// The tree's root.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks().iter().rev().copied();
        let Some(last) = peaks.next() else {
            return Hash::EMPTY_ROOT;
        };
        peaks.fold(last, |right, left| node_hash(&left, &right))
    }

    fn len(&self) -> usize {
        self.size.count_ones() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::{by_definition, leaves, reader};
    use super::super::tree::{TREE_SIZE_MAX, root_of};
    use super::*;

    #[test]
    fn the_root_is_right_after_every_leaf() {
        let leaves = leaves(300);
        let mut range = CompactRange::new();
        for (i, leaf) in leaves.iter().enumerate() {
            assert_eq!(range.root(), by_definition(&leaves[..i]), "{i}");
            range.append(*leaf);
        }
        assert_eq!(range.size(), 300);
    }

    #[test]
    fn a_range_taken_up_again_goes_on_the_same() {
        let leaves = leaves(70);
        let mut range = CompactRange::new();
        for (i, leaf) in leaves.iter().enumerate() {
            assert_eq!(CompactRange::from_peaks(i as u64, range.peaks()), Ok(range.clone()));
            assert_eq!(CompactRange::from_subtrees(i as u64, reader(&leaves)), Ok(range.clone()));
            range.append(*leaf);
        }
    }

    #[test]
    fn every_complete_subtree_is_handed_out_once() {
        let leaves = leaves(600);
        let mut range = CompactRange::new();
        let mut completed = Vec::new();
        for leaf in &leaves {
            range.append_with(*leaf, |at, hash| completed.push((at, *hash)));
        }
        for (at, hash) in &completed {
            let start = (at.index << at.level) as usize;
            assert_eq!(*hash, root_of(&leaves[start..start + (1 << at.level)]), "{at:?}");
        }
        let expected: u64 = (0..10).map(|level| 600 >> level).sum();
        completed.sort_unstable();
        completed.dedup();
        assert_eq!(completed.len() as u64, expected);
    }

    #[test]
    fn a_wrong_number_of_peaks_is_refused() {
        let peaks = leaves(3);
        assert_eq!(CompactRange::from_peaks(4, &peaks), Err(Error::Peaks { size: 4, got: 3 }));
        assert_eq!(CompactRange::from_peaks(0, &[]), Ok(CompactRange::new()));
        assert!(CompactRange::from_peaks(TREE_SIZE_MAX, &peaks[..1]).is_ok());
        assert!(CompactRange::from_peaks(u64::MAX, &peaks).is_err());
    }
}
