//! Answers: JSON with the correlation id in it, written once; problems in their one shape; the headers that all bear.

use crate::correlation;
use crate::problem::{Code, Problem};
use artel_protocol::text::Correlation;
use axum::body::Body;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// The content type of every JSON answer.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Nothing that this node answers may run in a browser, be framed or be guessed to be of another type.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// An object as an answer, with the request's correlation id as its last field.
pub(crate) fn json<T: Serialize>(status: StatusCode, correlation: &Correlation, value: &T) -> Response {
    respond(status, object(value, Some(correlation)))
}

/// An object as an answer that has a correlation id of its own, which xyn-seed's shapes want: that of the request that
/// made the thing. This request's is in the header.
pub(crate) fn json_of_its_own<T: Serialize>(status: StatusCode, value: &T) -> Response {
    respond(status, object(value, None))
}

/// `{"<name>":true}`: done, with nothing more to say.
pub(crate) fn done(correlation: &Correlation, name: &'static str) -> Response {
    respond(StatusCode::OK, object(&std::collections::BTreeMap::from([(name, true)]), Some(correlation)))
}

/// No content.
pub(crate) fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

fn respond(status: StatusCode, body: Result<Vec<u8>, serde_json::Error>) -> Response {
    let Ok(body) = body else { return Problem::of(Code::Internal).into_response() };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

fn object<T: Serialize>(value: &T, correlation: Option<&Correlation>) -> Result<Vec<u8>, serde_json::Error> {
    let mut body = Vec::with_capacity(1_024);
    write_object(&mut body, value, correlation)?;
    Ok(body)
}

/// Appends an object as an answer has it.
pub(crate) fn write_object<T: Serialize>(
    body: &mut Vec<u8>,
    value: &T,
    correlation: Option<&Correlation>,
) -> Result<(), serde_json::Error> {
    serde_json::to_writer(&mut *body, value)?;
    let Some(correlation) = correlation else { return Ok(()) };
    // Reopens the object, so that the answer is written once.
    let closed = body.pop();
    debug_assert_eq!(closed, Some(b'}'), "every answer is an object");
    if body.last() != Some(&b'{') {
        body.push(b',');
    }
    body.extend_from_slice(b"\"correlation_id\":");
    serde_json::to_writer(&mut *body, correlation.as_str())?;
    body.push(b'}');
    Ok(())
}

/// Appends a problem in its one shape.
pub(crate) fn write_problem(
    body: &mut Vec<u8>,
    problem: &Problem,
    correlation: &Correlation,
) -> Result<(), serde_json::Error> {
    let (code, message) = (problem.code.as_str(), problem.message.as_str());
    let error = ErrorBody { error: ErrorInner { code, message, details: problem.details.as_ref() } };
    write_object(body, &error, Some(correlation))
}

impl IntoResponse for Problem {
    /// The problem travels as an extension to [`finish`], which knows the correlation id.
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorInner<'a>,
}

#[derive(Serialize)]
struct ErrorInner<'a> {
    code: &'static str,
    message: &'a str,
    details: Option<&'a crate::types::Json>,
}

/// Writes a problem in its one shape.
pub(crate) fn problem(problem: &Problem, correlation: &Correlation, mut response: Response) -> Response {
    let mut body = Vec::new();
    if write_problem(&mut body, problem, correlation).is_err() {
        body = b"{}".to_vec();
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.remove(header::CONTENT_LENGTH);
    if let Some(seconds) = problem.retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.code.status() == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    *response.body_mut() = Body::from(body);
    response
}

/// Puts the headers on that every answer bears, where a route has not chosen its own.
pub(crate) fn finish(headers: &mut HeaderMap, correlation: &Correlation, tls: bool) {
    if let Ok(value) = HeaderValue::from_str(correlation.as_str()) {
        headers.insert(correlation::HEADER, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    or_insert(headers, header::CONTENT_SECURITY_POLICY, POLICY);
    or_insert(headers, header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    or_insert(headers, header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if tls {
        // Half a year: the browser of whoever came by TLS once never falls back.
        let value = HeaderValue::from_static("max-age=15768000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
}

fn or_insert(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.entry(name).or_insert(value);
}
