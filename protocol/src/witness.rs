//! Witnessing: what a node tells of its journal's head, what a neighbour says to it, and what proves that a node has lied.
//!
//! A head says which earlier one it continues and proves it, so whoever remembers that one can cosign at once. Whoever
//! remembers another one asks for a proof from there. A lie is proven by what the liar itself signed, and by nothing else.

use crate::codec::{self, Decode, Encode, Frame};
use crate::id::FederationId;
use crate::key::{NodeId, Signature};
use crate::log::cosignature::{self, Cosignature, Witness};
use crate::log::tree::{self, PROOF_HASHES_MAX};
use crate::log::{Checkpoint, Hash, Origin, SignedCheckpoint, checkpoint, consistency, inclusion};

/// The kind of a [`Head`]'s frame.
pub const HEAD_KIND: u16 = 0x0111;
/// The kind of a [`Cosigned`]'s frame.
pub const COSIGNED_KIND: u16 = 0x0112;
/// The kind of a [`Fraud`]'s frame.
pub const FRAUD_KIND: u16 = 0x0113;
/// The version of each that we write.
pub const VERSION: u16 = 1;

/// The most bytes of any of them: two checkpoints and two of the longest proofs that a tree has.
pub const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// Why bytes are no head, no cosignature or no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a value, or not in its one form.
    #[error(transparent)]
    Codec(#[from] codec::Error),
    /// A frame of something else.
    #[error("a frame of kind {kind:#06x} and version {version} where another is wanted")]
    Unknown {
        /// The kind.
        kind: u16,
        /// The version.
        version: u16,
    },
    /// More bytes or hashes than any has.
    #[error("larger than any of its kind")]
    Size,
    /// Of another federation.
    #[error("of another federation")]
    Foreign,
    /// A checkpoint's signature is not the node's.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// A cosignature is not the witness's.
    #[error(transparent)]
    Cosignature(#[from] cosignature::Error),
    /// A proof does not hold.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// What is shown does not contradict itself.
    #[error("nothing that is shown contradicts the rest")]
    NoContradiction,
}

/// A checkpoint with its signature, as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Signed {
    /// What is said.
    pub checkpoint: Checkpoint,
    /// The node's signature.
    pub signature: Signature,
}

impl From<&SignedCheckpoint> for Signed {
    fn from(signed: &SignedCheckpoint) -> Self {
        Signed { checkpoint: *signed.checkpoint(), signature: signed.signature() }
    }
}

impl Signed {
    pub(crate) fn check(self, federation: &FederationId) -> Result<SignedCheckpoint, Error> {
        if self.checkpoint.origin().federation() != *federation {
            return Err(Error::Foreign);
        }
        Ok(SignedCheckpoint::check(self.checkpoint, self.signature)?)
    }
}

/// The newest checkpoint of a journal, with the proof that it continues an earlier size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    checkpoint: SignedCheckpoint,
    old: u64,
    proof: Vec<Hash>,
}

impl Head {
    /// A head of one's own journal that continues its first `old` entries.
    pub fn new(checkpoint: SignedCheckpoint, old: u64, proof: Vec<Hash>) -> Self {
        Head { checkpoint, old, proof }
    }

    /// Its frame.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(HEAD_KIND, &(Signed::from(&self.checkpoint), self.old, &self.proof))
    }

    /// Reads a head and checks its signature. The proof is checked against what a reader remembers.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn check(bytes: &[u8], federation: &FederationId) -> Result<Self, Error> {
        let (signed, old, proof): (Signed, u64, Vec<Hash>) = read(HEAD_KIND, bytes)?;
        if proof.len() > PROOF_HASHES_MAX {
            return Err(Error::Size);
        }
        Ok(Head { checkpoint: signed.check(federation)?, old, proof })
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// The size that its proof begins at.
    pub fn old(&self) -> u64 {
        self.old
    }

    /// Whether it proves that it continues the journal whose first [`Head::old`] entries have this root.
    ///
    /// # Errors
    /// [`tree::Error`]: what does not hold.
    pub fn continues(&self, old_root: &Hash) -> Result<(), tree::Error> {
        consistency::verify(self.old, old_root, self.checkpoint.size(), &self.checkpoint.root(), &self.proof)
    }
}

/// A witness's cosignature of a checkpoint, as it travels to the checkpoint's node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned(Cosignature);

/// What travels of it.
#[derive(Encode, Decode)]
struct CosignedParts {
    checkpoint: Checkpoint,
    witness: NodeId,
    at_s: u64,
    signature: Signature,
}

impl Cosigned {
    /// A cosignature of one's own.
    pub fn new(cosignature: Cosignature) -> Self {
        Cosigned(cosignature)
    }

    /// Its frame.
    pub fn to_frame(&self) -> Vec<u8> {
        let Cosigned(cosignature) = self;
        frame(
            COSIGNED_KIND,
            &CosignedParts {
                checkpoint: *cosignature.checkpoint(),
                witness: NodeId(*cosignature.key().key()),
                at_s: cosignature.at_s(),
                signature: cosignature.signature(),
            },
        )
    }

    /// Reads a cosignature and checks that the witness made it.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn check(bytes: &[u8], federation: &FederationId) -> Result<Self, Error> {
        let CosignedParts { checkpoint, witness, at_s, signature } = read(COSIGNED_KIND, bytes)?;
        if checkpoint.origin().federation() != *federation {
            return Err(Error::Foreign);
        }
        let key = Witness { federation: *federation, node: witness }.note_key();
        Ok(Cosigned(Cosignature::check(&checkpoint, &key, at_s, signature)?))
    }

    /// The cosignature.
    pub fn cosignature(&self) -> &Cosignature {
        &self.0
    }

    /// Who made it.
    pub fn witness(&self) -> NodeId {
        NodeId(*self.0.key().key())
    }
}

/// What contradicts what.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Contradiction {
    /// Two roots of one size.
    TwoRoots {
        /// One checkpoint.
        one: Signed,
        /// Another one of the same journal and size.
        other: Signed,
    },
    /// Two leaves of one entry.
    TwoLeaves {
        /// The entry's index.
        index: u64,
        /// One leaf.
        one: Placed,
        /// Another one.
        other: Placed,
    },
    /// A later checkpoint continues another root of the earlier size than was signed.
    Rewritten {
        /// The earlier checkpoint.
        earlier: Signed,
        /// The later one.
        later: Signed,
        /// The root of the earlier size that the later one continues.
        root: Hash,
        /// The proof of that.
        proof: Vec<Hash>,
    },
}

impl Contradiction {
    /// What kind of lie it shows, in a word for lists and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Contradiction::TwoRoots { .. } => "two_roots",
            Contradiction::TwoLeaves { .. } => "two_leaves",
            Contradiction::Rewritten { .. } => "rewritten",
        }
    }

    /// The checkpoint that stands first in it.
    fn first(&self) -> &Signed {
        match self {
            Contradiction::TwoRoots { one, .. } => one,
            Contradiction::TwoLeaves { one, .. } => &one.head,
            Contradiction::Rewritten { earlier, .. } => earlier,
        }
    }
}

/// A leaf that stands in a journal.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Placed {
    /// Its hash.
    pub leaf: Hash,
    /// The proof, the leaf's sibling first.
    pub proof: Vec<Hash>,
    /// The checkpoint that it leads to.
    pub head: Signed,
}

/// A proof that a node has lied about its journal: two things that it signed and that cannot both be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fraud {
    origin: Origin,
    contradiction: Contradiction,
}

impl Fraud {
    /// Checks a contradiction of a journal of this federation.
    ///
    /// # Errors
    /// [`Error`], each case as it says; [`Error::NoContradiction`] where all of it can be so.
    pub fn prove(contradiction: Contradiction, federation: &FederationId) -> Result<Self, Error> {
        let origin = match &contradiction {
            Contradiction::TwoRoots { one, other } => two_roots((one, other), federation)?,
            Contradiction::TwoLeaves { index, one, other } => two_leaves(*index, (one, other), federation)?,
            Contradiction::Rewritten { earlier, later, root, proof } => {
                rewritten((earlier, later), (root, proof), federation)?
            }
        };
        Ok(Fraud { origin, contradiction })
    }

    /// Its frame.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(FRAUD_KIND, &self.contradiction)
    }

    /// Reads a proof and checks it.
    ///
    /// # Errors
    /// As [`Fraud::prove`].
    pub fn check(bytes: &[u8], federation: &FederationId) -> Result<Self, Error> {
        Self::prove(read(FRAUD_KIND, bytes)?, federation)
    }

    /// Reads a proof of whichever federation it is about, and checks it: for who was handed one and nothing beside.
    ///
    /// # Errors
    /// As [`Fraud::prove`].
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let contradiction: Contradiction = read(FRAUD_KIND, bytes)?;
        let federation = contradiction.first().checkpoint.origin().federation();
        Self::prove(contradiction, &federation)
    }

    /// Whose journal it is about.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// What contradicts what.
    pub fn contradiction(&self) -> &Contradiction {
        &self.contradiction
    }
}

fn two_roots((one, other): (&Signed, &Signed), federation: &FederationId) -> Result<Origin, Error> {
    let (a, b) = (one.check(federation)?, other.check(federation)?);
    if a.origin() == b.origin() && a.size() == b.size() && a.root() != b.root() {
        return Ok(a.origin());
    }
    Err(Error::NoContradiction)
}

fn two_leaves(
    index: u64,
    (one, other): (&Placed, &Placed),
    federation: &FederationId,
) -> Result<Origin, Error> {
    let place = |placed: &Placed| {
        let head = placed.head.check(federation)?;
        inclusion::verify(&placed.leaf, index, head.size(), &placed.proof, &head.root())?;
        Ok::<_, Error>(head.origin())
    };
    let (a, b) = (place(one)?, place(other)?);
    if a == b && one.leaf != other.leaf { Ok(a) } else { Err(Error::NoContradiction) }
}

fn rewritten(
    (earlier, later): (&Signed, &Signed),
    (root, proof): (&Hash, &[Hash]),
    federation: &FederationId,
) -> Result<Origin, Error> {
    let (earlier, later) = (earlier.check(federation)?, later.check(federation)?);
    if earlier.origin() != later.origin() || *root == earlier.root() {
        return Err(Error::NoContradiction);
    }
    consistency::verify(earlier.size(), root, later.size(), &later.root(), proof)?;
    Ok(earlier.origin())
}

pub(crate) fn frame<T: Encode>(kind: u16, value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    Frame::append(kind, VERSION, value, &mut out);
    out
}

pub(crate) fn read<T: Encode + Decode<()>>(wanted: u16, bytes: &[u8]) -> Result<T, Error> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(Error::Size);
    }
    let Frame { kind, version, payload } = Frame::parse(bytes)?;
    if (kind, version) != (wanted, VERSION) {
        return Err(Error::Unknown { kind, version });
    }
    Ok(codec::decode(payload)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;
    use crate::log::Subtree;

    const HOME: FederationId = FederationId([3; 32]);

    /// A journal of some entries; `fork` of them on from an index are others than those of fork 0.
    fn leaves(size: u64, fork: (u64, u8)) -> Vec<Hash> {
        let version = |i: u64| if i < fork.0 { 0 } else { fork.1 };
        (0..size).map(|i| tree::leaf_hash(&[&i.to_be_bytes()[..], &[version(i)]].concat())).collect()
    }

    fn read_of(leaves: &[Hash]) -> impl Fn(Subtree) -> Result<Hash, tree::Error> {
        |at| {
            let start = (at.index << at.level) as usize;
            Ok(tree::root_of(&leaves[start..start + (1 << at.level)]))
        }
    }

    fn secret() -> SecretKey {
        SecretKey::from_seed(&[7; 32])
    }

    fn head(leaves: &[Hash]) -> SignedCheckpoint {
        let origin = Origin::new(HOME, NodeId(secret().public()), 0);
        let plain = Checkpoint::new(origin, leaves.len() as u64, tree::root_of(leaves)).expect("plain");
        SignedCheckpoint::sign(plain, &secret()).expect("its own key")
    }

    #[test]
    fn a_head_proves_what_it_continues() {
        let all = leaves(12, (12, 0));
        let proof = consistency::prove(5, 12, read_of(&all)).expect("within the tree");
        let made = Head::new(head(&all), 5, proof);
        let read = Head::check(&made.to_frame(), &HOME).expect("as it was made");
        assert_eq!(read, made);
        assert_eq!(read.continues(&tree::root_of(&all[..5])), Ok(()));
        assert!(read.continues(&tree::root_of(&leaves(5, (2, 1)))).is_err());
        assert_eq!(Head::check(&made.to_frame(), &FederationId([4; 32])), Err(Error::Foreign));
        let long = Head::new(head(&all), 5, vec![Hash([0; 32]); PROOF_HASHES_MAX + 1]);
        assert_eq!(Head::check(&long.to_frame(), &HOME), Err(Error::Size));
    }

    #[test]
    fn a_cosignature_names_its_witness() {
        let witness = SecretKey::from_seed(&[8; 32]);
        let signed = head(&leaves(3, (3, 0)));
        let cosignature =
            Cosignature::sign(signed.checkpoint(), &witness, 1_800_000_000).expect("a plain time");
        let made = Cosigned::new(cosignature);
        let read = Cosigned::check(&made.to_frame(), &HOME).expect("as it was made");
        assert_eq!((read.witness(), &read), (NodeId(witness.public()), &made));
        let mut bytes = made.to_frame();
        *bytes.last_mut().expect("bytes") ^= 1;
        assert!(Cosigned::check(&bytes, &HOME).is_err());
    }

    #[test]
    fn what_a_node_signed_twice_and_cannot_both_be_so_proves_a_lie() {
        let (honest, forked) = (leaves(12, (12, 0)), leaves(12, (8, 1)));
        let longer = leaves(15, (8, 1));
        let (a, b, later) = (head(&honest), head(&forked), head(&longer));
        let placed = |leaves: &[Hash], signed: &SignedCheckpoint| Placed {
            leaf: leaves[9],
            proof: inclusion::prove(9, leaves.len() as u64, read_of(leaves)).expect("within the tree"),
            head: signed.into(),
        };
        let rewritten = |earlier: &SignedCheckpoint, root: Hash| Contradiction::Rewritten {
            earlier: earlier.into(),
            later: (&later).into(),
            root,
            proof: consistency::prove(12, 15, read_of(&longer)).expect("within the tree"),
        };
        for lie in [
            Contradiction::TwoRoots { one: (&a).into(), other: (&b).into() },
            Contradiction::TwoLeaves { index: 9, one: placed(&honest, &a), other: placed(&longer, &later) },
            rewritten(&a, b.root()),
        ] {
            let fraud = Fraud::prove(lie, &HOME).expect("a lie");
            assert_eq!(fraud.origin(), a.origin());
            assert_eq!(Fraud::check(&fraud.to_frame(), &HOME), Ok(fraud.clone()));
            assert_eq!(
                Fraud::read(&fraud.to_frame()),
                Ok(fraud.clone()),
                "it says itself of which federation"
            );
            assert_eq!(Fraud::check(&fraud.to_frame(), &FederationId([4; 32])), Err(Error::Foreign));
        }
        for truth in [
            Contradiction::TwoRoots { one: (&a).into(), other: (&a).into() },
            Contradiction::TwoRoots { one: (&a).into(), other: (&later).into() },
            Contradiction::TwoLeaves { index: 9, one: placed(&forked, &b), other: placed(&longer, &later) },
            rewritten(&b, b.root()),
        ] {
            assert_eq!(Fraud::prove(truth, &HOME), Err(Error::NoContradiction));
        }
        assert!(matches!(Fraud::prove(rewritten(&a, Hash([9; 32])), &HOME), Err(Error::Tree(_))));
        let (mut one, other) = (Signed::from(&a), Signed::from(&b));
        one.signature.0[0] ^= 1;
        let forged = Fraud::prove(Contradiction::TwoRoots { one, other }, &HOME);
        assert!(matches!(forged, Err(Error::Checkpoint(_))), "nobody is accused by what others made up");
    }
}
