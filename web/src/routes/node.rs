//! The node itself: health for programs, the token's public key, and one plain page for people. All of it is public.

use crate::answer;
use crate::app::App;
use crate::caller::Anyone;
use crate::problem::{Code, Problem};
use crate::service::Service;
use crate::types::node::{HealthStatus, Status};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse as _, Response};

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
    let mut status = app.service.status();
    status.counts.extend(app.sockets.seen());
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

/// Seconds as people say them.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}
