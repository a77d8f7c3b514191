//! Enrollment: a key asks, gets a text to sign, and answers with the signature.

use super::agent::OwnAgent;
use super::{Json, edge, form};
use artel_protocol::id::EnrollmentId;
use artel_protocol::key::{AgentId, Signature};
use artel_protocol::limits::NAME_BYTES_MAX;
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /v1/enroll`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollRequest {
    /// The agent's name for people.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub agent_name: String,
    /// Its key, a `did:key`.
    #[serde(deserialize_with = "edge::read_agent")]
    #[schemars(with = "form::Did")]
    pub public_key: AgentId,
    /// Its notes on itself, a JSON object; `capabilities` and `capacity` in it are read.
    #[serde(default)]
    pub metadata: Metadata,
    /// Whether the node may act in its name.
    #[serde(default)]
    pub delegate: bool,
}

/// An agent's metadata: the object as sent, and the two fields of it that the node reads.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// The whole object as sent.
    pub json: Json,
    /// Its `capabilities`.
    pub capabilities: Vec<Skill>,
    /// Its `capacity`: how many leases it wants to hold at once.
    pub capacity: Option<u32>,
}

/// The fields of the metadata that are looked at; others are the agent's own.
#[derive(Deserialize, JsonSchema)]
struct Known {
    #[serde(default, deserialize_with = "edge::read_skills")]
    #[schemars(with = "Vec<form::Skill>")]
    capabilities: Vec<Skill>,
    #[serde(default)]
    capacity: Option<u32>,
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = edge::read_object(deserializer)?;
        let known: Known = serde_json::from_slice(json.bytes())
            .map_err(|e| serde::de::Error::custom(format_args!("in metadata: {e}")))?;
        Ok(Metadata { json, capabilities: known.capabilities, capacity: known.capacity })
    }
}

/// What the agent is to sign, byte for byte.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Challenge {
    /// The enrollment.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub enrollment_id: EnrollmentId,
    /// The text.
    pub challenge: String,
    /// Until when it can be answered.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub expires_at: Wall,
}

/// `POST /v1/enroll/{id}/respond`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RespondRequest {
    /// The signature over the challenge's bytes. Nothing where the text is none: that is an answer too, a wrong one.
    #[serde(deserialize_with = "edge::read_signature_or_none")]
    #[schemars(with = "form::Signature")]
    pub signature: Option<Signature>,
}

/// A token for an agent.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Token {
    /// The bearer token.
    pub token: String,
    /// Always `Bearer`.
    pub token_type: TokenType,
    /// When it expires.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub expires_at: Wall,
    /// The agent as it is now.
    pub agent: OwnAgent,
}

/// How a token is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum TokenType {
    /// In `Authorization: Bearer …`.
    Bearer,
}
