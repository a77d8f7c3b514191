//! Neighbours: the nodes that this one is connected to, and what it keeps of others' journals.

use crate::answer::Answer;
use crate::app::App;
use crate::caller::AsOperator;
use crate::problem::Problem;
use crate::query::{Query, page};
use crate::routes::agents::PageParams;
use crate::service::Service;
use crate::types::List;
use crate::types::peer::{Journal, Peer, Traffic};
use axum::extract::State;

/// `GET /v1/peers`: all of them, for their number is bounded.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
) -> Result<Answer<List<Peer>>, Problem> {
    let peers = app.within(app.service.peers(&call)).await?;
    Ok(Answer::of(&call.correlation, &peers))
}

/// `GET /v1/traffic`.
pub(super) async fn traffic<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
) -> Result<Answer<Traffic>, Problem> {
    Ok(Answer::of(&call.correlation, &app.service.traffic()))
}

/// `GET /v1/journals`.
pub(super) async fn journals<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
    Query(params): Query<PageParams>,
) -> Result<Answer<List<Journal>>, Problem> {
    let page = page(params.limit, params.cursor)?;
    let journals = app.within(app.service.journals(&call, page)).await?;
    Ok(Answer::of(&call.correlation, &journals))
}
