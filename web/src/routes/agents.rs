//! Agents: profiles, reputation, history, earnings. What a profile shows to others is the service's to choose.

use crate::answer::Answer;
use crate::app::App;
use crate::body::{Input, Nothing};
use crate::caller::{AsAgent, AsOperator, Known};
use crate::problem::Problem;
use crate::query::{Id, Query, checked, page};
use crate::service::Service;
use crate::types::List;
use crate::types::agent::{
    Agent, AgentPatch, AgentQuery, Contribution, Earnings, OwnAgent, Reputation, Work,
};
use crate::types::form;
use artel_protocol::key::AgentId;
use artel_protocol::skill::Skill;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    #[schemars(with = "Option<form::Skill>")]
    capability: Option<String>,
    #[schemars(with = "Option<form::Limit>")]
    limit: Option<u32>,
    #[schemars(with = "Option<form::Cursor>")]
    cursor: Option<String>,
}

/// `?limit=&cursor=`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PageParams {
    #[schemars(with = "Option<form::Limit>")]
    pub limit: Option<u32>,
    #[schemars(with = "Option<form::Cursor>")]
    pub cursor: Option<String>,
}

/// `GET /v1/agents`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Query(params): Query<ListParams>,
) -> Result<Answer<List<Agent>>, Problem> {
    let capability = checked("capability", params.capability, Skill::parse)?;
    let query = AgentQuery { capability, page: page(params.limit, params.cursor)? };
    let agents = app.within(app.service.agents(&call, query)).await?;
    Ok(Answer::of(&call.correlation, &agents))
}

/// `GET /v1/agents/{did}`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(agent): Id<AgentId>,
) -> Result<Answer<Agent>, Problem> {
    let agent = app.within(app.service.agent(&call, agent)).await?;
    Ok(Answer::of(&call.correlation, &agent))
}

/// `GET /v1/agents/me`.
pub(super) async fn me<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
) -> Result<Answer<OwnAgent>, Problem> {
    let agent = app.within(app.service.own_agent(&call, me)).await?;
    Ok(Answer::of(&call.correlation, &agent))
}

/// `PATCH /v1/agents/me/config`.
pub(super) async fn configure<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    input: Input<AgentPatch>,
) -> Result<Answer<OwnAgent>, Problem> {
    let agent = app.within(app.service.configure(&call, me, input.value)).await?;
    Ok(Answer::of(&call.correlation, &agent))
}

/// `POST /v1/agents/{did}/revoke`.
pub(super) async fn revoke<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
    Id(agent): Id<AgentId>,
    _: Input<Nothing>,
) -> Result<Answer<Agent>, Problem> {
    let agent = app.within(app.service.revoke_agent(&call, agent)).await?;
    Ok(Answer::of(&call.correlation, &agent))
}

/// `GET /v1/agents/{did}/reputation`.
pub(super) async fn reputation<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(agent): Id<AgentId>,
) -> Result<Answer<Reputation>, Problem> {
    let reputation = app.within(app.service.reputation(&call, agent)).await?;
    Ok(Answer::of(&call.correlation, &reputation))
}

/// `GET /v1/agents/{did}/history`.
pub(super) async fn history<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(agent): Id<AgentId>,
    Query(params): Query<PageParams>,
) -> Result<Answer<List<Work>>, Problem> {
    let page = page(params.limit, params.cursor)?;
    let history = app.within(app.service.history(&call, agent, page)).await?;
    Ok(Answer::of(&call.correlation, &history))
}

/// `GET /v1/agents/me/earnings`.
pub(super) async fn earnings<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
) -> Result<Answer<Earnings>, Problem> {
    let earnings = app.within(app.service.earnings(&call, me)).await?;
    Ok(Answer::of(&call.correlation, &earnings))
}

/// `GET /v1/agents/me/contributions`.
pub(super) async fn contributions<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    Query(params): Query<PageParams>,
) -> Result<Answer<List<Contribution>>, Problem> {
    let page = page(params.limit, params.cursor)?;
    let contributions = app.within(app.service.contributions(&call, me, page)).await?;
    Ok(Answer::of(&call.correlation, &contributions))
}
