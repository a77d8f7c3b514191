//! `GET /`: what everybody may know of the node, without signing in. No agent's name, no task, no secret.

use super::page::html;
use super::show;
use super::visitor::Shell;
use crate::app::App;
use crate::problem::Problem;
use crate::service::Service;
use crate::types::node::Status;
use askama::Template;
use axum::extract::State;
use axum::response::Response;

#[derive(Template)]
#[template(path = "ui/public.html")]
struct Page<'a> {
    shell: &'a Shell,
    status: &'a Status,
}

/// `GET /`.
pub(super) async fn show<S: Service>(State(app): State<App<S>>) -> Result<Response, Problem> {
    let status = app.status();
    html(&Page { shell: &Shell::nobody(&status), status: &status })
}
