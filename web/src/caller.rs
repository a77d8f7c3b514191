//! Who may call a route: its handler takes one of these, and a call can be made no other way. A route without one of
//! them cannot reach the service's calls.

use crate::app::{App, Context};
use crate::problem::{Code, Problem};
use crate::service::{Call, Principal, Service};
use artel_protocol::key::AgentId;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// The longest bearer token that is looked at. Ours have about 500 characters.
pub(crate) const TOKEN_CHARS_MAX: usize = 4_096;

/// Whoever.
pub(crate) struct Anyone(pub Call);
/// The operator or an agent.
pub(crate) struct Known(pub Call);
/// An agent.
pub(crate) struct AsAgent(pub Call, pub AgentId);
/// The operator.
pub(crate) struct AsOperator(pub Call);

impl<S: Service> FromRequestParts<App<S>> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App<S>) -> Result<Self, Problem> {
        Ok(Anyone(call(context(parts)?, Principal::Anonymous)))
    }
}

impl<S: Service> FromRequestParts<App<S>> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, Problem> {
        authenticated(parts, app).map(Known)
    }
}

impl<S: Service> FromRequestParts<App<S>> for AsAgent {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, Problem> {
        let call = authenticated(parts, app)?;
        let id = agent(&call)?;
        Ok(AsAgent(call, id))
    }
}

impl<S: Service> FromRequestParts<App<S>> for AsOperator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, Problem> {
        let call = authenticated(parts, app)?;
        match call.principal {
            Principal::Operator => Ok(AsOperator(call)),
            _ => Err(Problem::edge(Code::OperatorOnly)),
        }
    }
}

/// The agent that calls.
pub(crate) fn agent(call: &Call) -> Result<AgentId, Problem> {
    match call.principal {
        Principal::Agent { id, .. } => Ok(id),
        _ => Err(Problem::edge(Code::AgentsOnly)),
    }
}

/// What the front door knows of a request.
pub(crate) fn context(parts: &Parts) -> Result<&Arc<Context>, Problem> {
    // The front door puts it there; a router that is called without one has nobody to answer to.
    parts.extensions.get::<Arc<Context>>().ok_or_else(|| Problem::of(Code::Internal))
}

/// A call of this principal.
pub(crate) fn call(context: &Context, principal: Principal) -> Call {
    Call { principal, correlation: context.correlation.clone(), remote: context.remote, idempotency: None }
}

/// The call of whoever bears the request's token; it takes one of an agent's requests.
pub(crate) fn authenticated<S: Service>(parts: &Parts, app: &App<S>) -> Result<Call, Problem> {
    let context = context(parts)?;
    let header = parts.headers.get(AUTHORIZATION).and_then(|header| bearer(header.as_bytes()));
    let principal = bears(app, header.ok_or_else(|| Problem::edge(Code::Unauthenticated))?, context.remote)?;
    // Set once: a request has one caller.
    let _ = context.principal.set(principal);
    take_one(app, &principal)?;
    Ok(call(context, principal))
}

/// Takes one of an agent's requests; the operator's are not counted.
pub(crate) fn take_one<S: Service>(app: &App<S>, principal: &Principal) -> Result<(), Problem> {
    match principal {
        Principal::Agent { id, .. } => app.agents.take(id.key().bytes()).map_err(rate_limited),
        _ => Ok(()),
    }
}

/// Who bears a token that came from there.
pub(crate) fn bears<S: Service>(app: &App<S>, token: &str, remote: IpAddr) -> Result<Principal, Problem> {
    if !(1..=TOKEN_CHARS_MAX).contains(&token.len()) {
        return Err(Problem::edge(Code::Unauthenticated));
    }
    if let Some(principal) = app.service.recognise(token) {
        return Ok(principal);
    }
    // A signature check costs as much as several requests; who sent many bad tokens gets no more of them for a while.
    // Tokens that are known need none, so nobody is shut out by a neighbour.
    let remote = network(remote);
    app.refused_tokens.look(&remote).map_err(rate_limited)?;
    app.service.authenticate(token).inspect_err(|_| {
        let _ = app.refused_tokens.take(&remote);
    })
}

fn bearer(header: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(header).ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim_matches(' ');
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Takes one enrollment of this address.
pub(crate) fn may_enroll<S: Service>(app: &App<S>, remote: IpAddr) -> Result<(), Problem> {
    app.enrollments.take(&network(remote)).map_err(rate_limited)
}

/// Whoever has one IPv6 address usually has the 2^64 around it.
pub(crate) fn network(remote: IpAddr) -> IpAddr {
    match remote.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into()
        }
        ip => ip,
    }
}

pub(crate) fn rate_limited(wait: Duration) -> Problem {
    let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
    let message = format!("too many requests; wait {seconds} s and send fewer");
    Problem::edge_saying(Code::RateLimited, message).retry_after(seconds)
}
