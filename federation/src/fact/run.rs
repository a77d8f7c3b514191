//! Facts about runs and their steps: what was posted, and how it ended.

use crate::commitment::Salt;
use crate::json::Json;
use artel_protocol::amount::Credits;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{Digest, RunId, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use artel_reputation::{Complexity, Level};

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
