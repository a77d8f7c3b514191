//! What neighbours make of this node: who is connected, where they see it, who witnesses its journal and how long ago,
//! and of whom nothing more is taken. Where there is no neighbour nothing is said for one.

use crate::neighbours::Neighbours;
use artel_federation::watch::Quarantine;
use artel_mesh::Peer;
use artel_protocol::key::NodeId;
use artel_protocol::time::Wall;
use artel_web::types::doctor::{Check, Finding};
use std::collections::BTreeSet;

/// After which time without a cosignature the operator should look, in seconds. Heads of a node that does nothing are
/// said again within the hour.
const WITNESSED_S_MAX: u64 = 3 * 3_600;

/// The most neighbours that are named in a finding.
const NAMED_MAX: usize = 5;

const INVITE: &str = "to have one: artel invite here, and artel up --join there";

/// Who is connected.
pub(super) fn neighbours(peers: &[Peer], refused_by: usize) -> Finding {
    let up = peers.iter().filter(|peer| peer.admitted).count();
    match (up, refused_by) {
        (0, 0) => Finding::unknown(Check::Neighbours, "no neighbour is connected").advising(INVITE),
        (0, _) => {
            let summary = format!("no neighbour is connected, and {refused_by} do not let this node in");
            Finding::warn(Check::Neighbours, summary, "see why with: artel peers")
        }
        (up, _) => Finding::ok(Check::Neighbours, "neighbours are connected").with(format!("{up} of them")),
    }
}

/// Whether neighbours reach this node, by what they say: where they dialled it, or where it came from when it dialled.
pub(super) fn reachability(peers: &[Peer], listens: bool) -> Finding {
    let sights = || peers.iter().filter(|peer| peer.admitted).flat_map(|peer| &peer.sees_us);
    let shown = |dialled| -> String {
        let all: BTreeSet<String> = sights()
            .filter(|sight| sight.dialled == dialled)
            .map(|sight| sight.address.to_string())
            .collect();
        all.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join(", ")
    };
    let (reached, came) = (shown(true), shown(false));
    if !reached.is_empty() {
        return Finding::ok(Check::Reachability, "neighbours reach this node").with(reached);
    }
    if came.is_empty() {
        return Finding::unknown(Check::Reachability, "no neighbour has said where it sees this node");
    }
    let came = format!("comes from {came}");
    if !listens {
        let summary = "this node dials and is not dialled, for it listens nowhere";
        return Finding::ok(Check::Reachability, summary).with(came);
    }
    let advice =
        "if others should reach it, forward the mesh's port to this machine and let the firewall pass it";
    Finding::unknown(Check::Reachability, "no neighbour has dialled this node yet")
        .with(came)
        .advising(advice)
}

/// Who witnessed the journal, and how long ago: pairs of the size that was cosigned and when, in seconds.
pub(super) fn witnesses(
    cosigned: &[(u64, u64)],
    said: Option<u64>,
    now: Wall,
    has_neighbours: bool,
) -> Finding {
    let newest = cosigned.iter().copied().max_by_key(|(_, at_s)| *at_s);
    let Some((size, at_s)) = newest else {
        let summary = "nobody has witnessed this journal since the start";
        return match has_neighbours {
            true => Finding::warn(
                Check::Witnesses,
                summary,
                "wait a minute after a start; then see with artel peers whether neighbours suspect this node",
            ),
            false => Finding::unknown(Check::Witnesses, format!("{summary}: there is no neighbour"))
                .advising(INVITE),
        };
    };
    let (ago, behind) = ((now.0 / 1_000).saturating_sub(at_s), said.unwrap_or(size).saturating_sub(size));
    let value =
        format!("{} of them, the last one {} ago, {behind} entries behind", cosigned.len(), time(ago));
    let found = if ago > WITNESSED_S_MAX {
        let advice = "see with artel peers who is connected, and whether it suspects this node";
        Finding::warn(Check::Witnesses, "it is long since somebody witnessed this journal", advice)
    } else {
        Finding::ok(Check::Witnesses, "others witness this journal")
    };
    found.with(value)
}

/// Nodes of which nothing more is taken, this one among them or not.
pub(super) fn quarantine(me: NodeId, neighbours: Option<&Neighbours>) -> Finding {
    let Some(neighbours) = neighbours else { return judge_quarantine(me, &[], 0) };
    let liars: Vec<NodeId> = neighbours.frauds().iter().map(|fraud| fraud.origin.node()).collect();
    let suspected =
        neighbours.journals().iter().filter(|held| held.quarantine == Some(Quarantine::Suspected)).count();
    judge_quarantine(me, &liars, suspected)
}

fn judge_quarantine(me: NodeId, liars: &[NodeId], suspected: usize) -> Finding {
    if liars.contains(&me) {
        let advice = "stop it: a copy of its directory ran beside it, or an older copy was put back; \
                      its key is worth nothing any more, start a new node";
        let summary = "there is proof that this node signed two histories of its journal";
        return Finding::fail(Check::Quarantine, summary, advice);
    }
    if liars.is_empty() && suspected == 0 {
        return Finding::ok(Check::Quarantine, "no node is in quarantine");
    }
    let value = format!("{} proven, {suspected} suspected", liars.len());
    let advice = "see whom with: artel peers, and what lies behind it with: artel audit fraud";
    Finding::warn(Check::Quarantine, "nothing more is taken of some nodes", advice).with(value)
}

/// Seconds for people.
fn time(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_mesh::Sight;
    use artel_protocol::key::SecretKey;
    use artel_web::types::doctor::FindingStatus::{Fail, Ok, Unknown, Warn};
    use std::time::Duration;

    fn node(seed: u8) -> NodeId {
        NodeId(SecretKey::from_seed(&[seed; 32]).public())
    }

    fn peer(admitted: bool, sees_us: &[(&str, bool)]) -> Peer {
        let sight = |(address, dialled): &(&str, bool)| Sight {
            address: address.parse().expect("an address"),
            dialled: *dialled,
        };
        Peer {
            node: node(2),
            connections: vec![],
            listens: vec![],
            sees_us: sees_us.iter().map(sight).collect(),
            admitted,
            round_trip: None,
            score: 0.0,
            since: Duration::ZERO,
        }
    }

    #[test]
    fn only_a_neighbour_that_dialled_says_that_this_node_is_reached() {
        let (dialled, came) = (("/ip4/192.0.2.1/tcp/7434", true), ("/ip4/192.0.2.1/tcp/50000", false));
        for (peers, listens, wanted) in [
            (vec![], true, Unknown),
            (vec![peer(false, &[dialled])], true, Unknown),
            (vec![peer(true, &[])], true, Unknown),
            (vec![peer(true, &[came])], true, Unknown),
            (vec![peer(true, &[came])], false, Ok),
            (vec![peer(true, &[came]), peer(true, &[dialled])], true, Ok),
        ] {
            let found = reachability(&peers, listens);
            assert_eq!(found.status, wanted, "{found:?}");
            assert_eq!(found.value.as_deref() == Some(dialled.0), wanted == Ok && listens, "{found:?}");
        }
        assert_eq!(neighbours(&[peer(false, &[])], 0).status, Unknown);
        assert_eq!(neighbours(&[], 1).status, Warn);
        assert_eq!(neighbours(&[peer(true, &[])], 1).status, Ok);
    }

    #[test]
    fn the_last_cosignature_is_told_with_its_age() {
        let now = Wall(1_800_000_000_000);
        let at = now.0 / 1_000;
        assert_eq!(witnesses(&[], None, now, false).status, Unknown);
        assert_eq!(witnesses(&[], Some(4), now, true).status, Warn);
        let fresh = witnesses(&[(3, at - 300), (5, at - 5)], Some(7), now, true);
        assert_eq!(
            (fresh.status, fresh.value.as_deref()),
            (Ok, Some("2 of them, the last one 5 s ago, 2 entries behind"))
        );
        assert_eq!(witnesses(&[(3, at - WITNESSED_S_MAX - 1)], Some(3), now, true).status, Warn);
    }

    #[test]
    fn a_node_that_is_proven_a_liar_is_told_so() {
        assert_eq!(judge_quarantine(node(1), &[], 0).status, Ok);
        assert_eq!(judge_quarantine(node(1), &[node(2)], 0).status, Warn);
        assert_eq!(judge_quarantine(node(1), &[], 1).status, Warn);
        assert_eq!(judge_quarantine(node(1), &[node(2), node(1)], 0).status, Fail);
    }
}
