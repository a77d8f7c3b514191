//! Leaves: the public, fixed-form bytes that stand in the tree for one entry of a journal.
//!
//! A leaf says whether its entry is public and how many public entries stand before it, and commits to the body under a
//! salt. It never says anything else of a body.

use super::tree::{Hash, leaf_hash};
use crate::codec::{Decode, Encode};
use sha2::{Digest as _, Sha256};

/// The bytes of a leaf: `version ‖ class ‖ public_seq ‖ commitment`.
pub const LEAF_BYTES: usize = 42;

/// The version that we write. It also fixes the commitment's form.
pub const LEAF_VERSION: u8 = 1;

/// The bytes of the salt before a body. With fewer, a guess at a short body could be tried out.
pub const SALT_BYTES: usize = 16;

/// Why bytes are not a leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not [`LEAF_BYTES`] bytes.
    #[error("a leaf has {LEAF_BYTES} bytes, not {got}")]
    Length {
        /// How many there are.
        got: usize,
    },
    /// A version that we do not know.
    #[error("leaf of unknown version {0}")]
    Version(u8),
    /// Neither private (0) nor public (1).
    #[error("leaf of unknown class {0}")]
    Class(u8),
}

/// Whether an entry's body is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[repr(u8)]
pub enum Class {
    /// The body stays with the node.
    Private = 0,
    /// The body is a record: it is shared, with the proof that it stands here.
    Public = 1,
}

impl TryFrom<u8> for Class {
    type Error = Error;

    fn try_from(byte: u8) -> Result<Self, Error> {
        match byte {
            0 => Ok(Class::Private),
            1 => Ok(Class::Public),
            other => Err(Error::Class(other)),
        }
    }
}

/// One entry's leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Leaf {
    class: Class,
    public_seq: u64,
    commitment: [u8; 32],
}

impl Leaf {
    /// Makes the leaf of a body. `public_seq` is the number of public entries before this one in its journal, whatever
    /// the class: a public entry's own dense number, and a private entry's proof that no record was left out before it.
    pub fn commit(class: Class, public_seq: u64, salt: &[u8; SALT_BYTES], body: &[u8]) -> Self {
        Leaf { class, public_seq, commitment: commitment(salt, body) }
    }

    /// Whether the entry is public.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The number of public entries before this one.
    pub fn public_seq(&self) -> u64 {
        self.public_seq
    }

    /// SHA-256 of salt and body.
    pub fn commitment(&self) -> &[u8; 32] {
        &self.commitment
    }

    /// The `public_seq` that the next entry must have.
    pub fn next_public_seq(&self) -> u64 {
        self.public_seq.saturating_add(u64::from(self.class == Class::Public))
    }

    /// Whether this salt and body are the ones that the leaf commits to.
    pub fn opens_with(&self, salt: &[u8; SALT_BYTES], body: &[u8]) -> bool {
        self.commitment == commitment(salt, body)
    }

    /// The bytes that stand in the tree. `public_seq` is big-endian, as all numbers are that the C2SP formats hash or
    /// frame, so that a stranger's tool meets one order only.
    pub fn to_bytes(&self) -> [u8; LEAF_BYTES] {
        let mut bytes = [0; LEAF_BYTES];
        bytes[0] = LEAF_VERSION;
        bytes[1] = self.class as u8;
        bytes[2..10].copy_from_slice(&self.public_seq.to_be_bytes());
        bytes[10..].copy_from_slice(&self.commitment);
        bytes
    }

    /// Reads the bytes of a leaf.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let bytes: &[u8; LEAF_BYTES] = bytes.try_into().map_err(|_| Error::Length { got: bytes.len() })?;
        let [version, class, rest @ ..] = bytes;
        if *version != LEAF_VERSION {
            return Err(Error::Version(*version));
        }
        let (public_seq, commitment) = rest.split_first_chunk().expect("40 bytes hold the 8 of a u64");
        Ok(Leaf {
            class: Class::try_from(*class)?,
            public_seq: u64::from_be_bytes(*public_seq),
            commitment: commitment.try_into().expect("42 bytes less 10 are 32"),
        })
    }

    /// The leaf's hash in the tree (RFC 6962, section 2.1).
    pub fn hash(&self) -> Hash {
        leaf_hash(&self.to_bytes())
    }
}

fn commitment(salt: &[u8; SALT_BYTES], body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(body).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf() -> Leaf {
        Leaf::commit(Class::Public, 0x0102, &[9; 16], b"body")
    }

    #[test]
    fn a_leaf_reads_back() {
        let bytes = leaf().to_bytes();
        assert_eq!(bytes[..10], [1, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(Leaf::parse(&bytes), Ok(leaf()));
    }

    #[test]
    fn other_lengths_versions_and_classes_are_refused() {
        let bytes = leaf().to_bytes();
        assert_eq!(Leaf::parse(&bytes[..41]), Err(Error::Length { got: 41 }));
        assert_eq!(Leaf::parse(&[1; 43]), Err(Error::Length { got: 43 }));
        let with = |at: usize, value: u8| {
            let mut changed = bytes;
            changed[at] = value;
            Leaf::parse(&changed)
        };
        assert_eq!(with(0, 0), Err(Error::Version(0)));
        assert_eq!(with(0, 2), Err(Error::Version(2)));
        assert_eq!(with(1, 2), Err(Error::Class(2)));
    }

    #[test]
    fn only_the_same_salt_and_body_open_a_leaf() {
        assert!(leaf().opens_with(&[9; 16], b"body"));
        assert!(!leaf().opens_with(&[8; 16], b"body"));
        assert!(!leaf().opens_with(&[9; 16], b"bodY"));
    }

    #[test]
    fn public_entries_are_counted_densely() {
        assert_eq!(leaf().next_public_seq(), 0x0103);
        let private = Leaf::commit(Class::Private, 7, &[0; 16], b"");
        assert_eq!(private.next_public_seq(), 7);
    }
}
