//! Cosignatures (C2SP tlog-cosignature, version 1): a witness's statement that, at a time, a checkpoint was the newest one
//! of its journal that it knew and continued all those before.
//!
//! A [`Cosignature`] exists only if its signature holds. Which witnesses count is the reader's own business.

use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::note::{KeyName, Kind, NoteKey, SignatureLine};
use crate::id::FederationId;
use crate::key::{NodeId, PublicKey, SecretKey, Signature};
use std::collections::BTreeSet;
use std::fmt;

/// The latest second that a cosignature may name (the specification's limit).
pub const SECONDS_MAX: u64 = i64::MAX as u64;

/// The bytes of a cosignature in its line: time and signature.
pub const COSIGNATURE_BYTES: usize = 72;

/// Why something is not a cosignature of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not `artel/<federation>/<peer id>`.
    #[error("not a witness's name (want artel/federation/peer id)")]
    Witness,
    /// The line is in the name of another key, or the key is not one for cosignatures.
    #[error("the signature line is not in this witness's name")]
    OtherKey,
    /// Not [`COSIGNATURE_BYTES`] bytes.
    #[error("a cosignature has {COSIGNATURE_BYTES} bytes, not {got}")]
    Length {
        /// How many there are.
        got: usize,
    },
    /// Time 0, which the witness protocol forbids, or a time above [`SECONDS_MAX`].
    #[error("a cosignature with an impossible time")]
    Time,
    /// The signature is not the witness's over this checkpoint and time.
    #[error("the cosignature in the name of {0} does not verify")]
    BadSignature(String),
}

/// A node as a witness. Its name, `artel/<federation>/<peer id>`, has no incarnation: the signed bytes do not say the name,
/// so one key may bear only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Witness {
    /// The federation in which it witnesses.
    pub federation: FederationId,
    /// The node.
    pub node: NodeId,
}

impl Witness {
    /// Reads a witness's name, in the one form that it has.
    ///
    /// # Errors
    /// [`Error::Witness`].
    pub fn parse(name: &str) -> Result<Self, Error> {
        let rest = name.strip_prefix("artel/").ok_or(Error::Witness)?;
        let (federation, peer) = rest.split_once('/').ok_or(Error::Witness)?;
        let witness = Witness {
            federation: FederationId::parse(federation).map_err(|_| Error::Witness)?,
            node: NodeId(PublicKey::from_peer_id(peer).map_err(|_| Error::Witness)?),
        };
        if witness.to_string() == name { Ok(witness) } else { Err(Error::Witness) }
    }

    /// The note key of its cosignatures.
    pub fn note_key(&self) -> NoteKey {
        let name = KeyName::parse(&self.to_string()).expect("hex, base58 and slashes are a plain name");
        NoteKey::new(name, Kind::Cosignature, *self.node.key())
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "artel/{}/{}", self.federation, self.node.key().peer_id())
    }
}

/// A witness's cosignature of one checkpoint, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    checkpoint: Checkpoint,
    key: NoteKey,
    at_s: u64,
    signature: Signature,
}

impl Cosignature {
    /// Cosigns a checkpoint as a witness of its federation. The caller has checked, remembered and synced that the
    /// checkpoint continues the newest one that it cosigned before.
    ///
    /// # Errors
    /// [`Error::Time`].
    pub fn sign(checkpoint: &Checkpoint, secret: &SecretKey, at_s: u64) -> Result<Self, Error> {
        let witness = Witness { federation: checkpoint.origin().federation(), node: NodeId(secret.public()) };
        Ok(Cosignature {
            checkpoint: *checkpoint,
            key: witness.note_key(),
            at_s,
            signature: secret.sign(&message(checkpoint, at_s)?),
        })
    }

    /// Checks a cosignature that came as time and signature, as it does between nodes and on disk.
    ///
    /// # Errors
    /// [`Error::OtherKey`] for a key of another kind, [`Error::Time`] or [`Error::BadSignature`].
    pub fn check(
        checkpoint: &Checkpoint,
        key: &NoteKey,
        at_s: u64,
        signature: Signature,
    ) -> Result<Self, Error> {
        if key.kind() != Kind::Cosignature {
            return Err(Error::OtherKey);
        }
        key.key()
            .verify(&message(checkpoint, at_s)?, &signature)
            .map_err(|_| Error::BadSignature(key.name().to_string()))?;
        Ok(Cosignature { checkpoint: *checkpoint, key: key.clone(), at_s, signature })
    }

    /// Checks a signature line in the name of `key`.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn from_line(checkpoint: &Checkpoint, key: &NoteKey, line: &SignatureLine) -> Result<Self, Error> {
        if !line.names(key) {
            return Err(Error::OtherKey);
        }
        let bytes: &[u8; COSIGNATURE_BYTES] =
            line.bytes().try_into().map_err(|_| Error::Length { got: line.bytes().len() })?;
        let (at_s, signature) = bytes.split_first_chunk().expect("72 bytes hold the 8 of a u64");
        let signature = Signature(signature.try_into().expect("72 bytes less 8 are 64"));
        Self::check(checkpoint, key, u64::from_be_bytes(*at_s), signature)
    }

    /// The signature line that is appended to the checkpoint's note.
    pub fn line(&self) -> SignatureLine {
        let mut bytes = self.at_s.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.signature.0);
        SignatureLine::new(&self.key, bytes)
    }

    /// What was cosigned.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Whose it is.
    pub fn key(&self) -> &NoteKey {
        &self.key
    }

    /// When the witness says it was made, in seconds since the Unix epoch by its own wall clock.
    pub fn at_s(&self) -> u64 {
        self.at_s
    }

    /// The signature over the time and the checkpoint's body.
    pub fn signature(&self) -> Signature {
        self.signature
    }
}

/// The cosignatures on a checkpoint by witnesses that the reader knows: at most one each, the latest. Lines by others are
/// ignored.
///
/// # Errors
/// When a line names a known witness and does not verify: such a note is refused as a whole.
pub fn known(signed: &SignedCheckpoint, witnesses: &BTreeSet<NoteKey>) -> Result<Vec<Cosignature>, Error> {
    let mut cosignatures = Vec::new();
    for key in witnesses.iter().filter(|key| key.kind() == Kind::Cosignature) {
        let lines = signed.note().signatures().iter().filter(|line| line.names(key));
        let mut latest: Option<Cosignature> = None;
        for line in lines {
            let cosignature = Cosignature::from_line(signed.checkpoint(), key, line)?;
            if latest.as_ref().is_none_or(|l| l.at_s < cosignature.at_s) {
                latest = Some(cosignature);
            }
        }
        cosignatures.extend(latest);
    }
    Ok(cosignatures)
}

/// The bytes that a cosignature covers.
fn message(checkpoint: &Checkpoint, at_s: u64) -> Result<Vec<u8>, Error> {
    if at_s == 0 || at_s > SECONDS_MAX {
        return Err(Error::Time);
    }
    Ok(format!("cosignature/v1\ntime {at_s}\n{}", checkpoint.body()).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::Origin;
    use super::super::tree::leaf_hash;
    use super::*;

    fn checkpoint() -> Checkpoint {
        let node = NodeId(SecretKey::from_seed(&[7; 32]).public());
        let origin = Origin::new(FederationId([0xab; 32]), node, 0);
        Checkpoint::new(origin, 12, leaf_hash(b"root")).expect("a plain checkpoint")
    }

    fn witness() -> SecretKey {
        SecretKey::from_seed(&[8; 32])
    }

    fn cosigned() -> Cosignature {
        Cosignature::sign(&checkpoint(), &witness(), 1_679_315_147).expect("a plain time")
    }

    #[test]
    fn a_cosignature_covers_the_specifications_bytes() {
        let expected = format!("cosignature/v1\ntime 1679315147\n{}", checkpoint().body());
        let key = witness().public();
        assert_eq!(key.verify(expected.as_bytes(), &cosigned().signature()), Ok(()));
    }

    #[test]
    fn a_line_reads_back() {
        let line = SignatureLine::parse(&cosigned().line().to_string()).expect("we wrote it");
        assert_eq!(line.bytes().len(), COSIGNATURE_BYTES);
        let read = Cosignature::from_line(&checkpoint(), cosigned().key(), &line);
        assert_eq!(read, Ok(cosigned()));
    }

    #[test]
    fn another_time_checkpoint_or_key_is_refused() {
        let c = cosigned();
        let bad = |r: Result<Cosignature, Error>| matches!(r, Err(Error::BadSignature(_)));
        assert!(bad(Cosignature::check(&checkpoint(), c.key(), c.at_s() + 1, c.signature())));
        let later = Checkpoint::new(checkpoint().origin(), 13, checkpoint().root()).expect("plain");
        assert!(bad(Cosignature::check(&later, c.key(), c.at_s(), c.signature())));
        let signer = checkpoint().origin().note_key();
        let by_signer = Cosignature::check(&checkpoint(), &signer, c.at_s(), c.signature());
        assert_eq!(by_signer, Err(Error::OtherKey));
        assert_eq!(Cosignature::from_line(&checkpoint(), &signer, &c.line()), Err(Error::OtherKey));
        for at_s in [0, SECONDS_MAX + 1, u64::MAX] {
            assert_eq!(Cosignature::sign(&checkpoint(), &witness(), at_s), Err(Error::Time));
        }
    }

    #[test]
    fn known_witnesses_count_once_and_strangers_never() {
        let node = SecretKey::from_seed(&[7; 32]);
        let later = Cosignature::sign(&checkpoint(), &witness(), 1_679_315_200).expect("a plain time");
        let stranger = Cosignature::sign(&checkpoint(), &SecretKey::from_seed(&[9; 32]), 5).expect("plain");
        let mut signed = SignedCheckpoint::sign(checkpoint(), &node).expect("its own key");
        for c in [&cosigned(), &later, &stranger] {
            signed = signed.with(c.line()).expect("three lines");
        }
        let witnesses = BTreeSet::from([cosigned().key().clone()]);
        assert_eq!(known(&signed, &witnesses), Ok(vec![later]));

        let mut bytes = cosigned().line().bytes().to_vec();
        bytes[71] ^= 1;
        let spoilt = signed.with(SignatureLine::new(cosigned().key(), bytes)).expect("a fourth line");
        assert!(known(&spoilt, &witnesses).is_err());
    }

    #[test]
    fn a_witness_has_one_name_and_it_is_no_origin() {
        let name = cosigned().key().name().to_string();
        let read = Witness::parse(&name).expect("we wrote it");
        assert_eq!(read.note_key(), *cosigned().key());
        assert!(Origin::parse(&name).is_err());
        for bad in [
            "",
            "artel/",
            &format!("{name}/"),
            &format!("{name}/0"),
            &name.replace(&"ab".repeat(32), &"AB".repeat(32)),
            &name.replace("artel/", "artel/sha256:"),
        ] {
            assert_eq!(Witness::parse(bad), Err(Error::Witness), "{bad}");
        }
    }
}
