//! Runs and their steps.

use crate::answer::{Answer, Own};
use crate::app::App;
use crate::body::{Input, Keyed, Nothing};
use crate::caller::Known;
use crate::calls;
use crate::problem::{Code, Problem};
use crate::query::{Id, Ids, Query, page};
use crate::routes::agents::PageParams;
use crate::service::Service;
use crate::types::List;
use crate::types::form;
use crate::types::run::{Run, RunPost, RunQuery, RunStatus, Step};
use artel_protocol::id::{RunId, StepId};
use artel_protocol::limits::INPUT_BYTES_MAX;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    status: Option<RunStatus>,
    #[schemars(with = "Option<form::Limit>")]
    limit: Option<u32>,
    #[schemars(with = "Option<form::Cursor>")]
    cursor: Option<String>,
}

/// `GET /v1/runs`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Query(params): Query<ListParams>,
) -> Result<Answer<List<Run>>, Problem> {
    let query = RunQuery { status: params.status, page: page(params.limit, params.cursor)? };
    let runs = app.within(app.service.runs(&call, query)).await?;
    Ok(Answer::of(&call.correlation, &runs))
}

/// `POST /v1/runs`.
pub(super) async fn post<S: Service>(
    State(app): State<App<S>>,
    Known(mut call): Known,
    input: Keyed<RunPost>,
) -> Result<Own<Run, 201>, Problem> {
    let post = input.keyed(&mut call);
    if post.inputs.bytes().len() > INPUT_BYTES_MAX {
        return Err(Problem::edge(Code::InputTooLarge));
    }
    post.steps.iter().try_for_each(|step| calls::check_post(&step.task))?;
    let run = app.within(app.service.post_run(&call, post)).await?;
    Ok(Own::of(&run))
}

/// `GET /v1/runs/{id}`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(run): Id<RunId>,
) -> Result<Own<Run>, Problem> {
    let run = app.within(app.service.run(&call, run)).await?;
    Ok(Own::of(&run))
}

/// `POST /v1/runs/{id}/cancel`.
pub(super) async fn cancel<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(run): Id<RunId>,
    _: Input<Nothing>,
) -> Result<Own<Run>, Problem> {
    let run = app.within(app.service.cancel_run(&call, run)).await?;
    Ok(Own::of(&run))
}

/// `GET /v1/runs/{id}/steps`.
pub(super) async fn steps<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(run): Id<RunId>,
    Query(params): Query<PageParams>,
) -> Result<Answer<List<Step>>, Problem> {
    let page = page(params.limit, params.cursor)?;
    let steps = app.within(app.service.steps(&call, run, page)).await?;
    Ok(Answer::of(&call.correlation, &steps))
}

/// `GET /v1/runs/{id}/steps/{step_id}`.
pub(super) async fn step<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Ids(run, step): Ids<RunId, StepId>,
) -> Result<Answer<Step>, Problem> {
    if step.run() != run {
        return Err(Problem::edge_saying(Code::NotFound, "this step is not one of this run"));
    }
    let step = app.within(app.service.step(&call, step)).await?;
    Ok(Answer::of(&call.correlation, &step))
}
