//! Agents: profiles, reputation, history, earnings. What a profile shows to others is the service's to choose.

use crate::answer;
use crate::app::App;
use crate::body::{Input, Nothing};
use crate::caller::{AsAgent, AsOperator, Known};
use crate::problem::Problem;
use crate::query::{Id, Query, checked, page};
use crate::service::Service;
use crate::types::agent::{AgentPatch, AgentQuery};
use artel_protocol::key::AgentId;
use artel_protocol::skill::Skill;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    capability: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `?limit=&cursor=`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageParams {
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// `GET /v1/agents`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Query(params): Query<ListParams>,
) -> Result<Response, Problem> {
    let capability = checked("capability", params.capability, Skill::parse)?;
    let query = AgentQuery { capability, page: page(params.limit, params.cursor)? };
    let agents = app.within(app.service.agents(&call, query)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &agents))
}

/// `GET /v1/agents/{did}`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(agent): Id<AgentId>,
) -> Result<Response, Problem> {
    let agent = app.within(app.service.agent(&call, agent)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &agent))
}

/// `GET /v1/agents/me`.
pub(super) async fn me<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
) -> Result<Response, Problem> {
    let agent = app.within(app.service.own_agent(&call, me)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &agent))
}

/// `PATCH /v1/agents/me/config`.
pub(super) async fn configure<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    input: Input<AgentPatch>,
) -> Result<Response, Problem> {
    let agent = app.within(app.service.configure(&call, me, input.value)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &agent))
}

/// `POST /v1/agents/{did}/revoke`.
pub(super) async fn revoke<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
    Id(agent): Id<AgentId>,
    _: Input<Nothing>,
) -> Result<Response, Problem> {
    let agent = app.within(app.service.revoke_agent(&call, agent)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &agent))
}

/// `GET /v1/agents/{did}/reputation`.
pub(super) async fn reputation<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(agent): Id<AgentId>,
) -> Result<Response, Problem> {
    let reputation = app.within(app.service.reputation(&call, agent)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &reputation))
}

/// `GET /v1/agents/{did}/history`.
pub(super) async fn history<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(agent): Id<AgentId>,
    Query(params): Query<PageParams>,
) -> Result<Response, Problem> {
    let page = page(params.limit, params.cursor)?;
    let history = app.within(app.service.history(&call, agent, page)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &history))
}

/// `GET /v1/agents/me/earnings`.
pub(super) async fn earnings<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
) -> Result<Response, Problem> {
    let earnings = app.within(app.service.earnings(&call, me)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &earnings))
}

/// `GET /v1/agents/me/contributions`.
pub(super) async fn contributions<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    Query(params): Query<PageParams>,
) -> Result<Response, Problem> {
    let page = page(params.limit, params.cursor)?;
    let contributions = app.within(app.service.contributions(&call, me, page)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &contributions))
}
