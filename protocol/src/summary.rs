//! Summaries: what one node makes of others' records, said aloud. A summary names whose view it is, of when, and up to where
//! it had read each journal; so whoever has read exactly as far can compute the same and see whether it is true. It is
//! compared, never believed.

use crate::codec::{self, Decode, Encode, Frame};
use crate::id::{Digest, FederationId};
use crate::key::{AgentId, NodeId, SecretKey, Signature, signed_bytes};
use crate::log::Origin;
use crate::sync::{Mark, marks_digest};
use crate::time::Wall;
use std::collections::BTreeSet;

/// The kind of a summary's frame.
pub const KIND: u16 = 0x0140;
/// The version that we write.
pub const VERSION: u16 = 1;

/// The most bytes of a summary's frame: what a node may publish on a topic.
pub const SUMMARY_BYTES_MAX: usize = 64_512;

/// The most marks that a summary spells out (some 20 KB). Who has read more journals names their digest alone.
pub const SUMMARY_MARKS_MAX: usize = 256;

/// The most agents in a summary (some 25 KB). Who knows more takes turns.
pub const SUMMARY_SCORES_MAX: usize = 512;

/// What a summary's signature is for.
const DOMAIN: &str = "summary";

/// The full mark of a score, in millionths.
const SCORE_MAX: u32 = 1_000_000;

/// Why bytes are no summary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a value, or not in its one form.
    #[error(transparent)]
    Codec(#[from] codec::Error),
    /// A kind or version that is not one of summaries.
    #[error("a frame of kind {kind:#06x} and version {version} is no summary")]
    Unknown {
        /// The kind.
        kind: u16,
        /// The version.
        version: u16,
    },
    /// More than [`SUMMARY_BYTES_MAX`].
    #[error("a summary of {bytes} bytes is larger than any")]
    Size {
        /// How many bytes.
        bytes: usize,
    },
    /// The viewer is of another federation.
    #[error("a summary of another federation")]
    Foreign,
    /// Too many marks, not ascending by origin, or others than those that the digest is of.
    #[error("the marks of a summary are not those that it names")]
    Marks,
    /// Too many scores or none, not ascending by agent, or numbers that no score has.
    #[error("the scores of a summary are none")]
    Scores,
    /// The signature is not the viewer's.
    #[error("the signature is not the viewer's")]
    Signature,
}

/// One agent's score, as the viewer computed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Scored {
    /// The agent.
    pub agent: AgentId,
    /// Its score in millionths of the full mark.
    pub score: u32,
    /// The lower bound, likewise.
    pub lower: u32,
    /// The faded receipts that counted, in millionths of a fresh one.
    pub receipts_micro: u64,
}

/// What a summary says.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Said {
    /// Whose view it is, by the journal of that node.
    pub viewer: Origin,
    /// Of when, by the viewer's wall clock.
    pub at: Wall,
    /// What the viewer had read ([`heads`]).
    pub heads: Digest,
    /// Up to where it had read each journal, its own among them; none where these marks are more than [`SUMMARY_MARKS_MAX`], or
    /// where it has passed records over or holds a proof that a node lied.
    pub marks: Vec<Mark>,
    /// Scores, ascending by agent.
    pub scores: Vec<Scored>,
}

/// The digest of what somebody has read: the marks up to which it has read each journal, ascending by origin, and where it has
/// passed records over, the digest of the [`gap`]s of each such journal, ascending likewise; and of the nodes that it holds proofs
/// of a lie against. Nothing that these wrote counts, and whoever holds such a proof reads no more of them, so their journals are
/// left out: two readers that hold the same proofs compare, wherever each of them stopped.
pub fn heads(marks: &[Mark], gaps: &[(Origin, Digest)], liars: &BTreeSet<NodeId>) -> Digest {
    let is_told = |origin: &Origin| !liars.contains(&origin.node());
    let marks: Vec<Mark> = marks.iter().filter(|mark| is_told(&mark.origin)).copied().collect();
    let gaps: Vec<(Origin, Digest)> = gaps.iter().filter(|(origin, _)| is_told(origin)).copied().collect();
    let mut heads = marks_digest(&marks);
    let mut cover = |domain: &[u8], more: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = domain.to_vec();
        codec::encode_into(&heads, &mut bytes);
        more(&mut bytes);
        heads = Digest::of(&bytes);
    };
    if !gaps.is_empty() {
        cover(b"artel/1/gaps\0", &|bytes| codec::encode_into(&gaps, bytes));
    }
    if !liars.is_empty() {
        cover(b"artel/1/liars\0", &|bytes| codec::encode_into(&liars, bytes));
    }
    heads
}

/// The digest of a journal's gaps with one more, from a number on and up to another: the first one follows on zeros.
pub fn gap(before: &Digest, from: u64, to: u64) -> Digest {
    let mut bytes = b"artel/1/gap\0".to_vec();
    codec::encode_into(&(before, from, to), &mut bytes);
    Digest::of(&bytes)
}

/// A summary whose bounds and signature hold, with the bytes that it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    said: Said,
    bytes: Vec<u8>,
}

impl Summary {
    /// Signs what the viewer says.
    ///
    /// # Errors
    /// [`Error`] where a reader would refuse it, or the key is not the viewer's.
    pub fn sign(said: Said, key: &SecretKey) -> Result<Self, Error> {
        let federation = said.viewer.federation();
        let signature = key.sign(&signed_bytes(DOMAIN, &federation, &codec::encode(&said)));
        let mut bytes = Vec::new();
        Frame::append(KIND, VERSION, &(&said, signature), &mut bytes);
        Summary::check(&bytes, &federation)
    }

    /// Checks a frame in full: size, form, federation, marks, scores, signature, in this order.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn check(bytes: &[u8], federation: &FederationId) -> Result<Self, Error> {
        if bytes.len() > SUMMARY_BYTES_MAX {
            return Err(Error::Size { bytes: bytes.len() });
        }
        let Frame { kind, version, payload } = Frame::parse(bytes)?;
        if (kind, version) != (KIND, VERSION) {
            return Err(Error::Unknown { kind, version });
        }
        let (said, signature) = codec::decode::<(Said, Signature)>(payload)?;
        if said.viewer.federation() != *federation {
            return Err(Error::Foreign);
        }
        let ascending = said.marks.windows(2).all(|pair| pair[0].origin < pair[1].origin);
        let named = said.marks.is_empty() || marks_digest(&said.marks) == said.heads;
        if said.marks.len() > SUMMARY_MARKS_MAX || !ascending || !named {
            return Err(Error::Marks);
        }
        let ascending = said.scores.windows(2).all(|pair| pair[0].agent < pair[1].agent);
        let sound = said.scores.iter().all(|one| one.lower <= one.score && one.score <= SCORE_MAX);
        if !(1..=SUMMARY_SCORES_MAX).contains(&said.scores.len()) || !ascending || !sound {
            return Err(Error::Scores);
        }
        let covered = signed_bytes(DOMAIN, federation, &codec::encode(&said));
        said.viewer.node().key().verify(&covered, &signature).map_err(|_| Error::Signature)?;
        Ok(Summary { said, bytes: bytes.to_vec() })
    }

    /// What it says.
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// The frame.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_summary_fits_into_a_message() {
        let federation = FederationId([7; 32]);
        let key = SecretKey::from_seed(&[1; 32]);
        let origin = |incarnation| Origin::new(federation, NodeId(key.public()), incarnation);
        let marks: Vec<Mark> =
            (0..SUMMARY_MARKS_MAX as u32).map(|n| Mark { origin: origin(n), next: u64::MAX }).collect();
        let agent = |n: u16| {
            let mut seed = [9; 32];
            seed[..2].copy_from_slice(&n.to_le_bytes());
            AgentId(SecretKey::from_seed(&seed).public())
        };
        let scored = |n| Scored { agent: agent(n), score: SCORE_MAX, lower: 0, receipts_micro: u64::MAX };
        let mut scores: Vec<Scored> = (0..SUMMARY_SCORES_MAX as u16).map(scored).collect();
        scores.sort();
        let said = Said { viewer: origin(0), at: Wall(1), heads: marks_digest(&marks), marks, scores };
        let summary = Summary::sign(said.clone(), &key).expect("within its bounds");
        assert!(summary.bytes().len() <= SUMMARY_BYTES_MAX);
        let mut more = said;
        more.scores.push(Scored { agent: agent(u16::MAX), score: 1, lower: 0, receipts_micro: 0 });
        more.scores.sort();
        assert_eq!(Summary::sign(more, &key), Err(Error::Scores));
    }
}
