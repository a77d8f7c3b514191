//! Signing in with a token, once, and out again. The token is in a form's body and nowhere else: not in a path, not in a
//! cookie, not kept.

use super::form::{Posted, PostedByStranger};
use super::page::{html, see_other};
use super::show;
use super::visitor::{self, Shell, Stranger};
use crate::app::App;
use crate::caller::{TOKEN_CHARS_MAX, bears, call};
use crate::problem::{Code, Problem};
use crate::query::Query;
use crate::service::{Principal, Service};
use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Params {
    /// Where to go then.
    next: Option<String>,
    /// A session ended.
    ended: Option<String>,
    /// They signed out.
    out: Option<String>,
}

#[derive(Template)]
#[template(path = "ui/sign_in.html")]
struct Page<'a> {
    shell: &'a Shell,
    next: &'a str,
    said: Option<&'a str>,
    is_wrong: bool,
}

/// `GET /ui/sign-in`.
pub(super) async fn form<S: Service>(
    State(app): State<App<S>>,
    Query(params): Query<Params>,
) -> Result<Response, Problem> {
    let said = match (&params.ended, &params.out) {
        (Some(_), _) => {
            Some("You were signed out, here or elsewhere, or your token is not good any more. Sign in again.")
        }
        (_, Some(_)) => Some("You are signed out."),
        _ => None,
    };
    let shell = Shell::nobody(&app.service.status());
    html(&Page {
        shell: &shell,
        next: own_path(params.next.as_deref().unwrap_or("/ui")),
        said,
        is_wrong: false,
    })
}

/// `POST /ui/sign-in`.
pub(super) async fn sign_in<S: Service>(
    State(app): State<App<S>>,
    Stranger(context): Stranger,
    PostedByStranger { fields, by_tls }: PostedByStranger,
) -> Result<Response, Problem> {
    let (token, next) = (fields.text("token"), own_path(fields.text("next")));
    let begun = match token.len() {
        1..=TOKEN_CHARS_MAX => begin(&app, &context, token).await,
        _ => Err(Problem::edge_saying(Code::BadToken, "paste a token: the operator's or an agent's")),
    };
    match begun {
        Ok(id) => {
            let mut response = see_other(next);
            response
                .headers_mut()
                .insert(header::SET_COOKIE, visitor::given(&app, &id, context.tls || by_tls));
            Ok(response)
        }
        Err(problem) if problem.code.status().is_client_error() => {
            let shell = Shell::nobody(&app.service.status());
            let page = Page { shell: &shell, next, said: Some(said_of(&problem)), is_wrong: true };
            let mut response = html(&page)?;
            *response.status_mut() = match problem.code.status() {
                StatusCode::UNAUTHORIZED => StatusCode::FORBIDDEN,
                status => status,
            };
            Ok(response)
        }
        Err(problem) => Err(problem),
    }
}

async fn begin<S: Service>(
    app: &App<S>,
    context: &crate::app::Context,
    token: &str,
) -> Result<String, Problem> {
    let principal = bears(app, token, context.remote)?;
    let call = call(context, principal);
    let verified = app.within(app.service.verify(&call)).await?;
    let name = match principal {
        Principal::Agent { id, .. } => app.within(app.service.agent(&call, id)).await?.agent_name,
        Principal::Operator | Principal::Anonymous => "Operator".into(),
    };
    Ok(app.sessions.begin(principal, name, verified.expires_at, show::now()))
}

/// What is said to a person of a token that opens nothing; what the API says is for programs.
fn said_of(problem: &Problem) -> &str {
    match problem.code {
        Code::BadToken => {
            "This token is none of this node's. Paste all of the line in the file that is named below."
        }
        _ => &problem.message,
    }
}

/// `POST /ui/sign-out`.
pub(super) async fn sign_out<S: Service>(
    State(app): State<App<S>>,
    Stranger(context): Stranger,
    posted: Posted,
) -> Response {
    app.sessions.end(&posted.visitor.key);
    let mut response = see_other("/ui/sign-in?out=1");
    response.headers_mut().insert(header::SET_COOKIE, visitor::gone(&app, context.tls));
    response
}

/// A path of these pages; anything else is the first one. Nobody is sent elsewhere by a link.
fn own_path(next: &str) -> &str {
    let plain = next == "/ui" || next.starts_with("/ui/") || next.starts_with("/ui?");
    if plain && next.len() < 1_024 && !next.contains(['\\', '\r', '\n']) { next } else { "/ui" }
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for (next, path) in [
            ("/ui/tasks?status=any", "/ui/tasks?status=any"),
            ("/ui", "/ui"),
            ("//evil.example", "/ui"),
            ("/ui.evil.example", "/ui"),
            ("https://evil.example/ui/", "/ui"),
            ("/ui/\r\nSet-Cookie: a=b", "/ui"),
            ("/\\evil", "/ui"),
            ("", "/ui"),
        ] {
            assert_eq!(own_path(next), path, "{next:?}");
        }
    }
}
