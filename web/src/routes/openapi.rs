//! The API's document and its page to browse. Both are made once; a request costs a copy of a pointer.

use crate::app::App;
use crate::openapi::Operation;
use crate::openapi::describe::{Answers, Argument};
use crate::service::Service;
use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::header::{self, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use std::convert::Infallible;

/// The page's own style sheet and nothing else.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const CSS: HeaderValue = HeaderValue::from_static("text/css; charset=utf-8");
/// A new version of the node has another document, so it is asked for each time; the tag makes that cheap.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// `GET /openapi.json`.
pub(super) async fn document<S: Service>(State(app): State<App<S>>, tags: Tags) -> Described {
    let document = app.document();
    Described(tags.answer(&document.tag, JSON, document.json.clone()))
}

/// `GET /openapi`.
pub(super) async fn page<S: Service>(State(app): State<App<S>>, tags: Tags) -> Response {
    let document = app.document();
    let mut response = tags.answer(&format!("p{}", document.tag), HTML, document.html.clone());
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    response
}

/// `GET /openapi.css`.
pub(super) async fn style<S: Service>(State(_): State<App<S>>) -> Response {
    let cache = HeaderValue::from_static("public, max-age=3600");
    (
        [(header::CONTENT_TYPE, CSS), (header::CACHE_CONTROL, cache)],
        include_str!("../../templates/openapi.css"),
    )
        .into_response()
}

/// What the caller has already: its `If-None-Match`.
pub(super) struct Tags(Option<HeaderValue>);

impl Tags {
    fn answer(&self, tag: &str, kind: HeaderValue, bytes: Bytes) -> Response {
        let tag = format!("\"{tag}\"");
        let held = self.0.as_ref().and_then(|tags| tags.to_str().ok());
        let mut response = if held.is_some_and(|tags| tags == "*" || tags.contains(&tag)) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, kind)], Body::from(bytes)).into_response()
        };
        let headers: &mut HeaderMap = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, ASK_AGAIN);
        headers.insert(header::ETAG, HeaderValue::from_str(&tag).expect("hex digits and quotes"));
        response
    }
}

impl<S: Service> FromRequestParts<App<S>> for Tags {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App<S>) -> Result<Self, Infallible> {
        Ok(Tags(parts.headers.get(header::IF_NONE_MATCH).cloned()))
    }
}

impl Argument for Tags {
    fn describe(operation: &mut Operation<'_>) {
        let schema = json!({"type": "string", "description": "The ETag of what is there already."});
        operation.parameter("header", "If-None-Match", false, schema);
        operation.answer(304, "It is the one that is there already.", Value::Null);
    }
}

/// The document.
pub(super) struct Described(Response);

impl IntoResponse for Described {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Answers for Described {
    fn describe(operation: &mut Operation<'_>) {
        let schema = json!({"type": "object", "required": ["openapi", "info", "paths"]});
        operation.answer(200, "This document.", json!({"application/json": {"schema": schema}}));
    }
}
