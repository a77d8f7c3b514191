//! The audit log's entries and proofs, and the ledger's accounts. Which entries a caller may read is the service's to
//! judge.

use crate::answer::{Answer, Own};
use crate::app::App;
use crate::caller::{AsOperator, Known};
use crate::problem::Problem;
use crate::query::{Id, Query, checked, page};
use crate::routes::agents::PageParams;
use crate::service::Service;
use crate::types::List;
use crate::types::audit::{Entry, EntryQuery, Proof};
use crate::types::form;
use crate::types::ledger::Account;
use artel_protocol::id::StepId;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::text::Correlation;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryParams {
    kind: Option<String>,
    #[schemars(with = "Option<form::Correlation>")]
    correlation: Option<String>,
    #[schemars(with = "Option<form::Did>")]
    agent: Option<String>,
    #[schemars(with = "Option<form::Did>")]
    node: Option<String>,
    #[schemars(with = "Option<form::Uuid>")]
    task: Option<String>,
    #[schemars(with = "Option<form::Limit>")]
    limit: Option<u32>,
    #[schemars(with = "Option<form::Cursor>")]
    cursor: Option<String>,
}

/// `GET /v1/audit/entries`.
pub(super) async fn entries<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Query(params): Query<EntryParams>,
) -> Result<Answer<List<Entry>>, Problem> {
    let correlation = |text: &str| Correlation::parse(text).ok_or("want 1 to 64 visible ASCII characters");
    let query = EntryQuery {
        kind: params.kind,
        correlation: checked("correlation", params.correlation, correlation)?,
        agent: checked("agent", params.agent, AgentId::from_did)?,
        node: checked("node", params.node, NodeId::from_did)?,
        task: checked("task", params.task, StepId::parse)?,
        page: page(params.limit, params.cursor)?,
    };
    let entries = app.within(app.service.entries(&call, query)).await?;
    Ok(Answer::of(&call.correlation, &entries))
}

/// `GET /v1/audit/entries/{index}`.
pub(super) async fn entry<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(index): Id<u64>,
) -> Result<Own<Entry>, Problem> {
    let entry = app.within(app.service.entry(&call, index)).await?;
    Ok(Own::of(&entry))
}

/// `GET /v1/audit/proof/{index}`.
pub(super) async fn proof<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(index): Id<u64>,
) -> Result<Answer<Proof>, Problem> {
    let proof = app.within(app.service.proof(&call, index)).await?;
    Ok(Answer::of(&call.correlation, &proof))
}

/// `GET /v1/ledger/accounts`.
pub(super) async fn accounts<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
    Query(params): Query<PageParams>,
) -> Result<Answer<List<Account>>, Problem> {
    let page = page(params.limit, params.cursor)?;
    let accounts = app.within(app.service.accounts(&call, page)).await?;
    Ok(Answer::of(&call.correlation, &accounts))
}
