//! Tasks: posting, listing, claiming, keeping and handing in a step that is offered.

use super::agent::Level;
use super::auth::SignedStatement;
use super::object::{self, Object};
use super::{Json, Page, edge, form};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, Epoch, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId, Signature};
use artel_protocol::limits::TITLE_BYTES_MAX;
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;

/// How hard a task is, which decides who may take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Complexity {
    /// For everybody.
    #[default]
    Simple,
    /// From intermediate on.
    Medium,
    /// From expert on.
    Complex,
    /// For masters.
    Premium,
}

/// What an agent must have.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Requirements {
    /// Skills.
    #[serde(serialize_with = "edge::texts", deserialize_with = "edge::read_skills")]
    #[schemars(with = "Vec<form::Skill>")]
    pub capabilities: Vec<Skill>,
    /// A level beyond what the complexity asks.
    pub level: Option<Level>,
}

/// How a task is run where no agent does it in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Runner {
    /// A WebAssembly command in a node's sandbox.
    Wasm {
        /// The module, an artifact of this node.
        #[serde(serialize_with = "edge::text")]
        #[schemars(with = "form::Digest")]
        module: Digest,
    },
}

/// `POST /v1/tasks`, and one step of `POST /v1/runs`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskPost {
    /// A line for people.
    #[schemars(length(min = 1, max = TITLE_BYTES_MAX))]
    pub title: String,
    /// What is to be done.
    #[serde(default)]
    pub description: String,
    /// Who may do it.
    #[serde(default, deserialize_with = "object::read")]
    pub requirements: Requirements,
    /// The base reward in credits.
    #[serde(default, deserialize_with = "edge::read_credits")]
    #[schemars(with = "form::Amount")]
    pub reward: Credits,
    /// How hard it is.
    #[serde(default)]
    pub complexity: Complexity,
    /// When it should be done; the service chooses when the caller does not.
    #[serde(default, deserialize_with = "edge::read_time_or_null")]
    #[schemars(with = "Option<form::Time>")]
    pub deadline: Option<Wall>,
    /// The input.
    #[serde(default)]
    pub input: Json,
    /// What should run it; without one the agent works in its own way.
    #[serde(default)]
    #[schemars(with = "Option<form::Runner>")]
    pub runner: Option<Json>,
    /// A JSON Schema that the output must meet.
    #[serde(default)]
    #[schemars(with = "Option<form::OutputSchema>")]
    pub output_schema: Option<Json>,
    /// Whether the poster itself may take it.
    #[serde(default)]
    pub poster_may_claim: bool,
}

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// It waits for other steps.
    Created,
    /// It is open to claims.
    Available,
    /// An agent holds it.
    Claimed,
    /// It is handed in and being checked.
    Submitted,
    /// It is done.
    Accepted,
    /// It ended without a result.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// A task as it is now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Task {
    /// Its id, which is its step's.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub task_id: StepId,
    /// Its run.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub run_id: RunId,
    /// Its step's name in the run.
    pub name: String,
    /// A line for people.
    pub title: String,
    /// What is to be done.
    pub description: String,
    /// Who may do it.
    pub requirements: Requirements,
    /// The base reward.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub reward: Credits,
    /// How hard it is.
    pub complexity: Complexity,
    /// When it should be done.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub deadline: Wall,
    /// Where it is.
    pub status: TaskStatus,
    /// Who posted it: `operator` or a did.
    pub posted_by: String,
    /// When it was posted.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub created_at: Wall,
    /// When it was first claimed.
    #[serde(serialize_with = "edge::time_or_null")]
    #[schemars(with = "Option<form::Time>")]
    pub started_at: Option<Wall>,
    /// When it ended.
    #[serde(serialize_with = "edge::time_or_null")]
    #[schemars(with = "Option<form::Time>")]
    pub completed_at: Option<Wall>,
    /// Who holds it, or did it.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Did>")]
    pub assigned_agent_id: Option<AgentId>,
    /// The epoch of its last lease, 0 before the first.
    #[serde(serialize_with = "edge::epoch")]
    #[schemars(with = "form::Epoch")]
    pub epoch: Epoch,
    /// Rejected submissions.
    pub attempts: u32,
    /// Lapsed leases.
    pub lapses: u32,
    /// What was paid.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub paid: Credits,
    /// The input, for those who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    /// The accepted output, for those who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// The schema of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Json>,
    /// Whether the poster itself may take it.
    pub poster_may_claim: bool,
    /// How it is run; null where the agent works in its own way.
    pub runner: Option<Runner>,
    /// What its offers commit home to, for those who see the input; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// What was handed in so far; empty in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub submissions: Vec<Submission>,
}

/// What an offer says of the whole task, and what opens it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Terms {
    /// The commitment in the public entries of its offers.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Digest")]
    pub digest: Digest,
    /// The step's own salt; base64.
    #[serde(serialize_with = "edge::bytes")]
    #[schemars(with = "form::Base64")]
    pub salt: [u8; 16],
}

/// One submission and its judgement.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Submission {
    /// The lease.
    #[serde(serialize_with = "edge::epoch")]
    #[schemars(with = "form::Epoch")]
    pub epoch: Epoch,
    /// Who.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Did")]
    pub agent_id: AgentId,
    /// The commitment in the public entry.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Digest")]
    pub result: Digest,
    /// The salt that opens it together with the digests; base64.
    #[serde(serialize_with = "edge::bytes")]
    #[schemars(with = "form::Base64")]
    pub salt: [u8; 16],
    /// Digest of the output.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Digest")]
    pub output_digest: Digest,
    /// Digests of the artifacts.
    #[serde(serialize_with = "edge::texts")]
    #[schemars(with = "Vec<form::Digest>")]
    pub artifacts: Vec<Digest>,
    /// When.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub submitted_at: Wall,
    /// The journal entry that says so.
    pub entry: u64,
    /// The judgement, once there is one.
    pub verdict: Option<Verdict>,
}

/// A judgement.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Verdict {
    /// Whether it was accepted.
    pub accepted: bool,
    /// The quality, 0 to 100, when accepted.
    pub quality_score: Option<u8>,
    /// The check that failed.
    pub check: Option<String>,
    /// What it found.
    pub findings: Option<String>,
    /// What was paid.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub paid: Credits,
    /// The journal entry that says so.
    pub entry: u64,
}

/// Which tasks are wanted.
#[derive(Debug, Clone, Default)]
pub struct TaskQuery {
    /// Where they are; those that are open to claims unless the caller says.
    pub status: StatusFilter,
    /// Only those that ask for this skill.
    pub capability: Option<Skill>,
    /// Only those of this run.
    pub run_id: Option<RunId>,
    /// Which page.
    pub page: Page,
}

/// `?status=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    /// `any`.
    Any,
    /// One of [`TaskStatus`].
    Is(TaskStatus),
}

impl Default for StatusFilter {
    /// The federation's seed: `GET /v1/tasks` lists the tasks that are open.
    fn default() -> Self {
        StatusFilter::Is(TaskStatus::Available)
    }
}

/// `POST /v1/tasks/{id}/claim` and `POST /v1/tasks/claim`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimRequest {
    /// Which of its skills the agent offers for this claim; all of them unless it says.
    #[serde(deserialize_with = "edge::read_skills_or_null")]
    #[schemars(with = "Option<Vec<form::Skill>>")]
    pub agent_capabilities: Option<Vec<Skill>>,
    /// How long the agent thinks it needs, in seconds.
    pub estimated_duration: Option<u64>,
    /// How long to wait for a task, in milliseconds.
    pub wait_ms: u32,
    /// Only tasks of this home: a node's did. Needed where the agent signs its claim of the next task itself.
    #[serde(deserialize_with = "edge::read_node_or_null")]
    #[schemars(with = "Option<form::Did>")]
    pub home: Option<NodeId>,
    /// The agent's own signature over this claim at another home; needed where it has not delegated to this node.
    pub signed: Option<SignedStatement>,
}

/// An offer of another home, as it was heard.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Offer {
    /// The home.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Did")]
    pub home: NodeId,
    /// The task.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub task_id: StepId,
    /// The epoch that its next lease will have.
    #[serde(serialize_with = "edge::epoch")]
    #[schemars(with = "form::Epoch")]
    pub epoch: Epoch,
    /// Who may do it.
    pub requirements: Requirements,
    /// How hard it is.
    pub complexity: Complexity,
    /// The base reward.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub reward: Credits,
    /// When it should be done.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub deadline: Wall,
    /// When it was offered, by home's clock.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub offered_at: Wall,
    /// When this node heard of it, by its own clock.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub heard_at: Wall,
    /// The neighbour that brought it; nothing where it was read from what was kept.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Did>")]
    pub heard_from: Option<NodeId>,
    /// The commitment to the whole task.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Digest")]
    pub terms: Digest,
}

/// Which offers of other homes are wanted.
#[derive(Debug, Clone, Default)]
pub struct OfferQuery {
    /// Only those that ask for this skill.
    pub capability: Option<Skill>,
    /// Which page.
    pub page: Page,
}

/// A won task.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Lease {
    /// The task.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub task_id: StepId,
    /// Its run.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub run_id: RunId,
    /// Its step's name in the run.
    pub name: String,
    /// The fencing token, to be sent with the result.
    #[serde(serialize_with = "edge::epoch")]
    #[schemars(with = "form::Epoch")]
    pub epoch: Epoch,
    /// When the lease ends unless it is renewed.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub expires_at: Wall,
    /// The lease's term in milliseconds.
    pub lease_ms: u32,
    /// A line for people.
    pub title: String,
    /// What is to be done.
    pub description: String,
    /// The step's input.
    pub input: Json,
    /// The run's inputs.
    pub inputs: Json,
    /// Outputs of the steps that it needs, by name.
    #[serde(serialize_with = "edge::by_name")]
    #[schemars(with = "std::collections::BTreeMap<String, Json>")]
    pub needs: Vec<(String, Json)>,
    /// Digests of their artifacts, by name.
    #[serde(serialize_with = "edge::texts_by_name")]
    #[schemars(with = "std::collections::BTreeMap<String, Vec<form::Digest>>")]
    pub artifacts: Vec<(String, Vec<Digest>)>,
    /// The schema of the output.
    pub output_schema: Option<Json>,
    /// How it is to be run; null where the agent works in its own way.
    pub runner: Option<Runner>,
    /// The base reward.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub reward: Credits,
    /// When it should be done.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub deadline: Wall,
    /// The journal entry of the grant, in home's journal.
    pub entry: u64,
    /// The skills that were asked for.
    #[serde(serialize_with = "edge::texts")]
    #[schemars(with = "Vec<form::Skill>")]
    pub capabilities: Vec<Skill>,
    /// The home that offers it; null where it is this node.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Did>")]
    pub home: Option<NodeId>,
}

/// `POST /v1/tasks/{id}/renew` and `/release`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// The lease.
    #[serde(deserialize_with = "edge::read_epoch")]
    #[schemars(with = "form::Epoch")]
    pub epoch: Epoch,
    /// The agent's own signature over this act at another home.
    #[serde(default)]
    pub signed: Option<SignedStatement>,
}

/// A lease that goes on.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Renewed {
    /// The task.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub task_id: StepId,
    /// The lease.
    #[serde(serialize_with = "edge::epoch")]
    #[schemars(with = "form::Epoch")]
    pub epoch: Epoch,
    /// When it ends unless it is renewed again.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub expires_at: Wall,
}

/// `POST /v1/tasks/{id}/submit`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// The lease.
    #[serde(deserialize_with = "edge::read_epoch")]
    #[schemars(with = "form::Epoch")]
    pub epoch: Epoch,
    /// The result.
    pub output: Json,
    /// Digests of artifacts that were put before.
    #[serde(default, deserialize_with = "edge::read_digests")]
    #[schemars(with = "Vec<form::Digest>")]
    pub artifacts: Vec<Digest>,
    /// Whether the answer should bring the next task: `true`, or a claim's body.
    #[serde(default, deserialize_with = "read_claim_next")]
    #[schemars(with = "ClaimNext")]
    pub claim_next: Option<ClaimRequest>,
    /// The agent's own signature over this result for another home.
    #[serde(default)]
    pub signed: Option<SignedStatement>,
    /// By what home acknowledges.
    #[serde(default)]
    pub acknowledge: Acknowledge,
}

/// By what home shows that it has taken a result in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Acknowledge {
    /// A signature of its own over each.
    #[default]
    Signed,
    /// Its log alone: the entry's proof under the node's checkpoint, which is one signature for all that was synced together.
    Logged,
}

/// The forms of `claim_next`.
struct ClaimNext;

impl JsonSchema for ClaimNext {
    fn schema_name() -> Cow<'static, str> {
        "ClaimNext".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Whether the answer should bring the next task: true, or a claim's body.",
            "anyOf": [{"type": "boolean"}, {"type": "null"}, generator.subschema_for::<ClaimRequest>()],
        })
    }
}

fn read_claim_next<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ClaimRequest>, D::Error> {
    let json = Json::deserialize(deserializer)?;
    match json.bytes() {
        b"true" => Ok(Some(ClaimRequest::default())),
        b"false" | b"null" => Ok(None),
        body => serde_json::from_slice::<Object<ClaimRequest>>(body)
            .map(|object| Some(object.0))
            .map_err(|e| serde::de::Error::custom(format_args!("in claim_next: {e}"))),
    }
}

/// The answer to a submission.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Submitted {
    /// That home has it; null where home is another node that cannot be reached: then the result is in this node's outbox and
    /// brought again until home answers.
    pub acknowledgement: Option<Acknowledgement>,
    /// This node's own journal entry of the result, where home is another node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handed_in: Option<u64>,
    /// The judgement, where it is there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Verdict>,
    /// The next task, where one was asked for and there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Lease>,
}

/// What home holds itself to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Acknowledgement {
    /// The task.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub task_id: StepId,
    /// The lease.
    #[serde(serialize_with = "edge::epoch")]
    #[schemars(with = "form::Epoch")]
    pub epoch: Epoch,
    /// Who submitted.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Did")]
    pub agent_id: AgentId,
    /// The commitment to what was submitted, as the public entry names it.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Digest")]
    pub result: Digest,
    /// The salt that opens it together with the digests; base64.
    #[serde(serialize_with = "edge::bytes")]
    #[schemars(with = "form::Base64")]
    pub salt: [u8; 16],
    /// Digest of the output.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Digest")]
    pub output_digest: Digest,
    /// Digests of the artifacts.
    #[serde(serialize_with = "edge::texts")]
    #[schemars(with = "Vec<form::Digest>")]
    pub artifacts: Vec<Digest>,
    /// The journal entry of the submission.
    pub entry: u64,
    /// When it was taken in.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub submitted_at: Wall,
    /// The node's signature over its acknowledgement, where it gives one at once; the entry's proof always can be had.
    #[serde(serialize_with = "edge::signature_or_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Signature>")]
    pub signature: Option<Signature>,
}

/// How an accepted result's run after the verdict stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LateState {
    /// It is under way; ask again.
    Running,
    /// It came to the result that was handed in.
    Same,
    /// Two runs agreed on another one: the log says so, and what it brought its worker was taken back.
    Refuted,
    /// It says nothing of the result.
    Inconclusive,
}

/// `POST /v1/tasks/{id}/redo`: an accepted result is run again in this node's sandbox.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LateRedo {
    /// The task.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub task_id: StepId,
    /// How it stands.
    pub state: LateState,
}
