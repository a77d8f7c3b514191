//! Runs as graphs of steps: what a run and a step are, which steps are ready, when a run is over.

use crate::commitment::{Opening, Salt};
use crate::effect::{Code, Refusal};
use crate::fact::{Authority, End, Outcome, PostKey, Poster, StepSpec};
use crate::input::StepPost;
use crate::json::Json;
use crate::options::{
    FINDINGS_BYTES_MAX, HANDED_FIXED_BYTES, RECENT_BYTES, REDO_BYTES, RUN_FIXED_BYTES, STEP_FIXED_BYTES,
};
use crate::redo::Redo;
use artel_protocol::amount::Credits;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{Digest, Epoch, RUN_STEPS_MAX, RunId, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::limits::NAME_BYTES_MAX;
use artel_protocol::skill::Skill;
use artel_protocol::text::Correlation;
use artel_protocol::time::Wall;
use artel_reputation::Level;
use std::collections::{BTreeMap, BTreeSet};

/// Where a step is in its life (ARCHITECTURE, "The life of a step"; a step that lapsed, was released or rejected is offered anew in the same
/// frame, or has ended, so those are never states at rest).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum StepState {
    /// For the steps that it needs.
    Waiting,
    /// Open to claims.
    Offered,
    /// Won by an agent.
    Leased {
        /// The winner.
        agent: AgentId,
        /// Its level at the grant, which fixes its multiplier.
        level: Level,
        /// On whose authority it claimed.
        authority: Authority,
        /// The lease's term in milliseconds.
        lease_ms: u32,
    },
    /// Handed in and being checked; the step's last submission says what.
    Submitted {
        /// Who handed it in.
        agent: AgentId,
        /// Its level at the grant.
        level: Level,
    },
    /// Done, for good.
    Accepted {
        /// Who did it.
        agent: AgentId,
    },
    /// Over without a result, for good.
    Ended(End),
}

impl StepState {
    /// Whether the state absorbs.
    pub fn is_terminal(&self) -> bool {
        matches!(self, StepState::Accepted { .. } | StepState::Ended(_))
    }
}

/// One submission of a step.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Handed {
    /// The lease.
    pub epoch: Epoch,
    /// Who.
    pub agent: AgentId,
    /// The commitment to what was handed in, as the public entry names it.
    pub result: Digest,
    /// What opens it.
    pub opening: Opening,
    /// On whose authority.
    pub authority: Authority,
    /// The journal index of the `Submitted` entry.
    pub index: u64,
    /// When.
    pub at: Wall,
    /// Whether the deadline had passed.
    pub late: bool,
    /// What a failed check found, and the journal index of the entry that says so; until the verdict behind it.
    pub findings: Option<(u64, String)>,
    /// The verdict's journal index and judgement, once there is one.
    pub verdict: Option<(u64, Outcome)>,
}

/// One vertex of a run.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Step {
    /// What was posted.
    pub spec: StepSpec,
    /// Where it is.
    pub state: StepState,
    /// The epoch of its last lease; 0 before the first.
    pub epoch: Epoch,
    /// Rejected submissions.
    pub attempts: u8,
    /// Lapsed leases.
    pub lapses: u8,
    /// Released leases.
    pub releases: u8,
    /// Agents that may not retake it.
    pub barred: Vec<AgentId>,
    /// Agents that gave it back unused.
    pub spared: Vec<AgentId>,
    /// Whether it alone was asked to stop.
    pub cancelled: bool,
    /// What is set aside for it.
    pub escrow: Credits,
    /// What was paid.
    pub paid: Credits,
    /// The private half of a submission, until the public one behind it.
    pub handing: Option<(Epoch, Opening)>,
    /// SHA-256 of the open submission's `Submitted` entry, where a module made it and its lot has not fallen.
    pub undrawn: Option<Digest>,
    /// How the redo of the open submission stands, where it was drawn and no run has settled it.
    pub redo: Option<Redo>,
    /// All submissions.
    pub handed: Vec<Handed>,
    /// The accepted output, or the one being checked; large ones leave memory when the run is over.
    pub output: Option<Json>,
    /// The journal index of the entry that holds the output.
    pub output_at: Option<u64>,
    /// The journal index of the last grant.
    pub granted_at: Option<u64>,
    /// When it was first leased.
    pub started: Option<Wall>,
    /// When it came to an end.
    pub completed: Option<Wall>,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum RunStatus {
    /// Nothing has begun.
    Created,
    /// Some step has begun.
    Running,
    /// Every step was accepted.
    Completed,
    /// Some step ended without a result.
    Failed,
    /// It was cancelled before all was done.
    Cancelled,
}

/// One execution: a graph of steps.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Who pays.
    pub poster: Poster,
    /// Its name.
    pub name: String,
    /// Its inputs.
    pub inputs: Json,
    /// Higher goes first.
    pub priority: i32,
    /// The request that posted it.
    pub correlation: Option<Correlation>,
    /// When it was posted.
    pub created: Wall,
    /// The journal index of the `RunPosted` entry.
    pub posted_at: u64,
    /// The caller's key for repeats.
    pub post_key: Option<PostKey>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// How many rejected submissions fail a step.
    pub attempts_max: u8,
    /// How many lapses fail a step.
    pub lapses_max: u8,
    /// What the salts of its steps' terms are made of.
    pub salt: Salt,
    /// Whether all of it was asked to stop.
    pub cancelled: bool,
    /// When it was over.
    pub ended: Option<Wall>,
    /// Whether large inputs and outputs have left memory (they stand in the journal).
    pub trimmed: bool,
}

impl Step {
    pub(crate) fn new(spec: StepSpec) -> Self {
        Step {
            spec,
            state: StepState::Waiting,
            epoch: Epoch(0),
            attempts: 0,
            lapses: 0,
            releases: 0,
            barred: Vec::new(),
            spared: Vec::new(),
            cancelled: false,
            escrow: Credits::ZERO,
            paid: Credits::ZERO,
            handing: None,
            undrawn: None,
            redo: None,
            handed: Vec::new(),
            output: None,
            output_at: None,
            granted_at: None,
            started: None,
            completed: None,
        }
    }

    /// Whether a run of the open submission is still asked for.
    pub(crate) fn is_being_redone(&self) -> bool {
        self.redo.as_ref().is_some_and(|redo| !redo.is_over)
    }

    /// The bytes that the step counts in the book: no fewer than it takes in a snapshot, with what its live lease or open
    /// submission can still add to it.
    pub fn bytes(&self) -> u64 {
        let barring = matches!(self.state, StepState::Leased { .. } | StepState::Submitted { .. });
        let agents = self.barred.len() + self.spared.len() + usize::from(barring);
        let barred = agents * std::mem::size_of::<(u8, AgentId)>();
        let handing = self.handing.as_ref().map_or(0, |(_, opening)| artifact_bytes(opening));
        let handed: usize = self.handed.iter().map(Handed::bytes).sum();
        let output = self.output.as_ref().map_or(0, Json::len);
        let redo = if barring { REDO_BYTES } else { 0 };
        (STEP_FIXED_BYTES + self.spec.text_bytes() + barred + redo + handing + handed + output) as u64
    }
}

impl StepSpec {
    /// The bytes of what users wrote into the step.
    pub fn text_bytes(&self) -> usize {
        let task = &self.task;
        let schema = task.output_schema.as_ref().map_or(0, Json::len);
        let texts = task.title.len() + task.description.len() + task.input.len() + schema;
        self.name.len() + self.needs.len() + texts + skill_bytes(&task.skills)
    }
}

impl Handed {
    fn bytes(&self) -> usize {
        let judged = match &self.verdict {
            None => NAME_BYTES_MAX + FINDINGS_BYTES_MAX,
            Some((_, Outcome::Accepted { .. })) => 0,
            Some((_, Outcome::Rejected { check, findings })) => check.len() + findings.len(),
        };
        HANDED_FIXED_BYTES + artifact_bytes(&self.opening) + judged
    }
}

fn artifact_bytes(opening: &Opening) -> usize {
    opening.artifacts.len() * std::mem::size_of::<Digest>()
}

/// The bytes of a list of skills: each one's name, its length and its version.
pub(crate) fn skill_bytes(skills: &[Skill]) -> usize {
    skills.iter().map(|skill| skill.name().len() + 16).sum()
}

impl Run {
    /// How it stands.
    pub fn status(&self) -> RunStatus {
        if self.ended.is_none() {
            let begun = self.steps.iter().any(|s| s.started.is_some() || s.state.is_terminal());
            return if begun { RunStatus::Running } else { RunStatus::Created };
        }
        let accepted = |s: &Step| matches!(s.state, StepState::Accepted { .. });
        if self.steps.iter().all(accepted) {
            RunStatus::Completed
        } else if self.cancelled
            || self.steps.iter().all(|s| accepted(s) || s.state == StepState::Ended(End::Cancelled))
        {
            RunStatus::Cancelled
        } else {
            RunStatus::Failed
        }
    }

    /// The bytes that the run counts in the book: no fewer than it takes in a snapshot.
    pub fn bytes(&self) -> u64 {
        let own = RUN_FIXED_BYTES + self.name.len() + self.inputs.len();
        own as u64 + self.steps.iter().map(Step::bytes).sum::<u64>()
    }

    /// Whether every step has come to an end.
    pub fn is_over(&self) -> bool {
        self.steps.iter().all(|s| s.state.is_terminal())
    }

    /// Says when the run was over, once every step has come to an end.
    pub(crate) fn settle_end(&mut self) {
        if self.is_over() {
            self.ended = Some(self.steps.iter().filter_map(|s| s.completed).max().unwrap_or(self.created));
        }
    }

    /// A step's id by its number.
    pub fn step_id(&self, index: usize) -> StepId {
        self.id.step(index)
    }

    /// The waiting steps, by number, whose needs are all accepted.
    pub fn ready(&self) -> Vec<usize> {
        let accepted = |i: &u8| matches!(self.steps[usize::from(*i)].state, StepState::Accepted { .. });
        let ready = |s: &Step| s.state == StepState::Waiting && s.spec.needs.iter().all(accepted);
        (0..self.steps.len()).filter(|&i| ready(&self.steps[i])).collect()
    }

    /// The waiting steps, by number, that can never start since `failed` or a step behind it did not succeed.
    pub fn doomed_by(&self, failed: usize) -> Vec<usize> {
        let mut doomed = BTreeSet::from([failed]);
        loop {
            let more: Vec<usize> = (0..self.steps.len())
                .filter(|i| !doomed.contains(i) && self.steps[*i].state == StepState::Waiting)
                .filter(|&i| self.steps[i].spec.needs.iter().any(|n| doomed.contains(&usize::from(*n))))
                .collect();
            if more.is_empty() {
                break;
            }
            doomed.extend(more);
        }
        doomed.remove(&failed);
        doomed.into_iter().collect()
    }

    /// Lets go of large inputs and outputs; they stand in the journal.
    pub fn trim(&mut self) {
        let empty = || Json::new(Vec::new());
        for step in &mut self.steps {
            let task = &mut step.spec.task;
            if step.output.as_ref().is_some_and(|o| o.len() > RECENT_BYTES) {
                step.output = None;
                self.trimmed = true;
            }
            for handed in &mut step.handed {
                if let Some((_, Outcome::Rejected { findings, .. })) = &mut handed.verdict
                    && findings.len() > RECENT_BYTES / 4
                {
                    findings.truncate(findings.floor_char_boundary(RECENT_BYTES / 4));
                    self.trimmed = true;
                }
            }
            if task.input.len() > RECENT_BYTES {
                task.input = empty();
                self.trimmed = true;
            }
            if task.description.len() > RECENT_BYTES {
                task.description = String::new();
                self.trimmed = true;
            }
            if task.output_schema.as_ref().is_some_and(|s| s.len() > RECENT_BYTES) {
                task.output_schema = None;
                self.trimmed = true;
            }
        }
        if self.inputs.len() > RECENT_BYTES {
            self.inputs = empty();
            self.trimmed = true;
        }
    }
}

/// Turns named steps into a graph by number.
///
/// # Errors
/// A refusal when there are too many steps, two have one name, a need is missing, or they need each other in a circle.
pub fn graph(posts: Vec<StepPost>) -> Result<Vec<StepSpec>, Refusal> {
    if posts.len() > RUN_STEPS_MAX {
        let message = format!("a run has at most {RUN_STEPS_MAX} steps, this one has {}", posts.len());
        return Err(Refusal::new(Code::TooManySteps, message));
    }
    let mut number = BTreeMap::new();
    for (i, post) in posts.iter().enumerate() {
        if number.insert(post.name.clone(), i as u8).is_some() {
            let message = format!("two steps are named {:?}; give each its own name", post.name);
            return Err(Refusal::new(Code::DuplicateStep, message));
        }
    }
    let mut steps = Vec::with_capacity(posts.len());
    for post in posts {
        let mut needs = BTreeSet::new();
        for need in &post.needs {
            let Some(n) = number.get(need) else {
                let message = format!("step {:?} needs {need:?}, which this run does not have", post.name);
                return Err(Refusal::new(Code::UnknownNeed, message));
            };
            needs.insert(*n);
        }
        steps.push(StepSpec { name: post.name, needs: needs.into_iter().collect(), task: post.task });
    }
    if let Some(name) = in_a_circle(&steps) {
        let message =
            format!("step {name:?} needs itself, directly or through others; remove one of the needs");
        return Err(Refusal::new(Code::Cycle, message));
    }
    Ok(steps)
}

/// A step that stands in a circle or behind one (A. B. Kahn, "Topological sorting of large networks", 1962).
fn in_a_circle(steps: &[StepSpec]) -> Option<&str> {
    let mut open: Vec<usize> = steps.iter().map(|s| s.needs.len()).collect();
    let mut free: Vec<usize> = (0..steps.len()).filter(|&i| open[i] == 0).collect();
    let mut sorted = 0;
    while let Some(done) = free.pop() {
        sorted += 1;
        for (i, step) in steps.iter().enumerate() {
            if step.needs.iter().any(|n| usize::from(*n) == done) {
                open[i] -= 1;
                if open[i] == 0 {
                    free.push(i);
                }
            }
        }
    }
    (sorted < steps.len()).then(|| {
        let stuck = open.iter().position(|&n| n > 0).expect("an unsorted step has an open need");
        steps[stuck].name.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::fixture::task_for_nothing;

    fn post(name: &str, needs: &[&str]) -> StepPost {
        StepPost {
            name: name.into(),
            needs: needs.iter().map(|n| n.to_string()).collect(),
            task: task_for_nothing(),
        }
    }

    fn code(posts: Vec<StepPost>) -> Result<usize, Code> {
        graph(posts).map(|s| s.len()).map_err(|r| r.code)
    }

    #[test]
    fn a_graph_has_named_needs_and_no_circle() {
        assert_eq!(
            code(vec![post("a", &[]), post("b", &["a"]), post("c", &["a"]), post("d", &["b", "c", "b"])]),
            Ok(4)
        );
        assert_eq!(code(vec![]), Ok(0));
        assert_eq!(code(vec![post("a", &["a"])]), Err(Code::Cycle));
        assert_eq!(code(vec![post("a", &["c"]), post("b", &["a"]), post("c", &["b"])]), Err(Code::Cycle));
        assert_eq!(code(vec![post("a", &["x"])]), Err(Code::UnknownNeed));
        assert_eq!(code(vec![post("a", &[]), post("a", &[])]), Err(Code::DuplicateStep));
        assert_eq!(code((0..201).map(|i| post(&i.to_string(), &[])).collect()), Err(Code::TooManySteps));
        assert_eq!(code((0..200).map(|i| post(&i.to_string(), &[])).collect()), Ok(200));
    }
}
