//! Neighbours: the nodes that this one is connected to, and what it keeps of others' journals.

use super::inner::NodeService;
use super::page;
use crate::neighbours::{self, HeldFraud, Neighbours, Witness};
use artel_federation::watch::Quarantine as Suspicion;
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use artel_web::types::home::Home;
use artel_web::types::peer::{Bytes, Journal, Peer, PeerStatus, Quarantine, Summaries, Traffic};
use artel_web::types::{List, Page};
use artel_web::{Code, Problem};
use std::collections::BTreeMap;
use std::time::Duration;

/// The most rows of a list on the public page; all of them are at `/v1/peers` and `/v1/journals`.
const SHOWN_MAX: usize = 64;

/// `GET /v1/peers`, by key.
pub(super) async fn list(service: &NodeService) -> Result<List<Peer>, Problem> {
    let items = match &service.parts().neighbours {
        Some(neighbours) => {
            let peers = neighbours.peers().await.map_err(|error| {
                Problem::new(Code::ShuttingDown, format!("the mesh has ended: {error}; start the node again"))
            })?;
            let mut refused = neighbours.refused_by();
            let mut rows: BTreeMap<NodeId, Peer> =
                peers.into_iter().map(|peer| (peer.node, shown(peer, &mut refused))).collect();
            rows.extend(
                refused.into_iter().map(|(node, why)| (node, away(node, PeerStatus::Refused, Some(why)))),
            );
            for witness in neighbours.witnesses() {
                let behind = neighbours.head_said().map(|said| said.saturating_sub(witness.size));
                if let Some(row) = rows.get_mut(&witness.node) {
                    (row.witnessed_us_up_to, row.witness_behind) = (Some(witness.size), behind);
                }
            }
            for held in neighbours.journals() {
                if let Some(row) = rows.get_mut(&held.origin.node()) {
                    row.we_witnessed_up_to = row.we_witnessed_up_to.max(held.cosigned);
                }
            }
            for row in rows.values_mut() {
                row.quarantine = neighbours.quarantine(&row.node_id).map(quarantine);
            }
            for fraud in neighbours.frauds() {
                let node = fraud.origin.node();
                let row = rows.entry(node).or_insert_with(|| away(node, PeerStatus::Quarantined, None));
                (row.status, row.reason) = (PeerStatus::Quarantined, Some(how(&fraud)));
                row.quarantine = Some(Quarantine::Proven);
            }
            rows.into_values().collect()
        }
        None => Vec::new(),
    };
    Ok(List { items, next_cursor: None })
}

/// `GET /v1/traffic`.
pub(super) fn traffic(service: &NodeService) -> Traffic {
    let Some(neighbours) = &service.parts().neighbours else { return Traffic::default() };
    let counts = neighbours.counts();
    let bytes = |of: artel_mesh::counts::Bytes| Bytes { received: of.received, sent: of.sent };
    Traffic {
        tcp: bytes(counts.tcp),
        quic: bytes(counts.quic),
        lanes: counts.lanes.iter().map(|(lane, of)| (lane.name().to_owned(), bytes(*of))).collect(),
        gossip_copies: counts.gossip_copies,
        gossip_messages: counts.gossip_messages,
        gossip_published: counts.gossip_published,
        offers_followed: neighbours.followed(),
        requests: neighbours.asked(),
        claims_waiting: neighbours.claims_waiting() as u64,
        refused: neighbours.refusals(),
    }
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
            known_up_to: held.known,
            cosigned_up_to: held.cosigned,
            quarantine: held.quarantine.map(quarantine),
            summaries: Summaries { checked: held.summaries.checked, wrong: held.summaries.wrong },
        })
        .collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|journal| journal.origin.clone());
    Ok(List { items, next_cursor })
}

/// `GET /v1/homes`, by key.
pub(super) fn homes(service: &NodeService, page: &Page) -> Result<List<Home>, Problem> {
    let after = page::key(page, NodeId::from_did)?;
    let limit = page.limit as usize;
    let homes = service.parts().neighbours.as_ref().map(|neighbours| neighbours.homes());
    let rows = homes.into_iter().flatten().filter(|home| after.is_none_or(|after| home.node > after));
    let mut items: Vec<Home> = rows.take(limit + 1).map(home).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|home| home.node_id.to_string());
    Ok(List { items, next_cursor })
}

fn home(neighbours::Home { node, offers, standing, paid }: neighbours::Home) -> Home {
    Home {
        node_id: node,
        offers: offers as u64,
        judged: standing.judged,
        rejected: standing.rejected,
        silences: standing.silences,
        redeemed: standing.redeemed,
        answered_percent: standing.answered_percent(),
        paid,
        breaches: standing.breaches,
        breach: standing
            .breach
            .map(|first| format!("entry {}: step {} is {}", first.index, first.step, first.breach)),
    }
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
        round_trip_ms: peer.round_trip.map(|round_trip| round_trip.as_micros() as f64 / 1_000.0),
        score: peer.score,
        connected_ms: milliseconds(peer.since),
        witnessed_us_up_to: None,
        witness_behind: None,
        we_witnessed_up_to: None,
        quarantine: None,
    }
}

/// A node that is not connected because one of the two does not let the other in.
fn away(node: NodeId, status: PeerStatus, reason: Option<String>) -> Peer {
    Peer {
        node_id: node,
        peer_id: node.key().peer_id(),
        status,
        reason,
        addresses: Vec::new(),
        listens: Vec::new(),
        direction: "outbound",
        transport: String::new(),
        round_trip_ms: None,
        score: 0.0,
        connected_ms: 0,
        witnessed_us_up_to: None,
        witness_behind: None,
        we_witnessed_up_to: None,
        quarantine: None,
    }
}

/// Who witnesses whom, for the public page.
#[derive(Default)]
pub(super) struct Witnessing {
    /// Who cosigned this node's heads: peer id, size, how far behind.
    pub witnesses: Vec<(String, u64, u64)>,
    /// Whose journals this node cosigned: peer id, size.
    pub witnessed: Vec<(String, u64)>,
    /// Of whom nothing more is taken: peer id, why.
    pub quarantined: Vec<(String, String)>,
}

/// Who witnesses whom, the first of each, as far as a page can show them.
pub(super) fn witnessing(service: &NodeService) -> Witnessing {
    let Some(neighbours) = &service.parts().neighbours else { return Witnessing::default() };
    let said = neighbours.head_said().unwrap_or_default();
    let witness = |w: Witness| (w.node.key().peer_id(), w.size, said.saturating_sub(w.size));
    let journals = neighbours.journals();
    let cosigned =
        journals.iter().filter_map(|held| Some((held.origin.node().key().peer_id(), held.cosigned?)));
    Witnessing {
        witnesses: neighbours.witnesses().into_iter().map(witness).take(SHOWN_MAX).collect(),
        witnessed: cosigned.take(SHOWN_MAX).collect(),
        quarantined: quarantined(neighbours, &journals),
    }
}

fn quarantined(neighbours: &Neighbours, journals: &[neighbours::Held]) -> Vec<(String, String)> {
    let proven =
        neighbours.frauds().into_iter().map(|fraud| (fraud.origin.node().key().peer_id(), how(&fraud)));
    let suspected = journals.iter().filter(|held| held.quarantine == Some(Suspicion::Suspected));
    let why = "suspected: it does not show that its journal continues what it signed";
    let suspected = suspected.map(|held| (held.origin.node().key().peer_id(), why.to_owned()));
    proven.chain(suspected).take(SHOWN_MAX).collect()
}

/// How a node lied, and the proof's digest.
fn how(fraud: &HeldFraud) -> String {
    format!("{}: proof {}", fraud.kind, fraud.proof)
}

fn quarantine(why: Suspicion) -> Quarantine {
    match why {
        Suspicion::Suspected => Quarantine::Suspected,
        Suspicion::Proven => Quarantine::Proven,
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
