//! Who looks at a page: the cookie, the session behind it, and the frame that a page of theirs gets. A page's handler takes
//! one of these, and a call can be made no other way.

use super::events;
use super::page::{self, Visit};
use super::session::{Key, Session};
use super::show;
use crate::app::{App, Context};
use crate::caller::{call, context, rate_limited};
use crate::problem::{Code, Problem};
use crate::service::{Call, Principal, Service};
use crate::types::node::{HealthStatus, Status};
use artel_protocol::id::Digest;
use artel_protocol::key::AgentId;
use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;

/// The frame around a page.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    /// The node's name.
    pub node: String,
    /// The end of its peer id, since several nodes may bear one name.
    pub node_tail: String,
    /// Whether the node takes no work at the moment.
    pub degraded: bool,
    /// Where scripts and styles are.
    pub assets: &'static str,
    /// Who is signed in.
    pub who: Option<Who>,
    /// The journal's last entry before the page was made, as a cursor: its live stream goes on from there.
    pub after: String,
}

/// Who is signed in, for the frame.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// What the page calls them.
    pub name: String,
    /// The agent; nothing where it is the operator.
    pub agent: Option<AgentId>,
    /// What every form bears.
    pub form_token: String,
}

impl Shell {
    /// The frame for somebody who is not signed in.
    pub fn nobody(status: &Status) -> Self {
        Shell {
            node: status.name.clone(),
            node_tail: show::tail(&status.peer_id).to_owned(),
            degraded: status.health == HealthStatus::Degraded,
            assets: page::assets(),
            who: None,
            after: "now".into(),
        }
    }

    /// Whether the operator looks.
    pub fn is_operator(&self) -> bool {
        self.who.as_ref().is_some_and(|who| who.agent.is_none())
    }

    /// What every form bears.
    pub fn form_token(&self) -> &str {
        self.who.as_ref().map_or("", |who| &who.form_token)
    }
}

/// Somebody who is signed in.
pub(crate) struct Visitor {
    pub call: Call,
    pub shell: Shell,
    /// What the node says of itself, which the frame needs anyway.
    pub status: Status,
    pub key: Key,
    pub session: Arc<Session>,
}

impl Visitor {
    /// The agent, where it is one.
    pub fn agent(&self) -> Option<AgentId> {
        match self.call.principal {
            Principal::Agent { id, .. } => Some(id),
            Principal::Operator | Principal::Anonymous => None,
        }
    }

    /// Refuses agents.
    ///
    /// # Errors
    /// [`Code::OperatorOnly`].
    pub fn must_be_operator(&self) -> Result<(), Problem> {
        match self.call.principal {
            Principal::Operator => Ok(()),
            _ => Err(Problem::edge_saying(
                Code::OperatorOnly,
                "only the operator sees this page; sign in as the operator",
            )),
        }
    }
}

impl<S: Service> FromRequestParts<App<S>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, Response> {
        let mut visitor = visitor(parts, app).map_err(|problem| match problem.code {
            Code::Unauthenticated if is_page_wanted(parts) => sign_in_first(parts),
            _ => problem.into_response(),
        })?;
        if is_page_wanted(parts) {
            let size = events::size(app, &visitor.call).await.map_err(Problem::into_response)?;
            visitor.shell.after = size.checked_sub(1).map_or_else(|| "now".into(), |last| last.to_string());
        }
        Ok(visitor)
    }
}

/// Whether a whole page is asked for.
fn is_page_wanted(parts: &Parts) -> bool {
    parts.method == Method::GET && !page::is_part(&parts.headers)
}

/// Leads to the sign-in page, and from there back.
fn sign_in_first(parts: &Parts) -> Response {
    let next = parts.uri.path_and_query().map_or("/ui", |path| path.as_str());
    page::see_other(&format!("/ui/sign-in?next={}", escaped(next)))
}

fn visitor<S: Service>(parts: &Parts, app: &App<S>) -> Result<Visitor, Problem> {
    let context = context(parts)?;
    let visit = context.visit.as_ref().ok_or_else(|| Problem::of(Code::Internal))?;
    let is_part = page::is_part(&parts.headers);
    let _ = visit.is_part.set(is_part);
    let status = app.status();
    let name = cookie_name(&status.peer_id);
    let key =
        cookie(&parts.headers, &name).map(Key::of).ok_or_else(|| Problem::edge(Code::Unauthenticated))?;
    let session = app.sessions.find(&key).ok_or_else(|| Problem::edge(Code::Unauthenticated))?;
    // Set once: a request has one visitor.
    let _ = (visit.key.set(key), context.principal.set(session.principal));
    if let Principal::Agent { id, .. } = &session.principal {
        app.agents.take(id.key().bytes()).map_err(rate_limited)?;
    }
    let call = call(context, session.principal);
    let shell = shell(&status, &session, visit);
    Ok(Visitor { call, shell, status, key, session })
}

fn shell(status: &Status, session: &Session, visit: &Visit) -> Shell {
    let agent = match session.principal {
        Principal::Agent { id, .. } => Some(id),
        Principal::Operator | Principal::Anonymous => None,
    };
    let who = Who { name: session.name.clone(), agent, form_token: session.form_token.clone() };
    let shell = Shell { who: Some(who), ..Shell::nobody(status) };
    let _ = visit.shell.set(shell.clone());
    shell
}

/// Cookies are shared by all ports of a name, so each node's bears its own name.
fn cookie_name(peer_id: &str) -> String {
    format!("artel_{}", &Digest::of(peer_id.as_bytes()).hex()[..12])
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// The cookie of a new session: for the pages under `/ui` alone, for this site's own pages only, and never for a script.
pub(super) fn given<S: Service>(app: &App<S>, id: &str, tls: bool) -> HeaderValue {
    let age = app.options.session.as_secs();
    set_cookie(app, id, age, tls)
}

/// The cookie that takes the place of an ended session's.
pub(super) fn gone<S: Service>(app: &App<S>, tls: bool) -> HeaderValue {
    set_cookie(app, "", 0, tls)
}

fn set_cookie<S: Service>(app: &App<S>, value: &str, age: u64, tls: bool) -> HeaderValue {
    let name = cookie_name(&app.service.status().peer_id);
    let secure = if tls { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/ui; HttpOnly; SameSite=Strict; Max-Age={age}{secure}");
    HeaderValue::from_str(&cookie).expect("hex digits and fixed words")
}

/// Text as a query string's value.
pub(super) fn escaped(text: &str) -> String {
    serde_urlencoded::to_string([("", text)]).map(|pair| pair[1..].to_owned()).unwrap_or_default()
}

/// The context of a request for a page without a visitor.
pub(super) struct Stranger(pub Arc<Context>);

impl<S: Service> FromRequestParts<App<S>> for Stranger {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App<S>) -> Result<Self, Problem> {
        context(parts).cloned().map(Stranger)
    }
}
