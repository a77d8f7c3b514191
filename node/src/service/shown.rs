//! Who sees what, and runs, steps and tasks as each of them sees them.
//!
//! The operator sees everything. A poster sees everything of what it posted. An agent sees what it holds or handed in:
//! the input, its own submissions, and its own accepted output. Everybody enrolled sees what is open to claims, without
//! its input. For everybody else a task is not there at all.

use super::convert;
use artel_federation::commitment::{self, Salt};
use artel_federation::effect::{Receipt, poster_text};
use artel_federation::fact::{Outcome, Poster, RunPosted, TaskSpec};
use artel_federation::run::{Handed, Run, RunStatus, Step, StepState};
use artel_federation::{Json as RulesJson, effect::Judged};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::AgentId;
use artel_web::types::Json;
use artel_web::types::run::{Failure, Progress, Run as WebRun, Step as WebStep};
use artel_web::types::task::{Requirements, Submission, Task, Terms};

/// Inputs and outputs above this many bytes are left out of lists; they stand in the answer for one run, step or task.
/// Larger, and one page could hold fifty megabytes.
const LISTED_BYTES_MAX: usize = 1_024;

/// Who looks, with a credential that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Viewer {
    Operator,
    Agent(AgentId),
}

impl Viewer {
    /// Whether it is the one who posted.
    pub fn is(&self, poster: Poster) -> bool {
        match self {
            Viewer::Operator => true,
            Viewer::Agent(me) => poster == Poster::Agent(*me),
        }
    }

    /// Whether it is this agent, or the operator.
    pub fn may_be(&self, agent: &AgentId) -> bool {
        match self {
            Viewer::Operator => true,
            Viewer::Agent(me) => me == agent,
        }
    }
}

/// How much of a step somebody sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// All of it.
    All,
    /// The input and this agent's own work.
    Own(AgentId),
    /// What is open to claims.
    Offer,
}

/// How much of it is put into the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Everything that may be seen.
    Full,
    /// One of many.
    Listed,
}

/// What has left memory and stands in the journal: the entry of the post, and the entry of a step's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gaps {
    pub posted_at: Option<u64>,
    pub output_at: Option<u64>,
}

/// How much of a step somebody sees; nothing where for them there is none.
pub(super) fn sight(viewer: &Viewer, run: &Run, step: &Step) -> Option<Sight> {
    let me = match viewer {
        Viewer::Agent(me) if !viewer.is(run.poster) => *me,
        _ => return Some(Sight::All),
    };
    if worker(&step.state) == Some(me) || step.handed.iter().any(|handed| handed.agent == me) {
        return Some(Sight::Own(me));
    }
    (step.state == StepState::Offered).then_some(Sight::Offer)
}

/// Whether a run is there at all for somebody: its poster, or whoever sees one of its steps.
pub(super) fn is_there(viewer: &Viewer, run: &Run) -> bool {
    viewer.is(run.poster) || run.steps.iter().any(|step| sight(viewer, run, step).is_some())
}

/// Of which of a run's work somebody sees more than the offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Insight {
    /// All of it.
    All,
    /// These steps, which are its own.
    Own(Vec<StepId>),
}

/// Of which of a run's work somebody sees more than the offer.
pub(super) fn insight(viewer: &Viewer, run: &Run) -> Insight {
    if viewer.is(run.poster) {
        return Insight::All;
    }
    let is_own = |number: &usize| matches!(sight(viewer, run, &run.steps[*number]), Some(Sight::Own(_)));
    Insight::Own((0..run.steps.len()).filter(is_own).map(|number| run.step_id(number)).collect())
}

impl Insight {
    /// Whether it reaches what belongs to a step, or to the run as a whole.
    pub fn reaches(&self, step: Option<StepId>) -> bool {
        match self {
            Insight::All => true,
            Insight::Own(steps) => step.map_or(!steps.is_empty(), |step| steps.contains(&step)),
        }
    }
}

/// Who holds a step, or did it.
pub(super) fn worker(state: &StepState) -> Option<AgentId> {
    match state {
        StepState::Leased { agent, .. }
        | StepState::Submitted { agent, .. }
        | StepState::Accepted { agent } => Some(*agent),
        StepState::Waiting | StepState::Offered | StepState::Ended(_) => None,
    }
}

impl Sight {
    fn sees_input(self) -> bool {
        self != Sight::Offer
    }

    fn sees_output(self, state: &StepState) -> bool {
        match (self, state) {
            (Sight::All, StepState::Accepted { .. }) => true,
            (Sight::Own(me), StepState::Accepted { agent }) => me == *agent,
            _ => false,
        }
    }

    /// Whether it sees the work of this agent.
    pub fn sees_work_of(self, agent: &AgentId) -> bool {
        match self {
            Sight::All => true,
            Sight::Own(me) => me == *agent,
            Sight::Offer => false,
        }
    }
}

/// What of a step has to be read from the journal before it is shown.
pub(super) fn gaps(run: &Run, step: &Step, sight: Sight) -> Gaps {
    let output_gone = step.output.is_none() && sight.sees_output(&step.state);
    Gaps {
        posted_at: run.trimmed.then_some(run.posted_at),
        output_at: step.output_at.filter(|_| output_gone),
    }
}

/// A task as somebody sees it. `posted` and `output` are what was read from the journal.
pub(super) fn task(run: &Run, number: usize, sight: Sight, detail: Detail) -> Task {
    let step = &run.steps[number];
    let task = &step.spec.task;
    let kept =
        |json: &RulesJson| detail == Detail::Full || (!json.is_empty() && json.len() <= LISTED_BYTES_MAX);
    let shown = |json: &RulesJson| kept(json).then(|| convert::json(json));
    let agent = worker(&step.state).filter(|agent| sight.sees_work_of(agent));
    Task {
        task_id: run.step_id(number),
        run_id: run.id,
        name: step.spec.name.clone(),
        title: task.title.clone(),
        description: task.description.clone(),
        requirements: Requirements {
            capabilities: task.skills.clone(),
            level: task.level_min.map(convert::level),
        },
        reward: task.reward,
        complexity: convert::complexity(task.complexity),
        deadline: task.deadline,
        status: convert::task_status(&step.state),
        posted_by: poster_text(&run.poster),
        created_at: run.created,
        started_at: step.started,
        completed_at: step.completed,
        assigned_agent_id: agent,
        epoch: step.epoch,
        attempts: step.attempts.into(),
        lapses: step.lapses.into(),
        paid: if agent.is_some() { step.paid } else { Credits::ZERO },
        input: if sight.sees_input() { shown(&task.input) } else { None },
        output: step.output.as_ref().filter(|_| sight.sees_output(&step.state)).and_then(shown),
        output_schema: task.output_schema.as_ref().and_then(shown),
        poster_may_claim: task.poster_may_claim,
        runner: task.runner.map(convert::runner),
        terms: match detail {
            Detail::Full if sight.sees_input() && !run.trimmed => {
                Some(terms(run.salt, &run.step_id(number), task))
            }
            _ => None,
        },
        submissions: match detail {
            Detail::Listed => Vec::new(),
            Detail::Full => {
                let seen = step.handed.iter().filter(|handed| sight.sees_work_of(&handed.agent));
                seen.map(|handed| submission(step, handed)).collect()
            }
        },
    }
}

/// Puts into a task what was read from the journal.
pub(super) fn fill_task(
    task: &mut Task,
    sight: Sight,
    posted: Option<&RunPosted>,
    output: Option<&RulesJson>,
) {
    if let Some(spec) = posted.and_then(|posted| posted.steps.get(task.task_id.index())) {
        task.description.clone_from(&spec.task.description);
        task.output_schema = spec.task.output_schema.as_ref().map(convert::json);
        task.input = sight.sees_input().then(|| convert::json(&spec.task.input));
        task.terms =
            posted.filter(|_| sight.sees_input()).map(|posted| terms(posted.salt, &task.task_id, &spec.task));
    }
    if let Some(output) = output {
        task.output = Some(convert::json(output));
    }
}

/// What the step's offers commit home to, and its own salt: with the rest of the answer they are opened.
fn terms(run: Salt, step: &StepId, task: &TaskSpec) -> Terms {
    let salt = commitment::terms_salt(run, step);
    Terms { digest: commitment::terms(salt, step, task), salt: salt.0 }
}

fn submission(step: &Step, handed: &Handed) -> Submission {
    let verdict = handed.verdict.as_ref();
    Submission {
        epoch: handed.epoch,
        agent_id: handed.agent,
        result: handed.result,
        salt: handed.opening.salt.0,
        output_digest: handed.opening.output,
        artifacts: handed.opening.artifacts.clone(),
        submitted_at: handed.at,
        entry: handed.index,
        verdict: verdict.map(|(entry, outcome)| convert::verdict(*entry, outcome, step.paid)),
    }
}

/// The receipt of an agent's submission under an epoch, as the rules gave it when the run was in their memory.
pub(crate) fn receipt_of(run: &Run, number: usize, epoch: Epoch, agent: &AgentId) -> Option<Receipt> {
    let step = &run.steps[number];
    let handed = step.handed.iter().find(|handed| handed.epoch == epoch && handed.agent == *agent)?;
    let verdict = handed.verdict.as_ref().map(|(index, outcome)| {
        let accepted = matches!(outcome, Outcome::Accepted { .. });
        let paid = if accepted { step.paid } else { Credits::ZERO };
        Judged { index: *index, outcome: outcome.clone(), paid }
    });
    Some(Receipt {
        step: run.step_id(number),
        epoch,
        agent: handed.agent,
        result: handed.result,
        opening: handed.opening.clone(),
        authority: handed.authority,
        submitted: handed.index,
        submitted_at: handed.at,
        verdict,
        next: None,
    })
}

/// A step as somebody sees it.
pub(super) fn step(run: &Run, number: usize, sight: Sight, detail: Detail) -> WebStep {
    let step = &run.steps[number];
    let task = task(run, number, sight, detail);
    WebStep {
        step_id: task.task_id,
        run_id: run.id,
        name: task.name,
        status: convert::step_status(&step.state),
        needs: step.spec.needs.iter().map(|need| run.steps[usize::from(*need)].spec.name.clone()).collect(),
        started_at: step.started,
        completed_at: step.completed,
        logs_artifact_id: None,
        inputs: task.input,
        outputs: task.output,
        error: convert::failure(&step.state),
    }
}

/// Puts into a step what was read from the journal.
pub(super) fn fill_step(
    step: &mut WebStep,
    sight: Sight,
    posted: Option<&RunPosted>,
    output: Option<&RulesJson>,
) {
    if let Some(spec) = posted.and_then(|posted| posted.steps.get(step.step_id.index())) {
        step.inputs = sight.sees_input().then(|| convert::json(&spec.task.input));
    }
    if let Some(output) = output {
        step.outputs = Some(convert::json(output));
    }
}

/// A run as its poster and the operator see it; `outputs` are put in by whoever has them.
pub(super) fn run(run: &Run, detail: Detail) -> WebRun {
    let status = run.status();
    let listed = detail == Detail::Listed && run.inputs.len() > LISTED_BYTES_MAX;
    WebRun {
        run_id: run.id,
        name: run.name.clone(),
        blueprint_ref: None,
        status: convert::run_status(status),
        priority: run.priority,
        created_at: run.created,
        started_at: run.steps.iter().filter_map(|step| step.started).min(),
        completed_at: run.ended,
        actor: poster_text(&run.poster),
        correlation_id: run.correlation.clone(),
        inputs: if listed { convert::null() } else { convert::json(&run.inputs) },
        outputs: None,
        error: if status == RunStatus::Failed { run_failure(run) } else { None },
        progress: progress(run),
    }
}

/// The outputs of a completed run that are in memory, by step, and the entries of those that are not.
pub(super) fn outputs(run: &Run) -> Option<Vec<(String, Result<RulesJson, u64>)>> {
    if run.status() != RunStatus::Completed {
        return None;
    }
    let output = |step: &Step| match (&step.output, step.output_at) {
        (Some(output), _) => Some((step.spec.name.clone(), Ok(output.clone()))),
        (None, at) => at.map(|at| (step.spec.name.clone(), Err(at))),
    };
    Some(run.steps.iter().filter_map(output).collect())
}

/// Named JSON values as one object, copied as they are.
pub(super) fn object(values: &[(String, RulesJson)]) -> Json {
    let mut text =
        Vec::with_capacity(2 + values.iter().map(|(name, json)| name.len() + json.len() + 4).sum::<usize>());
    text.push(b'{');
    for (i, (name, json)) in values.iter().enumerate() {
        if i > 0 {
            text.push(b',');
        }
        text.extend_from_slice(serde_json::Value::from(name.as_str()).to_string().as_bytes());
        text.push(b':');
        text.extend_from_slice(json.bytes());
    }
    text.push(b'}');
    Json::new(text)
}

fn run_failure(run: &Run) -> Option<Failure> {
    let failed = run.steps.iter().find_map(|step| {
        let cause = convert::failure(&step.state).filter(|cause| cause.code != "need_failed")?;
        Some((step, cause))
    });
    let (step, cause) = failed?;
    Some(Failure { message: format!("step {:?}: {}", step.spec.name, cause.message), code: cause.code })
}

fn progress(run: &Run) -> Progress {
    let mut progress = Progress { steps: run.steps.len() as u32, ..Progress::default() };
    for step in &run.steps {
        match step.state {
            StepState::Waiting | StepState::Offered => {}
            StepState::Leased { .. } | StepState::Submitted { .. } => progress.running += 1,
            StepState::Accepted { .. } => progress.completed += 1,
            StepState::Ended(_) => progress.ended += 1,
        }
    }
    progress
}
