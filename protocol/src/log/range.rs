//! Range proofs: that consecutive leaves stand where they are said to in the tree with a given root.
//!
//! A range proof is the [`subset`] proof of neighbours: one proof for all of a commit's leaves, and for one leaf the hashes
//! of its inclusion proof.

use super::subset;
use super::tree::{Error, Hash, Subtree, check_size};

/// Makes the proof that the leaves from `start` up to `end` stand in the tree of `size` leaves.
///
/// # Errors
/// [`Error::Size`], [`Error::Range`] (also for an empty range), and what `read` returns.
pub fn prove<E: From<Error>>(
    start: u64,
    end: u64,
    size: u64,
    read: impl FnMut(Subtree) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    check_size(size)?;
    if start >= end || end > size {
        return Err(Error::Range { start, end, size }.into());
    }
    subset::prove_counted(&|at| at.clamp(start, end) - start, size, read)
}

/// Checks that leaves with these hashes stand from `start` on in the tree of `size` leaves with this root.
///
/// # Errors
/// [`Error`], each case as it says.
pub fn verify(start: u64, leaves: &[Hash], size: u64, proof: &[Hash], root: &Hash) -> Result<(), Error> {
    let end = start.saturating_add(leaves.len() as u64);
    if start >= end || end > size {
        return Err(Error::Range { start, end, size });
    }
    let placed: Vec<(u64, Hash)> = (start..end).zip(leaves.iter().copied()).collect();
    subset::verify(&placed, size, proof, root)
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

    #[test]
    fn a_range_of_any_length_costs_its_proof_and_no_more() {
        let read = |_| -> Result<Hash, Error> { Ok(Hash([7; 32])) };
        assert_eq!(prove(0, TREE_SIZE_MAX, TREE_SIZE_MAX, read), Ok(vec![]));
        let most = prove(1, TREE_SIZE_MAX - 1, TREE_SIZE_MAX, read).expect("within the tree");
        assert_eq!(most, vec![Hash([7; 32]); 2], "the first leaf and the last");
        assert_eq!(prove(0, u64::MAX, u64::MAX, read), Err(Error::Size(u64::MAX)));
    }
}
