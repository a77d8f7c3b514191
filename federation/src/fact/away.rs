//! Facts about work for other homes: what this node's agents won there, handed in, and heard of it.

use super::{Authority, Judgement};
use crate::commitment::Salt;
use crate::json::Json;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId, Signature};
use artel_protocol::time::Wall;

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
