//! Inclusion proofs (RFC 6962, section 2.1.1): that a leaf stands at an index of the tree with a given root.

use super::tree::{Error, Hash, Subtree, check_size, node_hash, span_hash, split};

/// Makes the proof that leaf `index` stands in the tree of `size` leaves, the leaf's sibling first.
///
/// # Errors
/// [`Error::Size`], [`Error::Range`], and what `read` returns.
pub fn prove<E: From<Error>>(
    index: u64,
    size: u64,
    mut read: impl FnMut(Subtree) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    check_place(index, size)?;
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(span_hash(middle, end, &mut read)?);
            end = middle;
        } else {
            proof.push(span_hash(start, middle, &mut read)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that the leaf with hash `leaf` stands at `index` of the tree of `size` leaves with this root.
///
/// # Errors
/// [`Error`], each case as it says; a proof with one hash too many or too few is refused by its length.
pub fn verify(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), Error> {
    check_place(index, size)?;
    // Up to where the paths of this leaf and of the last one meet, every level has a sibling; above, only left ones.
    let inner = u64::BITS - (index ^ (size - 1)).leading_zeros();
    let border = (index >> inner).count_ones();
    if proof.len() != (inner + border) as usize {
        return Err(Error::ProofLength { got: proof.len() });
    }
    let mut hash = *leaf;
    for (level, sibling) in proof.iter().enumerate() {
        let is_left = level < inner as usize && index >> level & 1 == 0;
        hash = if is_left { node_hash(&hash, sibling) } else { node_hash(sibling, &hash) };
    }
    if hash == *root { Ok(()) } else { Err(Error::Root) }
}

fn check_place(index: u64, size: u64) -> Result<(), Error> {
    check_size(size)?;
    if index < size {
        return Ok(());
    }
    Err(Error::Range { start: index, end: index.saturating_add(1), size })
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::{by_definition, leaves, reader};
    use super::super::tree::{PROOF_HASHES_MAX, TREE_SIZE_MAX};
    use super::*;

    #[test]
    fn every_leaf_of_every_small_tree_is_proven_there_and_nowhere_else() {
        let leaves = leaves(40);
        for size in 1..=40u64 {
            let root = by_definition(&leaves[..size as usize]);
            for index in 0..size {
                let proof = prove(index, size, reader(&leaves)).expect("within the tree");
                for (other, leaf) in leaves.iter().enumerate() {
                    let held = verify(leaf, other as u64, size, &proof, &root).is_ok();
                    assert_eq!(held, other as u64 == index, "{other} by the proof of {index} in {size}");
                }
            }
        }
    }

    #[test]
    fn a_longer_or_shorter_proof_is_refused() {
        let leaves = leaves(11);
        let root = by_definition(&leaves);
        for index in 0..11 {
            let mut proof = prove(index, 11, reader(&leaves)).expect("within the tree");
            let leaf = &leaves[index as usize];
            let shorter = verify(leaf, index, 11, &proof[1..], &root);
            assert_eq!(shorter, Err(Error::ProofLength { got: proof.len() - 1 }));
            proof.push(root);
            assert_eq!(verify(leaf, index, 11, &proof, &root), Err(Error::ProofLength { got: proof.len() }));
        }
    }

    #[test]
    fn an_index_outside_of_the_tree_is_refused() {
        let hash = Hash([0; 32]);
        for (index, size) in [(0, 0), (5, 5), (u64::MAX, 5), (0, u64::MAX)] {
            assert!(verify(&hash, index, size, &[], &hash).is_err(), "{index} in {size}");
            assert!(prove(index, size, reader(&[])).is_err(), "{index} in {size}");
        }
    }

    #[test]
    fn the_largest_tree_has_proofs_within_the_limit() {
        let read = |_| -> Result<Hash, Error> { Ok(Hash([7; 32])) };
        for index in [0, 1, TREE_SIZE_MAX / 2, TREE_SIZE_MAX - 2] {
            for size in [TREE_SIZE_MAX, TREE_SIZE_MAX - 1] {
                let proof = prove(index, size, read).expect("within the tree");
                assert!(proof.len() <= PROOF_HASHES_MAX);
                assert_eq!(verify(&Hash([7; 32]), index, size, &proof, &Hash([7; 32])), Err(Error::Root));
            }
        }
    }
}
