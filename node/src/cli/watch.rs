//! Following a run by its events, without polling: each request waits at the node until something happened.

use super::context::Context;
use super::idle::Idle;
use super::show;
use crate::client::{Client, Error, List, escape};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::Duration;

/// How long one request waits for the next event, in milliseconds.
pub const WAIT_MS: u64 = 20_000;
/// How long to wait before asking a node again that is away or busy.
pub const AWAY: Duration = Duration::from_secs(1);

/// The index of the last entry that was looked at; nothing before the first.
pub type Cursor = Option<String>;

/// What has happened so far, as a cursor.
///
/// # Errors
/// What the node said.
pub async fn now(client: &Client) -> Result<Cursor, Error> {
    let text = client.get_text("/v1/events?after=now&limit=1").await?;
    let page: List<Box<RawValue>> = client.read(&text)?;
    Ok(page.next_cursor)
}

/// Reads events from a place on.
pub struct Events<'a> {
    client: &'a Client,
    filter: String,
    cursor: Cursor,
}

impl<'a> Events<'a> {
    /// Events that `filter` (a query string without `?`) lets through, behind `cursor` or from the first one.
    pub fn new(client: &'a Client, filter: String, cursor: Cursor) -> Self {
        Events { client, filter, cursor }
    }

    /// Goes on with what happens from now on.
    pub fn skip_to_now(&mut self) {
        self.cursor = Some("now".into());
    }

    /// Whether what happened up to a cursor was looked at.
    pub fn is_past(&self, end: &Cursor) -> bool {
        let index = |cursor: &Cursor| cursor.as_ref().and_then(|cursor| cursor.parse::<u64>().ok());
        index(&self.cursor) >= index(end)
    }

    /// The next events as they came; none when nothing happened for a while.
    ///
    /// # Errors
    /// [`Error`]; the place is kept, so asking again loses nothing.
    pub async fn next(&mut self, wait_ms: u64) -> Result<Vec<Box<RawValue>>, Error> {
        let mut path = format!("/v1/events?limit=200&wait_ms={wait_ms}");
        if !self.filter.is_empty() {
            path.push_str(&format!("&{}", self.filter));
        }
        if let Some(cursor) = &self.cursor {
            path.push_str(&format!("&after={}", escape(cursor)));
        }
        let text = self.client.get_waiting(&path, wait_ms).await?;
        let page: List<Box<RawValue>> = self.client.read(&text)?;
        if page.next_cursor.is_some() {
            self.cursor = page.next_cursor;
        }
        Ok(page.items)
    }

    /// The same, patient with a node that is away or busy.
    ///
    /// # Errors
    /// [`Error`] that asking again will not mend.
    pub async fn next_patiently(&mut self, wait_ms: u64) -> Result<Vec<Box<RawValue>>, Error> {
        loop {
            match self.next(wait_ms).await {
                Err(error) if error.is_passing() => {
                    tokio::time::sleep(error.retry_after().unwrap_or(AWAY)).await
                }
                other => return other,
            }
        }
    }
}

/// What is looked at in an event.
#[derive(Debug, Deserialize)]
pub struct Event {
    /// What happened.
    pub event_name: String,
    /// When.
    pub occurred_at: String,
    /// Who did it.
    pub actor: String,
    /// The step that it is about.
    pub step_id: Option<String>,
    /// What is to be said of it.
    #[serde(default)]
    pub data: Value,
}

/// Whether a run or a task in this status is over.
pub fn is_over(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "cancelled" | "accepted" | "skipped")
}

/// Follows a run, or one task of it, until it is over: shows its events behind a cursor and answers with what `path` says at
/// the end.
///
/// # Errors
/// What the node or stdout said.
pub async fn follow(
    context: &Context,
    run: &str,
    task: Option<&str>,
    path: &str,
    after: Cursor,
) -> anyhow::Result<String> {
    let client = context.client()?;
    let mut events = Events::new(&client, format!("run_id={}", escape(run)), after);
    let mut idle = Idle::default();
    let end = loop {
        let answer = client.get_text(path).await?;
        let value: Value = client.read(&answer)?;
        if is_over(value["status"].as_str().unwrap_or_default()) {
            break answer;
        }
        idle.look(&client, &value).await;
        for item in events.next_patiently(WAIT_MS).await? {
            tell_of(context, &client, task, &item)?;
        }
    };
    // What led to the end is shown too, also where it was over from the start.
    let last = now(&client).await?;
    while !events.is_past(&last) {
        for item in events.next_patiently(0).await? {
            tell_of(context, &client, task, &item)?;
        }
    }
    Ok(end)
}

/// Shows an event of a run, or of one task of it.
fn tell_of(context: &Context, client: &Client, task: Option<&str>, item: &RawValue) -> anyhow::Result<()> {
    let event: Event = client.read(item.get())?;
    if task.is_none() || event.step_id.as_deref() == task {
        tell(context, &event, item)?;
    }
    Ok(())
}

/// Shows one event.
///
/// # Errors
/// What stdout says.
pub fn tell(context: &Context, event: &Event, raw: &RawValue) -> anyhow::Result<()> {
    if context.show.json {
        return show::line(raw.get());
    }
    let about = event.step_id.as_deref().unwrap_or_default();
    let text = format!("{}  {:28}  {}  {}", event.occurred_at, event.event_name, event.actor, about);
    show::line(show::plain(&text).trim_end())
}
