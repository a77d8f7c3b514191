//! Facts: everything that can change a node's state, with the values decided. A fact is written once and folded for
//! ever, so a kind's number and the form of its version never change; a new form is a new version.
//!
//! One entry's body is `kind u16 ‖ version u16 ‖ len u32 ‖ (at, correlation, payload)` in the one encoding.

use crate::commitment::Salt;
use crate::forms;
use crate::json::Json;
use artel_protocol::amount::Credits;
use artel_protocol::codec::{self, Decode, Encode, Frame};
use artel_protocol::id::{ArtifactId, Digest, Epoch, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId, Signature};
use artel_protocol::log::Hash;
use artel_protocol::log::leaf::Class;
use artel_protocol::skill::Skill;
use artel_protocol::text::Correlation;
use artel_protocol::time::Wall;
use artel_protocol::witness::Contradiction;
use artel_reputation::{Complexity, Level};

/// Who a node lets in beside its founder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Admission {
    /// Whoever asks.
    Open,
    /// Whoever a member invites.
    Invitation,
}

/// The first entry of a founder's journal; the digest of its encoding is the federation's id.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Genesis {
    /// The federation's name.
    pub name: String,
    /// The founding nodes' keys.
    pub founders: Vec<NodeId>,
    /// How others come in.
    pub admission: Admission,
    /// SHA-256 of the recovery key that may move this node to a new key (decision 6).
    pub recovery: Digest,
    /// When it was founded, by the founder's wall clock.
    pub created: Wall,
}

/// The first entry of a journal whose node did not found its federation: it carries the genesis record whole, so that the
/// journal alone says which federation it is of.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Joined {
    /// The record of the federation that it joined.
    pub genesis: Genesis,
    /// SHA-256 of the recovery key that may move this node to a new key (decision 6).
    pub recovery: Digest,
}

/// On what a node was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum AdmittedBy {
    /// The federation is open: whoever asks a founder.
    Open,
    /// An invitation of this node; the digest of its secret.
    Invitation(Digest),
    /// The operator, by name; the one way back for a node that was expelled.
    Operator,
}

/// A node became a member. Public: it is what the member shows to others.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Admitted {
    /// The node.
    pub node: NodeId,
    /// On what.
    pub by: AdmittedBy,
}

/// A node is a member no more, as far as this node has a say.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Expelled {
    /// The node.
    pub node: NodeId,
    /// Why, in a sentence that everybody can read.
    pub reason: String,
}

/// The operator gave out an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Invited {
    /// SHA-256 of its secret, which is in no journal.
    pub invitation: Digest,
    /// Until when it lets nodes in, by this node's wall clock.
    pub until: Wall,
    /// How many nodes it lets in.
    pub uses: u32,
}

/// The operator took an invitation back. Whom it let in stays.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct InvitationEnded {
    /// SHA-256 of its secret.
    pub invitation: Digest,
}

/// A node's process has folded its journal and begins to take requests.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Started {
    /// Counts this node's starts from 1.
    pub boot: u64,
    /// The software's version.
    pub version: String,
    /// Digest of the effective configuration.
    pub configuration: Digest,
}

/// What an agent lets its node do in its name (decision 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Delegation {
    /// Until when the node may claim, renew and submit for the agent.
    pub until: Wall,
}

/// An agent answered its challenge; it is enrolled, or enrolled anew under the same key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Enrolled {
    /// The agent.
    pub agent: AgentId,
    /// Its name for people.
    pub name: String,
    /// Its skills, sorted, each once.
    pub skills: Vec<Skill>,
    /// Its metadata, a JSON object as sent.
    pub metadata: Json,
    /// How many leases it may hold at once.
    pub capacity: u32,
    /// What it delegated, if anything.
    pub delegation: Option<Delegation>,
    /// Its token's serial number; a token with a lower one is revoked.
    pub serial: u32,
    /// When the token expires.
    pub expires: Wall,
    /// The challenge that it signed, so that the journal alone shows whose will it was.
    pub challenge: String,
    /// The agent's signature over the challenge's bytes.
    pub signature: Signature,
}

/// An agent of another node is known here from now on, or with other words: it may claim as its node says, on what it
/// signed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Introduced {
    /// The agent.
    pub agent: AgentId,
    /// The node that speaks for it.
    pub node: NodeId,
    /// Its name for people.
    pub name: String,
    /// Its skills, sorted, each once.
    pub skills: Vec<Skill>,
    /// What it delegated to that node, if anything.
    pub delegation: Option<Delegation>,
    /// What identifies that delegation.
    pub warrant: Option<Digest>,
    /// The text that it signed: the challenge of its enrollment there, or the statement of its act here.
    pub will: String,
    /// The agent's signature over the text's bytes.
    pub signature: Signature,
}

/// An agent of another node that has never won anything is not known here any more: another one needed the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Forgotten {
    /// The agent.
    pub agent: AgentId,
}

/// An agent changed what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Configured {
    /// The agent.
    pub agent: AgentId,
    /// Its name for people.
    pub name: String,
    /// Its skills, sorted, each once.
    pub skills: Vec<Skill>,
    /// Its metadata, a JSON object as sent.
    pub metadata: Json,
    /// How many leases it may hold at once.
    pub capacity: u32,
}

/// An agent got a new token; the ones before it are revoked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Rotated {
    /// The agent.
    pub agent: AgentId,
    /// The new token's serial number.
    pub serial: u32,
    /// When the new token expires.
    pub expires: Wall,
    /// The agent's signature over its statement (`member::statement_text` with the serial before this one).
    pub signature: Signature,
}

/// Who let an agent go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Revoker {
    /// The agent itself: its token and delegation end, it may enroll again.
    Agent,
    /// The operator: it may not come back.
    Operator,
}

/// An agent's token and delegation ended.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Revoked {
    /// The agent.
    pub agent: AgentId,
    /// By whom.
    pub by: Revoker,
    /// The first serial number that is not revoked.
    pub serial: u32,
    /// The agent's signature over its statement (with the serial before this one), where it was the agent's will.
    pub signature: Option<Signature>,
}

/// Who posted a run and pays for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Poster {
    /// The node's operator.
    Operator,
    /// An enrolled agent.
    Agent(AgentId),
}

/// How a step is to be run where no agent does it in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum RunnerSpec {
    /// A WebAssembly command in a node's sandbox.
    Wasm {
        /// Digest of the module, an artifact of home.
        module: Digest,
    },
}

impl RunnerSpec {
    /// The program that is run.
    pub fn module(&self) -> Digest {
        match self {
            RunnerSpec::Wasm { module } => *module,
        }
    }
}

/// What is asked of whoever takes a step.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TaskSpec {
    /// A line for people.
    pub title: String,
    /// What is to be done, for people and models.
    pub description: String,
    /// Skills that the agent must have, sorted, each once.
    pub skills: Vec<Skill>,
    /// The level asked for beyond what the complexity asks.
    pub level_min: Option<Level>,
    /// How hard it is, which decides who may take it.
    pub complexity: Complexity,
    /// The base reward.
    pub reward: Credits,
    /// When it should be done.
    pub deadline: Wall,
    /// The step's own input.
    pub input: Json,
    /// JSON Schema that the output must meet.
    pub output_schema: Option<Json>,
    /// Whether the poster itself may take it.
    pub poster_may_claim: bool,
    /// How it is to be run; none where the agent does it in its own way. Not in version 1 (`forms.rs`).
    pub runner: Option<RunnerSpec>,
}

/// One vertex of a run.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StepSpec {
    /// Its name, once in the run.
    pub name: String,
    /// The steps that must be accepted before it, by number.
    pub needs: Vec<u8>,
    /// What is asked.
    pub task: TaskSpec,
}

/// A post that may be repeated without effect (Idempotency-Key).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PostKey {
    /// Digest of the key that the caller chose.
    pub key: Digest,
    /// Digest of the request's body.
    pub body: Digest,
}

/// A run was posted. Its steps follow as offers when they are ready.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RunPosted {
    /// The run.
    pub run: RunId,
    /// Who pays.
    pub poster: Poster,
    /// Its name.
    pub name: String,
    /// Its inputs, a JSON object as sent.
    pub inputs: Json,
    /// Higher goes first.
    pub priority: i32,
    /// Its steps, in an order in which needs come first or not; the graph has no cycle.
    pub steps: Vec<StepSpec>,
    /// The caller's key for repeats.
    pub post_key: Option<PostKey>,
    /// How many rejected submissions fail a step.
    pub attempts_max: u8,
    /// How many lapses fail a step.
    pub lapses_max: u8,
    /// What the salts of its steps' terms are made of (`commitment.rs`).
    pub salt: Salt,
}

/// A step is open to claims. Public: it is what home can be held to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Offered {
    /// The step.
    pub step: StepId,
    /// The epoch that its next lease will have.
    pub epoch: Epoch,
    /// Skills asked for.
    pub skills: Vec<Skill>,
    /// How hard it is.
    pub complexity: Complexity,
    /// The level asked for beyond that.
    pub level_min: Option<Level>,
    /// The base reward.
    pub reward: Credits,
    /// When it should be done.
    pub deadline: Wall,
    /// The salted commitment to the whole task as posted, private parts too (`commitment::terms`).
    pub terms: Digest,
    /// For how long only the best candidates, or newcomers, may claim where nobody waits for it, in milliseconds.
    pub window_ms: u32,
    /// How many candidates those are.
    pub top: u8,
    /// Within which time after a submission home gives its verdict, in milliseconds.
    pub verdict_within_ms: u32,
}

/// On whose authority an agent's act stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Authority {
    /// The agent's token at this node, without a delegation.
    Session,
    /// The node, in the agent's name, under a delegation.
    Delegated,
    /// The agent's own signature over the act.
    Own,
}

/// An agent won a step.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Granted {
    /// The step.
    pub step: StepId,
    /// The lease's fencing token.
    pub epoch: Epoch,
    /// The winner.
    pub agent: AgentId,
    /// Its level then, which fixes the multiplier of its reward.
    pub level: Level,
    /// The lower bound of its score then, in millionths.
    pub bound: u32,
    /// The lease's term in milliseconds of home's monotonic clock.
    pub lease_ms: u32,
    /// On whose authority it claimed.
    pub authority: Authority,
}

/// A lease ended without a submission.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LeaseEnded {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Who held it.
    pub agent: AgentId,
}

/// A result came in under a live lease.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Submitted {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Who submitted.
    pub agent: AgentId,
    /// The salted commitment to the output and its artifacts (`commitment::Opening::result`): whoever records this
    /// submission, home or the worker's node, names the same.
    pub result: Digest,
    /// On whose authority.
    pub authority: Authority,
    /// Whether the deadline had passed by home's wall clock.
    pub late: bool,
    /// Where the worker's node recorded it, where that is another node. Not in version 1 (`forms.rs`).
    pub handed_at: Option<HandedAt>,
}

/// Where a worker's node recorded that it handed a result in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct HandedAt {
    /// The node.
    pub node: NodeId,
    /// The incarnation of its journal.
    pub incarnation: u32,
    /// The index of its `HandedIn` entry.
    pub index: u64,
}

/// One lease of another home: whose, of which step, under which epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Abroad {
    /// The home.
    pub home: NodeId,
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
}

/// An agent of this node won a step of another home.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Undertaken {
    /// The lease.
    pub lease: Abroad,
    /// The agent.
    pub agent: AgentId,
    /// On whose authority it claimed.
    pub authority: Authority,
    /// The index of home's `Granted` entry in its journal.
    pub granted: u64,
    /// The lease's term in milliseconds.
    pub lease_ms: u32,
    /// Within which time after a submission home promises a verdict, in milliseconds.
    pub verdict_within_ms: u32,
}

/// The private part of a result for another home, right before the public one, whose commitment it opens.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Outgoing {
    /// The lease.
    pub lease: Abroad,
    /// The commitment's salt, of this result alone.
    pub salt: Salt,
    /// The output.
    pub output: Json,
    /// Digests of its artifacts.
    pub artifacts: Vec<Digest>,
    /// The agent's own signature over its statement, and the statement's moment, where it signed itself.
    pub own: Option<(Wall, Signature)>,
}

/// An agent of this node handed in a result for another home; with home's `Submitted`, which names this entry, and its
/// verdict it makes the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HandedIn {
    /// The lease.
    pub lease: Abroad,
    /// Who.
    pub agent: AgentId,
    /// The salted commitment to the output and its artifacts; home's `Submitted` names the same.
    pub result: Digest,
    /// On whose authority.
    pub authority: Authority,
}

/// Home acknowledged a result.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Acknowledged {
    /// The lease.
    pub lease: Abroad,
    /// The index of home's `Submitted` entry in its journal.
    pub submitted: u64,
    /// When home took it in, by home's wall clock.
    pub at: Wall,
    /// Home's signature over the acknowledgement.
    pub signature: Signature,
}

/// Home's verdict on a result of an agent of this node was heard.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Concluded {
    /// The lease.
    pub lease: Abroad,
    /// The index of home's `Verdict` entry in its journal.
    pub verdict: u64,
    /// The judgement.
    pub judgement: Judgement,
}

/// A lease of another home is over for this node without a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LetGo {
    /// The lease.
    pub lease: Abroad,
    /// Why: `released`, `lapsed`, `unheard`, or the code of home's refusal.
    pub code: String,
}

/// Home has given no verdict within the time that it promised. Public: a home can be held to it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Unanswered {
    /// The lease.
    pub lease: Abroad,
    /// The agent.
    pub agent: AgentId,
    /// The index of the `HandedIn` entry in this journal.
    pub handed_in: u64,
    /// The index of home's `Submitted` entry in its journal, where home acknowledged the result.
    pub submitted: Option<u64>,
}

/// The private part of a submission, right before the public one, whose commitment it opens.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Output {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// The commitment's salt, of this submission alone.
    pub salt: Salt,
    /// The output.
    pub output: Json,
    /// Digests of its artifacts.
    pub artifacts: Vec<Digest>,
}

/// What the checks of a submission found, in full. What strangers see of it is the [`Judgement`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Outcome {
    /// Taken, with a quality of 0 to 100, and whether checkers gave it (layer 1 of the score).
    Accepted {
        /// 0 to 100.
        quality: u8,
        /// Whether a checker gave it.
        checked: bool,
    },
    /// Not taken.
    Rejected {
        /// The check that failed.
        check: String,
        /// What it found.
        findings: String,
    },
}

/// How a submission was judged, as strangers see it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Judgement {
    /// Taken, with a quality of 0 to 100, and whether checkers gave it (layer 1 of the score).
    Accepted {
        /// 0 to 100.
        quality: u8,
        /// Whether a checker gave it.
        checked: bool,
    },
    /// Not taken. What the check found is private, for it quotes the output: it is the [`Findings`] right before this
    /// verdict, and that entry's leaf is the commitment to it.
    Rejected {
        /// The check that failed.
        check: String,
    },
}

/// What a failed check found: the private part of a rejection, right before its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Findings {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// What was found.
    pub findings: String,
}

/// Home's judgement of a submission; with `Submitted` it makes the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Verdict {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Who submitted.
    pub agent: AgentId,
    /// The journal index of the `Submitted` entry that this judges.
    pub submitted: u64,
    /// The judgement.
    pub judgement: Judgement,
}

/// What a witness said of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Cosigned {
    /// The size of the checkpoint.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// When, in seconds since 1970 by the witness's clock.
    pub at_s: u64,
    /// The witness's signature over the time and the checkpoint (C2SP tlog-cosignature).
    pub signature: Signature,
}

/// A witness that was asked to draw, and the first that it cosigned behind the submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Witnessing {
    /// The node.
    pub node: NodeId,
    /// What it said; nothing where it said nothing in time.
    pub cosigned: Option<Cosigned>,
}

/// The lot of a submission that a module made fell: whether it is run again before the verdict (`redo::lot`). Public: whoever has the
/// records of home can check that home did not choose.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Lot {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Who submitted.
    pub agent: AgentId,
    /// The journal index of the `Submitted` entry.
    pub submitted: u64,
    /// Of a thousand submissions with its record how many are drawn.
    pub rate: u32,
    /// The witnesses that the submission fixed, in its order; none where there was none to ask.
    pub witnesses: Vec<Witnessing>,
    /// What they drew, or where none has cosigned, home. It orders those who may run the module again.
    pub lot: Digest,
    /// Whether that draws the submission.
    pub drawn: bool,
}

/// A submission was drawn, by home's own entropy: its module is run again before the verdict. Older homes wrote it; [`Lot`] has taken
/// its place.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Drawn {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Who submitted.
    pub agent: AgentId,
    /// Of a thousand submissions with its record how many are drawn.
    pub rate: u32,
    /// What drew it, and orders those who may run it again (`redo`).
    pub lot: Digest,
}

/// What a run of a drawn submission's module came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Came {
    /// To the same result.
    Same,
    /// To another one: the salted commitment to it, by which two runs that agree show.
    Other(Digest),
    /// To none: a limit of the machine ended it, or nobody could run it. It says nothing of the worker.
    Inconclusive,
}

/// A drawn submission's module was run again, or nobody could run it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Redone {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Who submitted.
    pub agent: AgentId,
    /// Who ran it, by what that node says; none where nobody could.
    pub by: Option<NodeId>,
    /// What the run came to.
    pub came: Came,
    /// Digest of the engine that ran it, with all its settings.
    pub profile: Option<Digest>,
}

/// This node is about to run a step of another home again, which asked it to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Redoing {
    /// The step and the lease, at the home that asks.
    pub lease: Abroad,
    /// The module.
    pub module: Digest,
}

/// An account of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Account {
    /// The operator's, which issues credit: its debt is the credit in circulation.
    Operator,
    /// What the node owes to an agent: its IOUs.
    Agent(AgentId),
    /// What is set aside for a step.
    Escrow(StepId),
    /// Whoever posted the step; its private post says who. An alias for public entries: no balance stands under it.
    Poster(StepId),
}

/// Why money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Cause {
    /// A poster set a step's reward aside.
    Escrow,
    /// An accepted result was paid; the rest went back.
    Payment,
    /// A step ended unpaid and its escrow went back.
    Refund,
}

/// One line of a ledger entry: units that the account gains (or loses).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Leg {
    /// Whose.
    pub account: Account,
    /// How much, in units.
    pub units: i64,
}

/// Money moved: a ledger entry, whose legs sum to zero. A payment is the agent's IOU.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Transfer {
    /// Why.
    pub cause: Cause,
    /// For which step.
    pub step: StepId,
    /// What moved.
    pub legs: Vec<Leg>,
}

/// How a step ended without an accepted result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum End {
    /// Too many submissions were rejected.
    AttemptsSpent,
    /// Too many leases lapsed.
    LapsesSpent,
    /// Nobody had taken it by its deadline.
    DeadlinePassed,
    /// A step that it needs did not succeed.
    NeedFailed,
    /// It was cancelled.
    Cancelled,
    /// Too many leases were given back.
    ReleasesSpent,
}

/// A step ended without an accepted result.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StepEnded {
    /// The step.
    pub step: StepId,
    /// How.
    pub end: End,
}

/// Somebody asked that a run, or one step of it, stops.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CancelAsked {
    /// The run.
    pub run: RunId,
    /// The one step, or all.
    pub step: Option<StepId>,
    /// By whom.
    pub by: Poster,
}

/// Every step of a run of several has come to an end. (A lone task's end is its own event.)
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RunEnded {
    /// The run.
    pub run: RunId,
    /// How it stands for good.
    pub status: crate::run::RunStatus,
}

/// Bytes were stored under their digest.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ArtifactStored {
    /// The artifact's entry.
    pub artifact: ArtifactId,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub bytes: u64,
    /// How many of them were new on this node's disk.
    pub bytes_new: u64,
    /// Its name.
    pub name: String,
    /// What kind of thing it is, in the caller's words.
    pub kind: String,
    /// Its media type.
    pub content_type: String,
    /// Who stored it.
    pub by: Poster,
    /// The step that it belongs to.
    pub step: Option<StepId>,
    /// The run that it belongs to.
    pub run: Option<RunId>,
    /// The caller's notes, a JSON object.
    pub metadata: Json,
}

/// An event that the operator emitted; it changes nothing but the record.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Emitted {
    /// Its name.
    pub name: String,
    /// By whom.
    pub by: Poster,
    /// Its data, as sent.
    pub data: Json,
    /// The run that it is about.
    pub run: Option<RunId>,
}

/// What one principal was refused in one minute, added up.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Refused {
    /// Who.
    pub who: Poster,
    /// The stable code.
    pub code: String,
    /// How often.
    pub count: u32,
}

/// How a node lied about its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Lie {
    /// It signed two roots of one size.
    TwoRoots,
    /// It signed two leaves of one entry.
    TwoLeaves,
    /// It signed a later checkpoint that continues another root of an earlier size than it signed.
    Rewritten,
}

impl From<&Contradiction> for Lie {
    fn from(contradiction: &Contradiction) -> Self {
        match contradiction {
            Contradiction::TwoRoots { .. } => Lie::TwoRoots,
            Contradiction::TwoLeaves { .. } => Lie::TwoLeaves,
            Contradiction::Rewritten { .. } => Lie::Rewritten,
        }
    }
}

/// An alarm: this node holds a proof that another one signed two histories of its journal, and deals with it no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct FraudProven {
    /// The node that lied.
    pub node: NodeId,
    /// How.
    pub lie: Lie,
    /// SHA-256 of the proof's frame.
    pub proof: Digest,
}

macro_rules! facts {
    ($($number:literal $version:literal $class:ident $name:ident($payload:ty) $doc:literal,)*) => {
        /// Everything that can change this node's state.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Fact { $(#[doc = $doc] $name($payload),)* }

        /// What kind of fact it is; its number stands in every entry and is never given to another.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $(#[doc = $doc] $name,)* }

        impl Kind {
            /// All kinds, by number.
            pub const ALL: &[Kind] = &[$(Kind::$name),*];
            /// The number in the entry.
            pub fn number(self) -> u16 { match self { $(Kind::$name => $number),* } }
            /// The newest version of its form, and the one that is written where an older one cannot say it all.
            pub fn version(self) -> u16 { match self { $(Kind::$name => $version),* } }
            /// The kind's name in lists and filters.
            pub fn name(self) -> &'static str { match self { $(Kind::$name => stringify!($name)),* } }
            /// The kind of a number, if it is one of ours.
            pub fn of(number: u16) -> Option<Kind> { match number { $($number => Some(Kind::$name),)* _ => None } }
        }

        impl Fact {
            /// Its kind.
            pub fn kind(&self) -> Kind { match self { $(Fact::$name(_) => Kind::$name),* } }
            /// Whether its body is shown to strangers.
            pub fn class(&self) -> Class { match self { $(Fact::$name(f) => class_of::$class(f)),* } }
        }

        fn encode_body(entry: &Entry, out: &mut Vec<u8>) {
            match &entry.fact { $(Fact::$name(f) => Frame::append($number, $version, &(entry.at, &entry.correlation, f), out)),* }
        }

        fn decode_body(number: u16, payload: &[u8]) -> Result<Entry, Error> {
            match number {
                $($number => {
                    let (at, correlation, f): (Wall, Option<Correlation>, $payload) = codec::decode_own(payload)?;
                    Ok(Entry { at, correlation, fact: Fact::$name(f) })
                })*
                _ => Err(Error::UnknownKind(number)),
            }
        }
    };
}

/// Which facts are shown to strangers: the market's legal steps and what was paid, never who asked for what.
mod class_of {
    use super::{Cause, Class, Transfer};
    pub fn public<T>(_: &T) -> Class {
        Class::Public
    }
    pub fn private<T>(_: &T) -> Class {
        Class::Private
    }
    pub fn transfer(transfer: &Transfer) -> Class {
        if transfer.cause == Cause::Payment { Class::Public } else { Class::Private }
    }
}

facts! {
    1 1 public Genesis(Genesis) "The federation was founded.",
    2 1 public Started(Started) "The node began to take requests.",
    3 1 public Joined(Joined) "The node joined a federation that others founded.",
    4 1 public Admitted(Admitted) "A node became a member.",
    5 1 public Expelled(Expelled) "A node is a member no more.",
    6 1 private Invited(Invited) "The operator gave out an invitation.",
    7 1 private InvitationEnded(InvitationEnded) "The operator took an invitation back.",
    16 1 private Enrolled(Enrolled) "An agent answered its challenge.",
    17 1 private Configured(Configured) "An agent changed what it says of itself.",
    18 1 private Rotated(Rotated) "An agent got a new token.",
    19 1 private Revoked(Revoked) "An agent's token and delegation ended.",
    20 1 private Introduced(Introduced) "An agent of another node is known here.",
    21 1 private Forgotten(Forgotten) "An agent of another node is not known here any more.",
    32 2 private RunPosted(RunPosted) "A run was posted.",
    33 1 private CancelAsked(CancelAsked) "Somebody asked that a run or step stops.",
    34 1 private RunEnded(RunEnded) "Every step of a run has come to an end.",
    40 1 public FraudProven(FraudProven) "There is proof that a node lied about its journal.",
    48 1 public Offered(Offered) "A step is open to claims.",
    49 1 public Granted(Granted) "An agent won a step.",
    50 1 public Released(LeaseEnded) "An agent gave its lease back.",
    51 1 public Lapsed(LeaseEnded) "A lease ran out.",
    52 2 public Submitted(Submitted) "A result came in under a live lease.",
    53 1 private Output(Output) "The private part of a submission.",
    54 1 public Verdict(Verdict) "Home judged a submission.",
    55 1 public StepEnded(StepEnded) "A step ended without an accepted result.",
    56 1 private Findings(Findings) "What a failed check found.",
    57 1 public Redone(Redone) "A drawn submission was run again.",
    58 1 public Drawn(Drawn) "A submission is run again before the verdict: what older homes wrote.",
    59 1 public Unsettled(Redone) "A run of a drawn submission settled nothing, and a further one is asked for.",
    60 1 public Lot(Lot) "The lot of a submission fell, which says whether it is run again.",
    64 1 transfer Transfer(Transfer) "Money moved.",
    80 1 private ArtifactStored(ArtifactStored) "Bytes were stored under their digest.",
    96 1 private Emitted(Emitted) "The operator emitted an event.",
    97 1 private Refused(Refused) "What one principal was refused in one minute.",
    112 1 private Undertaken(Undertaken) "An agent of this node won a step of another home.",
    113 1 private Outgoing(Outgoing) "The private part of a result for another home.",
    114 1 public HandedIn(HandedIn) "An agent of this node handed in a result for another home.",
    115 1 private Acknowledged(Acknowledged) "Another home acknowledged a result.",
    116 1 private Concluded(Concluded) "Another home's verdict was heard.",
    117 1 private LetGo(LetGo) "A lease of another home is over without a verdict.",
    118 1 public Unanswered(Unanswered) "Another home has given no verdict in time.",
    119 1 private Redoing(Redoing) "This node runs a step of another home again.",
}

/// One fact with when and why it came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// By home's wall clock.
    pub at: Wall,
    /// The request that caused it; never in a public entry, for the caller chose it.
    pub correlation: Option<Correlation>,
    /// What became true.
    pub fact: Fact,
}

/// Why an entry's body cannot be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not a value of their kind.
    #[error(transparent)]
    Codec(#[from] codec::Error),
    /// A newer program wrote it.
    #[error("entry of unknown kind {0}: a newer version of the program wrote it")]
    UnknownKind(u16),
    /// A newer program wrote it.
    #[error("entry of kind {0} in unknown version {1}: a newer version of the program wrote it")]
    UnknownVersion(u16, u16),
}

impl Entry {
    /// The entry's body as the journal holds it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match &self.fact {
            Fact::RunPosted(posted) if forms::is_first(posted) => {
                let fields = (self.at, &self.correlation, forms::FirstRunPosted(posted));
                Frame::append(Kind::RunPosted.number(), 1, &fields, &mut out);
            }
            Fact::Submitted(submitted) if submitted.handed_at.is_none() => {
                let fields = (self.at, &self.correlation, forms::FirstSubmitted(submitted));
                Frame::append(Kind::Submitted.number(), 1, &fields, &mut out);
            }
            _ => encode_body(self, &mut out),
        }
        out
    }

    /// Reads a body back.
    ///
    /// # Errors
    /// [`Error`] when the bytes are not one of our facts.
    pub fn decode(body: &[u8]) -> Result<Entry, Error> {
        let frame = Frame::parse(body)?;
        let kind = Kind::of(frame.kind).ok_or(Error::UnknownKind(frame.kind))?;
        match (kind, frame.version) {
            (Kind::RunPosted, 1) => return forms::decode_first_run_posted(frame.payload),
            (Kind::Submitted, 1) => return forms::decode_first_submitted(frame.payload),
            _ => {}
        }
        if frame.version != kind.version() {
            return Err(Error::UnknownVersion(frame.kind, frame.version));
        }
        let entry = decode_body(frame.kind, frame.payload)?;
        match &entry.fact {
            Fact::RunPosted(posted) if forms::is_first(posted) => {
                Err(codec::Error::Malformed("a run without a runner is of version 1".into()).into())
            }
            Fact::Submitted(submitted) if submitted.handed_at.is_none() => {
                Err(codec::Error::Malformed("a submission at home alone is of version 1".into()).into())
            }
            _ => Ok(entry),
        }
    }
}
