//! The rules' values in the words of HTTP and back: JSON without a copy where it can be, levels, statuses, leases,
//! agents, what is posted. It decides nothing; who may see what is in `shown.rs`.

use artel_federation::commitment;
use artel_federation::effect as rules;
use artel_federation::evidence::{Part, Tally, View};
use artel_federation::fact::{Outcome, RunnerSpec, TaskSpec};
use artel_federation::member;
use artel_federation::run::{RunStatus, StepState};
use artel_federation::{Json as RulesJson, fact::End};
use artel_protocol::amount::Credits;
use artel_protocol::id::Digest;
use artel_protocol::key::{AgentId, Signature};
use artel_protocol::time::Wall;
use artel_reputation as reputation;
use artel_web::types::agent::{Agent, AgentStatus, HomeEvidence, Level, OwnAgent, Reputation, Score};
use artel_web::types::receipt::Opening;
use artel_web::types::run::{RunStatus as WebRunStatus, StepStatus};
use artel_web::types::task::{Acknowledgement, Complexity, Lease, Runner, TaskPost, TaskStatus, Verdict};
use artel_web::types::{Json, run::Failure};
use artel_web::{Code, Problem};
use bytes::Bytes;

/// The deadline of a task whose poster named none, in milliseconds from the post (24 h). Shorter, and work that nobody
/// takes over night fails; longer, and forgotten work fills the book.
pub(super) const DEADLINE_DEFAULT_MS: u64 = 24 * 3_600_000;

/// Lends the rules' bytes to HTTP.
struct Lent(RulesJson);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// JSON on its way out, without a copy. What has left memory is `null`.
pub(super) fn json(json: &RulesJson) -> Json {
    match json.bytes() {
        b"" => null(),
        b"{}" => Json::object(),
        _ => Json::new(Bytes::from_owner(Lent(json.clone()))),
    }
}

/// The JSON value `null`.
pub(super) fn null() -> Json {
    Json::new(Bytes::from_static(b"null"))
}

/// JSON on its way in.
pub(super) fn rules_json(json: &Json) -> RulesJson {
    RulesJson::new(json.bytes())
}

/// A JSON value that was made here.
pub(super) fn value(value: &serde_json::Value) -> Json {
    Json::new(value.to_string())
}

pub(super) fn level(level: reputation::Level) -> Level {
    match level {
        reputation::Level::Novice => Level::Novice,
        reputation::Level::Intermediate => Level::Intermediate,
        reputation::Level::Expert => Level::Expert,
        reputation::Level::Master => Level::Master,
    }
}

fn rules_level(level: Level) -> reputation::Level {
    match level {
        Level::Novice => reputation::Level::Novice,
        Level::Intermediate => reputation::Level::Intermediate,
        Level::Expert => reputation::Level::Expert,
        Level::Master => reputation::Level::Master,
    }
}

pub(super) fn complexity(complexity: reputation::Complexity) -> Complexity {
    match complexity {
        reputation::Complexity::Simple => Complexity::Simple,
        reputation::Complexity::Medium => Complexity::Medium,
        reputation::Complexity::Complex => Complexity::Complex,
        reputation::Complexity::Premium => Complexity::Premium,
    }
}

fn rules_complexity(complexity: Complexity) -> reputation::Complexity {
    match complexity {
        Complexity::Simple => reputation::Complexity::Simple,
        Complexity::Medium => reputation::Complexity::Medium,
        Complexity::Complex => reputation::Complexity::Complex,
        Complexity::Premium => reputation::Complexity::Premium,
    }
}

/// A step's place in the middle column of ARCHITECTURE's "The life of a step". A step that was skipped ended without a result.
pub(super) fn task_status(state: &StepState) -> TaskStatus {
    match state {
        StepState::Waiting => TaskStatus::Created,
        StepState::Offered => TaskStatus::Available,
        StepState::Leased { .. } => TaskStatus::Claimed,
        StepState::Submitted { .. } => TaskStatus::Submitted,
        StepState::Accepted { .. } => TaskStatus::Accepted,
        StepState::Ended(End::Cancelled) => TaskStatus::Cancelled,
        StepState::Ended(_) => TaskStatus::Failed,
    }
}

/// A step's place in the right column of the same table.
pub(super) fn step_status(state: &StepState) -> StepStatus {
    match state {
        StepState::Waiting | StepState::Offered => StepStatus::Created,
        StepState::Leased { .. } | StepState::Submitted { .. } => StepStatus::Running,
        StepState::Accepted { .. } => StepStatus::Completed,
        StepState::Ended(End::Cancelled) => StepStatus::Cancelled,
        StepState::Ended(End::NeedFailed) => StepStatus::Skipped,
        StepState::Ended(_) => StepStatus::Failed,
    }
}

pub(super) fn run_status(status: RunStatus) -> WebRunStatus {
    match status {
        RunStatus::Created => WebRunStatus::Created,
        RunStatus::Running => WebRunStatus::Running,
        RunStatus::Completed => WebRunStatus::Completed,
        RunStatus::Failed => WebRunStatus::Failed,
        RunStatus::Cancelled => WebRunStatus::Cancelled,
    }
}

/// Why a step ended without a result; nothing where it was cancelled, which is no failure.
pub(super) fn failure(state: &StepState) -> Option<Failure> {
    let StepState::Ended(end) = state else { return None };
    let message = match end {
        End::AttemptsSpent => "as many submissions as are allowed were rejected; each says why",
        End::LapsesSpent => "as many leases as are allowed ran out without a submission",
        End::DeadlinePassed => "nobody had done it by its deadline",
        End::NeedFailed => "a step that it needs did not succeed",
        End::Cancelled => return None,
        End::ReleasesSpent => "as many leases as are allowed were given back",
    };
    Some(Failure { code: crate::events::end_code(*end).into(), message: message.into() })
}

/// What opens a submission's commitment.
pub(super) fn opening(opening: commitment::Opening) -> Opening {
    Opening { salt: opening.salt.0, output_digest: opening.output, artifacts: opening.artifacts }
}

/// What home acknowledges, with its signature.
pub(super) fn acknowledgement(receipt: &rules::Receipt, signature: Option<Signature>) -> Acknowledgement {
    Acknowledgement {
        task_id: receipt.step,
        epoch: receipt.epoch,
        agent_id: receipt.agent,
        result: receipt.result,
        salt: receipt.opening.salt.0,
        output_digest: receipt.opening.output,
        artifacts: receipt.opening.artifacts.clone(),
        entry: receipt.submitted,
        submitted_at: receipt.submitted_at,
        signature,
    }
}

/// The judgement of a submission; `paid` is what an accepted one got.
pub(super) fn verdict(entry: u64, outcome: &Outcome, paid: Credits) -> Verdict {
    match outcome {
        Outcome::Accepted { quality, .. } => Verdict {
            accepted: true,
            quality_score: Some(*quality),
            check: None,
            findings: None,
            paid,
            entry,
        },
        Outcome::Rejected { check, findings } => Verdict {
            accepted: false,
            quality_score: None,
            check: Some(check.clone()),
            findings: Some(findings.clone()),
            paid: Credits::ZERO,
            entry,
        },
    }
}

/// What the winner of a step is told.
pub(super) fn lease(lease: rules::Lease) -> Lease {
    Lease {
        task_id: lease.step,
        run_id: lease.run,
        epoch: lease.epoch,
        expires_at: lease.expires,
        lease_ms: lease.lease_ms,
        input: json(&lease.input),
        inputs: json(&lease.inputs),
        needs: lease.needs.into_iter().map(|(name, output)| (name, json(&output))).collect(),
        artifacts: lease.artifacts,
        output_schema: lease.output_schema.as_ref().map(json),
        runner: lease.runner.map(runner),
        title: lease.title,
        description: lease.description,
        name: lease.name,
        reward: lease.reward,
        deadline: lease.deadline,
        entry: lease.index,
        capabilities: lease.skills,
        home: None,
    }
}

/// What is asked of whoever takes a step. Its bounds are the rules' to check.
pub(super) fn task_spec(post: TaskPost, now: Wall) -> TaskSpec {
    TaskSpec {
        title: post.title,
        description: post.description,
        skills: post.requirements.capabilities,
        level_min: post.requirements.level.map(rules_level),
        complexity: rules_complexity(post.complexity),
        reward: post.reward,
        deadline: post.deadline.unwrap_or(now.plus_ms(DEADLINE_DEFAULT_MS)),
        input: rules_json(&post.input),
        output_schema: post.output_schema.as_ref().map(rules_json),
        poster_may_claim: post.poster_may_claim,
        runner: post.runner.as_ref().and_then(|asked| runner_spec(asked).ok()),
    }
}

/// How a task is run, in the words of HTTP.
pub(super) fn runner(spec: RunnerSpec) -> Runner {
    match spec {
        RunnerSpec::Wasm { module } => Runner::Wasm { module },
    }
}

/// What a post asks to be run by: `{"kind":"wasm","module":"sha256:HEX"}`. An unknown kind is another refusal than a known one
/// with something wrong in it.
pub(super) fn runner_spec(asked: &Json) -> Result<RunnerSpec, Problem> {
    let invalid = |what: &str| Problem::new(Code::Invalid, format!("runner: {what}"));
    let asked: serde_json::Value =
        serde_json::from_slice(asked.bytes()).map_err(|_| invalid("want a JSON object"))?;
    let Some(parts) = asked.as_object() else { return Err(invalid("want a JSON object")) };
    match parts.get("kind").and_then(serde_json::Value::as_str) {
        Some("wasm") => {}
        Some(_) => return Err(Problem::of(Code::RunnerUnavailable)),
        None => return Err(invalid("it has no kind; there is \"wasm\"")),
    }
    if let Some(unknown) = parts.keys().find(|key| !matches!(key.as_str(), "kind" | "module")) {
        return Err(invalid(&format!("it has a field {unknown:?}, which is not known")));
    }
    let module = parts.get("module").and_then(serde_json::Value::as_str).unwrap_or_default();
    let digest = Digest::parse(module).ok().filter(|_| module.starts_with("sha256:"));
    let module =
        digest.ok_or_else(|| invalid("module is the digest of an artifact: sha256: and 64 hex digits"))?;
    Ok(RunnerSpec::Wasm { module })
}

/// What everybody here sees of an agent.
pub(super) fn agent(agent: &member::Agent, now: Wall) -> Agent {
    let assessed = agent.standing.assess(now);
    Agent {
        agent_id: agent.id,
        agent_name: agent.name.clone(),
        capabilities: agent.skills.clone(),
        status: if agent.revoked.is_some() { AgentStatus::Revoked } else { AgentStatus::Active },
        reputation_score: Score(assessed.score.0),
        reputation_level: level(assessed.level),
        total_tasks_completed: agent.accepted,
        created_at: agent.enrolled,
        updated_at: agent.updated,
    }
}

/// What an agent sees of itself; `leases_held` and `balance_units` are the view's.
pub(super) fn own_agent(own: &member::Agent, leases_held: usize, balance_units: i64, now: Wall) -> OwnAgent {
    OwnAgent {
        public: agent(own, now),
        metadata: json(&own.metadata),
        capacity: own.capacity,
        leases_held: leases_held as u32,
        delegated_until: own.delegation.map(|delegation| delegation.until),
        token_serial: own.serial,
        token_expires_at: own.expires,
        total_earnings: Credits(own.earned_units),
        balance: credits(balance_units),
    }
}

/// What an agent's record says.
/// An agent's record: how often what happened here, and the score that a view gives it.
pub(super) fn reputation(id: AgentId, here: Tally, view: View, now: Wall) -> Reputation {
    let assessed = view.assessment;
    let layer = |score: Option<reputation::Score>| score.map(|score| Score(score.0));
    Reputation {
        agent_id: id,
        layer_1_score: layer(assessed.layers.quality),
        layer_2_score: layer(assessed.layers.success),
        layer_3_score: layer(assessed.layers.review),
        final_score: Score(assessed.score.0),
        lower_bound: Score(assessed.lower.0),
        reputation_level: level(assessed.level),
        accepted: here.accepted,
        rejected: here.rejected,
        lapsed: here.lapsed,
        receipts_micro: assessed.receipts_micro,
        homes: view.parts.iter().map(home_evidence).collect(),
        calculated_at: now,
    }
}

fn home_evidence(part: &Part) -> HomeEvidence {
    HomeEvidence {
        home: part.home,
        weight_eighths: part.weight.get(),
        settled: part.settled,
        accepted: part.tally.accepted,
        rejected: part.tally.rejected,
        lapsed: part.tally.lapsed,
        receipts_micro: part.share.receipts_micro,
        counted_micro: part.share.counted_micro,
        paid: part.paid,
    }
}

/// An agent's balance, which the ledger never lets below zero.
pub(super) fn credits(units: i64) -> Credits {
    Credits(u64::try_from(units).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_federation::fact::Authority;
    use artel_protocol::key::SecretKey;

    fn agent_id() -> AgentId {
        AgentId(SecretKey::from_seed(&[1; 32]).public())
    }

    #[test]
    fn statuses_are_those_of_the_table() {
        let agent = agent_id();
        let level = reputation::Level::Novice;
        let leased = StepState::Leased { agent, level, authority: Authority::Session, lease_ms: 1 };
        for (state, task, step) in [
            (StepState::Waiting, TaskStatus::Created, StepStatus::Created),
            (StepState::Offered, TaskStatus::Available, StepStatus::Created),
            (leased, TaskStatus::Claimed, StepStatus::Running),
            (StepState::Submitted { agent, level }, TaskStatus::Submitted, StepStatus::Running),
            (StepState::Accepted { agent }, TaskStatus::Accepted, StepStatus::Completed),
            (StepState::Ended(End::AttemptsSpent), TaskStatus::Failed, StepStatus::Failed),
            (StepState::Ended(End::LapsesSpent), TaskStatus::Failed, StepStatus::Failed),
            (StepState::Ended(End::ReleasesSpent), TaskStatus::Failed, StepStatus::Failed),
            (StepState::Ended(End::DeadlinePassed), TaskStatus::Failed, StepStatus::Failed),
            (StepState::Ended(End::NeedFailed), TaskStatus::Failed, StepStatus::Skipped),
            (StepState::Ended(End::Cancelled), TaskStatus::Cancelled, StepStatus::Cancelled),
        ] {
            assert_eq!((task_status(&state), step_status(&state)), (task, step), "{state:?}");
            let failed = matches!(step, StepStatus::Failed | StepStatus::Skipped);
            assert_eq!(failure(&state).is_some(), failed, "{state:?}");
        }
    }

    #[test]
    fn levels_and_complexities_keep_their_names() {
        for known in reputation::Level::ALL {
            let named = serde_json::to_string(&level(known)).expect("a name");
            assert_eq!(named, format!("{:?}", known.name()));
            assert_eq!(rules_level(level(known)), known);
        }
        for known in reputation::Complexity::ALL {
            let named = serde_json::to_string(&complexity(known)).expect("a name");
            assert_eq!(named, format!("{:?}", known.name()));
            assert_eq!(rules_complexity(complexity(known)), known);
        }
    }

    #[test]
    fn json_goes_out_as_it_came_in_and_null_where_it_is_gone() {
        let came = Json::new(r#" {"a": 1} "#.as_bytes().to_vec());
        assert_eq!(json(&rules_json(&came)).bytes(), came.bytes());
        assert_eq!(json(&RulesJson::new(Vec::new())).bytes(), b"null");
        assert_eq!(json(&RulesJson::new(*b"{}")).bytes(), b"{}");
    }

    #[test]
    fn a_verdict_says_what_was_paid_only_where_it_was_accepted() {
        let accepted = verdict(7, &Outcome::Accepted { quality: 80, checked: true }, Credits(5));
        assert_eq!((accepted.accepted, accepted.quality_score, accepted.paid), (true, Some(80), Credits(5)));
        let outcome = Outcome::Rejected { check: "output_schema".into(), findings: "n: missing".into() };
        let rejected = verdict(8, &outcome, Credits(5));
        assert_eq!((rejected.accepted, rejected.paid), (false, Credits::ZERO));
        assert_eq!((rejected.check.as_deref(), rejected.entry), (Some("output_schema"), 8));
    }
}
