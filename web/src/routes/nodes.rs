//! Nodes of the federation: who is a member by this node's own journal, and the operator's word on each.

use crate::answer::Answer;
use crate::app::App;
use crate::body::{Input, Nothing};
use crate::caller::{AsOperator, Known};
use crate::problem::Problem;
use crate::query::{Id, Query, page};
use crate::routes::agents::PageParams;
use crate::service::Service;
use crate::types::List;
use crate::types::member::{Expulsion, Node};
use artel_protocol::key::NodeId;
use axum::extract::State;

/// `GET /v1/nodes`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Query(params): Query<PageParams>,
) -> Result<Answer<List<Node>>, Problem> {
    let page = page(params.limit, params.cursor)?;
    let nodes = app.within(app.service.nodes(&call, page)).await?;
    Ok(Answer::of(&call.correlation, &nodes))
}

/// `POST /v1/nodes/{did}/expel`.
pub(super) async fn expel<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
    Id(node): Id<NodeId>,
    input: Input<Expulsion>,
) -> Result<Answer<Node>, Problem> {
    let node = app.within(app.service.expel(&call, node, input.value.reason)).await?;
    Ok(Answer::of(&call.correlation, &node))
}

/// `POST /v1/nodes/{did}/admit`: by name, without an invitation; the way back for one that was expelled.
pub(super) async fn admit<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
    Id(node): Id<NodeId>,
    _: Input<Nothing>,
) -> Result<Answer<Node>, Problem> {
    let node = app.within(app.service.admit_node(&call, node)).await?;
    Ok(Answer::of(&call.correlation, &node))
}
