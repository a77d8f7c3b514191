//! Artifacts: bytes named by SHA-256, entered under a UUID with a name and a kind.

use super::{Json, Page, edge, form};
use artel_protocol::id::{ArtifactId, Digest, RunId, StepId};
use artel_protocol::time::Wall;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /v1/artifacts`: with `content` it is stored at once, without it the answer names an `upload_url`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactPost {
    /// Its name.
    pub name: String,
    /// What kind of thing it is: `log`, `report`, `bundle`, `file`.
    #[serde(default = "file")]
    pub kind: String,
    /// Its media type.
    #[serde(default = "octets")]
    pub content_type: String,
    /// How many bytes it has or will have.
    #[serde(default)]
    pub byte_length: Option<u64>,
    /// The digest that its bytes have or will have.
    #[serde(default, deserialize_with = "edge::read_digest_or_null")]
    #[schemars(with = "Option<form::Digest>")]
    pub sha256: Option<Digest>,
    /// The run that it belongs to.
    #[serde(default, deserialize_with = "edge::read_run_or_null")]
    #[schemars(with = "Option<form::Uuid>")]
    pub run_id: Option<RunId>,
    /// The step that it belongs to.
    #[serde(default, deserialize_with = "edge::read_step_or_null")]
    #[schemars(with = "Option<form::Uuid>")]
    pub step_id: Option<StepId>,
    /// The caller's notes, a JSON object.
    #[serde(default, deserialize_with = "edge::read_object")]
    #[schemars(with = "form::Object")]
    pub metadata: Json,
    /// The bytes in base64; taken out before the service sees the request.
    #[serde(default, deserialize_with = "edge::read_base64_or_null")]
    #[schemars(with = "Option<form::Base64>")]
    pub content: Option<Vec<u8>>,
}

fn file() -> String {
    "file".into()
}

fn octets() -> String {
    "application/octet-stream".into()
}

impl ArtifactPost {
    /// What a bare upload is entered as, when the caller says nothing but its bytes.
    pub fn unnamed(name: String, content_type: Option<String>) -> Self {
        ArtifactPost {
            name,
            kind: file(),
            content_type: content_type.unwrap_or_else(octets),
            byte_length: None,
            sha256: None,
            run_id: None,
            step_id: None,
            metadata: Json::object(),
            content: None,
        }
    }
}

/// An artifact's entry.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Artifact {
    /// Its id.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub artifact_id: ArtifactId,
    /// Its name.
    pub name: String,
    /// What kind of thing it is.
    pub kind: String,
    /// Its media type.
    pub content_type: String,
    /// How many bytes, once they are there or announced.
    pub byte_length: Option<u64>,
    /// When it was entered.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub created_at: Wall,
    /// By whom: `operator` or a did.
    pub created_by: String,
    /// The run that it belongs to.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Uuid>")]
    pub run_id: Option<RunId>,
    /// The step that it belongs to.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Uuid>")]
    pub step_id: Option<StepId>,
    /// The digest of its bytes.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Digest>")]
    pub sha256: Option<Digest>,
    /// The caller's notes.
    pub metadata: Json,
    /// Where to put the bytes, while they are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_url: Option<String>,
}

/// One artifact, by the name that the caller used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArtifactName {
    /// By its entry.
    Id(ArtifactId),
    /// By its bytes.
    Digest(Digest),
}

/// What a reader of the bytes has to know before the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Digest of all the bytes.
    pub digest: Digest,
    /// How many they are.
    pub byte_length: u64,
    /// Their media type.
    pub content_type: String,
    /// A file name to save them under.
    pub name: Option<String>,
}

/// Which artifacts are wanted.
#[derive(Debug, Clone, Default)]
pub struct ArtifactQuery {
    /// Only those of this run.
    pub run_id: Option<RunId>,
    /// Only those of this step.
    pub step_id: Option<StepId>,
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Which page.
    pub page: Page,
}
