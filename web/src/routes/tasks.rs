//! Tasks: post, list, claim, keep, hand in. The hot path of a node; a claim and a submission do as little here as they
//! can.

use crate::answer::{Answer, Maybe};
use crate::app::App;
use crate::body::{Input, Keyed, Nothing};
use crate::caller::{AsAgent, AsOperator, Known};
use crate::calls;
use crate::problem::Problem;
use crate::query::{Id, Query, checked, page};
use crate::service::Service;
use crate::types::List;
use crate::types::done::Released;
use crate::types::form;
use crate::types::receipt::Receipt;
use crate::types::task::{
    ClaimRequest, LateRedo, Lease, LeaseRequest, Offer, OfferQuery, Renewed, StatusFilter, SubmitRequest,
    Submitted, Task, TaskPost, TaskQuery, TaskStatus,
};
use artel_protocol::id::{RunId, StepId};
use artel_protocol::skill::Skill;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    status: Option<Status>,
    #[schemars(with = "Option<form::Skill>")]
    capability: Option<String>,
    #[schemars(with = "Option<form::Uuid>")]
    run_id: Option<String>,
    #[schemars(with = "Option<form::Limit>")]
    limit: Option<u32>,
    #[schemars(with = "Option<form::Cursor>")]
    cursor: Option<String>,
}

/// `?status=`.
#[derive(Deserialize, JsonSchema)]
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
) -> Result<Answer<List<Task>>, Problem> {
    let query = TaskQuery {
        status: params.status.map(StatusFilter::from).unwrap_or_default(),
        capability: checked("capability", params.capability, Skill::parse)?,
        run_id: checked("run_id", params.run_id, RunId::parse)?,
        page: page(params.limit, params.cursor)?,
    };
    let tasks = app.within(app.service.tasks(&call, query)).await?;
    Ok(Answer::of(&call.correlation, &tasks))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OfferParams {
    #[schemars(with = "Option<form::Skill>")]
    capability: Option<String>,
    #[schemars(with = "Option<form::Limit>")]
    limit: Option<u32>,
    #[schemars(with = "Option<form::Cursor>")]
    cursor: Option<String>,
}

/// `GET /v1/offers`.
pub(super) async fn offers<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Query(params): Query<OfferParams>,
) -> Result<Answer<List<Offer>>, Problem> {
    let query = OfferQuery {
        capability: checked("capability", params.capability, Skill::parse)?,
        page: page(params.limit, params.cursor)?,
    };
    let offers = app.within(app.service.offers(&call, query)).await?;
    Ok(Answer::of(&call.correlation, &offers))
}

/// `POST /v1/tasks`.
pub(super) async fn post<S: Service>(
    State(app): State<App<S>>,
    Known(mut call): Known,
    input: Keyed<TaskPost>,
) -> Result<Answer<Task, 201>, Problem> {
    let post = input.keyed(&mut call);
    let task = calls::post_task(&app, &call, post).await?;
    Ok(Answer::of(&call.correlation, &task))
}

/// `GET /v1/tasks/{id}`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(task): Id<StepId>,
) -> Result<Answer<Task>, Problem> {
    let task = app.within(app.service.task(&call, task)).await?;
    Ok(Answer::of(&call.correlation, &task))
}

/// `POST /v1/tasks/{id}/claim`.
pub(super) async fn claim<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    Id(task): Id<StepId>,
    input: Input<ClaimRequest>,
) -> Result<Answer<Lease>, Problem> {
    let lease = calls::claim(&app, &call, me, task, input.value).await?;
    Ok(Answer::of(&call.correlation, &lease))
}

/// `POST /v1/tasks/claim`.
pub(super) async fn claim_next<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    input: Input<ClaimRequest>,
) -> Result<Maybe<Lease>, Problem> {
    let lease = calls::claim_next(&app, &call, me, input.value).await?;
    Ok(Maybe::of(&call.correlation, lease.as_ref()))
}

/// `POST /v1/tasks/{id}/renew`.
pub(super) async fn renew<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    Id(task): Id<StepId>,
    input: Input<LeaseRequest>,
) -> Result<Answer<Renewed>, Problem> {
    let renewed = app.within(app.service.renew(&call, me, task, input.value)).await?;
    Ok(Answer::of(&call.correlation, &renewed))
}

/// `POST /v1/tasks/{id}/release`.
pub(super) async fn release<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    Id(task): Id<StepId>,
    input: Input<LeaseRequest>,
) -> Result<Answer<Released>, Problem> {
    app.within(app.service.release(&call, me, task, input.value)).await?;
    Ok(Answer::of(&call.correlation, &Released { released: true }))
}

/// `POST /v1/tasks/{id}/submit`.
pub(super) async fn submit<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    Id(task): Id<StepId>,
    input: Input<SubmitRequest>,
) -> Result<Answer<Submitted>, Problem> {
    let submitted = calls::submit(&app, &call, me, task, input.value).await?;
    Ok(Answer::of(&call.correlation, &submitted))
}

/// `POST /v1/tasks/{id}/cancel`.
pub(super) async fn cancel<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(task): Id<StepId>,
    _: Input<Nothing>,
) -> Result<Answer<Task>, Problem> {
    let task = app.within(app.service.cancel_task(&call, task)).await?;
    Ok(Answer::of(&call.correlation, &task))
}

/// `POST /v1/tasks/{id}/redo`.
pub(super) async fn redo<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
    Id(task): Id<StepId>,
    _: Input<Nothing>,
) -> Result<Answer<LateRedo>, Problem> {
    let redo = app.within(app.service.redo_task(&call, task)).await?;
    Ok(Answer::of(&call.correlation, &redo))
}

/// `GET /v1/tasks/{id}/receipt`.
pub(super) async fn receipt<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(task): Id<StepId>,
) -> Result<Answer<Receipt>, Problem> {
    let receipt = app.within(app.service.receipt(&call, task)).await?;
    Ok(Answer::of(&call.correlation, &receipt))
}
