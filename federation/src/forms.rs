//! The forms of facts that have more than one version. What an older version can say is written in it, so that it has one
//! form, the one that it always had.
//!
//! `RunPosted` (and a task): version 1 knows no runner, version 2 has it at the task's end. `Submitted`: version 1 knows no
//! other node, version 2 ends with where the worker's node recorded it. `Concluded` and `LetGo`: version 1 does not say whose the
//! lease was, nor what was paid.

use crate::fact::{
    Abroad, Authority, Concluded, Entry, Error, Fact, Judgement, LetGo, PostKey, Poster, RunPosted,
    RunnerSpec, StepSpec, Submitted, TaskSpec,
};
use crate::json::Json;
use artel_protocol::amount::Credits;
use artel_protocol::codec::{self, Decode, Encode};
use artel_protocol::id::{Digest, Epoch, RunId, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::skill::Skill;
use artel_protocol::text::Correlation;
use artel_protocol::time::Wall;
use artel_reputation::{Complexity, Level};
use bincode::enc::Encoder;
use bincode::error::EncodeError;

use crate::commitment::Salt;

/// A task in the least version that can say it: what a commitment to its terms covers.
pub(crate) struct LeastTask<'a>(pub &'a TaskSpec);

impl Encode for LeastTask<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        FirstTask(self.0).encode(encoder)?;
        match &self.0.runner {
            None => Ok(()),
            some => some.encode(encoder),
        }
    }
}

/// A task as version 1 has it.
struct FirstTask<'a>(&'a TaskSpec);

impl Encode for FirstTask<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let task = self.0;
        task.title.encode(encoder)?;
        task.description.encode(encoder)?;
        task.skills.encode(encoder)?;
        task.level_min.encode(encoder)?;
        task.complexity.encode(encoder)?;
        task.reward.encode(encoder)?;
        task.deadline.encode(encoder)?;
        task.input.encode(encoder)?;
        task.output_schema.encode(encoder)?;
        task.poster_may_claim.encode(encoder)
    }
}

/// A run as version 1 has it.
pub(crate) struct FirstRunPosted<'a>(pub &'a RunPosted);

impl Encode for FirstRunPosted<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let posted = self.0;
        posted.run.encode(encoder)?;
        posted.poster.encode(encoder)?;
        posted.name.encode(encoder)?;
        posted.inputs.encode(encoder)?;
        posted.priority.encode(encoder)?;
        (posted.steps.len() as u64).encode(encoder)?;
        for step in &posted.steps {
            step.name.encode(encoder)?;
            step.needs.encode(encoder)?;
            FirstTask(&step.task).encode(encoder)?;
        }
        posted.post_key.encode(encoder)?;
        posted.attempts_max.encode(encoder)?;
        posted.lapses_max.encode(encoder)?;
        posted.salt.encode(encoder)
    }
}

/// Whether version 1 can say all of it.
pub(crate) fn is_first(posted: &RunPosted) -> bool {
    posted.steps.iter().all(|step| step.task.runner.is_none())
}

#[derive(Encode, Decode)]
struct OldTask {
    title: String,
    description: String,
    skills: Vec<Skill>,
    level_min: Option<Level>,
    complexity: Complexity,
    reward: Credits,
    deadline: Wall,
    input: Json,
    output_schema: Option<Json>,
    poster_may_claim: bool,
}

#[derive(Encode, Decode)]
struct OldStep {
    name: String,
    needs: Vec<u8>,
    task: OldTask,
}

#[derive(Encode, Decode)]
struct OldRunPosted {
    run: RunId,
    poster: Poster,
    name: String,
    inputs: Json,
    priority: i32,
    steps: Vec<OldStep>,
    post_key: Option<PostKey>,
    attempts_max: u8,
    lapses_max: u8,
    salt: Salt,
}

/// Reads a `RunPosted` of version 1.
pub(crate) fn decode_first_run_posted(payload: &[u8]) -> Result<Entry, Error> {
    let (at, correlation, old): (Wall, Option<Correlation>, OldRunPosted) = codec::decode_own(payload)?;
    let steps = old.steps.into_iter().map(|OldStep { name, needs, task }| StepSpec {
        name,
        needs,
        task: TaskSpec {
            title: task.title,
            description: task.description,
            skills: task.skills,
            level_min: task.level_min,
            complexity: task.complexity,
            reward: task.reward,
            deadline: task.deadline,
            input: task.input,
            output_schema: task.output_schema,
            poster_may_claim: task.poster_may_claim,
            runner: None::<RunnerSpec>,
        },
    });
    let posted = RunPosted {
        run: old.run,
        poster: old.poster,
        name: old.name,
        inputs: old.inputs,
        priority: old.priority,
        steps: steps.collect(),
        post_key: old.post_key,
        attempts_max: old.attempts_max,
        lapses_max: old.lapses_max,
        salt: old.salt,
    };
    Ok(Entry { at, correlation, fact: Fact::RunPosted(posted) })
}

/// A submission as version 1 has it.
pub(crate) struct FirstSubmitted<'a>(pub &'a Submitted);

impl Encode for FirstSubmitted<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let submitted = self.0;
        submitted.step.encode(encoder)?;
        submitted.epoch.encode(encoder)?;
        submitted.agent.encode(encoder)?;
        submitted.result.encode(encoder)?;
        submitted.authority.encode(encoder)?;
        submitted.late.encode(encoder)
    }
}

#[derive(Encode, Decode)]
struct OldSubmitted {
    step: StepId,
    epoch: Epoch,
    agent: AgentId,
    result: Digest,
    authority: Authority,
    late: bool,
}

/// Reads a `Submitted` of version 1.
pub(crate) fn decode_first_submitted(payload: &[u8]) -> Result<Entry, Error> {
    let (at, correlation, old): (Wall, Option<Correlation>, OldSubmitted) = codec::decode_own(payload)?;
    let OldSubmitted { step, epoch, agent, result, authority, late } = old;
    let submitted = Submitted { step, epoch, agent, result, authority, late, handed_at: None };
    Ok(Entry { at, correlation, fact: Fact::Submitted(submitted) })
}

/// A verdict of another home as version 1 has it.
#[derive(Encode, Decode)]
pub(crate) struct FirstConcluded {
    lease: Abroad,
    verdict: u64,
    judgement: Judgement,
}

impl FirstConcluded {
    pub(crate) fn of(f: &Concluded) -> Self {
        FirstConcluded { lease: f.lease, verdict: f.verdict, judgement: f.judgement.clone() }
    }
}

/// Reads a `Concluded` of version 1.
pub(crate) fn decode_first_concluded(payload: &[u8]) -> Result<Entry, Error> {
    let (at, correlation, old): (Wall, Option<Correlation>, FirstConcluded) = codec::decode_own(payload)?;
    let FirstConcluded { lease, verdict, judgement } = old;
    let concluded = Concluded { lease, verdict, judgement, agent: None, paid: None };
    Ok(Entry { at, correlation, fact: Fact::Concluded(concluded) })
}

/// The end of a lease of another home as version 1 has it.
#[derive(Encode, Decode)]
pub(crate) struct FirstLetGo {
    lease: Abroad,
    code: String,
}

impl FirstLetGo {
    pub(crate) fn of(f: &LetGo) -> Self {
        FirstLetGo { lease: f.lease, code: f.code.clone() }
    }
}

/// Reads a `LetGo` of version 1.
pub(crate) fn decode_first_let_go(payload: &[u8]) -> Result<Entry, Error> {
    let (at, correlation, old): (Wall, Option<Correlation>, FirstLetGo) = codec::decode_own(payload)?;
    let FirstLetGo { lease, code } = old;
    Ok(Entry { at, correlation, fact: Fact::LetGo(LetGo { lease, code, agent: None }) })
}
