//! What happened, newest first, as it happens.

use super::agents::{Names, by};
use super::page::html;
use super::show;
use super::visitor::{Shell, Visitor, escaped};
use crate::app::App;
use crate::problem::Problem;
use crate::query::{Query, checked, given};
use crate::service::{Call, Service};
use crate::types::PAGE_ITEMS_MAX;
use crate::types::event::{Event, EventQuery};
use artel_protocol::id::RunId;
use artel_protocol::key::AgentId;
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
    #[serde(default)]
    name: String,
    #[serde(default)]
    run_id: String,
    /// Only entries before this index.
    before: Option<u64>,
}

#[derive(Template)]
#[template(path = "ui/events.html")]
struct Page<'a> {
    shell: &'a Shell,
    params: &'a Params,
    /// The newest of these events.
    newest: String,
    looked: &'a Looked,
    names: &'a Names,
    is_newest: bool,
}

/// `GET /ui/events`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Query(params): Query<Params>,
) -> Result<Response, Problem> {
    let filter =
        Filter { name: given(&params.name), run: checked("run_id", given(&params.run_id), RunId::parse)? };
    let end = match params.before {
        Some(before) => before,
        None => size(&app, &visitor.call).await?,
    };
    let looked = before(&app, &visitor.call, end, SHOWN, &filter).await?;
    let names = Names::of(&app, &visitor.call, looked.agents()).await?;
    html(&Page {
        shell: &visitor.shell,
        params: &params,
        newest: filter.link(None),
        looked: &looked,
        names: &names,
        is_newest: params.before.is_none(),
    })
}

/// Which events are wanted.
#[derive(Default)]
pub(super) struct Filter {
    pub name: Option<String>,
    pub run: Option<RunId>,
}

impl Filter {
    /// The page of these events: of entries before an index, or the newest.
    fn link(&self, before: Option<u64>) -> String {
        let before = before.map(|index| format!("before={index}"));
        let name = self.name.as_deref().map(|name| format!("name={}", escaped(name)));
        let run = self.run.map(|run| format!("run_id={run}"));
        let all: Vec<String> = [before, name, run].into_iter().flatten().collect();
        if all.is_empty() { "/ui/events".into() } else { format!("/ui/events?{}", all.join("&")) }
    }
}

/// What a look at the journal found. A look is bounded, so that none was found does not say that there is none.
pub(super) struct Looked {
    /// Newest first.
    pub events: Vec<Event>,
    /// How many entries were looked at.
    pub entries: u64,
    /// Where the look goes on, where it did not come to the journal's beginning.
    pub older: Option<String>,
    /// Whether not all events were wanted.
    pub is_filtered: bool,
}

impl Looked {
    /// The agents that did something of it.
    pub fn agents(&self) -> impl Iterator<Item = AgentId> {
        self.events.iter().filter_map(|event| by(&event.actor))
    }
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
) -> Result<Looked, Problem> {
    let end = size(app, call).await?;
    before(app, call, end, most, filter).await
}

/// The newest events of entries before an index.
async fn before<S: Service>(
    app: &App<S>,
    call: &Call,
    begin: u64,
    most: usize,
    filter: &Filter,
) -> Result<Looked, Problem> {
    let mut end = begin;
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
    let is_filtered = filter.name.is_some() || filter.run.is_some();
    Ok(Looked {
        events: found,
        entries: begin - end,
        older: older.map(|index| filter.link(Some(index))),
        is_filtered,
    })
}
