//! Matching: who may take a step, and who goes first when several would. Pure functions of what they are given; the
//! market (`market.rs`) asks them and decides.
//!
//! The seed's four questions (nervix.md §2): capabilities: the agent's skills meet every requirement; reputation: its
//! level allows the complexity and any level asked for beyond that, and ranking uses the lower confidence bound;
//! availability: it holds fewer leases than it may; requirements: it is not the poster (unless allowed), and has
//! neither lapsed nor been rejected on this step.

use crate::effect::Code;
use crate::fact::{Poster, TaskSpec};
use crate::member::Agent;
use artel_protocol::id::StepId;
use artel_protocol::key::AgentId;
use artel_reputation::{Complexity, Level};
use std::cmp::Reverse;

/// The lowest level that may take a task.
pub fn level_asked(task: &TaskSpec) -> Level {
    let by_complexity = task.complexity.level();
    task.level_min.map_or(by_complexity, |level| level.max(by_complexity))
}

/// Whether an agent with this level that may take this many more leases may take a step; the reason where it may not.
///
/// # Errors
/// The code of the first condition that does not hold.
pub fn qualifies(
    agent: &Agent,
    level: Level,
    free: u32,
    task: &TaskSpec,
    poster: Poster,
    barred: &[AgentId],
) -> Result<(), Code> {
    let skilled = task.skills.iter().all(|wanted| agent.skills.iter().any(|skill| skill.meets(wanted)));
    if agent.revoked.is_some() {
        return Err(Code::AgentRevoked);
    }
    if !skilled || level < level_asked(task) {
        return Err(Code::NotQualified);
    }
    if poster == Poster::Agent(agent.id) && !task.poster_may_claim {
        return Err(Code::NotQualified);
    }
    if barred.contains(&agent.id) {
        return Err(Code::Barred);
    }
    if free == 0 {
        return Err(Code::CapacityFull);
    }
    Ok(())
}

/// Somebody who would take a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub agent: AgentId,
    /// The lower bound of its score, in millionths.
    pub bound: u32,
    /// Whether it has no record yet.
    pub newcomer: bool,
    /// Its place among those who wait; lower came earlier.
    pub since: u64,
}

/// A candidate's rank; the smallest goes first. On a step kept for newcomers they go before everybody; then the
/// higher lower bound, then who has waited longer, then the key, so that there is always one answer.
pub fn rank(candidate: &Candidate, kept_for_newcomers: bool) -> impl Ord + use<> {
    let after_newcomers = kept_for_newcomers && !candidate.newcomer;
    (after_newcomers, Reverse(candidate.bound), candidate.since, candidate.agent)
}

/// Whether a step is of the tenth of simple offers that is kept for newcomers (decision 10). Fixed by the step's id,
/// so that nobody can choose.
pub fn kept_for_newcomers(step: &StepId, complexity: Complexity) -> bool {
    let bytes = step.bytes();
    let draw = u16::from_be_bytes([bytes[13], bytes[14]]) as u32 + u32::from(bytes[15]);
    complexity == Complexity::Simple && draw.is_multiple_of(10)
}
