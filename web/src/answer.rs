//! Answers: JSON with the correlation id in it, written once; problems in their one shape; the headers that all bear.

use crate::correlation;
use crate::problem::{Code, Problem};
use artel_protocol::text::Correlation;
use axum::body::Body;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::marker::PhantomData;

/// The content type of every JSON answer.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Nothing that this node answers may run in a browser, be framed or be guessed to be of another type.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// A `T` as an answer of status `STATUS`, with the request's correlation id as its last field. What a handler gives back says
/// so in its type, which the API's document is made from.
pub(crate) struct Answer<T, const STATUS: u16 = 200>(Response, PhantomData<T>);

/// The same for what has a correlation id of its own, which xyn-seed's shapes want: that of the request that made the thing.
/// This request's is in the header.
pub(crate) struct Own<T, const STATUS: u16 = 200>(Response, PhantomData<T>);

/// A `T`, or 204 where there is none.
pub(crate) struct Maybe<T>(Response, PhantomData<T>);

impl<T: Serialize, const STATUS: u16> Answer<T, STATUS> {
    /// The answer that says `value`.
    pub fn of(correlation: &Correlation, value: &T) -> Self {
        Answer(respond(status(STATUS), object(value, Some(correlation))), PhantomData)
    }
}

impl<T: Serialize, const STATUS: u16> Own<T, STATUS> {
    /// The answer that says `value`.
    pub fn of(value: &T) -> Self {
        Own(respond(status(STATUS), object(value, None)), PhantomData)
    }
}

impl<T: Serialize> Maybe<T> {
    /// The answer that says `value`, or that there is none.
    pub fn of(correlation: &Correlation, value: Option<&T>) -> Self {
        let response = match value {
            Some(value) => respond(StatusCode::OK, object(value, Some(correlation))),
            None => StatusCode::NO_CONTENT.into_response(),
        };
        Maybe(response, PhantomData)
    }
}

impl<T, const STATUS: u16> IntoResponse for Answer<T, STATUS> {
    fn into_response(self) -> Response {
        self.0
    }
}

impl<T, const STATUS: u16> IntoResponse for Own<T, STATUS> {
    fn into_response(self) -> Response {
        self.0
    }
}

impl<T> IntoResponse for Maybe<T> {
    fn into_response(self) -> Response {
        self.0
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("the statuses in the handlers' types are valid")
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
