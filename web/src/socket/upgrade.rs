//! How a request becomes a socket: what it must ask, who may, and how it gets from its route to its connection.

use super::census::Place;
use crate::app::App;
use crate::caller;
use crate::openapi::Operation;
use crate::openapi::describe::{Answers, Argument};
use crate::problem::{Code, Problem};
use crate::service::{Call, Principal, Service};
use artel_protocol::text::Correlation;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// What the key of a request is hashed with (RFC 6455, 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The one subprotocol. Nobody has to name it; a browser that does wants it back.
const PROTOCOL: &str = "artel.v1";

/// A socket that its route let in.
pub(crate) struct Opened {
    /// Whoever sent a bearer with the request.
    pub call: Option<Call>,
    pub correlation: Correlation,
    pub remote: IpAddr,
    pub place: Place,
}

/// Where a route leaves it for its connection.
#[derive(Clone, Default)]
pub(crate) struct Opening(Arc<Mutex<Option<Opened>>>);

impl Opening {
    fn put(&self, opened: Opened) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
    }

    /// What a route left.
    pub fn take(&self) -> Option<Opened> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// `GET /v1/agent/connect`. A bearer in the header is judged here, so a bad one gets the answer that it gets everywhere; who has
/// none says it in its first message.
pub(crate) async fn connect<S: Service>(
    State(app): State<App<S>>,
    Handshake(parts): Handshake,
) -> Result<Switched, Problem> {
    let accept = accept(&parts.headers)?;
    let opening = parts.extensions.get::<Opening>().ok_or_else(|| Problem::edge(Code::UpgradeRequired))?;
    let call = if parts.headers.contains_key(header::AUTHORIZATION) {
        let call = caller::authenticated(&parts, &app)?;
        app.within(app.service.verify(&call)).await?;
        Some(call)
    } else {
        None
    };
    let context = caller::context(&parts)?;
    let principal = call.as_ref().map_or(Principal::Anonymous, |call| call.principal);
    let place = app.sockets.enter(&principal, context.remote)?;
    opening.put(Opened { call, correlation: context.correlation.clone(), remote: context.remote, place });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if has_token(&parts.headers, header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL) {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    Ok(Switched(response))
}

/// A request for a socket; its body, of which it has none, is not looked at.
pub(crate) struct Handshake(Parts);

impl<S: Send + Sync> FromRequest<S> for Handshake {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        Ok(Handshake(request.into_parts().0))
    }
}

impl Argument for Handshake {
    fn describe(operation: &mut Operation<'_>) {
        operation.callers(&["operator", "agent", ""], &[Code::UpgradeRequired]);
    }
}

/// A socket from here on.
pub(crate) struct Switched(Response);

impl IntoResponse for Switched {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Answers for Switched {
    fn describe(operation: &mut Operation<'_>) {
        let what = "A WebSocket (RFC 6455) from here on; OPERATIONS.md says what goes over it.";
        operation.answer(101, what, Value::Null);
    }
}

/// What a request for a WebSocket is answered with (RFC 6455, 4.2).
fn accept(headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_asked = has_token(headers, header::CONNECTION, "upgrade")
        && has_token(headers, header::UPGRADE, "websocket")
        && headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13")
        && STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16);
    if !is_asked {
        return Err(Problem::edge(Code::UpgradeRequired));
    }
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID.as_bytes()].concat());
    HeaderValue::from_str(&STANDARD.encode(hash)).map_err(|_| Problem::of(Code::Internal))
}

/// Whether a header of a list has this word in it.
fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(change: (&'static str, &'static str)) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            change,
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_sample_of_rfc_6455_is_answered_as_there() {
        let answer = accept(&asked(("origin", "x"))).expect("a good request");
        assert_eq!(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for change in [
            ("connection", "keep-alive"),
            ("upgrade", "h2c"),
            ("sec-websocket-version", "8"),
            ("sec-websocket-key", "c2hvcnQ="),
            ("sec-websocket-key", ""),
        ] {
            assert_eq!(accept(&asked(change)).expect_err("not a WebSocket").code, Code::UpgradeRequired);
        }
    }
}
