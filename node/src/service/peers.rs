//! Neighbours: the nodes that this one is connected to, and what it keeps of others' journals.

use super::inner::NodeService;
use super::page;
use crate::neighbours;
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use artel_web::types::peer::{Bytes, Journal, Peer, PeerStatus, Traffic};
use artel_web::types::{List, Page};
use artel_web::{Code, Problem};
use std::collections::BTreeMap;
use std::time::Duration;

/// `GET /v1/peers`, by key.
pub(super) async fn list(service: &NodeService) -> Result<List<Peer>, Problem> {
    let mut items = match &service.parts().neighbours {
        Some(neighbours) => {
            let peers = neighbours.peers().await.map_err(|error| {
                Problem::new(Code::ShuttingDown, format!("the mesh has ended: {error}; start the node again"))
            })?;
            let mut refused = neighbours.refused_by();
            let connected = peers.into_iter().map(|peer| shown(peer, &mut refused)).collect::<Vec<_>>();
            connected.into_iter().chain(refused.into_iter().map(away)).collect()
        }
        None => Vec::new(),
    };
    items.sort_by_key(|peer: &Peer| peer.node_id);
    Ok(List { items, next_cursor: None })
}

/// `GET /v1/traffic`.
pub(super) fn traffic(service: &NodeService) -> Option<Traffic> {
    let counts = service.parts().neighbours.as_ref()?.counts();
    let bytes = |of: artel_mesh::counts::Bytes| Bytes { received: of.received, sent: of.sent };
    Some(Traffic {
        tcp: bytes(counts.tcp),
        quic: bytes(counts.quic),
        lanes: counts.lanes.iter().map(|(lane, of)| (lane.name().to_owned(), bytes(*of))).collect(),
        gossip_copies: counts.gossip_copies,
        gossip_messages: counts.gossip_messages,
        gossip_published: counts.gossip_published,
    })
}

/// `GET /v1/journals`, by origin.
pub(super) fn journals(service: &NodeService, page: &Page) -> Result<List<Journal>, Problem> {
    let after = page::key(page, Origin::parse)?;
    let limit = page.limit as usize;
    let held = service.parts().neighbours.as_ref().map(|neighbours| neighbours.journals());
    let mut items: Vec<Journal> = held
        .into_iter()
        .flatten()
        .filter(|held| after.is_none_or(|after| held.origin > after))
        .take(limit + 1)
        .map(|held| Journal {
            node_id: held.origin.node(),
            origin: held.origin.to_string(),
            member: held.member,
            held_up_to: held.mark.next,
            records: held.mark.records,
            bytes: held.mark.bytes,
        })
        .collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|journal| journal.origin.clone());
    Ok(List { items, next_cursor })
}

/// A connected peer; what it said against this node is taken out of `refused`.
fn shown(peer: neighbours::Peer, refused: &mut BTreeMap<NodeId, String>) -> Peer {
    let first = peer.connections.first();
    let reason = refused.remove(&peer.node).filter(|_| !peer.admitted);
    let status = match (peer.admitted, &reason) {
        (true, _) => PeerStatus::Admitted,
        (false, Some(_)) => PeerStatus::Refused,
        (false, None) => PeerStatus::Connecting,
    };
    Peer {
        node_id: peer.node,
        peer_id: peer.node.key().peer_id(),
        status,
        reason,
        addresses: peer.connections.iter().map(|connection| connection.address.to_string()).collect(),
        listens: peer.listens.iter().map(ToString::to_string).collect(),
        direction: if first.is_some_and(|first| first.outbound) { "outbound" } else { "inbound" },
        transport: first.map(|first| first.transport.to_string()).unwrap_or_default(),
        round_trip_ms: peer.round_trip.map(|round_trip| round_trip.as_secs_f64() * 1_000.0),
        score: peer.score,
        connected_ms: milliseconds(peer.since),
    }
}

/// A node that is not connected because it does not let this one in.
fn away((node, reason): (NodeId, String)) -> Peer {
    Peer {
        node_id: node,
        peer_id: node.key().peer_id(),
        status: PeerStatus::Refused,
        reason: Some(reason),
        addresses: Vec::new(),
        listens: Vec::new(),
        direction: "outbound",
        transport: String::new(),
        round_trip_ms: None,
        score: 0.0,
        connected_ms: 0,
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
