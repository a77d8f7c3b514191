//! Consistency proofs (RFC 6962, section 2.1.2): that a tree only grew.

use super::tree::{Error, Hash, Subtree, check_size, node_hash, span_hash, split};

/// Makes the proof that the tree of `new` leaves continues the one of `old` leaves. It is empty when `old` is 0 or `new`.
///
/// # Errors
/// [`Error::Size`], [`Error::Shrunk`], and what `read` returns.
pub fn prove<E: From<Error>>(
    old: u64,
    new: u64,
    mut read: impl FnMut(Subtree) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    check_sizes(old, new)?;
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, new);
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(span_hash(middle, end, &mut read)?);
            end = middle;
        } else {
            proof.push(span_hash(start, middle, &mut read)?);
            start = middle;
        }
    }
    // The verifier knows the old root, which this node is when it begins at the first leaf.
    if start != 0 {
        proof.push(span_hash(start, end, &mut read)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that the tree of `new` leaves with root `new_root` continues the one of `old` leaves with root `old_root`
/// (RFC 9162, section 2.1.4.2).
///
/// # Errors
/// [`Error`], each case as it says. The empty tree is continued by every tree, and by an empty proof only.
pub fn verify(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> Result<(), Error> {
    check_sizes(old, new)?;
    let wrong_length = Err(Error::ProofLength { got: proof.len() });
    let empty_root_holds = |size: u64, root: &Hash| size != 0 || *root == Hash::EMPTY_ROOT;
    if !empty_root_holds(old, old_root) || !empty_root_holds(new, new_root) {
        return Err(Error::Root);
    }
    if old == 0 || old == new {
        if !proof.is_empty() {
            return wrong_length;
        }
        return if old == 0 || old_root == new_root { Ok(()) } else { Err(Error::Root) };
    }
    // The walk starts at the largest complete subtree that ends with the old tree.
    let skipped = old.trailing_zeros();
    let (mut node, mut last) = ((old - 1) >> skipped, (new - 1) >> skipped);
    let (first, rest) = match (old.is_power_of_two(), proof) {
        (true, rest) => (old_root, rest),
        (false, [first, rest @ ..]) => (first, rest),
        (false, []) => return wrong_length,
    };
    let (mut old_hash, mut new_hash) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return wrong_length;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(hash, &old_hash);
            new_hash = node_hash(hash, &new_hash);
            // Levels at which the last node stands alone have no hash in the proof. (`node` is not 0: `last` is not.)
            let alone = node.trailing_zeros();
            node >>= alone;
            last >>= alone;
        } else {
            new_hash = node_hash(&new_hash, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return wrong_length;
    }
    if old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(Error::Root) }
}

fn check_sizes(old: u64, new: u64) -> Result<(), Error> {
    check_size(new)?;
    if old > new { Err(Error::Shrunk { old, new }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::tree::TREE_SIZE_MAX;
    use super::super::tree::tests::{by_definition, leaves, reader};
    use super::*;

    #[test]
    fn every_small_tree_continues_every_smaller_one() {
        let leaves = leaves(40);
        let root = |size: u64| by_definition(&leaves[..size as usize]);
        for new in 0..=40 {
            for old in 0..=new {
                let proof = prove(old, new, reader(&leaves)).expect("not shrunk");
                assert_eq!(verify(old, &root(old), new, &root(new), &proof), Ok(()), "{old} to {new}");
            }
        }
    }

    #[test]
    fn another_root_size_or_proof_is_refused() {
        let leaves = leaves(24);
        let root = |size: u64| by_definition(&leaves[..size as usize]);
        for new in 1..=24u64 {
            for old in 1..=new {
                let proof = prove(old, new, reader(&leaves)).expect("not shrunk");
                let check = |o, or, n, nr, p: &[Hash]| verify(o, &or, n, &nr, p).is_ok();
                assert!(!check(old, root(old - 1), new, root(new), &proof));
                assert!(!check(old, root(old), new, root(new - 1), &proof));
                assert!(!check(new + 1, root(old), new, root(new), &proof));
                let mut longer = proof.clone();
                longer.push(root(old));
                assert!(!check(old, root(old), new, root(new), &longer), "{old} to {new}");
                if let [_, shorter @ ..] = &proof[..] {
                    assert!(!check(old, root(old), new, root(new), shorter), "{old} to {new}");
                    assert!(!check(old, root(old), new, root(new), &proof[..shorter.len()]));
                }
            }
        }
    }

    /// The hashes are right as far as they go, but they end below the later root.
    #[test]
    fn a_proof_that_ends_early_is_refused() {
        let leaves = leaves(9);
        let root = |size: u64| by_definition(&leaves[..size as usize]);
        for (old, reached, claimed) in [(1, 2, 3), (1, 2, 4), (2, 4, 5), (3, 4, 9), (5, 8, 9)] {
            let proof = prove(old, reached, reader(&leaves)).expect("not shrunk");
            assert_eq!(
                verify(old, &root(old), claimed, &root(reached), &proof),
                Err(Error::ProofLength { got: proof.len() }),
                "{old} to {claimed}"
            );
        }
    }

    #[test]
    fn the_empty_tree_is_continued_by_an_empty_proof_only() {
        let root = leaves(1)[0];
        assert_eq!(verify(0, &Hash::EMPTY_ROOT, 1, &root, &[]), Ok(()));
        assert_eq!(verify(0, &root, 1, &root, &[]), Err(Error::Root));
        assert_eq!(verify(0, &Hash::EMPTY_ROOT, 0, &root, &[]), Err(Error::Root));
        assert_eq!(verify(0, &Hash::EMPTY_ROOT, 1, &root, &[root]), Err(Error::ProofLength { got: 1 }));
    }

    #[test]
    fn sizes_larger_than_any_log_are_refused() {
        let hash = Hash([0; 32]);
        assert!(verify(1, &hash, u64::MAX, &hash, &[hash; 63]).is_err());
        assert!(verify(u64::MAX, &hash, u64::MAX, &hash, &[]).is_err());
        assert!(verify(TREE_SIZE_MAX - 1, &hash, TREE_SIZE_MAX, &hash, &[hash; 64]).is_err());
    }
}
