//! Facts that change no state of the market: what was stored, emitted, refused.

use super::Poster;
use crate::json::Json;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{ArtifactId, Digest, RunId, StepId};

/// Bytes were stored under their digest.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ArtifactStored {
    /// The artifact's entry.
    pub artifact: ArtifactId,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub bytes: u64,
    /// How many of them were new on this node's disk.
    pub bytes_new: u64,
    /// Its name.
    pub name: String,
    /// What kind of thing it is, in the caller's words.
    pub kind: String,
    /// Its media type.
    pub content_type: String,
    /// Who stored it.
    pub by: Poster,
    /// The step that it belongs to.
    pub step: Option<StepId>,
    /// The run that it belongs to.
    pub run: Option<RunId>,
    /// The caller's notes, a JSON object.
    pub metadata: Json,
}

/// An event that the operator emitted; it changes nothing but the record.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Emitted {
    /// Its name.
    pub name: String,
    /// By whom.
    pub by: Poster,
    /// Its data, as sent.
    pub data: Json,
    /// The run that it is about.
    pub run: Option<RunId>,
}

/// What one principal was refused in one minute, added up.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Refused {
    /// Who.
    pub who: Poster,
    /// The stable code.
    pub code: String,
    /// How often.
    pub count: u32,
}
