//! Receipts: the pair of records of one outcome, each with what a stranger needs to verify it.

use super::{Json, edge, form};
use artel_protocol::id::{Digest, Epoch, StepId};
use schemars::JsonSchema;
use serde::Serialize;

/// `GET /v1/tasks/{id}/receipt`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Receipt {
    /// The task.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub task_id: StepId,
    /// The lease whose outcome it is: the last one that was handed in.
    #[serde(serialize_with = "edge::epoch")]
    #[schemars(with = "form::Epoch")]
    pub epoch: Epoch,
    /// The submission.
    pub submitted: Record,
    /// The judgement, once there is one.
    pub verdict: Option<Record>,
    /// Where the worker is another node's agent: that node's own record of what was handed in, from its journal, once it has come
    /// here. The submission names its entry.
    pub handed_in: Option<Record>,
    /// What opens the submission's `result`: for those who see the work. The records hold without it.
    pub opening: Opening,
}

/// What opens a submission's commitment.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Opening {
    /// The salt; base64.
    #[serde(serialize_with = "edge::bytes")]
    #[schemars(with = "form::Base64")]
    pub salt: [u8; 16],
    /// Digest of the output.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Digest")]
    pub output_digest: Digest,
    /// Digests of the artifacts.
    #[serde(serialize_with = "edge::texts")]
    #[schemars(with = "Vec<form::Digest>")]
    pub artifacts: Vec<Digest>,
}

/// A public entry of a journal with its proof.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Record {
    /// The entry's index.
    pub entry: u64,
    /// The entry's body, to be hashed behind the salt; base64.
    #[serde(serialize_with = "edge::bytes")]
    #[schemars(with = "form::Base64")]
    pub body: Vec<u8>,
    /// The salt; base64.
    #[serde(serialize_with = "edge::bytes")]
    #[schemars(with = "form::Base64")]
    pub salt: Vec<u8>,
    /// The leaf's bytes; base64.
    #[serde(serialize_with = "edge::bytes")]
    #[schemars(with = "form::Base64")]
    pub leaf: Vec<u8>,
    /// The body for people.
    pub fact: Json,
    /// The C2SP `.tlog-proof` of the leaf.
    pub proof: String,
}
