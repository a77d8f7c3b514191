//! What happened, newest first, as it happens.

use super::agents::Names;
use super::page::html;
use super::show;
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::problem::Problem;
use crate::query::{Query, checked};
use crate::service::{Call, Service};
use crate::types::PAGE_ITEMS_MAX;
use crate::types::event::{Event, EventQuery};
use artel_protocol::id::RunId;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

/// How many events a page shows.
const SHOWN: usize = 60;
/// How many journal entries one look covers. No more of them can be events than a page of events has.
const WINDOW: u64 = PAGE_ITEMS_MAX as u64;
/// How many looks one page makes at most; older ones are a link away.
const LOOKS_MAX: usize = 10;

#[derive(Deserialize)]
pub(super) struct Params {
    name: Option<String>,
    run_id: Option<String>,
    /// Only entries before this index.
    before: Option<u64>,
}

#[derive(Template)]
#[template(path = "ui/events.html")]
struct Page<'a> {
    shell: &'a Shell,
    name: &'a str,
    run_id: &'a str,
    events: &'a [Event],
    names: &'a Names,
    is_newest: bool,
    older: Option<u64>,
}

/// `GET /ui/events`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Query(params): Query<Params>,
) -> Result<Response, Problem> {
    let name = params.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let run_id = params.run_id.filter(|run| !run.is_empty());
    let filter =
        Filter { name: name.map(str::to_owned), run: checked("run_id", run_id.clone(), RunId::parse)? };
    let end = match params.before {
        Some(before) => before,
        None => size(&app, &visitor.call).await?,
    };
    let (events, older) = before(&app, &visitor.call, end, SHOWN, &filter).await?;
    html(&Page {
        shell: &visitor.shell,
        name: name.unwrap_or_default(),
        run_id: run_id.as_deref().unwrap_or_default(),
        events: &events,
        names: &Names::of(&app, &visitor.call).await?,
        is_newest: params.before.is_none(),
        older,
    })
}

/// Which events are wanted.
#[derive(Default)]
pub(super) struct Filter {
    pub name: Option<String>,
    pub run: Option<RunId>,
}

/// How many entries the journal has, of those that are synced.
pub(super) async fn size<S: Service>(app: &App<S>, call: &Call) -> Result<u64, Problem> {
    let now = EventQuery { after: Some("now".into()), limit: 1, ..EventQuery::default() };
    let cursor = app.within(app.service.events(call, now)).await?.next_cursor;
    Ok(cursor.and_then(|cursor| cursor.parse::<u64>().ok()).map_or(0, |last| last + 1))
}

/// The newest events.
pub(super) async fn newest<S: Service>(
    app: &App<S>,
    call: &Call,
    most: usize,
    filter: &Filter,
) -> Result<Vec<Event>, Problem> {
    let end = size(app, call).await?;
    Ok(before(app, call, end, most, filter).await?.0)
}

/// The newest events of entries before an index, newest first, and the index before which there may be more.
async fn before<S: Service>(
    app: &App<S>,
    call: &Call,
    mut end: u64,
    most: usize,
    filter: &Filter,
) -> Result<(Vec<Event>, Option<u64>), Problem> {
    let mut found = Vec::new();
    for _ in 0..LOOKS_MAX {
        let from = end.saturating_sub(WINDOW);
        let query = EventQuery {
            after: from.checked_sub(1).map(|last| last.to_string()),
            wait_ms: 0,
            limit: PAGE_ITEMS_MAX,
            event_name: filter.name.clone(),
            run_id: filter.run,
        };
        let mut events = app.within(app.service.events(call, query)).await?.items;
        events.retain(|event| event.entry < end);
        found.extend(events.into_iter().rev());
        end = from;
        if end == 0 || found.len() >= most {
            break;
        }
    }
    let cut = found.len() > most;
    found.truncate(most);
    let older = if cut { found.last().map(|event| event.entry) } else { Some(end).filter(|end| *end > 0) };
    Ok((found, older))
}
