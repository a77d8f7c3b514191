//! Facts of the ledger: money that moved.

use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::AgentId;

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

/// Money that was paid for a result went back, since the result was refuted: it stands right behind the `Refuted` that says how much.
/// Its legs sum to zero; it is private, for it says who posted.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Recalled {
    /// For which step.
    pub step: StepId,
    /// Of which lease.
    pub epoch: Epoch,
    /// What moved: from the agent to whoever posted.
    pub legs: Vec<Leg>,
}
