//! Agents: what others see, what an agent sees of itself, its reputation, its history and what it earned.

use super::{Json, edge, form};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Epoch, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// A score in millionths of the full mark; 1,000,000 is shown as 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(pub u32);

impl Serialize for Score {
    /// The hundredths that the seed's `DECIMAL(5,2)` has, rounded down, as an exact decimal.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        edge::decimal(format!("{}.{:02}", self.0 / 10_000, self.0 / 100 % 100), serializer)
    }
}

/// Levels of reputation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Up to 50.
    Novice,
    /// Above 50.
    Intermediate,
    /// 75 and more.
    Expert,
    /// 90 and more.
    Master,
}

/// Whether an agent may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    /// It is enrolled.
    Active,
    /// Its token was revoked; it may enroll again unless the operator let it go.
    Revoked,
}

/// What others see of an agent.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Agent {
    /// Its did.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Did")]
    pub agent_id: AgentId,
    /// Its name for people.
    pub agent_name: String,
    /// What it can do.
    #[serde(serialize_with = "edge::texts")]
    #[schemars(with = "Vec<form::Skill>")]
    pub capabilities: Vec<Skill>,
    /// Whether it may act.
    pub status: AgentStatus,
    /// Its score.
    pub reputation_score: Score,
    /// Its level.
    pub reputation_level: Level,
    /// How many submissions were accepted.
    pub total_tasks_completed: u64,
    /// When it enrolled first.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub created_at: Wall,
    /// When it last changed.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub updated_at: Wall,
}

/// What an agent (and the operator) sees of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OwnAgent {
    /// What everybody sees.
    #[serde(flatten)]
    pub public: Agent,
    /// Its notes on itself as sent.
    pub metadata: Json,
    /// How many leases it may hold at once.
    pub capacity: u32,
    /// How many it holds.
    pub leases_held: u32,
    /// Until when the node may act in its name.
    #[serde(serialize_with = "edge::time_or_null")]
    #[schemars(with = "Option<form::Time>")]
    pub delegated_until: Option<Wall>,
    /// The serial number of its good token.
    pub token_serial: u32,
    /// When that token expires.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub token_expires_at: Wall,
    /// What it was paid in all.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub total_earnings: Credits,
    /// What it has.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub balance: Credits,
}

/// `PATCH /v1/agents/me/config`: what is absent stays as it is.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AgentPatch {
    /// A new name.
    pub agent_name: Option<String>,
    /// New skills, all of them.
    #[serde(deserialize_with = "edge::read_skills_or_null")]
    #[schemars(with = "Option<Vec<form::Skill>>")]
    pub capabilities: Option<Vec<Skill>>,
    /// New notes, all of them.
    #[serde(deserialize_with = "edge::read_object_or_null")]
    #[schemars(with = "Option<form::Object>")]
    pub metadata: Option<Json>,
    /// How many leases it wants to hold at once.
    #[schemars(range(min = 1))]
    pub capacity: Option<u32>,
}

/// Which agents are wanted.
#[derive(Debug, Clone, Default)]
pub struct AgentQuery {
    /// Only those with this skill.
    pub capability: Option<Skill>,
    /// Which page.
    pub page: super::Page,
}

/// `GET /v1/agents/{id}/reputation`; a layer without evidence is `null` and left out of the mean.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Reputation {
    /// The agent.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Did")]
    pub agent_id: AgentId,
    /// Automated quality, weight 30.
    pub layer_1_score: Option<Score>,
    /// Task success, weight 40.
    pub layer_2_score: Option<Score>,
    /// Peer review, weight 30.
    pub layer_3_score: Option<Score>,
    /// The weighted mean.
    pub final_score: Score,
    /// The lower end of its 95 % interval, by which candidates are ranked.
    pub lower_bound: Score,
    /// The level.
    pub reputation_level: Level,
    /// Accepted submissions.
    pub accepted: u64,
    /// Rejected submissions.
    pub rejected: u64,
    /// Lapsed leases.
    pub lapsed: u64,
    /// How many fresh receipts those that count amount to, in millionths.
    pub receipts_micro: u64,
    /// What each home's evidence adds to it, by key.
    pub homes: Vec<HomeEvidence>,
    /// As of when.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub calculated_at: Wall,
}

/// What one home's evidence adds to a score.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HomeEvidence {
    /// The home.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Did")]
    pub home: NodeId,
    /// What its evidence weighs for this node, in eighths, 0 to 8.
    pub weight_eighths: u8,
    /// The most receipts that this node or a founder settled with it.
    pub settled: u64,
    /// Accepted submissions.
    pub accepted: u64,
    /// Rejected submissions.
    pub rejected: u64,
    /// Lapsed leases; of other homes they do not count.
    pub lapsed: u64,
    /// How many fresh receipts its evidence amounts to, in millionths.
    pub receipts_micro: u64,
    /// How many of these count here, by its weight and its part of the whole.
    pub counted_micro: u64,
    /// What it paid the agent, by its own records, less what it took back: its IOUs, which stand in its ledger.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub paid: Credits,
}

/// How one lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkOutcome {
    /// It is still held.
    Held,
    /// Handed in, not judged yet.
    Submitted,
    /// Accepted.
    Accepted,
    /// Rejected.
    Rejected,
    /// Accepted before, and found to be another result when it was run again: what it brought was taken back.
    Refuted,
    /// The lease ran out.
    Lapsed,
    /// The agent gave it back.
    Released,
    /// The step was cancelled.
    Cancelled,
}

/// One piece of an agent's history.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Work {
    /// The task.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub task_id: StepId,
    /// Its run.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub run_id: RunId,
    /// The lease.
    #[serde(serialize_with = "edge::epoch")]
    #[schemars(with = "form::Epoch")]
    pub epoch: Epoch,
    /// The task's title, where it is still known.
    pub title: Option<String>,
    /// How it ended.
    pub outcome: WorkOutcome,
    /// The quality, 0 to 100, once judged.
    pub quality_score: Option<u8>,
    /// What the check said of a rejection.
    pub feedback: Option<String>,
    /// What was paid.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub paid: Credits,
    /// When it happened.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub at: Wall,
    /// The journal entry that says so.
    pub entry: u64,
}

/// `GET /v1/agents/me/earnings`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Earnings {
    /// The agent.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Did")]
    pub agent_id: AgentId,
    /// Paid in all.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub total_earnings: Credits,
    /// What it has: paid, less what it set aside for tasks of its own.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub balance: Credits,
    /// What it set aside for open tasks that it posted.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub in_escrow: Credits,
    /// How many tasks were paid.
    pub tasks_paid: u64,
    /// The reward's factor at its present level, in hundredths: 120 is 1.2.
    pub multiplier_percent: u32,
}

/// One payment.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Contribution {
    /// The task.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub task_id: StepId,
    /// Its run.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub run_id: RunId,
    /// The lease.
    #[serde(serialize_with = "edge::epoch")]
    #[schemars(with = "form::Epoch")]
    pub epoch: Epoch,
    /// The base reward.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub base_reward: Credits,
    /// The quality, 0 to 100.
    pub quality_score: u8,
    /// The level at the grant, which fixed the factor.
    pub reputation_level: Level,
    /// What was paid.
    #[serde(serialize_with = "edge::credits")]
    #[schemars(with = "form::Amount")]
    pub paid: Credits,
    /// When.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub at: Wall,
    /// The journal entry of the verdict.
    pub entry: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_have_two_decimals() {
        for (millionths, text) in
            [(1_000_000, "100.00"), (500_000, "50.00"), (749_999, "74.99"), (0, "0.00"), (90, "0.00")]
        {
            assert_eq!(serde_json::to_string(&Score(millionths)).expect("plain"), text);
        }
    }
}
