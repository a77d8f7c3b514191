//! Events: what happened, page by page or as it happens.

use crate::answer::{Answer, Own};
use crate::app::App;
use crate::body::Input;
use crate::caller::{AsOperator, Known};
use crate::calls;
use crate::problem::{Code, Problem};
use crate::query::{Id, Query, checked, page};
use crate::service::Service;
use crate::types::List;
use crate::types::event::{Event, EventId, EventPost, EventQuery};
use crate::types::form;
use artel_protocol::id::RunId;
use artel_protocol::limits::NAME_BYTES_MAX;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    #[schemars(with = "Option<form::Cursor>")]
    after: Option<String>,
    #[schemars(with = "Option<form::Cursor>")]
    cursor: Option<String>,
    #[serde(default)]
    wait_ms: u32,
    #[schemars(with = "Option<form::Limit>")]
    limit: Option<u32>,
    /// Only events of this name; the beginning that the node's own have, such as `xyn.`, may be left out.
    event_name: Option<String>,
    #[schemars(with = "Option<form::Uuid>")]
    run_id: Option<String>,
}

/// `GET /v1/events`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Query(params): Query<ListParams>,
) -> Result<Answer<List<Event>>, Problem> {
    if params.after.is_some() && params.cursor.is_some() {
        return Err(Problem::edge_saying(Code::BadQuery, "after and cursor are the same; give one of them"));
    }
    let page = page(params.limit, params.after.or(params.cursor))?;
    let query = EventQuery {
        after: page.cursor,
        wait_ms: params.wait_ms,
        limit: page.limit,
        event_name: params.event_name,
        run_id: checked("run_id", params.run_id, RunId::parse)?,
    };
    let events = calls::events(&app, &call, query).await?;
    Ok(Answer::of(&call.correlation, &events))
}

/// `GET /v1/events/{id}`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(event): Id<EventId>,
) -> Result<Own<Event>, Problem> {
    let event = app.within(app.service.event(&call, event)).await?;
    Ok(Own::of(&event))
}

/// `POST /v1/events`.
pub(super) async fn emit<S: Service>(
    State(app): State<App<S>>,
    AsOperator(mut call): AsOperator,
    input: Input<EventPost>,
) -> Result<Own<Event, 201>, Problem> {
    let post = input.keyed(&mut call);
    // An event has no bearing on work or money, so nothing remembers its key; taken in silence it would promise that.
    if call.idempotency.is_some() {
        let message = "an event takes no Idempotency-Key: each post is one; leave the header out";
        return Err(Problem::edge_saying(Code::BadIdempotencyKey, message));
    }
    if !is_event_name(&post.event_name) {
        let message = format!(
            "event_name must begin with a letter and be at most {NAME_BYTES_MAX} letters, digits and . _ -, as xyn.report.ready"
        );
        return Err(Problem::edge_saying(Code::Invalid, message));
    }
    let event = app.within(app.service.emit(&call, post)).await?;
    Ok(Own::of(&event))
}

fn is_event_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(plain)
}
