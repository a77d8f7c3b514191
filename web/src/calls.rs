//! The calls of a busy agent and of who posts, as far as the edge decides: bounds and waits. HTTP's routes and the WebSocket
//! both come through here, so no rule stands twice. A claim and a submission do as little here as they can.

use crate::app::App;
use crate::problem::{Code, Problem};
use crate::service::{Call, Service};
use crate::types::List;
use crate::types::event::{Event, EventQuery};
use crate::types::notice::{MarkRead, Marked};
use crate::types::task::{ClaimRequest, Lease, SubmitRequest, Submitted, Task, TaskPost};
use artel_protocol::id::StepId;
use artel_protocol::key::AgentId;
use artel_protocol::limits::{INPUT_BYTES_MAX, OUTPUT_BYTES_MAX, STEP_ARTIFACTS_MAX};

/// Refuses a task whose input is too large for a task.
pub(crate) fn check_post(post: &TaskPost) -> Result<(), Problem> {
    if post.input.bytes().len() > INPUT_BYTES_MAX {
        return Err(Problem::edge(Code::InputTooLarge));
    }
    Ok(())
}

/// Posts a task.
pub(crate) async fn post_task<S: Service>(
    app: &App<S>,
    call: &Call,
    post: TaskPost,
) -> Result<Task, Problem> {
    check_post(&post)?;
    app.within(app.service.post_task(call, post)).await
}

/// Claims a task.
pub(crate) async fn claim<S: Service>(
    app: &App<S>,
    call: &Call,
    me: AgentId,
    task: StepId,
    claim: ClaimRequest,
) -> Result<Lease, Problem> {
    let claim = bounded(app, claim);
    app.within_wait(claim.wait_ms, app.service.claim(call, me, task, claim)).await
}

/// Claims the next task. At shutdown a wait ends with none.
pub(crate) async fn claim_next<S: Service>(
    app: &App<S>,
    call: &Call,
    me: AgentId,
    claim: ClaimRequest,
) -> Result<Option<Lease>, Problem> {
    let claim = bounded(app, claim);
    let wait_ms = claim.wait_ms;
    let claiming = app.within_wait(wait_ms, app.service.claim_next(call, me, claim));
    if wait_ms == 0 {
        return claiming.await;
    }
    tokio::select! {
        lease = claiming => lease,
        () = app.closing.cancelled() => Ok(None),
    }
}

/// Hands a result in. At shutdown the service ends the wait for the next task; the acknowledgement is owed.
pub(crate) async fn submit<S: Service>(
    app: &App<S>,
    call: &Call,
    me: AgentId,
    task: StepId,
    mut submission: SubmitRequest,
) -> Result<Submitted, Problem> {
    if submission.output.bytes().len() > OUTPUT_BYTES_MAX {
        return Err(Problem::edge(Code::OutputTooLarge));
    }
    if submission.artifacts.len() > STEP_ARTIFACTS_MAX {
        return Err(Problem::edge(Code::TooManyArtifacts));
    }
    submission.claim_next = submission.claim_next.map(|claim| bounded(app, claim));
    let wait_ms = submission.claim_next.as_ref().map_or(0, |claim| claim.wait_ms);
    app.within_wait(wait_ms, app.service.submit(call, me, task, submission)).await
}

/// What happened behind a cursor. At shutdown a wait ends with an empty page.
pub(crate) async fn events<S: Service>(
    app: &App<S>,
    call: &Call,
    mut query: EventQuery,
) -> Result<List<Event>, Problem> {
    query.wait_ms = app.wait_ms(query.wait_ms);
    let (wait_ms, after) = (query.wait_ms, query.after.clone());
    let reading = app.within_wait(wait_ms, app.service.events(call, query));
    if wait_ms == 0 {
        return reading.await;
    }
    tokio::select! {
        events = reading => events,
        () = app.closing.cancelled() => Ok(List { items: Vec::new(), next_cursor: after }),
    }
}

/// Marks notices read, up to a cursor.
pub(crate) async fn mark_read<S: Service>(
    app: &App<S>,
    call: &Call,
    me: AgentId,
    mark: MarkRead,
) -> Result<Marked, Problem> {
    app.within(app.service.mark_read(call, me, mark)).await
}

fn bounded<S: Service>(app: &App<S>, mut claim: ClaimRequest) -> ClaimRequest {
    claim.wait_ms = app.wait_ms(claim.wait_ms);
    claim
}
