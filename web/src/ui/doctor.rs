//! What the node finds when it examines itself and the machine under it. It takes seconds, so it is done when somebody asks for
//! this page, and the page is not live.

use super::page::html;
use super::show;
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::problem::Problem;
use crate::service::Service;
use crate::types::doctor::{Finding, FindingStatus};
use artel_protocol::time::Wall;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use std::cmp::Reverse;

#[derive(Template)]
#[template(path = "ui/doctor.html")]
struct Page<'a> {
    shell: &'a Shell,
    /// The worst first.
    findings: &'a [Finding],
    bad: usize,
    at: Wall,
}

/// `GET /ui/doctor`; the operator's.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    visitor.must_be_operator()?;
    let mut findings = app.within(app.service.doctor(&visitor.call)).await?.items;
    findings.sort_by_key(|finding| Reverse(finding.status));
    let bad = findings.iter().filter(|finding| finding.status > FindingStatus::Unknown).count();
    html(&Page { shell: &visitor.shell, findings: &findings, bad, at: show::now() })
}
