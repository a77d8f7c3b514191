//! What can happen to a federation's mind: requests of known principals and strangers, finished checks, time.

use crate::commitment::Salt;
use crate::fact::{
    Abroad, Came, FraudProven, HandedAt, Judgement, Outcome, Poster, Redoing, TaskSpec, Undertaken,
    Witnessing,
};
use crate::json::Json;
use crate::run::Run;
use crate::visit::message::Visit;
use artel_protocol::id::{ArtifactId, Digest, EnrollmentId, Epoch, RunId, StepId};
use artel_protocol::invitation::InvitationSecret;
use artel_protocol::key::{AgentId, NodeId, Signature};
use artel_protocol::skill::Skill;
use artel_protocol::text::Correlation;
use artel_protocol::time::{Mono, Wall};
use std::sync::Arc;

/// The moment of an input, and fresh randomness for it.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Home's monotonic clock: winners, leases, payments.
    pub mono: Mono,
    /// Home's wall clock: credentials, deadlines, what people read.
    pub wall: Wall,
    /// Fresh random bytes, new for each input.
    pub entropy: [u8; 32],
}

impl Now {
    /// The salt of this input's commitment: the last bytes, since ids, which everybody sees, are made of the first nine.
    pub(crate) fn salt(&self) -> Salt {
        Salt(self.entropy[16..].try_into().expect("16 of 32 bytes"))
    }

    /// The secret of the invitation that this input makes. Ids and salts leave seven bytes unused, which is too few: so it
    /// is a digest of all of them, which nothing else of the input shows.
    pub(crate) fn invitation_secret(&self) -> InvitationSecret {
        let digest = Digest::of(&[b"artel/1/invitation-secret\0".as_slice(), &self.entropy].concat());
        InvitationSecret(digest.0[..16].try_into().expect("16 of 32 bytes"))
    }
}

/// Whom an answer goes to; chosen by the caller, never reused while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyTo(pub u64);

/// Who asks. The shell has checked the credential itself; whether it was revoked is judged here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    /// Nobody known.
    Stranger,
    /// The node's operator.
    Operator,
    /// An agent by a token with this serial number.
    Agent {
        /// The agent.
        id: AgentId,
        /// The token's serial number.
        serial: u32,
    },
    /// Another node, whose key the transport has proven. Whether it is a member is not said by that.
    Node(NodeId),
}

impl Principal {
    /// The principal as a poster; strangers and nodes post nothing.
    pub fn poster(&self) -> Option<Poster> {
        match self {
            Principal::Stranger | Principal::Node(_) => None,
            Principal::Operator => Some(Poster::Operator),
            Principal::Agent { id, .. } => Some(Poster::Agent(*id)),
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// Somebody asks for something and waits for the answer.
    Request {
        /// Where the answer goes.
        to: ReplyTo,
        /// Who asks.
        principal: Principal,
        /// The request's correlation id.
        correlation: Option<Correlation>,
        /// What is asked.
        request: Request,
    },
    /// Whoever waited for this answer is gone.
    Abandoned(ReplyTo),
    /// Whoever waits for a task here is answered now, without one where there is none.
    EndWait(ReplyTo),
    /// A submission's checks are done.
    Checked {
        /// The step.
        step: StepId,
        /// The lease.
        epoch: Epoch,
        /// What the checks found.
        outcome: Outcome,
    },
    /// A submission's witnesses were heard, or nobody was there to be.
    Witnessed {
        /// The step.
        step: StepId,
        /// The lease.
        epoch: Epoch,
        /// Those that its digest fixes, in its order, and what each said in time. The shell has checked their signatures.
        witnesses: Vec<Witnessing>,
    },
    /// A drawn submission's module was run again, or nobody could run it.
    Redone {
        /// The step.
        step: StepId,
        /// The lease.
        epoch: Epoch,
        /// How many runs had been recorded when this one was asked for ([`crate::redo::Redo::runs`]).
        runs: u8,
        /// The run.
        ran: Ran,
    },
    /// The edge refused a known principal before the request came here (a malformed body, a rate limit).
    RefusedAtEdge {
        /// Who was refused.
        who: Poster,
        /// The stable code.
        code: &'static str,
    },
    /// The shell keeps a proof, durably, that another node lied about its journal.
    FraudProven(FraudProven),
    /// Whether any neighbours are connected: then offers have a window, so that agents of theirs hear of them in time. It is said
    /// again now and then, since the rules forget it when they begin anew.
    Neighbours(bool),
    /// The node is stopping: who waits for a task is answered without one, and nobody waits any more.
    Closing,
    /// Time has passed: whatever is due happens.
    Tick,
}

/// What an agent says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name for people.
    pub name: String,
    /// What it can do.
    pub skills: Vec<Skill>,
    /// Its metadata, a JSON object as sent.
    pub metadata: Json,
    /// How many leases it wants to hold at once, where it says so.
    pub capacity: Option<u32>,
}

/// One step of a run to be posted; needs are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPost {
    /// Its name, once in the run.
    pub name: String,
    /// The names of the steps that must be accepted before it.
    pub needs: Vec<String>,
    /// What is asked.
    pub task: TaskSpec,
}

/// A run to be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPost {
    /// Its name.
    pub name: String,
    /// Its inputs.
    pub inputs: Json,
    /// Higher goes first.
    pub priority: i32,
    /// Its steps.
    pub steps: Vec<StepPost>,
    /// The caller's key for repeats, and the digest of the body as it came.
    pub key: Option<(String, Digest)>,
}

/// A claim for the best task that the agent qualifies for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimNext {
    /// How long to wait for one, in milliseconds.
    pub wait_ms: u32,
}

/// A result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The step.
    pub step: StepId,
    /// The lease under which it was done.
    pub epoch: Epoch,
    /// The output.
    pub output: Json,
    /// Digests of its artifacts, which the shell has seen on disk.
    pub artifacts: Vec<Digest>,
    /// Whether the answer should bring the next task.
    pub next: Option<ClaimNext>,
    /// What came with it from the worker's node, where that is another node.
    pub brought: Option<Brought>,
}

/// What a worker's node has recorded of a result before it sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// The salt of its commitment.
    pub salt: Salt,
    /// Where it is recorded.
    pub at: HandedAt,
    /// What was fetched of its artifacts, each with an id of its own, where all of them are on disk here now.
    pub came: Option<Vec<ArtifactPut>>,
}

/// A run of a drawn submission's module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ran {
    /// Who ran it; none where nobody could.
    pub by: Option<NodeId>,
    /// What it came to; another result by a digest that equal results share, without a salt.
    pub came: Came,
    /// Digest of the engine with all its settings.
    pub profile: Option<Digest>,
}

/// A result for another home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// The output.
    pub output: Json,
    /// Digests of its artifacts, which the shell has seen on disk.
    pub artifacts: Vec<Digest>,
    /// The agent's own signature over its statement, and the statement's moment, where it signed itself.
    pub own: Option<(Wall, Signature)>,
}

/// What was heard of a lease at another home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// It goes on.
    Renewed,
    /// The result was acknowledged.
    Acknowledged {
        /// The index of home's `Submitted` entry.
        submitted: u64,
        /// When home took it in, by home's wall clock.
        at: Wall,
        /// Home's signature over the acknowledgement.
        signature: Signature,
        /// The verdict in the same answer: the index of home's `Verdict` entry, and the judgement.
        verdict: Option<(u64, Judgement)>,
    },
    /// The result was judged.
    Judged {
        /// The index of home's `Verdict` entry.
        verdict: u64,
        /// The judgement.
        judgement: Judgement,
    },
    /// It was given back, or home says of it with this code that it is over. Of a result that was handed in under it that says
    /// nothing: a lease ends when home takes the result in.
    Over(String),
    /// The result was refused with this code. Some end it; with the others it waits on.
    Refused(String),
}

/// Bytes that are on disk under their digest, to be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactPut {
    /// The id that it was announced under, where it was. Ids of artifacts leave the rules' memory, so it is the shell that
    /// makes each once and enters it once; the fold makes nothing of them.
    pub id: Option<ArtifactId>,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub bytes: u64,
    /// How many of them were new on this node's disk.
    pub bytes_new: u64,
    /// Its name.
    pub name: String,
    /// What kind of thing it is.
    pub kind: String,
    /// Its media type.
    pub content_type: String,
    /// The step that it belongs to.
    pub step: Option<StepId>,
    /// The run that it belongs to.
    pub run: Option<RunId>,
    /// The caller's notes.
    pub metadata: Json,
}

/// An act under an agent's own signature: the statement's text and the signature over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The text that was signed.
    pub statement: Vec<u8>,
    /// The agent's signature over exactly these bytes.
    pub signature: Signature,
}

/// What this node's own runs of an accepted result agreed on.
#[derive(Debug, Clone)]
pub struct LateRun {
    /// The step.
    pub step: StepId,
    /// Its run as the index has it, where it has left the rules' memory.
    pub run: Arc<Run>,
    /// What the runs came to, unsalted.
    pub other: Digest,
    /// The engine of both.
    pub profile: Digest,
}

/// What can be asked.
#[derive(Debug, Clone)]
pub enum Request {
    /// A stranger wants to enroll.
    Enroll {
        /// The agent's key.
        agent: AgentId,
        /// What it says of itself.
        profile: Profile,
        /// Whether the node may act in its name.
        delegate: bool,
    },
    /// The answer to a challenge.
    Respond {
        /// The enrollment.
        enrollment: EnrollmentId,
        /// The signature over the challenge's text.
        signature: Signature,
    },
    /// An agent changes what it says of itself.
    Configure(Profile),
    /// An agent wants a new token, by its own signature.
    Rotate(Signed),
    /// An agent ends its token and delegation, by its own signature.
    RevokeOwn(Signed),
    /// The operator lets an agent go.
    RevokeAgent(AgentId),
    /// A run is posted.
    Post(RunPost),
    /// A claim of one task.
    Claim(StepId),
    /// A claim of the best task.
    ClaimNext(ClaimNext),
    /// The holder needs more time.
    Renew {
        /// The step.
        step: StepId,
        /// The lease.
        epoch: Epoch,
    },
    /// The holder gives the lease back.
    Release {
        /// The step.
        step: StepId,
        /// The lease.
        epoch: Epoch,
    },
    /// A result.
    Submit(Submission),
    /// A run, or one step of it, should stop.
    Cancel {
        /// The run.
        run: RunId,
        /// The one step, or all.
        step: Option<StepId>,
    },
    /// An artifact is entered.
    Store(ArtifactPut),
    /// The operator emits an event.
    Emit {
        /// Its name.
        name: String,
        /// Its data.
        data: Json,
        /// The run that it is about.
        run: Option<RunId>,
    },
    /// The operator wants an invitation for other nodes.
    Invite {
        /// For how long it lets nodes in, in milliseconds.
        for_ms: u64,
        /// How many nodes it lets in.
        uses: u32,
    },
    /// The operator takes the invitation of this digest back.
    Uninvite(Digest),
    /// A node wants to be admitted, or the operator admits one by name.
    Admit {
        /// The node.
        node: NodeId,
        /// The secret of the invitation that it has.
        secret: Option<InvitationSecret>,
    },
    /// An agent of the node that asks does something here.
    Visit(Box<Visit>),
    /// The same for a result with artifacts that are all on disk under their digests now.
    Bring {
        /// The visit.
        visit: Box<Visit>,
        /// Those of them that came for it.
        came: Vec<ArtifactPut>,
    },
    /// Artifacts that a result of the asking node's agent names are on their way here: its lease is not to run out meanwhile.
    KeepForResult {
        /// The agent.
        agent: AgentId,
        /// The step.
        step: StepId,
        /// The lease.
        epoch: Epoch,
    },
    /// An agent of this node won a step of another home.
    Undertake(Box<Undertaken>),
    /// An agent of this node hands in a result for another home.
    HandIn(Work),
    /// The node that asks, a home, has said something of a lease that an agent of this node has there.
    Hear {
        /// The lease; its home is who asks.
        lease: Abroad,
        /// What it said.
        word: Word,
    },
    /// The node that asks, a home, wants a step of its own run again here.
    Redo(Redoing),
    /// This node's own runs of an accepted result of its own agreed on another one; the operator had them made.
    Refute(Box<LateRun>),
    /// The operator expels a node.
    Expel {
        /// The node.
        node: NodeId,
        /// Why; everybody can read it.
        reason: String,
    },
}

impl Request {
    /// The artifact id that a `Store` of this moment would get.
    pub(crate) fn artifact_id(now: &Now) -> ArtifactId {
        ArtifactId::new(now.wall, now.entropy[..9].try_into().expect("nine of 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salt_has_nothing_in_common_with_ids() {
        let now = |ids: u8, rest: u8| {
            let mut entropy = [rest; 32];
            entropy[..9].fill(ids);
            Now { mono: Mono(1), wall: Wall(1), entropy }
        };
        assert_eq!(now(1, 3).salt(), now(2, 3).salt(), "what an id shows says nothing of the salt");
        assert_ne!(now(1, 3).salt(), now(1, 4).salt());
        let (secret, other) = (now(1, 3).invitation_secret(), now(2, 3).invitation_secret());
        assert_ne!(secret, other, "all of the entropy is in it");
        assert_ne!(secret.0, now(1, 3).salt().0);
        assert_eq!(Request::artifact_id(&now(1, 3)), Request::artifact_id(&now(1, 4)));
    }
}
