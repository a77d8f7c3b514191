//! Subset proofs: that some leaves, anywhere in a tree, stand where they are said to under a given root.
//!
//! The proof is the hashes, from left to right, of the largest nodes of RFC 6962's tree that have no leaf of the subset.
//! Neighbours share all of their path, scattered leaves share what is above them: k leaves of n take at most about
//! k × log2(n ÷ k) hashes, and one leaf takes those of its inclusion proof.

use super::tree::{Error, Hash, Subtree, check_size, node_hash, root_of, span_hash, split};

/// Makes the proof that the leaves at `positions`, ascending and each once, stand in the tree of `size` leaves.
///
/// # Errors
/// [`Error::Size`], [`Error::Subset`] when the positions are none, out of order or outside, and what `read` returns.
pub fn prove<E: From<Error>>(
    positions: &[u64],
    size: u64,
    read: impl FnMut(Subtree) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    check(positions.iter().copied(), size)?;
    prove_counted(&|at| positions.partition_point(|position| *position < at) as u64, size, read)
}

/// The proof for positions that are known by how many of them stand before an index, in a tree of a size that is checked.
pub(super) fn prove_counted<E>(
    before: &impl Fn(u64) -> u64,
    size: u64,
    mut read: impl FnMut(Subtree) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let mut proof = Vec::new();
    collect(before, 0, size, &mut read, &mut proof)?;
    Ok(proof)
}

/// Checks that leaves with these hashes stand at these positions, ascending and each once, in the tree of `size` leaves
/// with this root.
///
/// # Errors
/// [`Error`], each case as it says.
pub fn verify(leaves: &[(u64, Hash)], size: u64, proof: &[Hash], root: &Hash) -> Result<(), Error> {
    check(leaves.iter().map(|(at, _)| *at), size)?;
    let wrong_length = || Error::ProofLength { got: proof.len() };
    let mut rest = proof.iter();
    let hash = fold(leaves, 0, size, &mut rest).ok_or_else(wrong_length)?;
    if rest.next().is_some() {
        return Err(wrong_length());
    }
    if hash == *root { Ok(()) } else { Err(Error::Root) }
}

/// The inclusion proof of one of the leaves that a subset proof places, the leaf's sibling first: what [`verify`] has
/// computed on its way, for those who want a single leaf's proof.
///
/// # Errors
/// [`Error`], as [`verify`] without the root; [`Error::Subset`] when `position` is none of the leaves'.
pub fn inclusion_of(
    position: u64,
    leaves: &[(u64, Hash)],
    size: u64,
    proof: &[Hash],
) -> Result<Vec<Hash>, Error> {
    check(leaves.iter().map(|(at, _)| *at), size)?;
    if leaves.binary_search_by_key(&position, |(at, _)| *at).is_err() {
        return Err(Error::Subset { size });
    }
    let (mut path, mut rest) = (Vec::new(), proof.iter());
    let whole = walk_to(position, leaves, (0, size), &mut rest, &mut path);
    if whole.is_none() || rest.next().is_some() {
        return Err(Error::ProofLength { got: proof.len() });
    }
    Ok(path)
}

/// Makes the subset proof of some of the leaves that a subset proof places, at `positions`, ascending and each once: what whoever
/// has not the tree can show of them without the others.
///
/// # Errors
/// [`Error`], as [`verify`] without the root; [`Error::Subset`] when a position is none of the leaves'.
pub fn narrow(
    positions: &[u64],
    leaves: &[(u64, Hash)],
    size: u64,
    proof: &[Hash],
) -> Result<Vec<Hash>, Error> {
    check(leaves.iter().map(|(at, _)| *at), size)?;
    check(positions.iter().copied(), size)?;
    let is_placed = |position: &u64| leaves.binary_search_by_key(position, |(at, _)| *at).is_ok();
    if !positions.iter().all(is_placed) {
        return Err(Error::Subset { size });
    }
    let (mut narrower, mut rest) = (Vec::new(), proof.iter());
    let whole = leave_out(positions, leaves, (0, size), &mut rest, &mut narrower);
    if whole.is_none() || rest.next().is_some() {
        return Err(Error::ProofLength { got: proof.len() });
    }
    Ok(narrower)
}

/// Appends the hashes of the nodes below `from..to` that have no position, out of the leaves and the proof.
fn leave_out<'a>(
    positions: &[u64],
    leaves: &[(u64, Hash)],
    (from, to): (u64, u64),
    proof: &mut impl Iterator<Item = &'a Hash>,
    narrower: &mut Vec<Hash>,
) -> Option<()> {
    if positions.is_empty() {
        narrower.push(fold(leaves, from, to, proof)?);
        return Some(());
    }
    if positions.len() as u64 == to - from {
        return Some(());
    }
    let middle = from + split(to - from);
    let (left, right) = leaves.split_at(leaves.partition_point(|(at, _)| *at < middle));
    let (before, behind) = positions.split_at(positions.partition_point(|at| *at < middle));
    leave_out(before, left, (from, middle), proof, narrower)?;
    leave_out(behind, right, (middle, to), proof, narrower)
}

/// Walks down to a position and appends the siblings on the way back up.
fn walk_to<'a>(
    position: u64,
    leaves: &[(u64, Hash)],
    (from, to): (u64, u64),
    proof: &mut impl Iterator<Item = &'a Hash>,
    path: &mut Vec<Hash>,
) -> Option<()> {
    if to - from == 1 {
        return Some(());
    }
    let middle = from + split(to - from);
    let (left, right) = leaves.split_at(leaves.partition_point(|(at, _)| *at < middle));
    let sibling = if position < middle {
        walk_to(position, left, (from, middle), proof, path)?;
        fold(right, middle, to, proof)?
    } else {
        let sibling = fold(left, from, middle, proof)?;
        walk_to(position, right, (middle, to), proof, path)?;
        sibling
    };
    path.push(sibling);
    Some(())
}

/// Not empty, ascending, each once, and within the tree.
fn check(positions: impl Iterator<Item = u64>, size: u64) -> Result<(), Error> {
    check_size(size)?;
    let mut next = None;
    for at in positions {
        if next.is_some_and(|next| at < next) || at >= size {
            return Err(Error::Subset { size });
        }
        next = Some(at + 1);
    }
    if next.is_some() { Ok(()) } else { Err(Error::Subset { size }) }
}

/// Appends the hashes of the nodes below `from..to` that have no position. As deep as the tree is high, at most 62.
fn collect<E>(
    before: &impl Fn(u64) -> u64,
    from: u64,
    to: u64,
    read: &mut impl FnMut(Subtree) -> Result<Hash, E>,
    proof: &mut Vec<Hash>,
) -> Result<(), E> {
    let held = before(to) - before(from);
    if held == to - from {
        return Ok(());
    }
    if held == 0 {
        proof.push(span_hash(from, to, read)?);
        return Ok(());
    }
    let middle = from + split(to - from);
    collect(before, from, middle, read, proof)?;
    collect(before, middle, to, read, proof)
}

/// The hash of the node `from..to`, or nothing when the proof runs out.
fn fold<'a>(
    leaves: &[(u64, Hash)],
    from: u64,
    to: u64,
    proof: &mut impl Iterator<Item = &'a Hash>,
) -> Option<Hash> {
    if leaves.is_empty() {
        return proof.next().copied();
    }
    if leaves.len() as u64 == to - from {
        let hashes: Vec<Hash> = leaves.iter().map(|(_, hash)| *hash).collect();
        return Some(root_of(&hashes));
    }
    let middle = from + split(to - from);
    let (left, right) = leaves.split_at(leaves.partition_point(|(at, _)| *at < middle));
    let left = fold(left, from, middle, proof)?;
    let right = fold(right, middle, to, proof)?;
    Some(node_hash(&left, &right))
}

#[cfg(test)]
mod tests {
    use super::super::inclusion;
    use super::super::tree::TREE_SIZE_MAX;
    use super::super::tree::tests::{by_definition, leaves, reader};
    use super::*;

    fn placed(leaves: &[Hash], positions: &[u64]) -> Vec<(u64, Hash)> {
        positions.iter().map(|at| (*at, leaves[*at as usize])).collect()
    }

    #[test]
    fn every_subset_of_every_small_tree_is_proven() {
        let leaves = leaves(9);
        for size in 1..=9u64 {
            let root = by_definition(&leaves[..size as usize]);
            for set in 1u32..1 << size {
                let positions: Vec<u64> = (0..size).filter(|at| set >> at & 1 == 1).collect();
                let proof = prove(&positions, size, reader(&leaves)).expect("within the tree");
                let mut claim = placed(&leaves, &positions);
                assert_eq!(verify(&claim, size, &proof, &root), Ok(()), "{positions:?} in {size}");
                for at in &positions {
                    let path = inclusion_of(*at, &claim, size, &proof).expect("it is one of them");
                    let single = inclusion::verify(&leaves[*at as usize], *at, size, &path, &root);
                    assert_eq!(single, Ok(()), "{at} of {positions:?} in {size}");
                }
                for fewer in (1..=set).filter(|fewer| fewer & set == *fewer) {
                    let some: Vec<u64> = (0..size).filter(|at| fewer >> at & 1 == 1).collect();
                    let made = prove(&some, size, reader(&leaves)).expect("within the tree");
                    assert_eq!(
                        narrow(&some, &claim, size, &proof),
                        Ok(made),
                        "{some:?} of {positions:?} in {size}"
                    );
                }
                claim[0].1 = Hash([7; 32]);
                assert!(
                    verify(&claim, size, &proof, &root).is_err(),
                    "{positions:?} in {size}, another leaf"
                );
            }
        }
    }

    #[test]
    fn scattered_leaves_share_what_is_above_them() {
        let leaves = leaves(1_000);
        let positions: Vec<u64> = (0..1_000).step_by(100).collect();
        let proof = prove(&positions, 1_000, reader(&leaves)).expect("within the tree");
        assert!(proof.len() <= 70, "{} hashes; ten proofs of their own have 100", proof.len());
    }

    #[test]
    fn what_is_out_of_order_outside_or_too_much_is_refused() {
        let leaves = leaves(13);
        let root = by_definition(&leaves);
        let proof = prove(&[1, 5], 13, reader(&leaves)).expect("within the tree");
        let good = placed(&leaves, &[1, 5]);
        assert_eq!(verify(&good, 13, &proof, &root), Ok(()));
        let (swapped, twice) = (placed(&leaves, &[5, 1]), placed(&leaves, &[1, 1]));
        for bad in [&[][..], &swapped, &twice, &[(13, leaves[0])], &[(u64::MAX, leaves[0])]] {
            assert_eq!(verify(bad, 13, &proof, &root), Err(Error::Subset { size: 13 }), "{bad:?}");
        }
        assert!(verify(&good, TREE_SIZE_MAX + 1, &proof, &root).is_err());
        assert!(verify(&good, 13, &proof[1..], &root).is_err());
        assert!(verify(&good, 13, &[&proof[..], &[root]].concat(), &root).is_err());
        assert!(prove(&[5, 1], 13, reader(&leaves)).is_err());
        for bad in [&[][..], &[5, 1], &[1, 2], &[1, 13]] {
            assert_eq!(narrow(bad, &good, 13, &proof), Err(Error::Subset { size: 13 }), "{bad:?}");
        }
        assert!(narrow(&[1], &good, 13, &proof[1..]).is_err());
        assert!(narrow(&[1], &good, 13, &[&proof[..], &[root]].concat()).is_err());
    }
}
