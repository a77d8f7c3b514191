//! Neighbours: the nodes that this one is connected to.

use super::edge;
use artel_protocol::key::NodeId;
use serde::Serialize;

/// How far a peer is trusted with a hearing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerStatus {
    /// Connected; not both hellos are accepted yet.
    Connecting,
    /// Both hellos were accepted.
    Admitted,
}

/// A connected peer.
#[derive(Debug, Clone, Serialize)]
pub struct Peer {
    /// The node.
    #[serde(serialize_with = "edge::text")]
    pub node_id: NodeId,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// How far it is trusted with a hearing.
    pub status: PeerStatus,
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
}
