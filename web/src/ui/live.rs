//! The live stream (server-sent events): names of what changed, a few times a second at most. Pages ask anew for what they
//! show of it. A stream says only what its visitor's own events say, and ends with their session, at shutdown, and after a
//! while anyway; then the page opens another.

use super::session::Stream;
use super::visitor::Visitor;
use crate::app::App;
use crate::problem::Problem;
use crate::service::{Call, Service};
use crate::types::PAGE_ITEMS_MAX;
use crate::types::event::{Event, EventQuery};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a stream is silent at most. A connection that is gone is noticed by then.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The least time between two messages: under load a page is drawn four times a second, not a thousand.
const PAUSE: Duration = Duration::from_millis(250);
/// The most names in one message; where more changed, everything did.
const NAMES_MAX: usize = 64;

struct Live<S> {
    app: App<S>,
    call: Call,
    after: String,
    until: Instant,
    ended: CancellationToken,
    begun: bool,
    _place: Stream,
}

/// `GET /ui/live`.
pub(super) async fn stream<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    let place = app.sessions.stream(&visitor.session)?;
    let newest = EventQuery { after: Some("now".into()), limit: 1, ..EventQuery::default() };
    let newest = app.within(app.service.events(&visitor.call, newest)).await?;
    let live = Live {
        after: newest.next_cursor.unwrap_or_else(|| "now".into()),
        until: Instant::now() + app.options.stream,
        ended: visitor.session.ended.clone(),
        call: visitor.call,
        begun: false,
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
        if !std::mem::replace(&mut self.begun, true) {
            return Some("retry: 2000\nevent: begun\ndata: {}\n\n".into());
        }
        let (app, ended, until) = (self.app.clone(), self.ended.clone(), self.until);
        tokio::select! {
            message = self.wait() => message,
            () = ended.cancelled() => Some("event: ended\ndata: {}\n\n".into()).filter(|_| self.end()),
            () = app.closing.cancelled() => None,
            () = tokio::time::sleep_until(until) => None,
        }
    }

    /// Makes this message the last one.
    fn end(&mut self) -> bool {
        let more = self.until > Instant::now();
        self.until = Instant::now();
        more
    }

    async fn wait(&mut self) -> Option<String> {
        let query = EventQuery {
            after: Some(self.after.clone()),
            wait_ms: self.app.wait_ms(u32::try_from(HEARTBEAT.as_millis()).unwrap_or(u32::MAX)),
            limit: PAGE_ITEMS_MAX,
            ..EventQuery::default()
        };
        let wait_ms = query.wait_ms;
        // A credential that is no good any more ends the stream; the page's next call then says so.
        let events = self.app.within_wait(wait_ms, self.app.service.events(&self.call, query)).await.ok()?;
        if let Some(next) = events.next_cursor {
            self.after = next;
        }
        if events.items.is_empty() {
            return Some(": still here\n\n".into());
        }
        tokio::time::sleep(PAUSE).await;
        Some(message(&events.items))
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
        names = BTreeSet::from(["all".to_owned()]);
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
