//! Runs and their steps.

use crate::answer;
use crate::app::App;
use crate::body::{Input, Nothing};
use crate::caller::Known;
use crate::calls;
use crate::problem::{Code, Problem};
use crate::query::{Id, Ids, Query, page};
use crate::routes::agents::PageParams;
use crate::service::Service;
use crate::types::run::{RunPost, RunQuery, RunStatus};
use artel_protocol::id::{RunId, StepId};
use artel_protocol::limits::INPUT_BYTES_MAX;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    status: Option<RunStatus>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/runs`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Query(params): Query<ListParams>,
) -> Result<Response, Problem> {
    let query = RunQuery { status: params.status, page: page(params.limit, params.cursor)? };
    let runs = app.within(app.service.runs(&call, query)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &runs))
}

/// `POST /v1/runs`.
pub(super) async fn post<S: Service>(
    State(app): State<App<S>>,
    Known(mut call): Known,
    input: Input<RunPost>,
) -> Result<Response, Problem> {
    let post = input.keyed(&mut call);
    if post.inputs.bytes().len() > INPUT_BYTES_MAX {
        return Err(Problem::edge(Code::InputTooLarge));
    }
    post.steps.iter().try_for_each(|step| calls::check_post(&step.task))?;
    let run = app.within(app.service.post_run(&call, post)).await?;
    Ok(answer::json_of_its_own(StatusCode::CREATED, &run))
}

/// `GET /v1/runs/{id}`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(run): Id<RunId>,
) -> Result<Response, Problem> {
    let run = app.within(app.service.run(&call, run)).await?;
    Ok(answer::json_of_its_own(StatusCode::OK, &run))
}

/// `POST /v1/runs/{id}/cancel`.
pub(super) async fn cancel<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(run): Id<RunId>,
    _: Input<Nothing>,
) -> Result<Response, Problem> {
    let run = app.within(app.service.cancel_run(&call, run)).await?;
    Ok(answer::json_of_its_own(StatusCode::OK, &run))
}

/// `GET /v1/runs/{id}/steps`.
pub(super) async fn steps<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(run): Id<RunId>,
    Query(params): Query<PageParams>,
) -> Result<Response, Problem> {
    let page = page(params.limit, params.cursor)?;
    let steps = app.within(app.service.steps(&call, run, page)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &steps))
}

/// `GET /v1/runs/{id}/steps/{step_id}`.
pub(super) async fn step<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Ids(run, step): Ids<RunId, StepId>,
) -> Result<Response, Problem> {
    if step.run() != run {
        return Err(Problem::edge_saying(Code::NotFound, "this step is not one of this run"));
    }
    let step = app.within(app.service.step(&call, step)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &step))
}
