//! The audit log: entries of the journal and proofs that they stand in it.

use super::{Json, Page, edge, form};
use artel_protocol::id::StepId;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::Hash;
use artel_protocol::text::Correlation;
use artel_protocol::time::Wall;
use schemars::JsonSchema;
use serde::Serialize;

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct EntryQuery {
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Only those of this request.
    pub correlation: Option<Correlation>,
    /// Only those about this agent.
    pub agent: Option<AgentId>,
    /// Only those about this other node.
    pub node: Option<NodeId>,
    /// Only those about this task.
    pub task: Option<StepId>,
    /// Which page.
    pub page: Page,
}

/// One entry of the journal.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Entry {
    /// Its index.
    pub index: u64,
    /// What kind of fact it is.
    pub kind: String,
    /// Whether its body is public.
    pub public: bool,
    /// When, by the node's wall clock.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub at: Wall,
    /// The request that caused it. This answer's own correlation id is in its header only.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Correlation>")]
    pub correlation_id: Option<Correlation>,
    /// What it says.
    pub fact: Json,
}

/// `GET /v1/audit/proof/{index}`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Proof {
    /// The entry's index.
    pub index: u64,
    /// The leaf's bytes; base64.
    #[serde(serialize_with = "edge::bytes")]
    #[schemars(with = "form::Base64")]
    pub leaf: Vec<u8>,
    /// The C2SP `.tlog-proof` of the leaf.
    pub proof: String,
}

/// That the log of one size continues the one of another (RFC 6962, section 2.1.2).
#[derive(Debug, Clone, Serialize)]
pub struct Consistency {
    /// The hashes; base64.
    #[serde(serialize_with = "edge::texts")]
    pub hashes: Vec<Hash>,
}
