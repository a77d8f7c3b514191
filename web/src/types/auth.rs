//! Tokens after enrollment: what a token is good for, and the signed statements that rotate or revoke it.

use super::{edge, form};
use artel_protocol::id::FederationId;
use artel_protocol::key::{AgentId, NodeId, Signature};
use artel_protocol::time::Wall;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer of `GET /v1/auth/verify`: the token is good, and this is who it names.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Verified {
    /// Always true; a bad token gets 401.
    pub valid: bool,
    /// Who calls.
    pub principal: Role,
    /// The agent, unless it is the operator.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Did>")]
    pub agent_id: Option<AgentId>,
    /// The token's serial number.
    pub serial: Option<u32>,
    /// When the token expires; the operator's does not.
    #[serde(serialize_with = "edge::time_or_null")]
    #[schemars(with = "Option<form::Time>")]
    pub expires_at: Option<Wall>,
    /// The node.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Did")]
    pub node_id: NodeId,
    /// The federation.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Federation")]
    pub federation_id: FederationId,
}

/// Kinds of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The node's operator.
    Operator,
    /// An agent.
    Agent,
}

/// An act under an agent's own signature: `POST /v1/auth/rotate` and `/v1/auth/revoke`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedStatement {
    /// The text that was signed.
    #[serde(deserialize_with = "edge::read_base64url")]
    #[schemars(with = "form::Base64Url")]
    pub statement: Vec<u8>,
    /// The signature over exactly these bytes.
    #[serde(deserialize_with = "edge::read_signature")]
    #[schemars(with = "form::Signature")]
    pub signature: Signature,
}
