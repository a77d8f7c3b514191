//! The Merkle tree of RFC 6962 over SHA-256: its hashes, its complete subtrees, and the root of a size.
//!
//! Everything here is arithmetic over hashes that the caller holds or reads; nothing is stored.

use crate::codec::{Decode, Encode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The most leaves of a tree (2^62). No journal gets there; a peer that claims more is refused, and no sum of two indices
/// can overflow.
pub const TREE_SIZE_MAX: u64 = 1 << 62;

/// The most hashes of an inclusion or a consistency proof in a tree of at most [`TREE_SIZE_MAX`] leaves, and what
/// C2SP tlog-witness allows on the wire.
pub const PROOF_HASHES_MAX: usize = 63;

/// Why a claim about a tree does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More leaves than [`TREE_SIZE_MAX`].
    #[error("a tree of {0} leaves is larger than any log")]
    Size(u64),
    /// The index or range is not within the tree.
    #[error("leaves {start} to {end} do not stand in a tree of {size}")]
    Range {
        /// The first leaf.
        start: u64,
        /// The leaf after the last one.
        end: u64,
        /// The tree's leaves.
        size: u64,
    },
    /// The positions are none, not ascending, or not within the tree.
    #[error("not ascending positions, each once, in a tree of {size} leaves")]
    Subset {
        /// The tree's leaves.
        size: u64,
    },
    /// A consistency proof from a larger tree to a smaller one.
    #[error("a tree of {new} leaves cannot continue one of {old}")]
    Shrunk {
        /// The earlier size.
        old: u64,
        /// The later size.
        new: u64,
    },
    /// The proof has not as many hashes as its place in the tree needs.
    #[error("the proof has {got} hashes, which this place in the tree cannot have")]
    ProofLength {
        /// How many there are.
        got: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    Root,
    /// Not one peak for each bit of the size.
    #[error("a tree of {size} leaves does not have {got} peaks")]
    Peaks {
        /// The tree's leaves.
        size: u64,
        /// How many peaks there are.
        got: usize,
    },
}

/// A hash in the tree. Printed in base64, as the C2SP texts have it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The root of the tree without leaves: SHA-256 of nothing.
    pub const EMPTY_ROOT: Hash = Hash([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// Reads 44 characters of standard base64, in the one form that encodes the hash.
    pub fn from_base64(text: &str) -> Option<Self> {
        if text.len() != 44 {
            return None;
        }
        STANDARD.decode(text).ok()?.try_into().ok().map(Hash)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of a leaf's bytes: `SHA-256(00 ‖ bytes)`.
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(bytes).finalize().into())
}

/// The hash of a node: `SHA-256(01 ‖ left ‖ right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Hash(Sha256::digest(bytes).into())
}

/// A complete subtree: the leaves from `index << level` up to `(index + 1) << level`. Level 0 is the leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    /// How high it is: it has 2^level leaves. At most 62.
    pub level: u8,
    /// Its number among those of its level, from the left.
    pub index: u64,
}

impl Subtree {
    /// The subtree that is one leaf.
    pub fn leaf(index: u64) -> Self {
        Subtree { level: 0, index }
    }
}

/// The root of the first `size` leaves, from the hashes of complete subtrees that `read` gives.
///
/// # Errors
/// [`Error::Size`], and what `read` returns.
pub fn root<E: From<Error>>(size: u64, mut read: impl FnMut(Subtree) -> Result<Hash, E>) -> Result<Hash, E> {
    check_size(size)?;
    if size == 0 {
        return Ok(Hash::EMPTY_ROOT);
    }
    span_hash(0, size, &mut read)
}

/// The root over some hashes in order, as if they were the leaves: over 2^n hashes of complete subtrees of one level, side
/// by side and aligned, it is the hash of the complete subtree n levels above.
pub fn root_of(hashes: &[Hash]) -> Hash {
    let mut range = super::CompactRange::new();
    for hash in hashes {
        range.append(*hash);
    }
    range.root()
}

/// Refuses a tree that no log has.
pub(super) fn check_size(size: u64) -> Result<(), Error> {
    if size > TREE_SIZE_MAX { Err(Error::Size(size)) } else { Ok(()) }
}

/// The largest power of two below `n`, which must be at least 2: where RFC 6962 splits a tree.
pub(super) fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The hash over the leaves from `start` up to `end` of a node that RFC 6962's splitting reaches: not empty, and `start` a
/// multiple of the largest power of two that fits.
pub(super) fn span_hash<E>(
    start: u64,
    end: u64,
    read: &mut impl FnMut(Subtree) -> Result<Hash, E>,
) -> Result<Hash, E> {
    let mut rest = end - start;
    let mut hash = None;
    while rest != 0 {
        let level = rest.trailing_zeros();
        rest &= rest - 1;
        let peak = read(Subtree { level: level as u8, index: (start + rest) >> level })?;
        hash = Some(hash.map_or(peak, |right| node_hash(&peak, &right)));
    }
    Ok(hash.expect("the span is not empty"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The root as RFC 6962 writes it down, to compare everything else with.
    pub fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::EMPTY_ROOT,
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
                node_hash(&by_definition(left), &by_definition(right))
            }
        }
    }

    pub fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    pub fn reader(leaves: &[Hash]) -> impl Fn(Subtree) -> Result<Hash, Error> {
        |at| {
            let start = (at.index << at.level) as usize;
            Ok(by_definition(&leaves[start..start + (1 << at.level)]))
        }
    }

    #[test]
    fn the_empty_root_is_the_hash_of_nothing() {
        assert_eq!(Hash::EMPTY_ROOT.0, <[u8; 32]>::from(Sha256::digest(b"")));
        assert_eq!(root(0, reader(&[])), Ok(Hash::EMPTY_ROOT));
    }

    #[test]
    fn roots_of_subtrees_and_of_leaves_agree() {
        let leaves = leaves(70);
        for size in 0..=70 {
            let expected = by_definition(&leaves[..size as usize]);
            assert_eq!(root(size, reader(&leaves)), Ok(expected), "{size}");
            assert_eq!(root_of(&leaves[..size as usize]), expected, "{size}");
        }
    }

    #[test]
    fn a_tree_larger_than_any_log_is_refused() {
        let never = |_| -> Result<Hash, Error> { panic!("nothing to read") };
        assert_eq!(root(TREE_SIZE_MAX + 1, never), Err(Error::Size(TREE_SIZE_MAX + 1)));
    }

    #[test]
    fn hashes_have_one_base64_form() {
        let hash = leaf_hash(b"artel");
        assert_eq!(Hash::from_base64(&hash.to_string()), Some(hash));
        let text = Hash([0; 32]).to_string();
        assert_eq!(Hash::from_base64(&text[..43]), None);
        assert_eq!(Hash::from_base64(&text.replace("A=", "B=")), None, "a stray bit in the last character");
    }
}
