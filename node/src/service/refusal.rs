//! Why something was not done, in the words of HTTP: the one place where refusals of the rules, of the driver, of the
//! index, of the journal's reader and of the artifact store become problems. It says nothing to callers that only the
//! operator should read; that goes to the log.

use crate::handle::Unavailable;
use crate::index::NotReady;
use crate::neighbours::VisitError;
use crate::store;
use crate::token::Rejected;
use artel_federation::effect::Refusal;
use artel_web::{Code, Problem};

/// After how many seconds it makes sense to try again, where the node itself is the reason.
const RETRY_S: u32 = 1;

/// A refusal of the rules. Their codes stand in HTTP's table under the same name.
pub(super) fn of_rules(refusal: Refusal) -> Problem {
    let Some(code) = Code::parse(refusal.code.as_str()) else {
        tracing::error!(code = refusal.code.as_str(), "a refusal has no code over HTTP");
        return Problem::of(Code::Internal);
    };
    later(Problem::new(code, refusal.message))
}

/// The driver has no answer.
pub(super) fn of_driver(unavailable: Unavailable) -> Problem {
    later(Problem::of(match unavailable {
        Unavailable::Overloaded => Code::Overloaded,
        Unavailable::Journal(_) => Code::JournalUnavailable,
        Unavailable::Unknown(_) => Code::OutcomeUnknown,
        Unavailable::Stopping => Code::ShuttingDown,
    }))
}

/// The index has no answer yet.
pub(super) fn of_index(_: NotReady) -> Problem {
    later(Problem::of(Code::IndexOpening))
}

/// The journal cannot show what was asked for.
pub(super) fn of_reader(error: artel_audit::Error) -> Problem {
    match error {
        artel_audit::Error::Beyond { wanted, size } => Problem::new(
            Code::NotInLog,
            format!("the log has {size} entries, so it does not reach {wanted} yet"),
        ),
        artel_audit::Error::NoKey { index, .. } => Problem::new(
            Code::NotFound,
            format!("the data key of entry {index} was erased, and its body with it"),
        ),
        other => {
            tracing::error!(error = %other, "the journal cannot be read");
            Problem::of(Code::Internal)
        }
    }
}

/// The artifact store cannot do what was asked.
pub(super) fn of_store(error: store::Error) -> Problem {
    let code = match &error {
        store::Error::WrongDigest { .. } => Code::DigestMismatch,
        store::Error::TooLarge => Code::ArtifactTooLarge,
        store::Error::NotFound(_) => Code::ArtifactMissing,
        store::Error::Damaged(_) => {
            tracing::error!(%error, "an artifact's file is damaged");
            Code::ArtifactMissing
        }
        store::Error::Io(cause) if cause.kind() == std::io::ErrorKind::StorageFull => {
            tracing::error!(%error, "the disk is full");
            return Problem::of(Code::ArtifactQuota);
        }
        store::Error::Io(_) => {
            tracing::error!(%error, "the artifact store cannot be used");
            return Problem::of(Code::Internal);
        }
    };
    Problem::new(code, error.to_string())
}

/// Another home was not asked, or gave no answer.
pub(super) fn of_visit(error: VisitError) -> Problem {
    let code = match &error {
        VisitError::NoWarrant => Code::NotDelegated,
        VisitError::Unreachable(_) => Code::HomeUnreachable,
        VisitError::Silent(_) => Code::HomeSilent,
        VisitError::Dishonest(_) => Code::HomeDishonest,
        VisitError::Unavailable(unavailable) => return of_driver(unavailable.clone()),
        VisitError::Journal(error) => {
            tracing::error!(%error, "the journal cannot be read");
            return Problem::of(Code::Internal);
        }
    };
    later(Problem::new(code, error.to_string()))
}

/// What another home may say of work in the words of this node. With any other code it would speak of this node's own matters, such
/// as the caller's credential here.
const OF_HOMES: &[Code] = &[
    Code::Invalid,
    Code::TooMany,
    Code::NotFound,
    Code::TaskTaken,
    Code::TaskNotOpen,
    Code::OfferWindow,
    Code::NotQualified,
    Code::CapacityFull,
    Code::Barred,
    Code::StaleEpoch,
    Code::AlreadySubmitted,
    Code::RenewalSpent,
    Code::Finished,
    Code::TooManyWaiting,
    Code::BookFull,
    Code::ArtifactMissing,
    Code::ArtifactQuota,
    Code::BadStatement,
    Code::BadSignature,
];

/// Another home has refused.
pub(super) fn of_home(code: &str, message: String) -> Problem {
    match Code::parse(code).filter(|code| OF_HOMES.contains(code)) {
        Some(code) => later(Problem::new(code, message)),
        // Its journal cannot be written, or it stops: that passes.
        None if code == "unavailable" => {
            later(Problem::new(Code::HomeUnreachable, format!("home cannot answer at the moment: {message}")))
        }
        None => Problem::new(Code::HomeRefused, format!("{code}: {message}")),
    }
}

/// A bearer token is not taken.
pub(super) fn of_token(rejected: Rejected) -> Problem {
    Problem::of(match rejected {
        Rejected::Invalid => Code::BadToken,
        Rejected::Expired => Code::TokenExpired,
    })
}

/// Something that cannot be unless the program is wrong.
pub(super) fn bug(what: &'static str) -> Problem {
    tracing::error!(what, "the node contradicts itself");
    Problem::of(Code::Internal)
}

/// What the node cannot do at the moment says when to try again.
fn later(problem: Problem) -> Problem {
    if problem.code.status().as_u16() == 503 { problem.retry_after(RETRY_S) } else { problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_federation::Code as Rule;
    use artel_protocol::id::Digest;

    /// The statuses that OPERATIONS.md promises for the rules' codes.
    const STATUSES: &[(Rule, u16)] = &[
        (Rule::Unauthenticated, 401),
        (Rule::Forbidden, 403),
        (Rule::TokenRevoked, 401),
        (Rule::AgentRevoked, 403),
        (Rule::ChallengeUnknown, 404),
        (Rule::ChallengeExpired, 410),
        (Rule::BadSignature, 403),
        (Rule::BadStatement, 422),
        (Rule::Invalid, 422),
        (Rule::TooMany, 422),
        (Rule::Cycle, 422),
        (Rule::UnknownNeed, 422),
        (Rule::DuplicateStep, 422),
        (Rule::TooManySteps, 422),
        (Rule::IdempotencyConflict, 409),
        (Rule::InsufficientCredit, 402),
        (Rule::BookFull, 503),
        (Rule::NotFound, 404),
        (Rule::TaskTaken, 409),
        (Rule::TaskNotOpen, 409),
        (Rule::OfferWindow, 409),
        (Rule::NotQualified, 403),
        (Rule::CapacityFull, 409),
        (Rule::Barred, 403),
        (Rule::StaleEpoch, 409),
        (Rule::AlreadySubmitted, 409),
        (Rule::RenewalSpent, 409),
        (Rule::Finished, 409),
        (Rule::TooManyWaiting, 503),
        (Rule::ArtifactQuota, 507),
        (Rule::RunnerUnavailable, 422),
        (Rule::InvitationNeeded, 403),
        (Rule::InvitationUnknown, 404),
        (Rule::InvitationExpired, 410),
        (Rule::InvitationSpent, 409),
        (Rule::NodeExpelled, 403),
        (Rule::MembersFull, 507),
        (Rule::ArtifactMissing, 404),
    ];

    /// Fails to compile when the rules get a code that the table above does not have.
    fn place(code: Rule) -> usize {
        match code {
            Rule::Unauthenticated => 0,
            Rule::Forbidden => 1,
            Rule::TokenRevoked => 2,
            Rule::AgentRevoked => 3,
            Rule::ChallengeUnknown => 4,
            Rule::ChallengeExpired => 5,
            Rule::BadSignature => 6,
            Rule::BadStatement => 7,
            Rule::Invalid => 8,
            Rule::TooMany => 9,
            Rule::Cycle => 10,
            Rule::UnknownNeed => 11,
            Rule::DuplicateStep => 12,
            Rule::TooManySteps => 13,
            Rule::IdempotencyConflict => 14,
            Rule::InsufficientCredit => 15,
            Rule::BookFull => 16,
            Rule::NotFound => 17,
            Rule::TaskTaken => 18,
            Rule::TaskNotOpen => 19,
            Rule::OfferWindow => 20,
            Rule::NotQualified => 21,
            Rule::CapacityFull => 22,
            Rule::Barred => 23,
            Rule::StaleEpoch => 24,
            Rule::AlreadySubmitted => 25,
            Rule::RenewalSpent => 26,
            Rule::Finished => 27,
            Rule::TooManyWaiting => 28,
            Rule::ArtifactQuota => 29,
            Rule::RunnerUnavailable => 30,
            Rule::InvitationNeeded => 31,
            Rule::InvitationUnknown => 32,
            Rule::InvitationExpired => 33,
            Rule::InvitationSpent => 34,
            Rule::NodeExpelled => 35,
            Rule::MembersFull => 36,
            Rule::ArtifactMissing => 37,
        }
    }

    #[test]
    fn every_code_of_the_rules_has_its_status_and_keeps_its_sentence() {
        for (i, (code, status)) in STATUSES.iter().enumerate() {
            assert_eq!(place(*code), i, "{code:?} stands twice or in the wrong place");
            let problem = of_rules(Refusal::new(*code, "a sentence"));
            assert_eq!(problem.code.as_str(), code.as_str());
            assert_eq!(problem.code.status().as_u16(), *status, "{code:?}");
            assert_eq!(problem.message, "a sentence");
            assert_eq!(problem.retry_after_s.is_some(), *status == 503, "{code:?}");
        }
    }

    #[test]
    fn what_another_home_cannot_do_at_the_moment_may_be_tried_again() {
        for (code, status, again) in [
            ("unavailable", 503, true),
            ("book_full", 503, true),
            ("stale_epoch", 409, false),
            ("new_code", 409, false),
            // The agent's credential here is none of another home's business.
            ("agent_revoked", 409, false),
            ("token_revoked", 409, false),
        ] {
            let problem = of_home(code, "a sentence".into());
            assert_eq!(
                (problem.code.status().as_u16(), problem.retry_after_s.is_some()),
                (status, again),
                "{code}"
            );
            assert!(problem.message.ends_with("a sentence"));
        }
    }

    #[test]
    fn an_unavailable_driver_is_a_503_that_says_nothing_of_the_disk() {
        let journal = Unavailable::Journal("cannot write journal/7.seg: No space left".into());
        for (unavailable, code) in [
            (Unavailable::Overloaded, "overloaded"),
            (journal, "journal_unavailable"),
            (Unavailable::Unknown("cannot sync journal/7.seg".into()), "outcome_unknown"),
            (Unavailable::Stopping, "shutting_down"),
        ] {
            let problem = of_driver(unavailable);
            assert_eq!((problem.code.as_str(), problem.code.status().as_u16()), (code, 503));
            assert!(problem.retry_after_s.is_some());
            assert!(!problem.message.contains("seg"), "{}", problem.message);
        }
        assert_eq!(of_index(NotReady).code, Code::IndexOpening);
    }

    #[test]
    fn what_the_disk_says_has_a_code() {
        let io = |kind| store::Error::Io(std::io::Error::from(kind));
        let digest = Digest::of(b"x");
        for (error, code) in [
            (store::Error::TooLarge, Code::ArtifactTooLarge),
            (store::Error::NotFound(digest), Code::ArtifactMissing),
            (store::Error::Damaged(digest), Code::ArtifactMissing),
            (store::Error::WrongDigest { wanted: digest, got: Digest::of(b"y") }, Code::DigestMismatch),
            (io(std::io::ErrorKind::StorageFull), Code::ArtifactQuota),
            (io(std::io::ErrorKind::PermissionDenied), Code::Internal),
        ] {
            assert_eq!(of_store(error).code, code);
        }
        let beyond = artel_audit::Error::Beyond { wanted: 9, size: 3 };
        assert_eq!(of_reader(beyond).code, Code::NotInLog);
        assert_eq!(of_reader(artel_audit::Error::NoKey { index: 1, key_id: 1 }).code, Code::NotFound);
    }
}
