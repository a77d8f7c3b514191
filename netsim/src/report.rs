//! What a world is run with, and what it tells in the end.

use crate::home::{Counts, Tally};
use crate::invariants::Violation;
use crate::sabotage::Sabotage;
use crate::trace::{Sink, Telling};
use artel_audit::memory::Fault;
use artel_protocol::id::Digest;

/// How to run a world.
#[derive(Default)]
pub struct Plan {
    /// How many nodes; drawn from the seed where it is not said.
    pub nodes: Option<u64>,
    /// A planted bug.
    pub sabotage: Option<Sabotage>,
    /// A small world in which only this goes wrong: a fault at this write or sync of the first home.
    pub only: Option<(Fault, u64)>,
    /// How much is told.
    pub telling: Telling,
    /// Where lines go.
    pub sink: Option<Sink>,
}

/// How a world went.
#[derive(Debug, Clone)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The hash over all events.
    pub hash: Digest,
    /// How many events.
    pub events: u64,
    /// How many homes and agents.
    pub size: (usize, usize),
    /// Virtual milliseconds in all, and of those after the last fault.
    pub clock_ms: (u64, u64),
    /// What happened at the homes, added up.
    pub counts: Counts,
    /// Steps accepted, and ended otherwise.
    pub steps: (u64, u64),
    /// How often each kind of entry, answer and refusal was seen.
    pub tally: Tally,
    /// Writes and syncs of the first home.
    pub points: u64,
    /// What did not hold.
    pub violation: Option<Violation>,
    /// The last lines, where they are told.
    pub last: Vec<String>,
}
