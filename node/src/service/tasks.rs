//! Tasks: posting, claiming, keeping and handing in. The answers come from the rules' replies as they are; a task that
//! has left their memory is answered for from the index, in the same words. What goes to other homes is boxed: it would make
//! every call's future several times as large.

use super::inner::{NodeService, now};
use super::refusal::{bug, of_store};
use super::shown::{self, Detail, Viewer};
use super::{away, claiming, convert};
use crate::check;
use crate::hand::acknowledge;
use artel_federation::effect::Receipt;
use artel_federation::fact::RunnerSpec;
use artel_federation::input::{ClaimNext, RunPost, StepPost, Submission};
use artel_federation::run::Run;
use artel_federation::{Json, Reply, Request};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::limits::{
    INPUT_BYTES_MAX, NAME_BYTES_MAX, OUTPUT_BYTES_MAX, STEP_ARTIFACTS_MAX, TITLE_BYTES_MAX,
};
use artel_protocol::skill::Skill;
use artel_protocol::text::is_plain;
use artel_web::types::Json as WebJson;
use artel_web::types::task::{
    Acknowledge, ClaimRequest, Lease, LeaseRequest, Renewed, SubmitRequest, Submitted, Task, TaskPost,
};
use artel_web::{Call, Code, Problem};

/// The name of a lone task's step in its run.
const LONE_STEP: &str = "task";

/// `POST /v1/tasks`: a run of one step, which bears the task's title as its name.
pub(super) async fn post(service: &NodeService, call: &Call, post: TaskPost) -> Result<Task, Problem> {
    check_post(service, &post).await.map_err(|problem| service.refuse(call, problem))?;
    let name = first_bytes(&post.title, NAME_BYTES_MAX).to_owned();
    let step = StepPost { name: LONE_STEP.into(), needs: Vec::new(), task: convert::task_spec(post, now()) };
    let key = call.idempotency.as_ref().map(|idempotency| (idempotency.key.clone(), idempotency.body));
    let post = RunPost { name, inputs: Json::new(*b"{}"), priority: 0, steps: vec![step], key };
    match service.ask(call, Request::Post(post)).await? {
        Reply::Run { run, .. } => lone(service, &run).await,
        Reply::Repeated(id) => {
            let run = service.indexed(move |index| index.run(&id)).await?;
            lone(service, &*run.ok_or_else(|| bug("a repeated post's run is nowhere"))?).await
        }
        _ => Err(bug("a post got another reply")),
    }
}

/// A lone task as its poster sees it. A key of another kind of post may name a run of no or several steps.
async fn lone(service: &NodeService, run: &Run) -> Result<Task, Problem> {
    let Some(step) = run.steps.first() else {
        return Err(Problem::of(Code::IdempotencyConflict));
    };
    let gaps = shown::gaps(run, step, shown::Sight::All);
    let mut task = shown::task(run, 0, shown::Sight::All, Detail::Full);
    fill(service, &mut task, shown::Sight::All, gaps).await?;
    Ok(task)
}

/// What the edge of the rules looks at before they do: what they have no eyes for.
pub(super) async fn check_post(service: &NodeService, post: &TaskPost) -> Result<(), Problem> {
    if !is_plain(&post.title, TITLE_BYTES_MAX, false) {
        let message = format!("title must be 1 to {TITLE_BYTES_MAX} bytes of text on one line");
        return Err(Problem::new(Code::Invalid, message));
    }
    if post.input.bytes().len() > INPUT_BYTES_MAX {
        return Err(Problem::of(Code::InputTooLarge));
    }
    if let Some(asked) = &post.runner {
        check_runner(service, asked).await?;
    }
    let Some(schema) = post.output_schema.clone() else { return Ok(()) };
    if schema.bytes().len() > artel_protocol::limits::SCHEMA_BYTES_MAX {
        let max = artel_protocol::limits::SCHEMA_BYTES_MAX;
        return Err(Problem::new(Code::TooMany, format!("output_schema has at most {max} bytes")));
    }
    // Compiling takes long enough to hold up others.
    let compiled = move |_: &NodeService| {
        check::schema(schema.bytes()).map_err(|reason| {
            Problem::new(Code::BadSchema, format!("{}: {reason}", Code::BadSchema.sentence()))
        })
    };
    service.blocking(compiled).await
}

/// That this node can hand out what a task is to be run with.
async fn check_runner(service: &NodeService, asked: &WebJson) -> Result<(), Problem> {
    let RunnerSpec::Wasm { module } = convert::runner_spec(asked)?;
    match service.parts().blobs.kept(&module).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            let message = format!(
                "{module} is no artifact of this node; put the module first: PUT /v1/artifacts/{module}"
            );
            Err(Problem::new(Code::ArtifactMissing, message))
        }
        Err(error) => Err(of_store(error)),
    }
}

/// `GET /v1/tasks/{id}`.
pub(super) async fn get(service: &NodeService, call: &Call, id: StepId) -> Result<Task, Problem> {
    let see = move |run: &Run, viewer: &Viewer| {
        let step = run.steps.get(id.index())?;
        let sight = shown::sight(viewer, run, step)?;
        Some((shown::task(run, id.index(), sight, Detail::Full), sight, shown::gaps(run, step, sight)))
    };
    let (mut task, sight, gaps) = service.in_run(call, id.run(), see).await?;
    fill(service, &mut task, sight, gaps).await?;
    Ok(task)
}

async fn fill(
    service: &NodeService,
    task: &mut Task,
    sight: shown::Sight,
    gaps: shown::Gaps,
) -> Result<(), Problem> {
    let posted = service.posted(gaps.posted_at).await?;
    let output = service.output(gaps.output_at).await?;
    shown::fill_task(task, sight, posted.as_ref(), output.as_ref());
    Ok(())
}

/// `POST /v1/tasks/{id}/claim`. It does not wait: `wait_ms` is for the claim of the next task. `estimated_duration` is
/// taken and not used: a lease's term is the operator's, and a holder that needs longer renews.
pub(super) async fn claim(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    id: StepId,
    claim: ClaimRequest,
) -> Result<Lease, Problem> {
    check_skills(service, call, me, claim.agent_capabilities.clone()).await?;
    if let Some(home) = away::home_of(service, call, claim.home, id).await? {
        return Box::pin(away::claim(service, call, me, (home, id), claim.signed)).await;
    }
    match service.ask(call, Request::Claim(id)).await {
        Ok(Reply::Leased(lease)) => Ok(convert::lease(*lease)),
        Ok(_) => Err(bug("a claim got another reply")),
        Err(problem) => Err(closed(service, id, problem).await),
    }
}

/// `POST /v1/tasks/claim`.
pub(super) async fn claim_next(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    claim: ClaimRequest,
) -> Result<Option<Lease>, Problem> {
    check_skills(service, call, me, claim.agent_capabilities.clone()).await?;
    match &service.parts().neighbours {
        Some(neighbours) => Box::pin(claiming::claim_next(service, neighbours, call, me, claim)).await,
        None => claim_next_here(service, call, claim.wait_ms).await,
    }
}

/// A claim of the next task of this node's own.
pub(super) async fn claim_next_here(
    service: &NodeService,
    call: &Call,
    wait_ms: u32,
) -> Result<Option<Lease>, Problem> {
    next_lease(service.ask(call, Request::ClaimNext(ClaimNext { wait_ms })).await?)
}

/// The lease in the answer to a claim of the next task.
pub(super) fn next_lease(reply: Reply) -> Result<Option<Lease>, Problem> {
    match reply {
        Reply::Leased(lease) => Ok(Some(convert::lease(*lease))),
        Reply::Nothing => Ok(None),
        _ => Err(bug("a claim got another reply")),
    }
}

/// An agent claims with the skills that it is enrolled with; one that names others does not qualify with them.
pub(super) async fn check_skills(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    named: Option<Vec<Skill>>,
) -> Result<(), Problem> {
    let Some(named) = named.filter(|named| !named.is_empty()) else { return Ok(()) };
    let missing = service.look(call, move |view, _| {
        let skills = view.agent(&me).map_or(&[][..], |agent| &agent.skills);
        named.into_iter().find(|named| !skills.iter().any(|skill| skill.meets(named)))
    });
    let Some(missing) = missing.await? else { return Ok(()) };
    let message = format!(
        "this agent is not enrolled with the capability {missing}; add it with PATCH /v1/agents/me/config or leave it out"
    );
    Err(service.refuse(call, Problem::new(Code::NotQualified, message)))
}

/// `POST /v1/tasks/{id}/renew`.
pub(super) async fn renew(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    id: StepId,
    lease: LeaseRequest,
) -> Result<Renewed, Problem> {
    let epoch = lease.epoch;
    if let Some(abroad) = away::lease_of(service, call, me, (id, epoch)).await? {
        return Box::pin(away::renew(service, call, abroad, lease.signed)).await;
    }
    match service.ask(call, Request::Renew { step: id, epoch }).await {
        Ok(Reply::Renewed { expires }) => Ok(Renewed { task_id: id, epoch, expires_at: expires }),
        Ok(_) => Err(bug("a renewal got another reply")),
        Err(problem) => Err(closed(service, id, problem).await),
    }
}

/// `POST /v1/tasks/{id}/release`.
pub(super) async fn release(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    id: StepId,
    lease: LeaseRequest,
) -> Result<(), Problem> {
    let epoch = lease.epoch;
    if let Some(abroad) = away::lease_of(service, call, me, (id, epoch)).await? {
        return Box::pin(away::release(service, call, abroad, lease.signed)).await;
    }
    match service.ask(call, Request::Release { step: id, epoch }).await {
        Ok(_) => Ok(()),
        Err(problem) => Err(closed(service, id, problem).await),
    }
}

/// A task that the rules do not know any more is over if the index knows it.
async fn closed(service: &NodeService, id: StepId, problem: Problem) -> Problem {
    if problem.code != Code::NotFound {
        return problem;
    }
    match service.indexed(move |index| index.run(&id.run())).await {
        Ok(Some(run)) if id.index() < run.steps.len() => Problem::new(Code::Finished, "this task is over"),
        Ok(_) => problem,
        Err(not_ready) => not_ready,
    }
}

/// `POST /v1/tasks/{id}/submit`.
pub(super) async fn submit(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    id: StepId,
    request: SubmitRequest,
) -> Result<Submitted, Problem> {
    check_submission(service, request.output.bytes().len(), &request.artifacts)
        .await
        .map_err(|p| service.refuse(call, p))?;
    if let Some(abroad) = away::lease_of(service, call, me, (id, request.epoch)).await? {
        return Box::pin(away::submit(service, call, abroad, request)).await;
    }
    let SubmitRequest { epoch, output, artifacts, claim_next, acknowledge: by, signed: _ } = request;
    let next = match claim_next {
        Some(claim) => {
            check_skills(service, call, me, claim.agent_capabilities).await?;
            Some(ClaimNext { wait_ms: claim.wait_ms })
        }
        None => None,
    };
    let output = convert::rules_json(&output);
    let submission = Submission {
        step: id,
        epoch,
        output: output.clone(),
        artifacts: artifacts.clone(),
        next,
        brought: None,
    };
    let receipt = match service.ask(call, Request::Submit(submission)).await {
        Ok(Reply::Submitted(receipt)) => *receipt,
        Ok(_) => return Err(bug("a submission got another reply")),
        Err(problem) if problem.code == Code::NotFound => {
            let mut receipt =
                same_again(service, me, (id, epoch), (output.digest(), artifacts), problem).await?;
            if let Some(next) = next {
                receipt.next = next_after_repeat(service, call, next).await?;
            }
            receipt
        }
        Err(problem) => return Err(problem),
    };
    Ok(submitted(service, receipt, by))
}

async fn check_submission(service: &NodeService, bytes: usize, artifacts: &[Digest]) -> Result<(), Problem> {
    if bytes > OUTPUT_BYTES_MAX {
        return Err(Problem::of(Code::OutputTooLarge));
    }
    if artifacts.len() > STEP_ARTIFACTS_MAX {
        return Err(Problem::of(Code::TooManyArtifacts));
    }
    for digest in artifacts {
        if service.parts().blobs.kept(digest).await.map_err(super::refusal::of_store)?.is_none() {
            let message = format!("the bytes of artifact {digest} are not here; put them before you submit");
            return Err(Problem::new(Code::ArtifactMissing, message));
        }
    }
    Ok(())
}

/// The answer to a submission whose run has left the rules' memory, by the same conditions as theirs.
async fn same_again(
    service: &NodeService,
    me: AgentId,
    (id, epoch): (StepId, Epoch),
    (output, artifacts): (Digest, Vec<Digest>),
    unknown: Problem,
) -> Result<Receipt, Problem> {
    let run = service.indexed(move |index| index.run(&id.run())).await?;
    let Some(run) = run.filter(|run| id.index() < run.steps.len()) else { return Err(unknown) };
    match shown::receipt_of(&run, id.index(), epoch, &me) {
        Some(receipt) if (receipt.opening.output, &receipt.opening.artifacts) == (output, &artifacts) => {
            Ok(receipt)
        }
        Some(_) => Err(Problem::of(Code::AlreadySubmitted)),
        None => Err(Problem::new(Code::Finished, "this task is over")),
    }
}

/// The next task for a repeated submission; what stands against one stands against the task, not the submission.
async fn next_after_repeat(
    service: &NodeService,
    call: &Call,
    next: ClaimNext,
) -> Result<Option<Box<artel_federation::effect::Lease>>, Problem> {
    match service.ask(call, Request::ClaimNext(next)).await {
        Ok(Reply::Leased(lease)) => Ok(Some(lease)),
        Ok(_) => Ok(None),
        Err(problem) if matches!(problem.code, Code::CapacityFull | Code::TooManyWaiting) => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// The answer, with home's signature on what it acknowledges where one is wanted.
fn submitted(service: &NodeService, receipt: Receipt, by: Acknowledge) -> Submitted {
    let parts = service.parts();
    let signature = match by {
        Acknowledge::Signed => Some(acknowledge(&receipt, &parts.hand, &parts.identity.federation)),
        Acknowledge::Logged => None,
    };
    let acknowledgement = convert::acknowledgement(&receipt, signature);
    let verdict = receipt.verdict.as_ref();
    Submitted {
        acknowledgement: Some(acknowledgement),
        handed_in: None,
        receipt: verdict.map(|judged| convert::verdict(judged.index, &judged.outcome, judged.paid)),
        next: receipt.next.map(|lease| convert::lease(*lease)),
    }
}

/// `POST /v1/tasks/{id}/cancel`.
pub(super) async fn cancel(service: &NodeService, call: &Call, id: StepId) -> Result<Task, Problem> {
    match service.ask(call, Request::Cancel { run: id.run(), step: Some(id) }).await {
        Ok(Reply::Run { run, .. }) if id.index() < run.steps.len() => {
            let gaps = shown::gaps(&run, &run.steps[id.index()], shown::Sight::All);
            let mut task = shown::task(&run, id.index(), shown::Sight::All, Detail::Full);
            fill(service, &mut task, shown::Sight::All, gaps).await?;
            Ok(task)
        }
        Ok(_) => Err(bug("a cancellation got another reply")),
        Err(problem) if problem.code == Code::NotFound => cancelled_before(service, call, id).await,
        Err(problem) => Err(problem),
    }
}

/// A cancellation of a task that has left the rules' memory: the same answer as before, or that it is over.
async fn cancelled_before(service: &NodeService, call: &Call, id: StepId) -> Result<Task, Problem> {
    let cancelled = move |run: &Run, viewer: &Viewer| {
        let step = run.steps.get(id.index())?;
        viewer.is(run.poster).then_some(step.cancelled)
    };
    if service.in_run(call, id.run(), cancelled).await? {
        return get(service, call, id).await;
    }
    Err(Problem::new(Code::Finished, "this is over and cannot be cancelled any more"))
}

/// The first `bytes_max` bytes of a text, less where that would cut a character.
fn first_bytes(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_title_is_cut_between_characters() {
        assert_eq!(first_bytes("short", 255), "short");
        assert_eq!(first_bytes("aéb", 2), "a");
        assert_eq!(first_bytes("aéb", 3), "aé");
    }
}
