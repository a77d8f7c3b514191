//! The node itself: is it well, who is it, what does it hold. All of it is public.

use super::{edge, form};
use artel_protocol::id::FederationId;
use artel_protocol::time::Wall;
use schemars::JsonSchema;
use serde::Serialize;

/// `GET /v1/health`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Health {
    /// `ok`, or `degraded` when the node answers but takes no work.
    pub status: HealthStatus,
    /// The software's version.
    pub version: String,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// The node's wall clock.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub now: Wall,
}

/// How the node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// All is well.
    Ok,
    /// It answers, but privileged work is refused.
    Degraded,
}

/// What the public page shows; never a secret, never an agent's name.
#[derive(Debug, Clone)]
pub struct Status {
    /// The node's name.
    pub name: String,
    /// The software's version.
    pub version: String,
    /// The federation's name.
    pub federation_name: String,
    /// The federation.
    pub federation_id: FederationId,
    /// The node's libp2p peer id.
    pub peer_id: String,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// How the node is.
    pub health: HealthStatus,
    /// Entries under the last signed checkpoint.
    pub log_size: u64,
    /// The last signed checkpoint, as a note.
    pub checkpoint: String,
    /// Who cosigned this node's heads: peer id, the size of the newest one, and by how many entries that is behind.
    pub witnesses: Vec<(String, u64, u64)>,
    /// Whose journals this node cosigned: peer id and size.
    pub witnessed: Vec<(String, u64)>,
    /// Nodes of which nothing more is taken: peer id and why.
    pub quarantined: Vec<(String, String)>,
    /// How many of what: a label and a number.
    pub counts: Vec<(&'static str, u64)>,
    /// The operator's limits: a label and a value.
    pub limits: Vec<(&'static str, String)>,
}
