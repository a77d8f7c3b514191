//! Neighbours: the nodes that this one is connected to, and what it keeps of others' journals.

use super::{edge, form};
use artel_protocol::key::NodeId;
use schemars::JsonSchema;
use serde::Serialize;

/// How far a peer is trusted with a hearing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeerStatus {
    /// Connected; not both hellos are accepted yet.
    Connecting,
    /// Both hellos were accepted.
    Admitted,
    /// It does not let this node in.
    Refused,
    /// There is proof that it lied about its journal: it is not let in, and nothing of it is taken.
    Quarantined,
}

/// Why nothing more is taken of a node's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quarantine {
    /// It does not show that its journal continues what it signed. It may still do so.
    Suspected,
    /// There is proof that it signed two histories.
    Proven,
}

/// A connected peer, one that does not let this node in, or one that lied.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Peer {
    /// The node.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Did")]
    pub node_id: NodeId,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// How far it is trusted with a hearing.
    pub status: PeerStatus,
    /// Why it does not let this node in, as it said last, or how it lied, with the proof's digest; else `null`.
    pub reason: Option<String>,
    /// Where its connections go to, as multiaddrs.
    pub addresses: Vec<String>,
    /// Where it says it listens, as multiaddrs.
    pub listens: Vec<String>,
    /// `inbound` or `outbound`: who dialled the first of its connections.
    pub direction: &'static str,
    /// `tcp` or `quic`, of the first of its connections.
    pub transport: String,
    /// The last round trip in milliseconds; `null` before the first ping.
    pub round_trip_ms: Option<f64>,
    /// Its gossip score; below zero it has sent what was wrong.
    pub score: f64,
    /// For how long it has been connected, in milliseconds.
    pub connected_ms: u64,
    /// The size of the newest head of this node that it cosigned; `null` where it has not since the start.
    pub witnessed_us_up_to: Option<u64>,
    /// By how many entries that is behind the newest head that this node said.
    pub witness_behind: Option<u64>,
    /// The size of its journal that this node cosigned last.
    pub we_witnessed_up_to: Option<u64>,
    /// Why nothing more is taken of its journal; `null` where it is.
    pub quarantine: Option<Quarantine>,
}

/// Bytes one way and the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Bytes {
    /// Received.
    pub received: u64,
    /// Sent.
    pub sent: u64,
}

/// `GET /v1/traffic`: what went through the mesh since the start; nothing where this node has to do with no other.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Traffic {
    /// Over TCP, with encryption and multiplexing.
    pub tcp: Bytes,
    /// Over QUIC: the streams' bytes, without encryption and headers.
    pub quic: Bytes,
    /// The payload of each protocol: `hello`, `direct`, `sync`, `blob`, `gossip` (every copy in, what was published out).
    #[serde(serialize_with = "edge::by_name")]
    #[schemars(with = "std::collections::BTreeMap<String, Bytes>")]
    pub lanes: Vec<(String, Bytes)>,
    /// Copies of gossip messages that arrived.
    pub gossip_copies: u64,
    /// Gossip messages that arrived for the first time.
    pub gossip_messages: u64,
    /// Gossip messages of this node's own.
    pub gossip_published: u64,
    /// The shards, 0 to 15, whose offers come by gossip; those of others are fetched later.
    pub offers_followed: Vec<u8>,
    /// Direct requests of peers that were dealt with, by what they are: `visit` (an agent's act at this home), `enough`, `head`,
    /// `cosigned`, `continuity`, `fraud`, `redo`; and their questions in exchanges of records: `sync_ask`, `sync_want`, `sync_holes`. Without
    /// those that never came.
    #[serde(serialize_with = "edge::by_name")]
    #[schemars(with = "std::collections::BTreeMap<String, u64>")]
    pub requests: Vec<(String, u64)>,
    /// Claims of peers' agents that wait here now.
    pub claims_waiting: u64,
    /// What peers sent and was refused, by reason, `<protocol>_<reason>` where it is one protocol's; without those that never were.
    #[serde(serialize_with = "edge::by_name")]
    #[schemars(with = "std::collections::BTreeMap<String, u64>")]
    pub refused: Vec<(String, u64)>,
}

/// What is kept of another node's journal.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Journal {
    /// The node whose journal it is.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Did")]
    pub node_id: NodeId,
    /// The journal's name, as its checkpoints have it.
    pub origin: String,
    /// Whether the node is a member, by all that is known here.
    pub member: bool,
    /// All its records below this number are held.
    pub held_up_to: u64,
    /// How many records are held.
    pub records: u64,
    /// The bytes that they take up on disk.
    pub bytes: u64,
    /// The size of its newest head that is known to continue all before.
    pub known_up_to: Option<u64>,
    /// The size that this node cosigned last.
    pub cosigned_up_to: Option<u64>,
    /// Why nothing more is taken of it; `null` where it is.
    pub quarantine: Option<Quarantine>,
    /// How the node's summaries of scores were found.
    pub summaries: Summaries,
}

/// How a node's summaries of scores were found: compared with what the records say, where both have read the same.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Summaries {
    /// How many were compared.
    pub checked: u64,
    /// How many of these were wrong.
    pub wrong: u64,
}
