//! Tasks: post, list, claim, keep, hand in. The hot path of a node; a claim and a submission do as little here as they
//! can.

use crate::answer;
use crate::app::App;
use crate::body::{Input, Nothing};
use crate::caller::{AsAgent, AsOperator, Known};
use crate::problem::{Code, Problem};
use crate::query::{Id, Query, checked, page};
use crate::service::Service;
use crate::types::task::{
    ClaimRequest, LeaseRequest, OfferQuery, StatusFilter, SubmitRequest, TaskPost, TaskQuery, TaskStatus,
};
use artel_protocol::id::{RunId, StepId};
use artel_protocol::limits::{INPUT_BYTES_MAX, OUTPUT_BYTES_MAX, STEP_ARTIFACTS_MAX};
use artel_protocol::skill::Skill;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    status: Option<Status>,
    capability: Option<String>,
    run_id: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `?status=`.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Any,
    Created,
    Available,
    Claimed,
    Submitted,
    Accepted,
    Failed,
    Cancelled,
}

impl From<Status> for StatusFilter {
    fn from(status: Status) -> Self {
        StatusFilter::Is(match status {
            Status::Any => return StatusFilter::Any,
            Status::Created => TaskStatus::Created,
            Status::Available => TaskStatus::Available,
            Status::Claimed => TaskStatus::Claimed,
            Status::Submitted => TaskStatus::Submitted,
            Status::Accepted => TaskStatus::Accepted,
            Status::Failed => TaskStatus::Failed,
            Status::Cancelled => TaskStatus::Cancelled,
        })
    }
}

/// `GET /v1/tasks`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Query(params): Query<ListParams>,
) -> Result<Response, Problem> {
    let query = TaskQuery {
        status: params.status.map(StatusFilter::from).unwrap_or_default(),
        capability: checked("capability", params.capability, Skill::parse)?,
        run_id: checked("run_id", params.run_id, RunId::parse)?,
        page: page(params.limit, params.cursor)?,
    };
    let tasks = app.within(app.service.tasks(&call, query)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &tasks))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfferParams {
    capability: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/offers`.
pub(super) async fn offers<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Query(params): Query<OfferParams>,
) -> Result<Response, Problem> {
    let query = OfferQuery {
        capability: checked("capability", params.capability, Skill::parse)?,
        page: page(params.limit, params.cursor)?,
    };
    let offers = app.within(app.service.offers(&call, query)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &offers))
}

/// `POST /v1/tasks`.
pub(super) async fn post<S: Service>(
    State(app): State<App<S>>,
    Known(mut call): Known,
    input: Input<TaskPost>,
) -> Result<Response, Problem> {
    let post = input.keyed(&mut call);
    check(&post)?;
    let task = app.within(app.service.post_task(&call, post)).await?;
    Ok(answer::json(StatusCode::CREATED, &call.correlation, &task))
}

/// Refuses a task whose input is too large for a task.
pub(super) fn check(post: &TaskPost) -> Result<(), Problem> {
    if post.input.bytes().len() > INPUT_BYTES_MAX {
        return Err(Problem::edge(Code::InputTooLarge));
    }
    Ok(())
}

/// `GET /v1/tasks/{id}`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(task): Id<StepId>,
) -> Result<Response, Problem> {
    let task = app.within(app.service.task(&call, task)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &task))
}

/// `POST /v1/tasks/{id}/claim`.
pub(super) async fn claim<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    Id(task): Id<StepId>,
    input: Input<ClaimRequest>,
) -> Result<Response, Problem> {
    let claim = bounded(&app, input.value);
    let lease = app.within_wait(claim.wait_ms, app.service.claim(&call, me, task, claim)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &lease))
}

/// `POST /v1/tasks/claim`.
pub(super) async fn claim_next<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    input: Input<ClaimRequest>,
) -> Result<Response, Problem> {
    let claim = bounded(&app, input.value);
    let wait_ms = claim.wait_ms;
    let claiming = app.within_wait(wait_ms, app.service.claim_next(&call, me, claim));
    let lease = if wait_ms == 0 {
        claiming.await?
    } else {
        tokio::select! {
            lease = claiming => lease?,
            () = app.closing.cancelled() => None,
        }
    };
    Ok(match lease {
        Some(lease) => answer::json(StatusCode::OK, &call.correlation, &lease),
        None => answer::nothing(),
    })
}

/// `POST /v1/tasks/{id}/renew`.
pub(super) async fn renew<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    Id(task): Id<StepId>,
    input: Input<LeaseRequest>,
) -> Result<Response, Problem> {
    let renewed = app.within(app.service.renew(&call, me, task, input.value)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &renewed))
}

/// `POST /v1/tasks/{id}/release`.
pub(super) async fn release<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    Id(task): Id<StepId>,
    input: Input<LeaseRequest>,
) -> Result<Response, Problem> {
    app.within(app.service.release(&call, me, task, input.value)).await?;
    Ok(answer::done(&call.correlation, "released"))
}

/// `POST /v1/tasks/{id}/submit`. At shutdown the service ends the wait for the next task; the acknowledgement is owed.
pub(super) async fn submit<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    Id(task): Id<StepId>,
    input: Input<SubmitRequest>,
) -> Result<Response, Problem> {
    let mut submission = input.value;
    if submission.output.bytes().len() > OUTPUT_BYTES_MAX {
        return Err(Problem::edge(Code::OutputTooLarge));
    }
    if submission.artifacts.len() > STEP_ARTIFACTS_MAX {
        return Err(Problem::edge(Code::TooManyArtifacts));
    }
    submission.claim_next = submission.claim_next.map(|claim| bounded(&app, claim));
    let wait_ms = submission.claim_next.as_ref().map_or(0, |claim| claim.wait_ms);
    let submitted = app.within_wait(wait_ms, app.service.submit(&call, me, task, submission)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &submitted))
}

/// `POST /v1/tasks/{id}/cancel`.
pub(super) async fn cancel<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(task): Id<StepId>,
    _: Input<Nothing>,
) -> Result<Response, Problem> {
    let task = app.within(app.service.cancel_task(&call, task)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &task))
}

/// `POST /v1/tasks/{id}/redo`.
pub(super) async fn redo<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
    Id(task): Id<StepId>,
    _: Input<Nothing>,
) -> Result<Response, Problem> {
    let redo = app.within(app.service.redo_task(&call, task)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &redo))
}

/// `GET /v1/tasks/{id}/receipt`.
pub(super) async fn receipt<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(task): Id<StepId>,
) -> Result<Response, Problem> {
    let receipt = app.within(app.service.receipt(&call, task)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &receipt))
}

fn bounded<S: Service>(app: &App<S>, mut claim: ClaimRequest) -> ClaimRequest {
    claim.wait_ms = app.wait_ms(claim.wait_ms);
    claim
}
