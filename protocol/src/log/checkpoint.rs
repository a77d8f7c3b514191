//! Checkpoints (C2SP tlog-checkpoint): a journal's size and root, signed by the node that its origin names.
//!
//! An origin carries the node's key, so a checkpoint is checked with nothing but itself. A [`SignedCheckpoint`] exists only
//! if that check held.

use super::note::{self, KeyName, Kind, Note, NoteKey, SignatureLine};
use super::tree::{Hash, TREE_SIZE_MAX};
use crate::codec::{Decode, Encode};
use crate::id::FederationId;
use crate::key::{NodeId, PublicKey, SecretKey, Signature};
use bincode::de::Decoder;
use bincode::error::DecodeError;
use std::fmt;

/// Why text is not an Artel node's checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not `artel/<federation>/<peer id>/<incarnation>`.
    #[error("not an origin (want artel/federation/peer id/incarnation)")]
    Origin,
    /// Not a plain decimal number, or more than [`TREE_SIZE_MAX`].
    #[error("not a tree size")]
    Size,
    /// Not 32 bytes in base64, or for size 0 not the empty tree's root.
    #[error("not a root of this size")]
    Root,
    /// Fewer than three lines, or extension lines, which no Artel node signs.
    #[error("a checkpoint has three lines")]
    Lines,
    /// The key that was to sign is not the one in the origin.
    #[error("the origin names another key")]
    ForeignKey,
    /// Not a note, or not signed by the node in the origin.
    #[error(transparent)]
    Note(#[from] note::Error),
}

/// The most journals of one node: those of its incarnations below this. A node gets a new one when it is restored from a
/// backup, so sixteen are a long life; and which journals they are does not hang on who was heard first. Records of others are
/// neither kept nor read by anybody. Larger, and a node that names journals without end takes more from all others.
pub const JOURNALS_OF_NODE_MAX: u32 = 16;

/// The name of one journal: federation, node and the node's incarnation, which rises when a node is restored from a
/// backup. Written `artel/<64 hex digits>/<peer id>/<decimal>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Origin {
    federation: FederationId,
    node: NodeId,
    incarnation: u32,
}

impl Origin {
    /// The origin of a node's journal.
    pub fn new(federation: FederationId, node: NodeId, incarnation: u32) -> Self {
        Origin { federation, node, incarnation }
    }

    /// Reads an origin, in the one form that it has.
    ///
    /// # Errors
    /// [`Error::Origin`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = text.strip_prefix("artel/").ok_or(Error::Origin)?.split('/');
        let mut part = || parts.next().ok_or(Error::Origin);
        let (federation, peer, incarnation) = (part()?, part()?, part()?);
        let origin = Origin {
            federation: FederationId::parse(federation).map_err(|_| Error::Origin)?,
            node: NodeId(PublicKey::from_peer_id(peer).map_err(|_| Error::Origin)?),
            incarnation: incarnation.parse().map_err(|_| Error::Origin)?,
        };
        // What the parts would also take (upper case, a sign, leading zeros, a fourth part) is another text.
        if origin.to_string() == text { Ok(origin) } else { Err(Error::Origin) }
    }

    /// The federation that the node speaks in.
    pub fn federation(&self) -> FederationId {
        self.federation
    }

    /// The node whose journal it is.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Whether it is one of the journals that a node may have ([`JOURNALS_OF_NODE_MAX`]).
    pub fn is_within_limit(&self) -> bool {
        self.incarnation < JOURNALS_OF_NODE_MAX
    }

    /// Which life of the node's journal it is.
    pub fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// The note key that signs this journal's checkpoints: the node's key, named as the origin.
    pub fn note_key(&self) -> NoteKey {
        NoteKey::new(self.key_name(), Kind::Ed25519, *self.node.key())
    }

    fn key_name(&self) -> KeyName {
        KeyName::parse(&self.to_string()).expect("hex, base58, digits and slashes are a plain name")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.node.key().peer_id();
        write!(f, "artel/{}/{peer}/{}", self.federation, self.incarnation)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a checkpoint says: that the journal `origin` had `size` entries and this root. Not signed by anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode)]
pub struct Checkpoint {
    origin: Origin,
    size: u64,
    root: Hash,
}

impl Checkpoint {
    /// States a size and a root.
    ///
    /// # Errors
    /// [`Error::Size`] above [`TREE_SIZE_MAX`], [`Error::Root`] for another root of the empty tree than its own.
    pub fn new(origin: Origin, size: u64, root: Hash) -> Result<Self, Error> {
        if size > TREE_SIZE_MAX {
            return Err(Error::Size);
        }
        if size == 0 && root != Hash::EMPTY_ROOT {
            return Err(Error::Root);
        }
        Ok(Checkpoint { origin, size, root })
    }

    /// Reads the three lines that a checkpoint's signatures cover.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn parse_body(body: &str) -> Result<Self, Error> {
        let body = body.strip_suffix('\n').ok_or(Error::Lines)?;
        let mut lines = body.split('\n');
        let mut line = || lines.next().ok_or(Error::Lines);
        let (origin, size, root) = (line()?, line()?, line()?);
        if lines.next().is_some() {
            return Err(Error::Lines);
        }
        Checkpoint::new(
            Origin::parse(origin)?,
            decimal(size).ok_or(Error::Size)?,
            Hash::from_base64(root).ok_or(Error::Root)?,
        )
    }

    /// The three lines that its signatures cover.
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// Whose journal it is about.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// How many entries the journal had.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over them.
    pub fn root(&self) -> Hash {
        self.root
    }
}

impl<C> Decode<C> for Checkpoint {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let (origin, size, root) = Decode::decode(decoder)?;
        Checkpoint::new(origin, size, root).map_err(|_| DecodeError::Other("no such size and root"))
    }
}

bincode::impl_borrow_decode!(Checkpoint);

/// A checkpoint that the node in its origin signed, with all the signature lines that came with it. Only the node's own
/// signature is checked here; cosignatures are checked against the witnesses that a reader knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    signature: Signature,
    note: Note,
}

impl SignedCheckpoint {
    /// Signs a checkpoint of one's own journal.
    ///
    /// # Errors
    /// [`Error::ForeignKey`] when the origin names another key.
    pub fn sign(checkpoint: Checkpoint, secret: &SecretKey) -> Result<Self, Error> {
        if secret.public() != *checkpoint.origin.node.key() {
            return Err(Error::ForeignKey);
        }
        let signature = secret.sign(checkpoint.body().as_bytes());
        Self::verified(checkpoint, signature)
    }

    /// Reads a checkpoint's text and checks its signature against the key in its origin.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let note = Note::parse(text)?;
        let checkpoint = Checkpoint::parse_body(note.text())?;
        let signature = note.verify(&checkpoint.origin.note_key())?;
        Ok(SignedCheckpoint { checkpoint, signature, note })
    }

    /// Checks a checkpoint that came with its signature alone, as it does between nodes and on disk.
    ///
    /// # Errors
    /// [`Error::Note`] when the signature is not the node's.
    pub fn check(checkpoint: Checkpoint, signature: Signature) -> Result<Self, Error> {
        let key = checkpoint.origin.node.key();
        key.verify(checkpoint.body().as_bytes(), &signature)
            .map_err(|_| note::Error::BadSignature(checkpoint.origin.to_string()))?;
        Self::verified(checkpoint, signature)
    }

    fn verified(checkpoint: Checkpoint, signature: Signature) -> Result<Self, Error> {
        let line = SignatureLine::new(&checkpoint.origin.note_key(), signature.0.to_vec());
        let note = Note::from_parts(&checkpoint.body(), line)?;
        Ok(SignedCheckpoint { checkpoint, signature, note })
    }

    /// The checkpoint with one more signature line, such as a witness's. The line is not checked.
    ///
    /// # Errors
    /// [`Error::Note`] when there is no room for it.
    pub fn with(self, line: SignatureLine) -> Result<Self, Error> {
        Ok(SignedCheckpoint { note: self.note.with(line)?, ..self })
    }

    /// What is signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Whose journal it is about.
    pub fn origin(&self) -> Origin {
        self.checkpoint.origin
    }

    /// How many entries the journal had.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The root over them.
    pub fn root(&self) -> Hash {
        self.checkpoint.root
    }

    /// The node's own signature over [`Checkpoint::body`].
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// The note with all its signature lines.
    pub fn note(&self) -> &Note {
        &self.note
    }
}

impl fmt::Display for SignedCheckpoint {
    /// Writes the note, as `/log/checkpoint` serves it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.note, f)
    }
}

/// Reads a decimal number without a sign and without leading zeros, as all C2SP texts write them.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if digits && !leading_zero { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::tree::leaf_hash;
    use super::*;
    use crate::codec;

    fn secret() -> SecretKey {
        SecretKey::from_seed(&[7; 32])
    }

    fn origin() -> Origin {
        Origin::new(FederationId([0xab; 32]), NodeId(secret().public()), 3)
    }

    fn signed() -> SignedCheckpoint {
        let checkpoint = Checkpoint::new(origin(), 12, leaf_hash(b"root")).expect("a plain checkpoint");
        SignedCheckpoint::sign(checkpoint, &secret()).expect("our own key")
    }

    #[test]
    fn an_origin_has_one_form() {
        let text = origin().to_string();
        assert_eq!(Origin::parse(&text), Ok(origin()));
        let hex = "ab".repeat(32);
        for bad in [
            "",
            "artel/",
            &text.replace("artel/", "Artel/"),
            &text.replace(&hex, &hex.to_uppercase()),
            &text.replace(&hex, &format!("sha256:{hex}")),
            &text.replace(&hex, &hex[..62]),
            &text.replace("/3", "/03"),
            &text.replace("/3", "/+3"),
            &text.replace("/3", "/3/"),
            &text.replace("/3", "/"),
            &text.replace("/3", ""),
            &text.replace("/3", "/4294967296"),
            &text.replace("12D3", "12D4"),
        ] {
            assert_eq!(Origin::parse(bad), Err(Error::Origin), "{bad}");
        }
    }

    #[test]
    fn a_signed_checkpoint_reads_back_in_both_forms() {
        let signed = signed();
        assert_eq!(SignedCheckpoint::parse(&signed.to_string()), Ok(signed.clone()));
        let bytes = codec::encode(&(*signed.checkpoint(), signed.signature()));
        let (checkpoint, signature) = codec::decode(&bytes).expect("we wrote it");
        assert_eq!(SignedCheckpoint::check(checkpoint, signature), Ok(signed));
    }

    #[test]
    fn only_the_node_in_the_origin_can_sign() {
        let other = SecretKey::from_seed(&[8; 32]);
        let checkpoint = *signed().checkpoint();
        assert_eq!(SignedCheckpoint::sign(checkpoint, &other), Err(Error::ForeignKey));
        let forged = Note::sign(&checkpoint.body(), &origin().key_name(), &other).expect("a note");
        assert!(matches!(
            SignedCheckpoint::parse(&forged.to_string()),
            Err(Error::Note(note::Error::NotSigned(_)))
        ));
        let signature = other.sign(checkpoint.body().as_bytes());
        assert!(SignedCheckpoint::check(checkpoint, signature).is_err());
    }

    #[test]
    fn bodies_in_another_form_are_refused() {
        let body = signed().checkpoint().body();
        assert!(Checkpoint::parse_body(&body).is_ok());
        for (bad, error) in [
            (body.replace("\n12\n", "\n012\n"), Error::Size),
            (body.replace("\n12\n", "\n+12\n"), Error::Size),
            (body.replace("\n12\n", "\n9223372036854775807\n"), Error::Size),
            (body.replace("\n12\n", "\n0\n"), Error::Root),
            (body.replace("=\n", "\n"), Error::Root),
            (format!("{body}extension\n"), Error::Lines),
            (format!("{body}\n"), Error::Lines),
            (body.trim_end().to_owned(), Error::Lines),
            (body.replacen('\n', "\r\n", 1), Error::Origin),
        ] {
            assert_eq!(Checkpoint::parse_body(&bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn an_impossible_checkpoint_does_not_decode() {
        let mut bytes = codec::encode(signed().checkpoint());
        let size_at = bytes.len() - 40;
        bytes[size_at] = 0;
        assert!(codec::decode::<Checkpoint>(&bytes).is_err());
    }
}
