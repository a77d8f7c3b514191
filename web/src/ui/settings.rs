//! Settings and health: how the node is, who it is, what its limits are, and its log's newest checkpoint.

use super::page::html;
use super::show;
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::problem::Problem;
use crate::service::Service;
use crate::types::node::{HealthStatus, Status};
use askama::Template;
use axum::extract::State;
use axum::response::Response;

#[derive(Template)]
#[template(path = "ui/settings.html")]
struct Page<'a> {
    shell: &'a Shell,
    status: &'a Status,
    is_ok: bool,
    /// Why it is not ready, where it is not.
    not_ready: Option<&'a str>,
}

/// `GET /ui/settings`; the operator's.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    visitor.must_be_operator()?;
    let not_ready = app.service.ready().err();
    html(&Page {
        shell: &visitor.shell,
        status: &visitor.status,
        is_ok: visitor.status.health == HealthStatus::Ok,
        not_ready: not_ready.as_ref().map(|problem| problem.message.as_str()),
    })
}
