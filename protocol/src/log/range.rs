//! Range proofs: that consecutive leaves stand where they are said to in the tree with a given root.
//!
//! The proof is the hashes, from left to right, of the largest nodes of RFC 6962's tree that have no leaf of the range.
//! So one proof carries a whole commit's records, and for one leaf it has the hashes of the inclusion proof.

use super::tree::{Error, Hash, Subtree, check_size, node_hash, root_of, span_hash, split};

/// Makes the proof that the leaves from `start` up to `end` stand in the tree of `size` leaves.
///
/// # Errors
/// [`Error::Size`], [`Error::Range`] (also for an empty range), and what `read` returns.
pub fn prove<E: From<Error>>(
    start: u64,
    end: u64,
    size: u64,
    mut read: impl FnMut(Subtree) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let range = Range::checked(start, end, size)?;
    let mut proof = Vec::new();
    range.collect(0, size, &mut read, &mut proof)?;
    Ok(proof)
}

/// Checks that leaves with these hashes stand from `start` on in the tree of `size` leaves with this root.
///
/// # Errors
/// [`Error`], each case as it says.
pub fn verify(start: u64, leaves: &[Hash], size: u64, proof: &[Hash], root: &Hash) -> Result<(), Error> {
    let range = Range::checked(start, start.saturating_add(leaves.len() as u64), size)?;
    let wrong_length = || Error::ProofLength { got: proof.len() };
    let mut rest = proof.iter();
    let hash = range.fold(0, size, leaves, &mut rest).ok_or_else(wrong_length)?;
    if rest.next().is_some() {
        return Err(wrong_length());
    }
    if hash == *root { Ok(()) } else { Err(Error::Root) }
}

/// Leaves from `start` up to `end`, not empty and within the tree.
struct Range {
    start: u64,
    end: u64,
}

impl Range {
    fn checked(start: u64, end: u64, size: u64) -> Result<Self, Error> {
        check_size(size)?;
        if start < end && end <= size {
            return Ok(Range { start, end });
        }
        Err(Error::Range { start, end, size })
    }

    fn misses(&self, from: u64, to: u64) -> bool {
        to <= self.start || self.end <= from
    }

    fn covers(&self, from: u64, to: u64) -> bool {
        self.start <= from && to <= self.end
    }

    /// Appends the hashes of the nodes below `from..to` that the range misses. As deep as the tree is high, at most 62.
    fn collect<E>(
        &self,
        from: u64,
        to: u64,
        read: &mut impl FnMut(Subtree) -> Result<Hash, E>,
        proof: &mut Vec<Hash>,
    ) -> Result<(), E> {
        if self.covers(from, to) {
            return Ok(());
        }
        if self.misses(from, to) {
            proof.push(span_hash(from, to, read)?);
            return Ok(());
        }
        let middle = from + split(to - from);
        self.collect(from, middle, read, proof)?;
        self.collect(middle, to, read, proof)
    }

    /// The hash of the node `from..to`, or nothing when the proof runs out.
    fn fold<'a>(
        &self,
        from: u64,
        to: u64,
        leaves: &[Hash],
        proof: &mut impl Iterator<Item = &'a Hash>,
    ) -> Option<Hash> {
        if self.covers(from, to) {
            let within = (from - self.start) as usize..(to - self.start) as usize;
            return Some(root_of(&leaves[within]));
        }
        if self.misses(from, to) {
            return proof.next().copied();
        }
        let middle = from + split(to - from);
        let left = self.fold(from, middle, leaves, proof)?;
        let right = self.fold(middle, to, leaves, proof)?;
        Some(node_hash(&left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::super::inclusion;
    use super::super::tree::TREE_SIZE_MAX;
    use super::super::tree::tests::{by_definition, leaves, reader};
    use super::*;

    #[test]
    fn every_range_of_every_small_tree_is_proven() {
        let leaves = leaves(20);
        for size in 1..=20u64 {
            let root = by_definition(&leaves[..size as usize]);
            for start in 0..size {
                for end in start + 1..=size {
                    let proof = prove(start, end, size, reader(&leaves)).expect("within the tree");
                    let range = &leaves[start as usize..end as usize];
                    assert_eq!(verify(start, range, size, &proof, &root), Ok(()), "{start}..{end} in {size}");
                    let moved = verify(start + 1, range, size, &proof, &root);
                    assert!(moved.is_err(), "{start}..{end} in {size}, moved");
                }
            }
        }
    }

    #[test]
    fn one_leaf_takes_the_hashes_of_its_inclusion_proof() {
        let leaves = leaves(20);
        for index in 0..20 {
            let mut range = prove(index, index + 1, 20, reader(&leaves)).expect("within the tree");
            let mut single = inclusion::prove(index, 20, reader(&leaves)).expect("within the tree");
            range.sort_unstable();
            single.sort_unstable();
            assert_eq!(range, single, "{index}");
        }
    }

    #[test]
    fn proofs_of_another_length_and_ranges_outside_are_refused() {
        let leaves = leaves(13);
        let root = by_definition(&leaves);
        let mut proof = prove(3, 6, 13, reader(&leaves)).expect("within the tree");
        let range = &leaves[3..6];
        let shorter = verify(3, range, 13, &proof[1..], &root);
        assert_eq!(shorter, Err(Error::ProofLength { got: proof.len() - 1 }));
        proof.push(root);
        assert_eq!(verify(3, range, 13, &proof, &root), Err(Error::ProofLength { got: proof.len() }));
        assert!(verify(3, &[], 13, &proof, &root).is_err());
        assert!(verify(11, range, 13, &proof, &root).is_err());
        assert!(verify(u64::MAX, range, 13, &proof, &root).is_err());
        assert!(verify(0, range, TREE_SIZE_MAX + 1, &proof, &root).is_err());
        assert!(prove(6, 6, 13, reader(&leaves)).is_err());
    }
}
