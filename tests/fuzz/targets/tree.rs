//! Tree proofs: two numbers, then hashes. Nothing panics, and no proof of noise holds.
#![no_main]

use artel_protocol::log::{CompactRange, Hash, Subtree, consistency, inclusion, range, subset, tree};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((head, rest)) = data.split_first_chunk::<16>() else { return };
    let (first, second) = head.split_at(8);
    let [first, second] = [first, second].map(|n| u64::from_le_bytes(n.try_into().expect("8 bytes")));
    let hashes: Vec<Hash> = rest.as_chunks().0.iter().copied().map(Hash).collect();
    let root = Hash([0x55; 32]);
    // Positions from a first one on: each hash says by its first two bytes how far on the next one is.
    let placed_from = |first: u64| {
        let gap = |hash: &Hash| (1 + u64::from(hash.0[0])) << (hash.0[1] & 31);
        hashes.iter().scan(first, move |at, hash| {
            let here = *at;
            *at = at.saturating_add(gap(hash));
            Some((here, *hash))
        })
    };
    for (m, n) in [(first, second), (second, first)] {
        assert!(inclusion::verify(&Hash([1; 32]), m, n, &hashes, &root).is_err());
        assert!(range::verify(m, &hashes, n, &hashes, &root).is_err());
        let placed: Vec<(u64, Hash)> = placed_from(m).collect();
        assert!(subset::verify(&placed, n, &hashes, &root).is_err());
        let _ = subset::inclusion_of(m, &placed, n, &hashes);
        if m != n && m != 0 {
            assert!(consistency::verify(m, &root, n, &root, &hashes).is_err());
        }
        if let Ok(mut range) = CompactRange::from_peaks(m, &hashes) {
            range.append(root);
            assert_eq!(range.peaks().len() as u32, range.size().count_ones());
        }
        // What we prove of a tree of any size, we verify: here of the tree whose subtrees all have one hash per level.
        let mut levels = vec![Hash([1; 32])];
        (0..62).for_each(|level| levels.push(tree::node_hash(&levels[level], &levels[level])));
        let read = |at: Subtree| -> Result<Hash, tree::Error> { Ok(levels[usize::from(at.level)]) };
        let Ok(whole) = tree::root(n, read) else { continue };
        if let Ok(proof) = inclusion::prove(m, n, read) {
            assert_eq!(inclusion::verify(&levels[0], m, n, &proof, &whole), Ok(()));
        }
        if let (Ok(proof), Ok(part)) = (consistency::prove(m, n, read), tree::root(m, read)) {
            assert_eq!(consistency::verify(m, &part, n, &whole, &proof), Ok(()));
        }
        let placed: Vec<(u64, Hash)> =
            placed.iter().filter(|(at, _)| *at < n).map(|(at, _)| (*at, levels[0])).collect();
        let positions: Vec<u64> = placed.iter().map(|(at, _)| *at).collect();
        if let Ok(proof) = subset::prove(&positions, n, read) {
            assert_eq!(subset::verify(&placed, n, &proof, &whole), Ok(()));
            for at in positions.iter().take(4) {
                let single = subset::inclusion_of(*at, &placed, n, &proof);
                assert_eq!(single, inclusion::prove(*at, n, read));
            }
        }
        let leaves = vec![levels[0]; hashes.len()];
        if let Ok(proof) = range::prove(m, m.saturating_add(leaves.len() as u64), n, read) {
            assert_eq!(range::verify(m, &leaves, n, &proof, &whole), Ok(()));
        }
    }
});
