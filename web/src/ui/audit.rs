//! The audit log: entries newest first or by a filter, one entry, and what a browser needs to verify its proof by itself.

use super::events;
use super::page::html;
use super::pager::Pager;
use super::pretty;
use super::show;
use super::visitor::{Shell, Visitor};
use crate::answer::Answer;
use crate::app::App;
use crate::problem::{Code, Problem};
use crate::query::{Id, Query, checked, given, page};
use crate::service::Service;
use crate::types::Page as ListPage;
use crate::types::audit::{Consistency, Entry, EntryQuery, Proof};
use crate::types::node::Status;
use crate::types::receipt::Record;
use artel_protocol::id::StepId;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::text::Correlation;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

/// How many entries a page has.
const ROWS: u64 = 50;

#[derive(Deserialize, Default)]
pub(super) struct Params {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    correlation: String,
    #[serde(default)]
    agent: String,
    #[serde(default)]
    node: String,
    #[serde(default)]
    task: String,
    cursor: Option<String>,
    /// Without a filter: only entries before this index.
    before: Option<u64>,
}

impl Params {
    fn is_filtered(&self) -> bool {
        [&self.kind, &self.correlation, &self.agent, &self.node, &self.task]
            .iter()
            .any(|text| !text.is_empty())
    }
}

#[derive(Template)]
#[template(path = "ui/audit.html")]
struct ListPageOf<'a> {
    shell: &'a Shell,
    params: &'a Params,
    entries: &'a [(Entry, String)],
    is_newest_first: bool,
    older: Option<u64>,
    pager: Pager,
}

/// `GET /ui/audit`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Query(params): Query<Params>,
) -> Result<Response, Problem> {
    let newest_first = !params.is_filtered() && params.cursor.is_none() && visitor.agent().is_none();
    let (query, older) = if newest_first {
        let end = match params.before {
            Some(before) => before,
            None => events::size(&app, &visitor.call).await?,
        };
        let from = end.saturating_sub(ROWS);
        let cursor = from.checked_sub(1).map(|last| last.to_string());
        let limit = u32::try_from(end - from).unwrap_or(1).max(1);
        (
            EntryQuery { page: ListPage { limit, cursor }, ..EntryQuery::default() },
            Some(from).filter(|from| *from > 0),
        )
    } else {
        (query(&params)?, None)
    };
    let found = app.within(app.service.entries(&visitor.call, query)).await?;
    let mut entries: Vec<(Entry, String)> = found
        .items
        .into_iter()
        .map(|entry| {
            let said = said(&entry);
            (entry, said)
        })
        .collect();
    if newest_first {
        entries.reverse();
    }
    let filter = [
        ("kind", params.kind.as_str()),
        ("correlation", &params.correlation),
        ("agent", &params.agent),
        ("node", &params.node),
        ("task", &params.task),
    ];
    let next = found.next_cursor.filter(|_| !newest_first);
    let pager = Pager::new("/ui/audit", &filter, &params.cursor, &next);
    html(&ListPageOf {
        shell: &visitor.shell,
        params: &params,
        entries: &entries,
        is_newest_first: newest_first,
        older,
        pager,
    })
}

fn query(params: &Params) -> Result<EntryQuery, Problem> {
    let correlation = |text: &str| Correlation::parse(text).ok_or("want 1 to 64 visible ASCII characters");
    Ok(EntryQuery {
        kind: given(&params.kind),
        correlation: checked("correlation", given(&params.correlation), correlation)?,
        agent: checked("agent", given(&params.agent), AgentId::from_did)?,
        node: checked("node", given(&params.node), NodeId::from_did)?,
        task: checked("task", given(&params.task), StepId::parse)?,
        page: page(None, params.cursor.clone())?,
    })
}

/// An entry in a line: its fact's beginning.
fn said(entry: &Entry) -> String {
    const CHARS: usize = 160;
    let text = String::from_utf8_lossy(entry.fact.bytes());
    let line: String = text.chars().filter(|c| !"{}\"".contains(*c)).take(CHARS).collect();
    line.replace(',', ", ").replace("did:key:", "")
}

#[derive(Template)]
#[template(path = "ui/entry.html")]
struct ShowPage<'a> {
    shell: &'a Shell,
    entry: &'a Entry,
    fact: String,
    agent: Option<AgentId>,
    task: Option<StepId>,
    /// Whose log the proof must be of.
    status: &'a Status,
}

/// `GET /ui/audit/{index}`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Id(index): Id<u64>,
) -> Result<Response, Problem> {
    let entry = app.within(app.service.entry(&visitor.call, index)).await?;
    let about: About = serde_json::from_slice(entry.fact.bytes()).unwrap_or_default();
    html(&ShowPage {
        shell: &visitor.shell,
        entry: &entry,
        fact: pretty::json(&entry.fact),
        agent: about.agent_id.and_then(|did| AgentId::from_did(&did).ok()),
        task: about.task_id.and_then(|id| StepId::parse(&id).ok()),
        status: &visitor.status,
    })
}

/// What of a fact leads to another page.
#[derive(Deserialize, Default)]
#[serde(default)]
struct About {
    agent_id: Option<String>,
    task_id: Option<String>,
}

/// What a browser verifies: the leaf and its proof, and for whom the entry concerns what the leaf commits to.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Verifiable {
    Opened(Box<Record>),
    Leaf(Proof),
}

/// `GET /ui/audit/{index}/proof`.
pub(super) async fn proof<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Id(index): Id<u64>,
) -> Result<Answer<Verifiable>, Problem> {
    let call = &visitor.call;
    let verifiable = match app.within(app.service.record(call, index)).await {
        Ok(record) => Verifiable::Opened(Box::new(record)),
        Err(problem) if matches!(problem.code, Code::NotFound | Code::Forbidden) => {
            Verifiable::Leaf(app.within(app.service.proof(call, index)).await?)
        }
        Err(problem) => return Err(problem),
    };
    Ok(Answer::of(&call.correlation, &verifiable))
}

#[derive(Deserialize)]
pub(super) struct Span {
    from: u64,
    to: u64,
}

/// `GET /ui/audit/consistency`: what a browser needs to verify that the log of one size continues the one of another.
pub(super) async fn consistency<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Query(Span { from, to }): Query<Span>,
) -> Result<Answer<Consistency>, Problem> {
    let call = &visitor.call;
    let proof = app.within(app.service.consistency(call, from, to)).await?;
    Ok(Answer::of(&call.correlation, &proof))
}
