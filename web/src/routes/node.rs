//! The node itself: health for programs and the token's public key. All of it is public.

use crate::answer;
use crate::app::App;
use crate::caller::Anyone;
use crate::problem::Problem;
use crate::service::Service;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse as _, Response};

/// RFC 7517.
const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// `GET /v1/health` and `/healthz`: 200 as long as the process answers.
pub(super) async fn health<S: Service>(State(app): State<App<S>>, Anyone(call): Anyone) -> Response {
    answer::json(StatusCode::OK, &call.correlation, &app.service.health())
}

/// `GET /readyz`: 200 when the node takes work.
pub(super) async fn ready<S: Service>(
    State(app): State<App<S>>,
    Anyone(call): Anyone,
) -> Result<Response, Problem> {
    app.service.ready()?;
    Ok(answer::done(&call.correlation, "ready"))
}

/// `GET /.well-known/jwks.json`, exactly as the service gives it.
pub(super) async fn jwks<S: Service>(State(app): State<App<S>>) -> Response {
    ([(header::CONTENT_TYPE, JWK_SET)], app.service.jwks().into_bytes()).into_response()
}
