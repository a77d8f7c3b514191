//! Tokens: is this one good, a new one for it, the end of it.

use crate::answer::Answer;
use crate::app::App;
use crate::body::Input;
use crate::caller::{AsAgent, Known};
use crate::problem::Problem;
use crate::service::Service;
use crate::types::auth::{SignedStatement, Verified};
use crate::types::done::Revoked;
use crate::types::enroll::Token;
use axum::extract::State;

/// `GET /v1/auth/verify`.
pub(super) async fn verify<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
) -> Result<Answer<Verified>, Problem> {
    let verified = app.within(app.service.verify(&call)).await?;
    Ok(Answer::of(&call.correlation, &verified))
}

/// `POST /v1/auth/rotate`.
pub(super) async fn rotate<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, _): AsAgent,
    input: Input<SignedStatement>,
) -> Result<Answer<Token>, Problem> {
    let token = app.within(app.service.rotate(&call, input.value)).await?;
    Ok(Answer::of(&call.correlation, &token))
}

/// `POST /v1/auth/revoke`.
pub(super) async fn revoke<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, _): AsAgent,
    input: Input<SignedStatement>,
) -> Result<Answer<Revoked>, Problem> {
    app.within(app.service.revoke(&call, input.value)).await?;
    Ok(Answer::of(&call.correlation, &Revoked { revoked: true }))
}
