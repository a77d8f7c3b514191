//! Notifications: what an agent was told, until it says that it has read it.

use crate::answer::Answer;
use crate::app::App;
use crate::body::Input;
use crate::caller::AsAgent;
use crate::calls;
use crate::problem::Problem;
use crate::query::{Query, page};
use crate::service::Service;
use crate::types::form;
use crate::types::notice::{MarkRead, Marked, NoticeKind, NoticeQuery, Notifications};
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    #[schemars(with = "Option<form::Cursor>")]
    after: Option<String>,
    #[schemars(with = "Option<form::Limit>")]
    limit: Option<u32>,
    #[serde(rename = "type")]
    kind: Option<NoticeKind>,
}

/// `GET /v1/notifications`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    Query(params): Query<ListParams>,
) -> Result<Answer<Notifications>, Problem> {
    let page = page(params.limit, params.after)?;
    let query =
        NoticeQuery { after: page.cursor, kinds: params.kind.into_iter().collect(), limit: page.limit };
    let notices = app.within(app.service.notifications(&call, me, query)).await?;
    Ok(Answer::of(&call.correlation, &notices))
}

/// `POST /v1/notifications/mark-read`.
pub(super) async fn mark_read<S: Service>(
    State(app): State<App<S>>,
    AsAgent(call, me): AsAgent,
    input: Input<MarkRead>,
) -> Result<Answer<Marked>, Problem> {
    let marked = calls::mark_read(&app, &call, me, input.value).await?;
    Ok(Answer::of(&call.correlation, &marked))
}
