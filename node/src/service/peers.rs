//! Neighbours: the nodes that this one is connected to.

use super::inner::NodeService;
use crate::neighbours;
use artel_web::types::List;
use artel_web::types::peer::{Peer, PeerStatus};
use artel_web::{Code, Problem};
use std::time::Duration;

/// `GET /v1/peers`, by key.
pub(super) async fn list(service: &NodeService) -> Result<List<Peer>, Problem> {
    let mut items = match &service.parts().neighbours {
        Some(neighbours) => {
            let peers = neighbours.peers().await.map_err(|error| {
                Problem::new(Code::ShuttingDown, format!("the mesh has ended: {error}; start the node again"))
            })?;
            peers.into_iter().map(shown).collect()
        }
        None => Vec::new(),
    };
    items.sort_by_key(|peer: &Peer| peer.node_id);
    Ok(List { items, next_cursor: None })
}

fn shown(peer: neighbours::Peer) -> Peer {
    let first = peer.connections.first();
    Peer {
        node_id: peer.node,
        peer_id: peer.node.key().peer_id(),
        status: if peer.admitted { PeerStatus::Admitted } else { PeerStatus::Connecting },
        addresses: peer.connections.iter().map(|connection| connection.address.to_string()).collect(),
        listens: peer.listens.iter().map(ToString::to_string).collect(),
        direction: if first.is_some_and(|first| first.outbound) { "outbound" } else { "inbound" },
        transport: first.map(|first| first.transport.to_string()).unwrap_or_default(),
        round_trip_ms: peer.round_trip.map(|round_trip| round_trip.as_secs_f64() * 1_000.0),
        score: peer.score,
        connected_ms: milliseconds(peer.since),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
