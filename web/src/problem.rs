//! Every error code that HTTP answers with: one closed table of code, status and a sentence that says what to do.
//! The codes are part of the outside contract; a sentence may be bettered, a code never changes its meaning.

use crate::types::Json;
use axum::http::StatusCode;

macro_rules! codes {
    ($($variant:ident $text:literal $status:literal $sentence:literal)*) => {
        /// Stable codes of errors, each with one HTTP status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $sentence] $variant,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// The code as it stands in answers.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)* }
            }

            /// Reads a code as it stands in answers.
            pub fn parse(text: &str) -> Option<Code> {
                match text { $($text => Some(Code::$variant),)* _ => None }
            }

            /// The HTTP status.
            pub fn status(self) -> StatusCode {
                let status: u16 = match self { $(Code::$variant => $status,)* };
                StatusCode::from_u16(status).expect("the table holds valid statuses")
            }

            /// What is said when nobody knows better.
            pub fn sentence(self) -> &'static str {
                match self { $(Code::$variant => $sentence,)* }
            }
        }
    };
}

codes! {
    // The request itself.
    BadRequest "bad_request" 400 "the request is not well formed"
    NotJson "not_json" 400 "the body is not JSON; send one JSON object"
    NotUtf8 "not_utf8" 400 "the body is not UTF-8; JSON is always UTF-8"
    JsonTooDeep "json_too_deep" 400 "the JSON is nested deeper than 64 levels; flatten it"
    DuplicateKey "duplicate_key" 400 "an object in the body has one key twice; name each key once"
    BodyIncomplete "body_incomplete" 400 "the body ended before its announced length; send all of it"
    UnknownField "unknown_field" 422 "the body has a field that this route does not know; remove it"
    Invalid "invalid" 422 "a value is outside its bounds"
    BadId "bad_id" 400 "an id in the path is not of the right form"
    BadQuery "bad_query" 400 "the query string is not understood"
    CursorAhead "cursor_ahead" 409 "the cursor is ahead of this node's journal, so it is not one that this node gave; leave it out"
    CursorForeign "cursor_foreign" 403 "the cursor is another agent's; use those that came with your own notices"
    BadIdempotencyKey "bad_idempotency_key" 400 "Idempotency-Key must be 1 to 128 visible ASCII characters"
    BodyTooLarge "body_too_large" 413 "the body is larger than this route takes; put large data into artifacts"
    UnsupportedMediaType "unsupported_media_type" 415 "send the body with content-type: application/json"
    RangeNotSatisfiable "range_not_satisfiable" 416 "the range begins behind the last byte; ask for less"
    RequestTimeout "request_timeout" 408 "the request's body came too slowly; send it again, faster or in smaller parts"
    RouteUnknown "route_unknown" 404 "there is no such path; /openapi shows those that there are"
    MethodNotAllowed "method_not_allowed" 405 "this path does not take this method; the Allow header names those it takes"
    HostNotAllowed "host_not_allowed" 403 "this Host is not one of this node's names; use its address or add the name to its configuration"
    OriginNotAllowed "origin_not_allowed" 403 "pages of this Origin may not call this node; add the name to its configuration if they should"
    UpgradeRequired "upgrade_required" 426 "this path is a WebSocket; ask for it as RFC 6455 says, in version 13"
    TooManySockets "too_many_sockets" 503 "too many WebSockets are open; use those that there are, or try again later"
    UnknownMessage "unknown_message" 422 "there is no message of this type"
    RateLimited "rate_limited" 429 "too many requests; wait as long as Retry-After says"

    // Who asks.
    Unauthenticated "unauthenticated" 401 "send Authorization: Bearer with an agent's token or the operator's"
    BadToken "bad_token" 401 "the token is not one of this node's; enroll with POST /v1/enroll"
    TokenExpired "token_expired" 401 "the token has expired; enroll again with POST /v1/enroll"
    TokenRevoked "token_revoked" 401 "the token was revoked; enroll again with POST /v1/enroll"
    AgentRevoked "agent_revoked" 403 "the operator let this agent go; ask the operator"
    Forbidden "forbidden" 403 "the caller may not do this"
    AgentsOnly "agents_only" 403 "only an agent can do this; call with an agent's token"
    OperatorOnly "operator_only" 403 "only the operator can do this; call with the operator's token"

    // Enrollment and signed acts.
    ChallengeUnknown "challenge_unknown" 404 "the challenge is unknown or was answered before; ask for a new one with POST /v1/enroll"
    ChallengeExpired "challenge_expired" 410 "the challenge has expired; ask for a new one with POST /v1/enroll"
    BadSignature "bad_signature" 403 "the signature is not the agent's over exactly these bytes"
    BadStatement "bad_statement" 422 "the signed statement is not the one that is wanted"

    // Posting.
    TooMany "too_many" 422 "more of something than its limit"
    InputTooLarge "input_too_large" 413 "the input has more than 262144 bytes; put it into an artifact"
    OutputTooLarge "output_too_large" 413 "the output has more than 262144 bytes; put it into an artifact and name its digest"
    TooManyArtifacts "too_many_artifacts" 422 "a step names at most 64 artifacts; bundle them"
    Cycle "cycle" 422 "the steps need each other in a circle; remove one of the needs"
    UnknownNeed "unknown_need" 422 "a step needs one that the run does not have"
    DuplicateStep "duplicate_step" 422 "two steps have one name; give each its own"
    TooManySteps "too_many_steps" 422 "a run has at most 200 steps; split it"
    BlueprintUnknown "blueprint_unknown" 404 "there is no such blueprint here; leave blueprint_ref out or null"
    RunnerUnavailable "runner_unavailable" 422 "nothing here can run such a step; leave runner out and an agent will do it"
    BadSchema "bad_schema" 422 "output_schema is not a JSON Schema that can be compiled"
    IdempotencyConflict "idempotency_conflict" 409 "this Idempotency-Key came before with another body; use a new key"
    InsufficientCredit "insufficient_credit" 402 "the poster's credit does not cover the rewards; earn first or post for less"
    BookFull "book_full" 503 "the book of open work is full; wait until some is done"

    // Claiming and handing in.
    NotFound "not_found" 404 "there is no such thing here"
    TaskTaken "task_taken" 409 "another agent holds this task; claim another with POST /v1/tasks/claim"
    TaskNotOpen "task_not_open" 409 "the task is not open to claims"
    OfferWindow "offer_window" 409 "only the best candidates, or newcomers, may claim this task for now; try again in a moment"
    NotQualified "not_qualified" 403 "the agent does not have what this task asks for"
    CapacityFull "capacity_full" 409 "the agent holds as many leases as it may; finish one first"
    Barred "barred" 403 "the agent lapsed or was rejected on this task; claim another"
    StaleEpoch "stale_epoch" 409 "the lease is over, or was never this agent's; its result is not taken"
    AlreadySubmitted "already_submitted" 409 "a submission for this lease came before, with another output"
    RenewalSpent "renewal_spent" 409 "the lease cannot be renewed any further; hand in what there is"
    Finished "finished" 409 "the run or step is over"
    TooManyWaiting "too_many_waiting" 503 "too many wait for tasks already; try again without wait_ms"

    // Artifacts.
    ArtifactTooLarge "artifact_too_large" 413 "an artifact has at most 250000000 bytes; split it"
    ArtifactQuota "artifact_quota" 507 "the node's room for artifacts is used up; ask the operator"
    DigestMismatch "digest_mismatch" 422 "the bytes do not have the digest that was named; send the right ones"
    DigestRequired "digest_required" 422 "send content, or sha256 of the bytes that will follow"
    ArtifactMissing "artifact_missing" 404 "the artifact's bytes are not here"

    // Nodes.
    InvitationNeeded "invitation_needed" 403 "a node needs an invitation, or an open federation's founder, to join"
    InvitationUnknown "invitation_unknown" 404 "this node knows no such invitation; ask for a new one"
    InvitationExpired "invitation_expired" 410 "the invitation's time is over; ask for a new one"
    InvitationSpent "invitation_spent" 409 "the invitation has let in as many nodes as it may; ask for a new one"
    NodeExpelled "node_expelled" 403 "the node was expelled; its operator may ask the one who did it"
    MembersFull "members_full" 507 "this node has admitted as many nodes as it may; ask another"

    HomeUnreachable "home_unreachable" 503 "the home of this task cannot be reached at the moment; try again"
    HomeSilent "home_silent" 504 "the home of this task has not answered in time; the same again changes nothing"
    HomeDishonest "home_dishonest" 502 "the home of this task answers what no honest home answers; tell the operator"
    HomeRefused "home_refused" 409 "the home of this task refuses; its own code and sentence stand in the message"
    NotDelegated "not_delegated" 403 "enroll with delegate, so that this node may act for the agent at other homes, or sign the act itself"

    // The log.
    NotInLog "not_in_log" 404 "the log is not that long"
    BadTile "bad_tile" 404 "there is no such tile; paths are those of C2SP tlog-tiles"

    // The node.
    NotReady "not_ready" 503 "the node is not ready yet; try again in a moment"
    IndexOpening "index_opening" 503 "the index is still opening; try again in a moment"
    JournalUnavailable "journal_unavailable" 503 "the journal cannot be written, so nothing is taken in; ask the operator"
    OutcomeUnknown "outcome_unknown" 503 "the journal failed while this was written, and it may have been done or not; look, or repeat it with the same Idempotency-Key"
    Overloaded "overloaded" 503 "the node has too much to do; try again in a moment"
    ShuttingDown "shutting_down" 503 "the node is shutting down; try again when it is back"
    Timeout "timeout" 504 "no answer in time; the request may have been done, so repeat it with the same Idempotency-Key"
    Internal "internal" 500 "something is wrong in the node; tell the operator the correlation id"
}

/// Why a request was not done.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {message}", code = code.as_str())]
pub struct Problem {
    /// The stable code.
    pub code: Code,
    /// A sentence for the caller that says what to do.
    pub message: String,
    /// More for programs, a JSON object.
    pub details: Option<Json>,
    /// After how many seconds it makes sense to try again.
    pub retry_after_s: Option<u32>,
    /// Whether the edge refused it before the service saw it.
    pub(crate) at_edge: bool,
}

impl Problem {
    /// A problem with the table's sentence.
    pub fn of(code: Code) -> Self {
        Problem::new(code, code.sentence())
    }

    /// A problem with a sentence of its own.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Problem { code, message: message.into(), details: None, retry_after_s: None, at_edge: false }
    }

    /// The same with details.
    pub fn with_details(mut self, details: Json) -> Self {
        self.details = Some(details);
        self
    }

    /// The same with a time to wait.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The edge's own refusal.
    pub(crate) fn edge(code: Code) -> Self {
        Problem { at_edge: true, ..Problem::of(code) }
    }

    /// The edge's own refusal with a sentence.
    pub(crate) fn edge_saying(code: Code, message: impl Into<String>) -> Self {
        Problem { at_edge: true, ..Problem::new(code, message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_has_one_name_a_status_and_a_sentence() {
        let mut names = BTreeSet::new();
        for code in Code::ALL {
            assert!(names.insert(code.as_str()), "{} stands twice", code.as_str());
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{code:?}");
            assert!(code.sentence().len() > 10, "{code:?}");
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()));
        }
        assert_eq!(Code::parse("nonsense"), None);
    }
}
