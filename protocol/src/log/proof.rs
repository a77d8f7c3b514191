//! Proofs for offline use (C2SP tlog-proof): one text that carries an entry's index, its inclusion proof and the signed
//! checkpoint that it ends in.
//!
//! A [`Proof`] is well-formed and its checkpoint is signed by the node in its origin; an [`Included`] exists only if the
//! leaf was then shown to stand in the tree.

use super::checkpoint::{self, Checkpoint, SignedCheckpoint, decimal};
use super::inclusion;
use super::note::NOTE_BYTES_MAX;
use super::tree::{self, Hash, PROOF_HASHES_MAX};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The most bytes of extra data (64 KiB): room for a record's body; more would make a proof a file transfer.
pub const EXTRA_BYTES_MAX: usize = 64 << 10;

/// The most bytes of a proof's text: the checkpoint's note, the extra data in base64, and 63 hashes with the rest.
pub const PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + EXTRA_BYTES_MAX / 3 * 4 + (4 << 10);

/// Why text is not a proof, or not one of this leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More bytes, extra data or hashes than a proof may have.
    #[error("the proof is larger than a proof may be")]
    TooLarge,
    /// Not the lines of a proof in their order, each in its one form.
    #[error("malformed proof: {0}")]
    Malformed(&'static str),
    /// The checkpoint is not well-formed, or not signed by the node in its origin.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The leaf does not stand at this index under the checkpoint's root.
    #[error(transparent)]
    Tree(#[from] tree::Error),
}

/// A proof as it is kept in a `.tlog-proof` file. Nothing is said of a leaf before [`Proof::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    index: u64,
    extra: Vec<u8>,
    hashes: Vec<Hash>,
    checkpoint: SignedCheckpoint,
}

impl Proof {
    /// Puts a proof together. `extra` is opaque data that goes along unauthenticated; empty means none.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn new(
        index: u64,
        extra: Vec<u8>,
        hashes: Vec<Hash>,
        checkpoint: SignedCheckpoint,
    ) -> Result<Self, Error> {
        if extra.len() > EXTRA_BYTES_MAX || hashes.len() > PROOF_HASHES_MAX {
            return Err(Error::TooLarge);
        }
        Ok(Proof { index, extra, hashes, checkpoint })
    }

    /// Reads a proof's text and checks the node's signature on its checkpoint.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > PROOF_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(Error::Malformed("no blank line before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(Error::Malformed("the first line is not the format's name"));
        }
        let extra = match lines.next_if(|line| line.starts_with("extra ")) {
            None => Vec::new(),
            Some(line) => STANDARD
                .decode(&line["extra ".len()..])
                .ok()
                .filter(|extra| !extra.is_empty())
                .ok_or(Error::Malformed("the extra data is not base64 of some bytes"))?,
        };
        let index = lines
            .next()
            .and_then(|line| decimal(line.strip_prefix("index ")?))
            .ok_or(Error::Malformed("no index line"))?;
        let hashes = lines
            .map(Hash::from_base64)
            .collect::<Option<_>>()
            .ok_or(Error::Malformed("a line of the proof is not a hash"))?;
        Proof::new(index, extra, hashes, SignedCheckpoint::parse(checkpoint)?)
    }

    /// Reads a proof from bytes of unknown origin.
    ///
    /// # Errors
    /// As [`Proof::parse`].
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        Proof::parse(str::from_utf8(bytes).map_err(|_| Error::Malformed("not UTF-8"))?)
    }

    /// Checks that the leaf with this hash stands at the proof's index under the checkpoint's root.
    ///
    /// # Errors
    /// [`Error::Tree`].
    pub fn verify(&self, leaf: &Hash) -> Result<Included, Error> {
        Ok(Included::check(*leaf, self.index, &self.hashes, &self.checkpoint)?)
    }

    /// The entry's index.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The extra data, which nothing authenticates; empty when there is none.
    pub fn extra(&self) -> &[u8] {
        &self.extra
    }

    /// The inclusion proof, the leaf's sibling first.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The checkpoint that the proof ends in.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if !self.extra.is_empty() {
            writeln!(f, "extra {}", STANDARD.encode(&self.extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// That a leaf stands in a journal, at an index, under a checkpoint which its node signed. Only the check makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Included {
    leaf: Hash,
    index: u64,
    checkpoint: Checkpoint,
}

impl Included {
    /// Checks a leaf's hash, its index and its inclusion proof against a signed checkpoint.
    ///
    /// # Errors
    /// [`tree::Error`], each case as it says.
    pub fn check(
        leaf: Hash,
        index: u64,
        hashes: &[Hash],
        checkpoint: &SignedCheckpoint,
    ) -> Result<Self, tree::Error> {
        inclusion::verify(&leaf, index, checkpoint.size(), hashes, &checkpoint.root())?;
        Ok(Included { leaf, index, checkpoint: *checkpoint.checkpoint() })
    }

    /// The leaf's hash.
    pub fn leaf(&self) -> Hash {
        self.leaf
    }

    /// Where it stands.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// What the journal's node signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::Origin;
    use super::super::tree::tests::{by_definition, leaves, reader};
    use super::*;
    use crate::id::FederationId;
    use crate::key::{NodeId, SecretKey};

    fn proof(index: u64, size: u64, extra: &[u8]) -> (Hash, Proof) {
        let secret = SecretKey::from_seed(&[7; 32]);
        let leaves = leaves(size);
        let origin = Origin::new(FederationId([0xab; 32]), NodeId(secret.public()), 0);
        let checkpoint = Checkpoint::new(origin, size, by_definition(&leaves)).expect("plain");
        let signed = SignedCheckpoint::sign(checkpoint, &secret).expect("its own key");
        let hashes = inclusion::prove(index, size, reader(&leaves)).expect("within the tree");
        let proof = Proof::new(index, extra.to_vec(), hashes, signed).expect("small");
        (leaves[index as usize], proof)
    }

    #[test]
    fn a_proof_reads_back_and_verifies() {
        for (index, size, extra) in [(0, 1, &b""[..]), (5, 11, b"body"), (10, 11, b""), (255, 256, b"\0")] {
            let (leaf, proof) = proof(index, size, extra);
            let read = Proof::parse(&proof.to_string()).expect("we wrote it");
            assert_eq!(read, proof);
            let included = read.verify(&leaf).expect("it stands there");
            assert_eq!((included.leaf(), included.index()), (leaf, index));
            assert_eq!(included.checkpoint().size(), size);
        }
    }

    #[test]
    fn another_leaf_or_index_is_refused() {
        let (leaf, proof) = proof(5, 11, b"");
        assert_eq!(proof.verify(&Hash([0; 32])), Err(Error::Tree(tree::Error::Root)));
        for index in ["4", "11", "18446744073709551615"] {
            let moved = proof.to_string().replace("index 5", &format!("index {index}"));
            let moved = Proof::parse(&moved).expect("well-formed");
            assert!(moved.verify(&leaf).is_err(), "{index}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let text = proof(5, 11, b"body").1.to_string();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra Ym9keQ==\nindex 5\n"));
        for bad in [
            String::new(),
            text.replace("@v1", "@v2"),
            text.replace("Ym9keQ==", "Ym9keQ="),
            text.replace("Ym9keQ==", "Ym9keR=="),
            text.replace("Ym9keQ==", ""),
            text.replace("extra Ym9keQ==\n", "extra Ym9keQ==\nextra Ym9keQ==\n"),
            text.replace("index 5", "index 05"),
            text.replace("index 5", "index +5"),
            text.replace("index 5\n", "index 5\n\n"),
            text.replace("index 5\n", ""),
            text.replace("index 5\n", "index 5\nindex 5\n"),
            text.replace("index 5\n", "index 18446744073709551616\n"),
            text.replacen("=\n", "\n", 1),
            format!("\n{text}"),
            format!("{text}\n"),
            text.trim_end().to_owned(),
        ] {
            assert!(Proof::parse(&bad).is_err(), "{bad}");
        }
        let much = format!("index 5\n{}", format!("{}\n", Hash([0; 32])).repeat(64));
        assert_eq!(Proof::parse(&text.replace("index 5\n", &much)), Err(Error::TooLarge));
        assert_eq!(Proof::parse(&text.repeat(1_000)), Err(Error::TooLarge));
    }
}
