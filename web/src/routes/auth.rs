//! Tokens: is this one good, a new one for it, the end of it.

use crate::answer;
use crate::app::App;
use crate::body::Input;
use crate::caller::{AsAgent, Known};
use crate::problem::Problem;
use crate::service::Service;
use crate::types::auth::SignedStatement;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

/// `GET /v1/auth/verify`.
pub(super) async fn verify<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
) -> Result<Response, Problem> {
    let verified = app.within(app.service.verify(&call)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &verified))
}

/// `POST /v1/auth/rotate`.
pub(super) async fn rotate<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, _): AsAgent,
    input: Input<SignedStatement>,
) -> Result<Response, Problem> {
    let token = app.within(app.service.rotate(&call, input.value)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &token))
}

/// `POST /v1/auth/revoke`.
pub(super) async fn revoke<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, _): AsAgent,
    input: Input<SignedStatement>,
) -> Result<Response, Problem> {
    app.within(app.service.revoke(&call, input.value)).await?;
    Ok(answer::done(&call.correlation, "revoked"))
}
