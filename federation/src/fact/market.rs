//! Facts of the market at home: from an offer to its verdict.

use crate::commitment::Salt;
use crate::json::Json;
use artel_protocol::amount::Credits;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use artel_reputation::{Complexity, Level};

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
