//! How work between two nodes is told of: agents of other nodes here, and this node's agents elsewhere.

use super::{authority, number};
use artel_federation::Fact;
use artel_federation::fact::{Abroad, HandedAt, Judgement};
use artel_protocol::key::{AgentId, NodeId};
use serde_json::{Value, json};

/// An event's name behind its prefix, where there is one. Private halves are no events.
pub(super) fn name(fact: &Fact) -> Option<&'static str> {
    Some(match fact {
        Fact::Introduced(_) => "agent.introduced",
        Fact::Undertaken(_) => "work.undertaken",
        Fact::HandedIn(_) => "work.handed_in",
        Fact::Acknowledged(_) => "work.acknowledged",
        Fact::Concluded(f) => match f.judgement {
            Judgement::Accepted { .. } => "work.accepted",
            Judgement::Rejected { .. } => "work.rejected",
        },
        Fact::LetGo(_) => "work.let_go",
        Fact::RefutedAway(_) => "work.refuted",
        Fact::Redoing(_) => "work.redoing",
        Fact::Unanswered(_) => "work.unanswered",
        _ => return None,
    })
}

/// The lease of another home that a fact is about.
pub(super) fn lease_of(fact: &Fact) -> Option<&Abroad> {
    match fact {
        Fact::Undertaken(f) => Some(&f.lease),
        Fact::Outgoing(f) => Some(&f.lease),
        Fact::HandedIn(f) => Some(&f.lease),
        Fact::Acknowledged(f) => Some(&f.lease),
        Fact::Concluded(f) => Some(&f.lease),
        Fact::LetGo(f) => Some(&f.lease),
        Fact::RefutedAway(f) => Some(&f.lease),
        Fact::Redoing(f) => Some(&f.lease),
        Fact::Unanswered(f) => Some(&f.lease),
        _ => None,
    }
}

/// The agent that a fact is about.
pub(super) fn agent_of(fact: &Fact) -> Option<AgentId> {
    match fact {
        Fact::Introduced(f) => Some(f.agent),
        Fact::Undertaken(f) => Some(f.agent),
        Fact::HandedIn(f) => Some(f.agent),
        Fact::Unanswered(f) => Some(f.agent),
        Fact::Concluded(f) => f.agent,
        Fact::LetGo(f) => f.agent,
        Fact::RefutedAway(f) => Some(f.agent),
        _ => None,
    }
}

/// The other node that a fact is about.
pub(super) fn node_of(fact: &Fact) -> Option<NodeId> {
    match fact {
        Fact::Introduced(f) => Some(f.node),
        other => lease_of(other).map(|lease| lease.home),
    }
}

/// What a fact says beside what it is about.
pub(super) fn data(fact: &Fact) -> Value {
    let mut data = match fact {
        Fact::Introduced(f) => json!({
            "agent_id": f.agent.to_string(),
            "agent_name": f.name,
            "node_id": f.node.to_string(),
            "capabilities": f.skills.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "delegated_until": f.delegation.map(|delegation| delegation.until.iso8601()),
        }),
        Fact::Undertaken(f) => json!({
            "agent_id": f.agent.to_string(),
            "authority": authority(f.authority),
            "granted": f.granted,
        }),
        Fact::Outgoing(f) => json!({"output_digest": f.output.digest().to_string()}),
        Fact::HandedIn(f) => json!({
            "agent_id": f.agent.to_string(),
            "authority": authority(f.authority),
            "result": f.result.to_string(),
        }),
        Fact::Acknowledged(f) => json!({"submitted": f.submitted, "submitted_at": f.at.iso8601()}),
        Fact::Concluded(f) => {
            let mut data = json!({"verdict": f.verdict, "paid": f.paid.map(number)});
            match &f.judgement {
                Judgement::Accepted { quality, .. } => data["quality_score"] = json!(quality),
                Judgement::Rejected { check } => data["check"] = json!(check),
            }
            data
        }
        Fact::LetGo(f) => json!({"reason": f.code}),
        Fact::RefutedAway(f) => json!({"refuted": f.refuted, "recalled": number(f.recalled)}),
        Fact::Redoing(f) => json!({"module": f.module.to_string()}),
        Fact::Unanswered(f) => json!({
            "agent_id": f.agent.to_string(),
            "handed_in": f.handed_in,
            "submitted": f.submitted,
        }),
        _ => Value::Null,
    };
    if let Some(lease) = lease_of(fact) {
        data["home"] = json!(lease.home.to_string());
        data["task_id"] = json!(lease.step.to_string());
        data["epoch"] = json!(lease.epoch.0);
    }
    data
}

/// Where a worker's node recorded a result.
pub(super) fn handed_at(at: &HandedAt) -> Value {
    json!({"node_id": at.node.to_string(), "incarnation": at.incarnation, "entry": at.index})
}
