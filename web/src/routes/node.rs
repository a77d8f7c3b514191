//! The node itself: health for programs and the token's public key. All of it is public.

use crate::answer::Answer;
use crate::app::App;
use crate::caller::Anyone;
use crate::openapi::Operation;
use crate::openapi::describe::Answers;
use crate::problem::Problem;
use crate::service::Service;
use crate::types::Json;
use crate::types::done::Ready;
use crate::types::node::Health;
use axum::extract::State;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// RFC 7517.
const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// `GET /v1/health` and `/healthz`: 200 as long as the process answers.
pub(super) async fn health<S: Service>(State(app): State<App<S>>, Anyone(call): Anyone) -> Answer<Health> {
    Answer::of(&call.correlation, &app.service.health())
}

/// `GET /readyz`: 200 when the node takes work.
pub(super) async fn ready<S: Service>(
    State(app): State<App<S>>,
    Anyone(call): Anyone,
) -> Result<Answer<Ready>, Problem> {
    app.service.ready()?;
    Ok(Answer::of(&call.correlation, &Ready { ready: true }))
}

/// `GET /.well-known/jwks.json`, exactly as the service gives it.
pub(super) async fn jwks<S: Service>(State(app): State<App<S>>) -> KeySet {
    KeySet(app.service.jwks())
}

/// A JWK set.
pub(super) struct KeySet(Json);

impl IntoResponse for KeySet {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, JWK_SET)], self.0.into_bytes()).into_response()
    }
}

impl Answers for KeySet {
    fn describe(operation: &mut Operation<'_>) {
        let schema = json!({
            "type": "object", "required": ["keys"],
            "properties": {"keys": {"type": "array", "items": {"type": "object"}}},
        });
        operation.answer(
            200,
            "A JWK set (RFC 7517).",
            json!({"application/jwk-set+json": {"schema": schema}}),
        );
    }
}
