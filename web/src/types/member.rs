//! Nodes of the federation and the invitations that let them in.

use super::{edge, form};
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::key::NodeId;
use artel_protocol::time::Wall;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `POST /v1/invitations`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InvitationPost {
    /// How many nodes it lets in; one where nothing is said.
    #[schemars(range(min = 1, max = 65_536))]
    pub uses: Option<u32>,
    /// For how long it lets them in, in milliseconds; a day where nothing is said.
    #[schemars(range(min = 1, max = 7_776_000_000_u64))]
    pub for_ms: Option<u64>,
}

/// An invitation as it is made: the one time that its text is shown.
#[derive(Clone, Serialize, JsonSchema)]
pub struct Invitation {
    /// The text to hand over; whoever has it may join.
    pub invitation: String,
    /// What names it here; `null` where the federation is open and nothing is kept.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Digest>")]
    pub digest: Option<Digest>,
    /// The federation that it leads into.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Federation")]
    pub federation_id: FederationId,
    /// Where the newcomer is to find this node, as multiaddrs.
    pub addresses: Vec<String>,
    /// How many nodes it lets in; `null` where that is not counted.
    pub uses: Option<u32>,
    /// Until when.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub expires_at: Wall,
}

impl fmt::Debug for Invitation {
    /// Without the text, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// Whether an invitation still lets somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvitationStatus {
    /// It does.
    Live,
    /// It has let in as many as it may.
    Spent,
    /// Its time is over.
    Expired,
}

/// An invitation that was made and not taken back.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GivenInvitation {
    /// What names it: SHA-256 of its secret.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Digest")]
    pub digest: Digest,
    /// Whether it still lets somebody in.
    pub status: InvitationStatus,
    /// How many nodes it lets in.
    pub uses: u32,
    /// How many it has let in.
    pub used: u32,
    /// When it was made.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub created_at: Wall,
    /// Until when it is good.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub expires_at: Wall,
}

/// What a node is to the federation, as far as this node's own journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    /// It stands in the genesis record.
    Founder,
    /// This node let it in.
    Member,
    /// This node expelled it.
    Expelled,
}

/// One node of `GET /v1/nodes`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Node {
    /// Its did.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Did")]
    pub node_id: NodeId,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// What it is.
    pub status: NodeStatus,
    /// On what it was let in: `open`, `invitation` or `operator`; `null` for founders, and whom this node let not in.
    pub admitted_by: Option<&'static str>,
    /// The invitation that let it in.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Digest>")]
    pub invitation: Option<Digest>,
    /// When it was let in.
    #[serde(serialize_with = "edge::time_or_null")]
    #[schemars(with = "Option<form::Time>")]
    pub admitted_at: Option<Wall>,
    /// The journal entry that says so.
    pub entry: Option<u64>,
    /// Why it was expelled.
    pub reason: Option<String>,
    /// When it was expelled.
    #[serde(serialize_with = "edge::time_or_null")]
    #[schemars(with = "Option<form::Time>")]
    pub expelled_at: Option<Wall>,
    /// The journal entry that says so.
    pub expelled_entry: Option<u64>,
}

/// `POST /v1/nodes/{did}/expel`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expulsion {
    /// Why, in a sentence that everybody can read.
    pub reason: String,
}
