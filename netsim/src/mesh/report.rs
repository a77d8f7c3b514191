//! What a mesh world is run with, and what it tells in the end.

use super::context::MeshCounts;
use super::sabotage::MeshSabotage;
use crate::invariants::Violation;
use crate::trace::{Sink, Telling};
use artel_protocol::id::Digest;

/// How to run a mesh world.
#[derive(Default)]
pub struct MeshPlan {
    /// How many nodes; drawn from the seed where it is not said.
    pub nodes: Option<u64>,
    /// Whether there is a market between the nodes.
    pub market: bool,
    /// A planted bug.
    pub sabotage: Option<MeshSabotage>,
    /// How much is told.
    pub telling: Telling,
    /// Where lines go.
    pub sink: Option<Sink>,
}

/// How a mesh world went.
#[derive(Debug, Clone)]
pub struct MeshReport {
    /// The seed.
    pub seed: u64,
    /// The hash over all events.
    pub hash: Digest,
    /// How many events.
    pub events: u64,
    /// How many nodes.
    pub nodes: usize,
    /// Virtual milliseconds in all, and of those after the last fault.
    pub clock_ms: (u64, u64),
    /// What was counted.
    pub counts: MeshCounts,
    /// Checks that were asked for, and those that were computed.
    pub checks: (u64, u64),
    /// What did not hold.
    pub violation: Option<Violation>,
    /// The last lines, where they are told.
    pub last: Vec<String>,
}
