//! Notifications: what an agent was told, until it says that it has read it.

use crate::answer;
use crate::app::App;
use crate::body::Input;
use crate::caller::AsAgent;
use crate::calls;
use crate::problem::Problem;
use crate::query::{Query, page};
use crate::service::Service;
use crate::types::notice::{MarkRead, NoticeKind, NoticeQuery};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    after: Option<String>,
    limit: Option<u32>,
    #[serde(rename = "type")]
    kind: Option<NoticeKind>,
}

/// `GET /v1/notifications`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    Query(params): Query<ListParams>,
) -> Result<Response, Problem> {
    let page = page(params.limit, params.after)?;
    let query =
        NoticeQuery { after: page.cursor, kinds: params.kind.into_iter().collect(), limit: page.limit };
    let notices = app.within(app.service.notifications(&call, me, query)).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &notices))
}

/// `POST /v1/notifications/mark-read`.
pub(super) async fn mark_read<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    input: Input<MarkRead>,
) -> Result<Response, Problem> {
    let marked = calls::mark_read(&app, &call, me, input.value).await?;
    Ok(answer::json(StatusCode::OK, &call.correlation, &marked))
}
