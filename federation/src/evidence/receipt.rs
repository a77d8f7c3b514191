//! What records amount to: receipts, lapses, and what is none of them and why.

use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::Origin;
use artel_protocol::time::Wall;
use artel_reputation::{Evidence, Fact, Outcome, Quality};

/// A receipt: home's submission and verdict, and where another node handed the result in, that node's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// Home's journal.
    pub home: Origin,
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Who worked.
    pub agent: AgentId,
    /// The index of home's `Submitted`.
    pub submitted: u64,
    /// The index of home's `Verdict`.
    pub verdict: u64,
    /// The journal of the worker's node and the index of its `HandedIn`; nothing where home itself enrolled the agent.
    pub handed_in: Option<(Origin, u64)>,
    /// When the verdict was given, by home's wall clock.
    pub at: Wall,
    /// How it ended.
    pub outcome: Outcome,
    /// What checkers gave, where there were any.
    pub quality: Option<Quality>,
}

/// A lease that ran out. Home says so alone, so it counts for home alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Lapse {
    /// Home's journal.
    pub home: Origin,
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Who held it.
    pub agent: AgentId,
    /// The index of home's `Lapsed`.
    pub index: u64,
    /// When, by home's wall clock.
    pub at: Wall,
}

/// What a record brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Learnt {
    /// The last record of a receipt came.
    Receipt(Receipt),
    /// A receipt that was there counts no more: home has found its result to be another.
    Refuted(Receipt),
    /// A lapse.
    Lapse(Lapse),
    /// No receipt, now or ever.
    LeftOut {
        /// Home's journal.
        home: Origin,
        /// The step.
        step: StepId,
        /// The lease.
        epoch: Epoch,
        /// The agent.
        agent: AgentId,
        /// Why.
        why: LeftOut,
    },
}

/// Why records of a result are no receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum LeftOut {
    /// Home has entered a submission for this step and epoch before.
    Twice,
    /// The verdict names no submission of this step, epoch and agent that waits for one.
    NoSubmission,
    /// Home says that it handed the result in to itself.
    ToItself,
    /// At the place that home names, the worker's node has entered nothing of this kind.
    NotHandedIn,
    /// What the worker's node entered there is of another lease, agent or result.
    OtherHandedIn,
    /// Too many of this home's wait for records of other nodes.
    TooMany,
}

impl Receipt {
    /// Whether the result was taken.
    pub fn is_accepted(&self) -> bool {
        matches!(self.outcome, Outcome::OnTime | Outcome::Late)
    }

    /// The worker's node, where it is another than home.
    pub fn worker(&self) -> Option<NodeId> {
        self.handed_in.map(|(origin, _)| origin.node())
    }
}

impl Learnt {
    /// The evidence, where it is any: whose, of which home, and what it says.
    pub fn evidence(&self) -> Option<(AgentId, NodeId, Evidence)> {
        match self {
            Learnt::Receipt(r) => {
                let fact = Fact::Receipt { outcome: r.outcome, quality: r.quality };
                Some((r.agent, r.home.node(), Evidence { at: r.at, fact }))
            }
            Learnt::Lapse(l) => {
                let fact = Fact::Receipt { outcome: Outcome::Lapsed, quality: None };
                Some((l.agent, l.home.node(), Evidence { at: l.at, fact }))
            }
            Learnt::Refuted(_) | Learnt::LeftOut { .. } => None,
        }
    }
}

impl LeftOut {
    /// A sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            LeftOut::Twice => "home has entered a submission for this step and epoch before",
            LeftOut::NoSubmission => "the verdict names no submission that waits for one",
            LeftOut::ToItself => "home names itself as the worker's node",
            LeftOut::NotHandedIn => "the worker's node has no record where home says that it has one",
            LeftOut::OtherHandedIn => "what the worker's node recorded there is of another result",
            LeftOut::TooMany => "too many results of this home wait for records of other nodes",
        }
    }
}
