//! What the node finds when it examines itself and the machine under it.

use crate::answer;
use crate::app::App;
use crate::caller::AsOperator;
use crate::problem::Problem;
use crate::service::Service;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

/// `GET /v1/doctor`: all findings, for their number is fixed.
pub(super) async fn examine<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
) -> Result<Response, Problem> {
    let findings = app.within(app.service.doctor(&call)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &findings))
}
