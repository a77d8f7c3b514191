//! Runs and their steps, in the shapes of xyn-seed §45.4.

use super::task::TaskPost;
use super::{Json, Page, edge, form, object};
use artel_protocol::id::{ArtifactId, RunId, StepId};
use artel_protocol::limits::NAME_BYTES_MAX;
use artel_protocol::text::Correlation;
use artel_protocol::time::Wall;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /v1/runs`. A run without steps has nothing to wait for and is completed at once.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunPost {
    /// Its name.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub name: String,
    /// The blueprint that it follows.
    #[serde(default)]
    pub blueprint_ref: Option<String>,
    /// Its inputs, a JSON object.
    #[serde(default, deserialize_with = "edge::read_object")]
    #[schemars(with = "form::Object")]
    pub inputs: Json,
    /// Higher goes first.
    #[serde(default)]
    pub priority: i32,
    /// Its steps.
    #[serde(default, deserialize_with = "object::read_all")]
    pub steps: Vec<StepPost>,
}

/// One step to be posted.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepPost {
    /// Its name, once in the run.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub name: String,
    /// Names of the steps that must be accepted before it.
    #[serde(default)]
    pub needs: Vec<String>,
    /// What is asked.
    #[serde(deserialize_with = "object::read")]
    pub task: TaskPost,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Nothing has begun.
    Created,
    /// Some step has begun.
    Running,
    /// Every step was accepted.
    Completed,
    /// Some step ended without a result.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// How a step stands; `cancelled` is added to the seed's states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// It waits or is offered.
    Created,
    /// An agent holds it, or it is being checked.
    Running,
    /// It was accepted.
    Completed,
    /// It ended without a result.
    Failed,
    /// It was not needed.
    Skipped,
    /// It was cancelled.
    Cancelled,
}

/// A run as it is now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Run {
    /// Its id.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub run_id: RunId,
    /// Its name.
    pub name: String,
    /// The blueprint that it follows.
    pub blueprint_ref: Option<String>,
    /// How it stands.
    pub status: RunStatus,
    /// Higher goes first.
    pub priority: i32,
    /// When it was posted.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub created_at: Wall,
    /// When its first step was claimed.
    #[serde(serialize_with = "edge::time_or_null")]
    #[schemars(with = "Option<form::Time>")]
    pub started_at: Option<Wall>,
    /// When it ended.
    #[serde(serialize_with = "edge::time_or_null")]
    #[schemars(with = "Option<form::Time>")]
    pub completed_at: Option<Wall>,
    /// Who posted it: `operator` or a did.
    pub actor: String,
    /// The request that posted it. The seed puts it here, so this answer's own correlation id is in its header only.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Correlation>")]
    pub correlation_id: Option<Correlation>,
    /// Its inputs.
    pub inputs: Json,
    /// Its outputs by step, when it is completed.
    pub outputs: Option<Json>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// How many steps are in which state.
    pub progress: Progress,
}

/// Why a run or a step failed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Failure {
    /// A stable code.
    pub code: String,
    /// A sentence.
    pub message: String,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Progress {
    /// All steps.
    pub steps: u32,
    /// Steps that are accepted.
    pub completed: u32,
    /// Steps that an agent holds or handed in.
    pub running: u32,
    /// Steps that ended otherwise.
    pub ended: u32,
}

/// Which runs are wanted.
#[derive(Debug, Clone, Default)]
pub struct RunQuery {
    /// Only those in this state.
    pub status: Option<RunStatus>,
    /// Which page.
    pub page: Page,
}

/// A step as it is now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Step {
    /// Its id; as a task it bears the same.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub step_id: StepId,
    /// Its run.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub run_id: RunId,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub status: StepStatus,
    /// Names of the steps that it needs.
    pub needs: Vec<String>,
    /// When it was first claimed.
    #[serde(serialize_with = "edge::time_or_null")]
    #[schemars(with = "Option<form::Time>")]
    pub started_at: Option<Wall>,
    /// When it ended.
    #[serde(serialize_with = "edge::time_or_null")]
    #[schemars(with = "Option<form::Time>")]
    pub completed_at: Option<Wall>,
    /// Its log, where it has one.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Uuid>")]
    pub logs_artifact_id: Option<ArtifactId>,
    /// Its input.
    pub inputs: Option<Json>,
    /// Its output.
    pub outputs: Option<Json>,
    /// Why it failed.
    pub error: Option<Failure>,
}
