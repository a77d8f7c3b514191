//! Which entries are notices to whom, and of which kinds. It reads nothing but the entry.

use crate::events::agent_of;
use artel_federation::Fact;
use artel_federation::fact::Judgement;
use artel_protocol::key::AgentId;
use artel_web::types::notice::NoticeKind;

/// Whether an entry is about an agent in a way that it is told of. What it did itself a moment ago is not.
pub fn is_own(fact: &Fact, me: &AgentId) -> bool {
    let is_told = match fact {
        Fact::Granted(_)
        | Fact::Undertaken(_)
        | Fact::Lapsed(_)
        | Fact::Withdrawn(_)
        | Fact::Verdict(_)
        | Fact::Concluded(_)
        | Fact::Refuted(_)
        | Fact::RefutedAway(_)
        | Fact::Rotated(_)
        | Fact::Revoked(_)
        | Fact::Unanswered(_) => true,
        Fact::LetGo(f) => f.code != "released",
        _ => false,
    };
    is_told && agent_of(fact) == Some(*me)
}

/// Whether an entry is told to whoever is there as it happens, and to nobody later.
pub fn is_passing(fact: &Fact) -> bool {
    matches!(fact, Fact::Offered(_) | Fact::Started(_) | Fact::FraudProven(_) | Fact::Expelled(_))
}

/// Whether an entry may end an agent's credential: who enrolls again has another token, and the old one falls.
pub fn is_of_credential(fact: &Fact) -> bool {
    matches!(fact, Fact::Enrolled(_) | Fact::Rotated(_) | Fact::Revoked(_))
}

/// The notices of an entry, in the order in which they are told.
pub fn kinds_of(fact: &Fact) -> &'static [NoticeKind] {
    use NoticeKind::{
        Earning, LeaseEnded, LeaseGranted, LeaseLapsed, Quality, Refuted, Reputation, System, TaskAvailable,
    };
    match fact {
        Fact::Offered(_) => &[TaskAvailable],
        Fact::Granted(_) | Fact::Undertaken(_) => &[LeaseGranted],
        Fact::Lapsed(_) => &[LeaseLapsed],
        Fact::LetGo(f) if f.code == "lapsed" => &[LeaseLapsed],
        Fact::Withdrawn(_) | Fact::LetGo(_) => &[LeaseEnded],
        Fact::Verdict(verdict) => match verdict.judgement {
            Judgement::Accepted { .. } => &[Quality, Reputation, Earning],
            Judgement::Rejected { .. } => &[Quality, Reputation],
        },
        // What a score makes of it follows from the records, which come later.
        Fact::Concluded(_) => &[Quality, Earning],
        Fact::Refuted(_) => &[Refuted, Reputation],
        Fact::RefutedAway(_) => &[Refuted],
        Fact::Rotated(_) | Fact::Revoked(_) | Fact::Unanswered(_) => &[System],
        Fact::Started(_) | Fact::FraudProven(_) | Fact::Expelled(_) => &[System],
        _ => &[],
    }
}
