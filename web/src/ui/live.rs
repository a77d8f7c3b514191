//! The live stream (server-sent events): names of what changed, a few times a second at most. Pages ask anew for what they
//! show of it. A stream says only what its visitor's own events say, and ends with their session, at shutdown, and after a
//! while anyway; then the page opens another.

use super::events;
use super::page;
use super::session::{Key, Stream};
use super::visitor::Visitor;
use crate::app::App;
use crate::problem::Problem;
use crate::query::Query;
use crate::service::{Call, Service};
use crate::types::PAGE_ITEMS_MAX;
use crate::types::event::{Event, EventQuery};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a stream is silent at most. A connection that is gone is noticed by then.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The least time between two messages: under load a page is drawn four times a second, not a thousand.
const PAUSE: Duration = Duration::from_millis(250);
/// From how many entries behind a stream goes on; from further behind it says that everything changed.
const BEHIND_MAX: u64 = 1_000;
/// The most names in one message; where more changed, everything did.
const NAMES_MAX: usize = 64;
/// Everything may have changed.
const ALL: &str = "event: changed\ndata: [\"all\"]\n\n";

struct Live<S> {
    app: App<S>,
    call: Call,
    key: Key,
    /// The last entry that was told of.
    after: u64,
    until: Instant,
    ended: CancellationToken,
    /// What is said first.
    first: Option<String>,
    _place: Stream,
}

#[derive(Deserialize)]
pub(super) struct Params {
    /// The last entry before the page was made.
    after: Option<String>,
}

/// `GET /ui/live`. A browser that opens it anew says in `Last-Event-ID` how far it was told.
pub(super) async fn stream<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Query(params): Query<Params>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = app.sessions.stream(&visitor.session)?;
    let newest = events::size(&app, &visitor.call).await?.saturating_sub(1);
    let told = headers.get("last-event-id").and_then(|id| id.to_str().ok()).or(params.after.as_deref());
    let asked = told.and_then(|told| told.parse::<u64>().ok()).unwrap_or(newest);
    // A cursor from the future is none; one from long ago is not worth reading up to.
    let follows = asked <= newest && newest - asked <= BEHIND_MAX;
    let after = if follows { asked } else { newest };
    let all = if follows { "" } else { ALL };
    let live = Live {
        after,
        until: Instant::now() + app.options.stream,
        ended: visitor.session.ended.clone(),
        call: visitor.call,
        key: visitor.key,
        first: Some(format!("retry: 2000\nid: {after}\nevent: begun\ndata: {{}}\n\n{all}")),
        _place: place,
        app,
    };
    let messages = futures_util::stream::unfold(live, |mut live| async move {
        let message = live.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(message)), live))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(messages)).into_response())
}

impl<S: Service> Live<S> {
    /// The next message; nothing at the stream's end.
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let (app, ended, until) = (self.app.clone(), self.ended.clone(), self.until);
        let waited = tokio::select! {
            waited = self.wait() => waited,
            () = ended.cancelled() => return self.farewell(),
            () = app.closing.cancelled() => return None,
            () = tokio::time::sleep_until(until) => return None,
        };
        match waited {
            Ok(message) => Some(message),
            Err(problem) if page::is_over(problem.code) => {
                self.app.sessions.end(&self.key);
                self.farewell()
            }
            // The page opens another one.
            Err(_) => None,
        }
    }

    /// The last message: the page has to sign in again.
    fn farewell(&mut self) -> Option<String> {
        let said = self.until <= Instant::now();
        self.until = Instant::now();
        (!said).then(|| "event: ended\ndata: {}\n\n".into())
    }

    async fn wait(&mut self) -> Result<String, Problem> {
        let query = EventQuery {
            after: Some(self.after.to_string()),
            wait_ms: self.app.wait_ms(u32::try_from(HEARTBEAT.as_millis()).unwrap_or(u32::MAX)),
            limit: PAGE_ITEMS_MAX,
            ..EventQuery::default()
        };
        let wait_ms = query.wait_ms;
        let found = self.app.within_wait(wait_ms, self.app.service.events(&self.call, query)).await?;
        let next = found.next_cursor.and_then(|next| next.parse::<u64>().ok());
        self.after = next.unwrap_or(self.after);
        if found.items.is_empty() {
            return Ok(": still here\n\n".into());
        }
        tokio::time::sleep(PAUSE).await;
        if found.items.len() >= PAGE_ITEMS_MAX as usize {
            // More happens than one look takes: the page is drawn anew as it is now, and what lies between is not read.
            let newest = events::size(&self.app, &self.call).await?.saturating_sub(1);
            self.after = self.after.max(newest);
            return Ok(format!("id: {}\n{ALL}", self.after));
        }
        Ok(format!("id: {}\n{}", self.after, message(&found.items)))
    }
}

/// What changed, as names: `tasks`, `task:<id>`, `runs`, `run:<id>`, `agents`, `artifacts`, `mesh`, and always `events`.
fn message(events: &[Event]) -> String {
    let mut names = BTreeSet::from(["events".to_owned()]);
    for event in events {
        let kind = event.event_name.rsplit('.').nth(1).unwrap_or_default();
        let list = match kind {
            "task" => "tasks",
            "run" => "runs",
            "agent" => "agents",
            "artifact" => "artifacts",
            _ => "mesh",
        };
        names.insert(list.into());
        if let Some(run) = &event.run_id {
            names.extend(["runs".into(), "tasks".into(), format!("run:{run}")]);
        }
        if let Some(step) = &event.step_id {
            names.insert(format!("task:{step}"));
        }
    }
    if names.len() > NAMES_MAX {
        return ALL.into();
    }
    // Closed words and ids: nothing here has to be escaped.
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!("event: changed\ndata: [{}]\n\n", names.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Json;
    use crate::types::event::EventId;
    use artel_protocol::id::RunId;
    use artel_protocol::time::Wall;

    fn event(name: &str, run: Option<RunId>) -> Event {
        Event {
            event_id: EventId::new(Wall(1), 1),
            event_name: name.into(),
            occurred_at: Wall(1),
            env_id: String::new(),
            actor: String::new(),
            correlation_id: None,
            run_id: run,
            step_id: run.map(|run| run.step(0)),
            resource: None,
            data: Json::object(),
            entry: 1,
        }
    }

    #[test]
    fn a_message_names_what_changed_and_nothing_that_others_wrote() {
        let run = RunId::new(Wall(1), [1; 9]);
        let said = message(&[event("xyn.agent.enrolled", None), event("xyn.task.claimed", Some(run))]);
        let step = run.step(0);
        assert_eq!(
            said,
            format!(
                "event: changed\ndata: [\"agents\",\"events\",\"run:{run}\",\"runs\",\"task:{step}\",\"tasks\"]\n\n"
            )
        );
        assert_eq!(
            message(&[event("x\"\n\ndata: evil", None)]),
            "event: changed\ndata: [\"events\",\"mesh\"]\n\n"
        );
        let many: Vec<Event> =
            (0..60).map(|n| event("xyn.task.claimed", Some(RunId::new(Wall(1), [n; 9])))).collect();
        assert_eq!(message(&many), "event: changed\ndata: [\"all\"]\n\n");
    }
}
