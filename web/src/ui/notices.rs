//! An agent's notices that it has not read, as `GET /v1/notifications` has them, and the form that says that it has.

use super::form::Posted;
use super::page::see_other;
use super::show::{State as _, Tone};
use crate::app::App;
use crate::calls;
use crate::problem::{Code, Problem};
use crate::service::{Call, Service};
use crate::types::notice::{MarkRead, Notice, NoticeKind, NoticeQuery};
use artel_protocol::id::StepId;
use artel_protocol::key::AgentId;
use artel_protocol::time::Wall;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

/// Of how many entries the page shows notices. An entry has up to three.
const ENTRIES: u32 = 12;

/// How many times the list is asked where it says no more than where it goes on: a look covers some thousand entries, of which
/// none may be news. More, and a page would wait for it.
const LOOKS_MAX: usize = 4;

/// The field with the cursor of the last notice that the page shows.
const UP_TO: &str = "up_to";

/// What is not read.
pub(super) struct Unread {
    /// Newest first.
    pub rows: Vec<Row>,
    /// The cursor of the newest one that is shown; where none is, that of what was looked at, if there is more.
    pub up_to: Option<String>,
    /// Whether there are more, which are newer than these.
    pub has_more: bool,
}

/// One notice.
pub(super) struct Row {
    /// What tells it from others.
    pub key: String,
    pub what: &'static str,
    pub tone: &'static str,
    /// The task of this node that it is about.
    pub task: Option<StepId>,
    pub title: String,
    pub detail: String,
    pub at: Wall,
}

/// What notices say that is shown.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Said {
    task_id: Option<String>,
    title: Option<String>,
    home: Option<String>,
    accepted: Option<bool>,
    quality_score: Option<u8>,
    check: Option<String>,
    amount: Option<serde_json::Number>,
    recalled: Option<serde_json::Number>,
    reputation_level: Option<String>,
    reason: Option<String>,
    expires_at: Option<String>,
    event: Option<String>,
}

/// The oldest notices that an agent has not read.
pub(super) async fn unread<S: Service>(app: &App<S>, call: &Call, me: AgentId) -> Result<Unread, Problem> {
    let mut query = NoticeQuery { limit: ENTRIES, ..NoticeQuery::default() };
    let mut notices = app.within(app.service.notifications(call, me, query.clone())).await?;
    for _ in 1..LOOKS_MAX {
        if !notices.items.is_empty() || notices.next_cursor.is_none() {
            break;
        }
        query.after = notices.next_cursor;
        notices = app.within(app.service.notifications(call, me, query.clone())).await?;
    }
    let newest = notices.items.last().map(|notice| notice.cursor.clone());
    let rows = notices.items.iter().rev().map(row).collect();
    let has_more = notices.next_cursor.is_some();
    Ok(Unread { rows, up_to: newest.or(notices.next_cursor), has_more })
}

fn row(notice: &Notice) -> Row {
    let said: Said = serde_json::from_slice(notice.data.bytes()).unwrap_or_default();
    let (what, tone) = match (notice.kind, said.accepted) {
        (NoticeKind::Quality, Some(false)) => ("rejected", Tone::Bad),
        (kind, _) => kind.said(),
    };
    let task = said.task_id.as_deref().filter(|_| said.home.is_none()).and_then(|id| StepId::parse(id).ok());
    let detail = match notice.kind {
        NoticeKind::Quality => said.quality_score.map(|score| format!("quality {score}")).or(said.check),
        NoticeKind::Earning => said.amount.map(|amount| amount.to_string()),
        NoticeKind::Refuted => said.recalled.map(|back| format!("{back} taken back")),
        NoticeKind::Reputation => said.reputation_level,
        NoticeKind::LeaseEnded => said.reason,
        NoticeKind::LeaseExpiring => said.expires_at.map(|at| format!("renew before {at}")),
        NoticeKind::System => said.event,
        NoticeKind::TaskAvailable | NoticeKind::LeaseGranted | NoticeKind::LeaseLapsed => None,
    };
    let title = match (said.title, task) {
        (Some(title), _) => title,
        (None, Some(_)) => "a task".into(),
        (None, None) => said.task_id.map(|_| "a task of another node".into()).unwrap_or_default(),
    };
    Row {
        key: format!("{}-{}-{what}", notice.cursor, notice.at.0),
        what,
        tone: tone.name(),
        task,
        title,
        detail: detail.unwrap_or_default(),
        at: notice.at,
    }
}

/// `POST /ui/notices/read`. What has come since the page was drawn stays unread.
pub(super) async fn read<S: Service>(State(app): State<App<S>>, posted: Posted) -> Result<Response, Problem> {
    let Posted { visitor, fields } = posted;
    let me = visitor.agent().ok_or_else(|| Problem::edge(Code::AgentsOnly))?;
    let mark = MarkRead { up_to: fields.text(UP_TO).to_owned() };
    calls::mark_read(&app, &visitor.call, me, mark).await?;
    Ok(see_other("/ui"))
}
