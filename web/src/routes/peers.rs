//! Neighbours: the nodes that this one is connected to.

use crate::answer;
use crate::app::App;
use crate::caller::AsOperator;
use crate::problem::Problem;
use crate::service::Service;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

/// `GET /v1/peers`: all of them, for their number is bounded.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
) -> Result<Response, Problem> {
    let peers = app.within(app.service.peers(&call)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &peers))
}
