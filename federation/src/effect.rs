//! What a federation's mind wants done, in order: entries first, then whatever may only happen once they are on disk.

use crate::away::Engagement;
use crate::closed::ClosedRun;
use crate::commitment::Opening;
use crate::fact::{Authority, Entry, Outcome, Poster, RunnerSpec};
use crate::input::ReplyTo;
use crate::json::Json;
use crate::member::Agent;
use crate::nodes::Node;
use crate::redo::message::Redo;
use crate::run::Run;
use artel_protocol::amount::Credits;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{ArtifactId, Digest, EnrollmentId, Epoch, RunId, StepId};
use artel_protocol::invitation::InvitationSecret;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use std::sync::Arc;

/// One thing to do. Everything behind an `Append` waits until its entries are synced.
#[derive(Debug, Clone)]
pub enum Effect {
    /// These entries, of one input, go to the journal as one frame.
    Append(Vec<Entry>),
    /// An answer.
    Reply {
        /// To whom.
        to: ReplyTo,
        /// What.
        answer: Result<Reply, Refusal>,
    },
    /// A submission is to be checked against its schema; `Input::Checked` brings the outcome.
    Check {
        /// The step.
        step: StepId,
        /// The lease.
        epoch: Epoch,
        /// The schema.
        schema: Json,
        /// The output.
        output: Json,
    },
    /// A submission's witnesses are to be heard; `Input::Witnessed` brings what they said.
    AskWitnesses(ToWitness),
    /// A submission's module is to be run again; `Input::Redone` brings what it came to.
    Redo(Box<ToRedo>),
    /// A run is over and leaves the book, its large parts let go of; from here on it is read from the index.
    Closed(Arc<ClosedRun>),
}

/// A submission whose lot is to fall, and of which home's journal has an entry by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToWitness {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// The node that handed it in, which does not draw; none where the agent is enrolled at home.
    pub worker: Option<NodeId>,
    /// The journal index of the `Submitted` entry.
    pub submitted: u64,
    /// SHA-256 of that entry's body, which fixes the witnesses ([`crate::redo::lot::pick`]).
    pub digest: Digest,
    /// Whether it is asked anew, after a start.
    pub is_anew: bool,
}

/// A drawn submission, and whom to ask.
#[derive(Debug, Clone)]
pub struct ToRedo {
    /// The node that handed it in, which is not asked; none where the agent is enrolled at home.
    pub worker: Option<NodeId>,
    /// What orders the others ([`crate::redo::place`]).
    pub lot: Digest,
    /// Whether home runs it first: no witness has drawn it.
    pub at_home_first: bool,
    /// Who came to another result before, in this order. Then home itself runs it, or where it is among them, another node,
    /// and where there is none home once more.
    pub doubted: Vec<NodeId>,
    /// How many runs came to nothing since the first of them.
    pub unsaid: u8,
    /// What is to be run.
    pub ask: Redo,
    /// The output that was handed in.
    pub output: Json,
    /// The artifacts that were handed in.
    pub left: Vec<Digest>,
}

impl ToRedo {
    /// Whether home `me` runs it before it asks anybody: nobody has doubted the result and no witness has drawn it, or another node
    /// alone has doubted it.
    pub fn begins_at_home(&self, me: &NodeId) -> bool {
        if self.doubted.is_empty() { self.at_home_first } else { !self.doubted.contains(me) }
    }

    /// How many runs are recorded already; [`crate::Input::Redone`] names them.
    pub fn runs(&self) -> u8 {
        u8::try_from(self.doubted.len()).unwrap_or(u8::MAX).saturating_add(self.unsaid)
    }
}

/// A good answer.
#[derive(Debug, Clone)]
pub enum Reply {
    /// What the agent is to sign.
    Challenge {
        /// The enrollment.
        enrollment: EnrollmentId,
        /// The text.
        text: String,
        /// When it expires.
        expires: Wall,
    },
    /// Enrolled, or a new token.
    Token {
        /// The agent.
        agent: Arc<Agent>,
        /// The token's serial number.
        serial: u32,
        /// When it expires.
        expires: Wall,
    },
    /// The agent as it is now.
    Agent(Arc<Agent>),
    /// The run as it is now; `repeated` when the post had been made before.
    Run {
        /// The run.
        run: Arc<Run>,
        /// Whether the same post had been made before.
        repeated: bool,
    },
    /// The same post had been made before; its run is over and read from the index.
    Repeated(RunId),
    /// A task was won.
    Leased(Box<Lease>),
    /// There is nothing to claim.
    Nothing,
    /// The lease goes on until then, by home's wall clock.
    Renewed {
        /// When it ends unless it is renewed again.
        expires: Wall,
    },
    /// Done, with nothing more to say.
    Done,
    /// A submission was taken in.
    Submitted(Box<Receipt>),
    /// A result for another home is in the outbox.
    HandedIn(Arc<Engagement>),
    /// An artifact was entered.
    Stored {
        /// Its id.
        artifact: ArtifactId,
        /// When.
        at: Wall,
    },
    /// An event was emitted as this journal entry.
    Emitted {
        /// The entry's index.
        index: u64,
        /// When.
        at: Wall,
    },
    /// An invitation was made.
    Invited {
        /// What lets nodes in; none where the federation is open. It stands here alone.
        secret: Option<InvitationSecret>,
        /// Until when.
        until: Wall,
        /// How many nodes it lets in; none where that is not counted.
        uses: Option<u32>,
    },
    /// A node is a member.
    Admitted {
        /// The node.
        node: NodeId,
        /// The journal index of its admission; none for a founder, who needs none.
        index: Option<u64>,
    },
    /// A node is expelled.
    Expelled(Arc<Node>),
}

/// What the winner of a step is told.
#[derive(Debug, Clone, Encode, Decode)]
pub struct Lease {
    /// The step.
    pub step: StepId,
    /// The run.
    pub run: RunId,
    /// The fencing token.
    pub epoch: Epoch,
    /// When the lease ends unless it is renewed, by home's wall clock.
    pub expires: Wall,
    /// The term in milliseconds.
    pub lease_ms: u32,
    /// The journal index of the grant.
    pub index: u64,
    /// The task's title.
    pub title: String,
    /// The task's description.
    pub description: String,
    /// The step's name in its run.
    pub name: String,
    /// The step's input.
    pub input: Json,
    /// The run's inputs.
    pub inputs: Json,
    /// Outputs of the steps that it needs, by name.
    pub needs: Vec<(String, Json)>,
    /// Artifacts of the steps that it needs, by name.
    pub artifacts: Vec<(String, Vec<Digest>)>,
    /// The schema of the output.
    pub output_schema: Option<Json>,
    /// How it is to be run, where the agent does not do it in its own way.
    pub runner: Option<RunnerSpec>,
    /// The base reward.
    pub reward: Credits,
    /// The deadline.
    pub deadline: Wall,
    /// Within which time after a submission home gives its verdict, in milliseconds.
    pub verdict_within_ms: u32,
    /// The skills that were asked for.
    pub skills: Vec<Skill>,
}

/// What home acknowledges, and once judged the verdict beside it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Who submitted.
    pub agent: AgentId,
    /// The commitment to what was handed in, as the public entry names it.
    pub result: Digest,
    /// What opens it.
    pub opening: Opening,
    /// On whose authority.
    pub authority: Authority,
    /// The journal index of the `Submitted` entry.
    pub submitted: u64,
    /// When it was taken in.
    pub submitted_at: Wall,
    /// The judgement, once there is one.
    pub verdict: Option<Judged>,
    /// The next task, where one was asked for and there is one.
    pub next: Option<Box<Lease>>,
}

/// A submission's judgement.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Judged {
    /// The journal index of the `Verdict` entry.
    pub index: u64,
    /// The judgement.
    pub outcome: Outcome,
    /// What was paid.
    pub paid: Credits,
}

impl PartialEq for Lease {
    fn eq(&self, other: &Self) -> bool {
        (self.step, self.epoch) == (other.step, other.epoch)
    }
}
impl Eq for Lease {}

/// Stable codes of refusals. Their names are part of the outside contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// The caller must be an agent or the operator.
    Unauthenticated,
    /// The caller may not do this.
    Forbidden,
    /// The token was revoked.
    TokenRevoked,
    /// The agent was let go by the operator.
    AgentRevoked,
    /// The challenge is unknown, spent, or of another boot.
    ChallengeUnknown,
    /// The challenge has expired.
    ChallengeExpired,
    /// The signature is not the agent's over the text.
    BadSignature,
    /// The signed statement is not of the expected form, or stale.
    BadStatement,
    /// A value is outside its bounds.
    Invalid,
    /// A skill, name or number is over its limit.
    TooMany,
    /// The run's steps need each other in a circle.
    Cycle,
    /// A step needs one that is not there.
    UnknownNeed,
    /// Two steps have one name.
    DuplicateStep,
    /// More steps than a run may have.
    TooManySteps,
    /// The same key came with another body.
    IdempotencyConflict,
    /// The poster's credit does not cover the escrow.
    InsufficientCredit,
    /// The book of open work is full.
    BookFull,
    /// Not known here.
    NotFound,
    /// Another agent holds the task.
    TaskTaken,
    /// The task is not open to claims.
    TaskNotOpen,
    /// Only the best candidates, or newcomers, may claim for now.
    OfferWindow,
    /// The agent does not qualify.
    NotQualified,
    /// The agent holds as many leases as it may.
    CapacityFull,
    /// The agent lapsed or was rejected on this step.
    Barred,
    /// The lease is over, or was never this agent's.
    StaleEpoch,
    /// A submission for this lease came before, with another output.
    AlreadySubmitted,
    /// The lease cannot be renewed any further.
    RenewalSpent,
    /// The run or step is over.
    Finished,
    /// Too many wait already.
    TooManyWaiting,
    /// The node's disk quota for artifacts is used up.
    ArtifactQuota,
    /// Bytes that are named are not here.
    ArtifactMissing,
    /// Nothing here can run such a step.
    RunnerUnavailable,
    /// The node must be invited, or ask a founder.
    InvitationNeeded,
    /// The invitation is not one of this node's, or was taken back.
    InvitationUnknown,
    /// The invitation's time is over.
    InvitationExpired,
    /// The invitation has let in as many nodes as it may.
    InvitationSpent,
    /// The node was expelled.
    NodeExpelled,
    /// This node has admitted as many nodes as it may.
    MembersFull,
}

impl Code {
    /// The code as it stands in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Unauthenticated => "unauthenticated",
            Code::Forbidden => "forbidden",
            Code::TokenRevoked => "token_revoked",
            Code::AgentRevoked => "agent_revoked",
            Code::ChallengeUnknown => "challenge_unknown",
            Code::ChallengeExpired => "challenge_expired",
            Code::BadSignature => "bad_signature",
            Code::BadStatement => "bad_statement",
            Code::Invalid => "invalid",
            Code::TooMany => "too_many",
            Code::Cycle => "cycle",
            Code::UnknownNeed => "unknown_need",
            Code::DuplicateStep => "duplicate_step",
            Code::TooManySteps => "too_many_steps",
            Code::IdempotencyConflict => "idempotency_conflict",
            Code::InsufficientCredit => "insufficient_credit",
            Code::BookFull => "book_full",
            Code::NotFound => "not_found",
            Code::TaskTaken => "task_taken",
            Code::TaskNotOpen => "task_not_open",
            Code::OfferWindow => "offer_window",
            Code::NotQualified => "not_qualified",
            Code::CapacityFull => "capacity_full",
            Code::Barred => "barred",
            Code::StaleEpoch => "stale_epoch",
            Code::AlreadySubmitted => "already_submitted",
            Code::RenewalSpent => "renewal_spent",
            Code::Finished => "finished",
            Code::TooManyWaiting => "too_many_waiting",
            Code::ArtifactQuota => "artifact_quota",
            Code::ArtifactMissing => "artifact_missing",
            Code::RunnerUnavailable => "runner_unavailable",
            Code::InvitationNeeded => "invitation_needed",
            Code::InvitationUnknown => "invitation_unknown",
            Code::InvitationExpired => "invitation_expired",
            Code::InvitationSpent => "invitation_spent",
            Code::NodeExpelled => "node_expelled",
            Code::MembersFull => "members_full",
        }
    }

    /// Whether refusals of this code are only the loser's side of a race, which no journal keeps (decision 1).
    pub fn is_lost_race(self) -> bool {
        matches!(self, Code::TaskTaken | Code::TaskNotOpen | Code::OfferWindow)
    }
}

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}", code = code.as_str())]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// A sentence that says what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into() }
    }
}

/// Who posted, in text: the operator or an agent's did.
pub fn poster_text(poster: &Poster) -> String {
    match poster {
        Poster::Operator => "operator".into(),
        Poster::Agent(agent) => agent.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::PublicKey;

    #[test]
    fn home_runs_first_what_no_witness_drew_or_another_node_doubts_and_never_twice_in_a_row() {
        let [me, other] = [1, 2].map(|n| NodeId(PublicKey::from_bytes([n; 32])));
        let ask = |doubted: &[NodeId], at_home_first| ToRedo {
            worker: Some(other),
            lot: Digest::of(b""),
            at_home_first,
            doubted: doubted.to_vec(),
            unsaid: 0,
            ask: Redo {
                step: RunId::new(Wall(1), [0; 9]).step(0),
                epoch: Epoch(1),
                module: Digest::of(b""),
                skills: vec![],
                input: Json::new(*b"{}"),
                needs: vec![],
                artifacts: vec![],
            },
            output: Json::new(*b"{}"),
            left: vec![],
        };
        for (doubted, at_home_first, begins) in [
            (&[][..], true, true),
            (&[], false, false),
            (&[me], true, false),
            (&[me], false, false),
            (&[other], true, true),
            (&[other], false, true),
            (&[me, other], true, false),
        ] {
            assert_eq!(
                ask(doubted, at_home_first).begins_at_home(&me),
                begins,
                "{doubted:?} {at_home_first}"
            );
        }
    }
}
