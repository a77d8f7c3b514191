//! Runs and their steps: posting a graph, one run with its outputs, its steps, cancelling it.

use super::convert;
use super::inner::{NodeService, now};
use super::refusal::bug;
use super::shown::{self, Detail, Viewer};
use super::{page, tasks};
use artel_federation::input::{RunPost, StepPost};
use artel_federation::run::Run;
use artel_federation::{Json as RulesJson, Reply, Request};
use artel_protocol::id::{RUN_STEPS_MAX, RunId, StepId};
use artel_protocol::limits::INPUT_BYTES_MAX;
use artel_web::types::run::{Run as WebRun, RunPost as WebRunPost, Step as WebStep};
use artel_web::types::{Json, List, Page};
use artel_web::{Call, Code, Problem};

/// The most bytes of outputs that stand in a run's own answer (1 MiB). Beyond it `outputs` is null, and each step's
/// stands in the answer for the step; larger, and one answer could hold fifty megabytes.
const RUN_OUTPUTS_BYTES_MAX: usize = 1 << 20;

/// `POST /v1/runs`.
pub(super) async fn post(service: &NodeService, call: &Call, post: WebRunPost) -> Result<WebRun, Problem> {
    check_post(service, &post).await.map_err(|problem| service.refuse(call, problem))?;
    let now = now();
    let step = |step: artel_web::types::run::StepPost| StepPost {
        name: step.name,
        needs: step.needs,
        task: convert::task_spec(step.task, now),
    };
    let post = RunPost {
        name: post.name,
        inputs: convert::rules_json(&post.inputs),
        priority: post.priority,
        steps: post.steps.into_iter().map(step).collect(),
        key: call.idempotency.as_ref().map(|idempotency| (idempotency.key.clone(), idempotency.body)),
    };
    let run = match service.ask(call, Request::Post(post)).await? {
        Reply::Run { run, .. } => run,
        Reply::Repeated(id) => {
            let run = service.indexed(move |index| index.run(&id)).await?;
            run.ok_or_else(|| bug("a repeated post's run is nowhere"))?
        }
        _ => return Err(bug("a post got another reply")),
    };
    whole(service, &run).await
}

async fn check_post(service: &NodeService, post: &WebRunPost) -> Result<(), Problem> {
    if post.blueprint_ref.is_some() {
        return Err(Problem::of(Code::BlueprintUnknown));
    }
    if post.steps.len() > RUN_STEPS_MAX {
        return Err(Problem::of(Code::TooManySteps));
    }
    if post.inputs.bytes().len() > INPUT_BYTES_MAX {
        return Err(Problem::of(Code::InputTooLarge));
    }
    for step in &post.steps {
        tasks::check_post(service, &step.task).await.map_err(|mut problem| {
            problem.message = format!("step {:?}: {}", step.name, problem.message);
            problem
        })?;
    }
    Ok(())
}

/// `GET /v1/runs/{id}`.
pub(super) async fn get(service: &NodeService, call: &Call, id: RunId) -> Result<WebRun, Problem> {
    let find = |run: &Run, viewer: &Viewer| viewer.is(run.poster).then(|| run.clone());
    let run = service.in_run(call, id, find).await?;
    whole(service, &run).await
}

/// A run with what of it has to be read from the journal.
async fn whole(service: &NodeService, run: &Run) -> Result<WebRun, Problem> {
    let mut shown = shown::run(run, Detail::Full);
    if run.trimmed
        && let Some(posted) = service.posted(Some(run.posted_at)).await?
    {
        shown.inputs = convert::json(&posted.inputs);
    }
    shown.outputs = outputs(service, run).await?;
    Ok(shown)
}

async fn outputs(service: &NodeService, run: &Run) -> Result<Option<Json>, Problem> {
    let Some(outputs) = shown::outputs(run) else { return Ok(None) };
    let (mut all, mut bytes) = (Vec::with_capacity(outputs.len()), 0);
    for (name, output) in outputs {
        let output = match output {
            Ok(output) => output,
            Err(at) => service.output(Some(at)).await?.unwrap_or_else(|| RulesJson::new(*b"null")),
        };
        bytes += output.len();
        if bytes > RUN_OUTPUTS_BYTES_MAX {
            return Ok(None);
        }
        all.push((name, output));
    }
    Ok(Some(shown::object(&all)))
}

/// `POST /v1/runs/{id}/cancel`.
pub(super) async fn cancel(service: &NodeService, call: &Call, id: RunId) -> Result<WebRun, Problem> {
    match service.ask(call, Request::Cancel { run: id, step: None }).await {
        Ok(Reply::Run { run, .. }) => whole(service, &run).await,
        Ok(_) => Err(bug("a cancellation got another reply")),
        Err(problem) if problem.code == Code::NotFound => {
            let cancelled = |run: &Run, viewer: &Viewer| viewer.is(run.poster).then_some(run.cancelled);
            match service.in_run(call, id, cancelled).await? {
                true => get(service, call, id).await,
                false => Err(Problem::new(Code::Finished, "this is over and cannot be cancelled any more")),
            }
        }
        Err(problem) => Err(problem),
    }
}

/// `GET /v1/runs/{id}/steps`.
pub(super) async fn steps(
    service: &NodeService,
    call: &Call,
    id: RunId,
    page: Page,
) -> Result<List<WebStep>, Problem> {
    let after = page::key(&page, StepId::parse)?.filter(|step| step.run() == id);
    let first = after.map_or(0, |step| step.index() + 1);
    let find = move |run: &Run, viewer: &Viewer| {
        let seen = run.steps.iter().enumerate().skip(first).filter_map(|(number, step)| {
            let sight = shown::sight(viewer, run, step)?;
            Some(shown::step(run, number, sight, Detail::Listed))
        });
        let mut items: Vec<WebStep> = seen.take(page.limit as usize + 1).collect();
        let more = items.len() > page.limit as usize;
        items.truncate(page.limit as usize);
        let next_cursor = items.last().filter(|_| more).map(|step| step.step_id.to_string());
        shown::is_there(viewer, run).then_some(List { items, next_cursor })
    };
    service.in_run(call, id, find).await
}

/// `GET /v1/runs/{id}/steps/{step_id}`.
pub(super) async fn step(service: &NodeService, call: &Call, id: StepId) -> Result<WebStep, Problem> {
    let find = move |run: &Run, viewer: &Viewer| {
        let step = run.steps.get(id.index())?;
        let sight = shown::sight(viewer, run, step)?;
        Some((shown::step(run, id.index(), sight, Detail::Full), sight, shown::gaps(run, step, sight)))
    };
    let (mut step, sight, gaps) = service.in_run(call, id.run(), find).await?;
    let posted = service.posted(gaps.posted_at).await?;
    let output = service.output(gaps.output_at).await?;
    shown::fill_step(&mut step, sight, posted.as_ref(), output.as_ref());
    Ok(step)
}
