//! What all pages have: the frame around them, their headers, and what is shown where something went wrong.

use super::assets;
use super::session::Key;
use super::visitor::{self, Shell, Visitor};
use crate::app::{App, Context};
use crate::problem::{Code, Problem};
use crate::service::Service;
use askama::Template;
use axum::extract::State;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::sync::OnceLock;

/// A page's own scripts, styles, pictures and calls, its forms to itself, and nothing else: nothing inline, nothing foreign,
/// no frame around it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'",
);
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// A form's post has to say where it comes from; another site learns nothing.
const REFERRER: HeaderValue = HeaderValue::from_static("same-origin");
const ALONE: (HeaderName, HeaderValue) =
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
/// What htmx sends with its requests, and what it reads to go elsewhere.
const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

/// Whether a path is a page's, so that a problem there is shown to a person.
pub(crate) fn is_page(path: &str) -> bool {
    path == "/" || path == "/ui" || path.starts_with("/ui/")
}

/// What a request for a page has found out of its visitor, for what is shown when it fails.
#[derive(Debug, Default)]
pub(crate) struct Visit {
    pub shell: OnceLock<Shell>,
    pub key: OnceLock<Key>,
    /// Whether htmx asked, so that the answer is a part of a page.
    pub is_part: OnceLock<bool>,
}

/// Whether htmx asked.
pub(super) fn is_part(headers: &HeaderMap) -> bool {
    headers.contains_key(HX_REQUEST)
}

/// A rendered page.
pub(super) fn html(template: &impl Template) -> Result<Response, Problem> {
    let html = template.render().map_err(|error| {
        tracing::error!(%error, "a page could not be rendered");
        Problem::of(Code::Internal)
    })?;
    let headers = [
        (header::CONTENT_TYPE, HTML),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, REFERRER),
        // The same path is a whole page for a browser and a part of it for htmx.
        (header::VARY, HeaderValue::from_static("hx-request, cookie")),
        ALONE,
    ];
    Ok((headers, html).into_response())
}

/// Go there next.
pub(super) fn see_other(path: &str) -> Response {
    let to = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/ui"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

#[derive(Template)]
#[template(path = "ui/problem.html")]
struct ProblemPage<'a> {
    shell: &'a Shell,
    status: u16,
    headline: &'static str,
    problem: &'a Problem,
    correlation: &'a str,
}

/// A problem for a person. A credential that is no good any more ends its session and leads to the sign-in page.
pub(crate) fn problem<S: Service>(
    app: &App<S>,
    visit: &Visit,
    problem: &Problem,
    context: &Context,
    response: Response,
) -> Response {
    let is_part = visit.is_part.get().copied().unwrap_or(false);
    if let Some(key) = visit.key.get()
        && is_over(problem.code)
    {
        app.sessions.end(key);
        let gone = visitor::gone(app, context.tls);
        if is_part {
            let to = HeaderValue::from_static("/ui/sign-in?ended=1");
            return (StatusCode::NO_CONTENT, [(HX_REDIRECT, to), (header::SET_COOKIE, gone)]).into_response();
        }
        let mut response = see_other("/ui/sign-in?ended=1");
        response.headers_mut().insert(header::SET_COOKIE, gone);
        return response;
    }
    let nobody = Shell::nobody(&app.service.status());
    let status = problem.code.status();
    let page = ProblemPage {
        shell: visit.shell.get().unwrap_or(&nobody),
        status: status.as_u16(),
        headline: headline(status),
        problem,
        correlation: context.correlation.as_str(),
    };
    let Ok(page) = html(&page) else { return response };
    let mut shown = page;
    *shown.status_mut() = status;
    if let Some(allow) = response.headers().get(header::ALLOW) {
        shown.headers_mut().insert(header::ALLOW, allow.clone());
    }
    if let Some(seconds) = problem.retry_after_s {
        shown.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    shown
}

/// Whether a credential that gets this is no good any more, so that its session is over.
pub(super) fn is_over(code: Code) -> bool {
    use Code::{AgentRevoked, BadToken, TokenExpired, TokenRevoked, Unauthenticated};
    matches!(code, Unauthenticated | BadToken | TokenExpired | TokenRevoked | AgentRevoked)
}

fn headline(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "Sign in first",
        402 => "Not enough credit",
        403 => "Not for you",
        404 => "Nothing here",
        405 => "Not that way",
        409 => "Too late for that",
        413 => "Too large",
        429 => "Slow down",
        503 => "Not just now",
        504 => "No answer in time",
        status if status < 500 => "That did not work",
        _ => "Something broke",
    }
}

/// `GET /ui/`, as people type it.
pub(super) async fn home<S: Service>(State(_): State<App<S>>) -> Response {
    see_other("/ui")
}

/// `GET` of a path under `/ui` that no page has.
pub(super) async fn nothing<S: Service>(State(_): State<App<S>>, _: Visitor) -> Problem {
    Problem::edge_saying(Code::RouteUnknown, "there is no page of this name; begin again at the overview")
}

/// Where the scripts and styles of these pages are, with the version in it.
pub(super) fn assets() -> &'static str {
    assets::base()
}
