//! The node itself: health for programs, the token's public key, and one plain page for people. All of it is public.

use crate::answer::Answer;
use crate::app::App;
use crate::caller::Anyone;
use crate::openapi::Operation;
use crate::openapi::describe::Answers;
use crate::problem::{Code, Problem};
use crate::service::Service;
use crate::types::Json;
use crate::types::done::Ready;
use crate::types::node::{Health, HealthStatus, Status};
use askama::Template;
use axum::extract::State;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The page's own style sheet and nothing else: no script, no frame, no form, no foreign thing.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const CSS: HeaderValue = HeaderValue::from_static("text/css; charset=utf-8");
/// RFC 7517.
const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

#[derive(Template)]
#[template(path = "status.html")]
struct Page<'a> {
    status: &'a Status,
    health: &'static str,
    uptime: String,
}

/// `GET /`.
pub(super) async fn page<S: Service>(State(app): State<App<S>>) -> Result<Response, Problem> {
    let status = app.service.status();
    let health = match status.health {
        HealthStatus::Ok => "ok",
        HealthStatus::Degraded => "degraded",
    };
    let page = Page { status: &status, health, uptime: duration(status.uptime_seconds) };
    let html = page.render().map_err(|_| Problem::of(Code::Internal))?;
    Ok(([(header::CONTENT_TYPE, HTML), (header::CONTENT_SECURITY_POLICY, PAGE_POLICY)], html).into_response())
}

/// `GET /style.css`.
pub(super) async fn style<S: Service>(State(_): State<App<S>>) -> Response {
    let cache = HeaderValue::from_static("public, max-age=3600");
    ([(header::CONTENT_TYPE, CSS), (header::CACHE_CONTROL, cache)], include_str!("../../templates/style.css"))
        .into_response()
}

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

/// Seconds as people say them.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}
