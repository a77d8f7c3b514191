//! What PROTOCOL.md defines by recursion, written down once more as it stands there, against the code that strangers' bytes
//! meet: subset proofs of random trees and of trees that nobody could hold.

use artel_protocol::log::tree::{self, node_hash};
use artel_protocol::log::{Hash, Subtree, inclusion, range, subset};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Where RFC 6962 splits a node of `n` leaves: the largest power of two below `n`.
fn split(n: u64) -> u64 {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// The hash of the node `from..to`, as RFC 6962 writes it down.
fn hash_of(from: u64, to: u64, leaves: &[Hash]) -> Hash {
    if to - from == 1 {
        return leaves[from as usize];
    }
    let middle = from + split(to - from);
    node_hash(&hash_of(from, middle, leaves), &hash_of(middle, to, leaves))
}

/// The subset proof of the node `from..to`, as PROTOCOL.md writes it down.
fn by_definition(set: &BTreeSet<u64>, from: u64, to: u64, hash: &impl Fn(u64, u64) -> Hash) -> Vec<Hash> {
    let held = set.range(from..to).count() as u64;
    if held == to - from {
        return vec![];
    }
    if held == 0 {
        return vec![hash(from, to)];
    }
    let middle = from + split(to - from);
    [by_definition(set, from, middle, hash), by_definition(set, middle, to, hash)].concat()
}

/// Reads complete subtrees of a tree that is held.
fn reader(leaves: &[Hash]) -> impl Fn(Subtree) -> Result<Hash, tree::Error> {
    |at| Ok(hash_of(at.index << at.level, (at.index + 1) << at.level, leaves))
}

/// The complete subtrees of a tree whose leaves are all the same, by their level: of any size, and held by nobody.
fn uniform() -> Vec<Hash> {
    let mut levels = vec![tree::leaf_hash(b"all the same")];
    (0..62).for_each(|level| levels.push(node_hash(&levels[level], &levels[level])));
    levels
}

/// The hash of any node of the uniform tree: complete below the split, and the rest likewise.
fn uniform_hash(leaves: u64, levels: &[Hash]) -> Hash {
    if leaves.is_power_of_two() {
        return levels[leaves.trailing_zeros() as usize];
    }
    let left = split(leaves);
    node_hash(&levels[left.trailing_zeros() as usize], &uniform_hash(leaves - left, levels))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_subset_proof_is_what_the_definition_says(
        leaves in vec(any::<[u8; 32]>(), 1..90),
        picks in vec(any::<prop::sample::Index>(), 1..40),
    ) {
        let leaves: Vec<Hash> = leaves.into_iter().map(Hash).collect();
        let size = leaves.len() as u64;
        let set: BTreeSet<u64> = picks.iter().map(|pick| pick.index(leaves.len()) as u64).collect();
        let positions: Vec<u64> = set.iter().copied().collect();
        let placed: Vec<(u64, Hash)> = set.iter().map(|at| (*at, leaves[*at as usize])).collect();
        let root = hash_of(0, size, &leaves);

        let proof = subset::prove(&positions, size, reader(&leaves)).expect("within the tree");
        prop_assert_eq!(&proof, &by_definition(&set, 0, size, &|from, to| hash_of(from, to, &leaves)));
        prop_assert_eq!(subset::verify(&placed, size, &proof, &root), Ok(()));
        for at in &positions {
            let single = inclusion::prove(*at, size, reader(&leaves)).expect("within the tree");
            prop_assert_eq!(subset::inclusion_of(*at, &placed, size, &proof), Ok(single));
        }
        let absent = (0..=size).find(|at| !set.contains(at)).expect("one behind the last");
        prop_assert!(subset::inclusion_of(absent, &placed, size, &proof).is_err());

        let (start, end) = (positions[0], positions[positions.len() - 1] + 1);
        let whole: BTreeSet<u64> = (start..end).collect();
        let neighbours = range::prove(start, end, size, reader(&leaves)).expect("within the tree");
        prop_assert_eq!(neighbours, by_definition(&whole, 0, size, &|from, to| hash_of(from, to, &leaves)));
    }

    #[test]
    fn subset_proofs_of_trees_of_any_size_are_as_the_definition_says(
        size in (0u32..=62, any::<u64>()).prop_map(|(bits, n)| 1 + n % (1 << bits)),
        picks in vec(any::<u64>(), 1..20),
        run in 1u64..5,
    ) {
        let levels = uniform();
        // Some anywhere, each with a few neighbours.
        let set: BTreeSet<u64> =
            picks.iter().flat_map(|pick| (0..run).map(move |i| (pick % size + i).min(size - 1))).collect();
        let positions: Vec<u64> = set.iter().copied().collect();
        let placed: Vec<(u64, Hash)> = set.iter().map(|at| (*at, levels[0])).collect();
        let read = |at: Subtree| Ok::<_, tree::Error>(levels[usize::from(at.level)]);
        let root = tree::root(size, read).expect("a log's size");

        let proof = subset::prove(&positions, size, read).expect("within the tree");
        prop_assert_eq!(&proof, &by_definition(&set, 0, size, &|from, to| uniform_hash(to - from, &levels)));
        prop_assert_eq!(subset::verify(&placed, size, &proof, &root), Ok(()));
        for at in &positions {
            let single = inclusion::prove(*at, size, read).expect("within the tree");
            prop_assert_eq!(subset::inclusion_of(*at, &placed, size, &proof), Ok(single));
        }
    }
}
