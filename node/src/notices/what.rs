//! Which entries are notices to whom, and of which kinds. It reads nothing but the entry.

use crate::events::agent_of;
use artel_federation::Fact;
use artel_federation::fact::Judgement;
use artel_protocol::key::AgentId;
use artel_web::types::notice::NoticeKind;

/// Whether an entry is about an agent in a way that it is told of. What it did itself a moment ago is not.
pub fn is_own(fact: &Fact, me: &AgentId) -> bool {
    let is_told = matches!(
        fact,
        Fact::Granted(_)
            | Fact::Undertaken(_)
            | Fact::Lapsed(_)
            | Fact::Verdict(_)
            | Fact::Rotated(_)
            | Fact::Revoked(_)
            | Fact::Unanswered(_)
    );
    is_told && agent_of(fact) == Some(*me)
}

/// Whether an entry is told to whoever is there as it happens, and to nobody later.
pub fn is_passing(fact: &Fact) -> bool {
    matches!(fact, Fact::Offered(_) | Fact::Started(_) | Fact::FraudProven(_) | Fact::Expelled(_))
}

/// The notices of an entry, in the order in which they are told.
pub fn kinds_of(fact: &Fact) -> &'static [NoticeKind] {
    use NoticeKind::{Earning, LeaseGranted, LeaseLapsed, Quality, Reputation, System, TaskAvailable};
    match fact {
        Fact::Offered(_) => &[TaskAvailable],
        Fact::Granted(_) | Fact::Undertaken(_) => &[LeaseGranted],
        Fact::Lapsed(_) => &[LeaseLapsed],
        Fact::Verdict(verdict) => match verdict.judgement {
            Judgement::Accepted { .. } => &[Quality, Reputation, Earning],
            Judgement::Rejected { .. } => &[Quality, Reputation],
        },
        Fact::Rotated(_) | Fact::Revoked(_) | Fact::Unanswered(_) => &[System],
        Fact::Started(_) | Fact::FraudProven(_) | Fact::Expelled(_) => &[System],
        _ => &[],
    }
}
