//! A message's envelope on its way in: what it is, which id its answer will bear, what it says; and the few texts that go out
//! with no call behind them.

use crate::answer;
use crate::body::{self, Body};
use crate::problem::{Code, Problem};
use crate::query::{self, InPath as _};
use crate::service::Idempotency;
use crate::types::event::EventQuery;
use crate::types::notice::{MarkRead, NoticeKind, NoticeQuery};
use crate::types::task::{ClaimRequest, LeaseRequest, SubmitRequest, TaskPost};
use crate::types::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
use artel_protocol::id::{Digest, RunId, StepId};
use artel_protocol::limits::JSON_DEPTH_MAX;
use artel_protocol::text::Correlation;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The most characters of a call's id, quotation marks included: it comes back as it is.
const ID_CHARS_MAX: usize = 66;

/// A message of a peer, read.
pub(super) struct Message {
    /// The id that its answer bears, as JSON; nothing where it gave none.
    pub id: Option<Box<str>>,
    /// Its own correlation id, where it has a good one.
    pub correlation: Option<Correlation>,
    /// What it asks, or why not.
    pub asked: Result<Asked, Problem>,
}

/// What a message asks.
pub(super) enum Asked {
    /// Who it is from.
    Authenticate(String),
    /// Something that HTTP has, too.
    Call(Box<Request>, Correlation, Option<Idempotency>),
    /// Events from now on, or from a place on.
    Events(EventQuery),
    /// Notices from a place on.
    Notices(NoticeQuery),
    /// No more events, or notices.
    Unsubscribe(Feed),
}

/// A call.
pub(super) enum Request {
    Post(TaskPost),
    Show(StepId),
    Claim(StepId, ClaimRequest),
    ClaimNext(ClaimRequest),
    Renew(StepId, LeaseRequest),
    Release(StepId, LeaseRequest),
    Submit(StepId, SubmitRequest),
    MarkRead(MarkRead),
}

/// What comes without a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Feed {
    #[default]
    Events,
    Notices,
}

impl Request {
    /// How long it may wait for a task, as it asks.
    pub fn wait_ms(&self) -> u32 {
        match self {
            Request::ClaimNext(claim) => claim.wait_ms,
            Request::Submit(_, submission) => submission.claim_next.as_ref().map_or(0, |claim| claim.wait_ms),
            _ => 0,
        }
    }

    /// Has it hand in its result all the same, and take a further task only if there is one.
    pub fn waits_no_longer(&mut self) {
        if let Request::Submit(_, submission) = self
            && let Some(claim) = &mut submission.claim_next
        {
            claim.wait_ms = 0;
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    token: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    task_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    correlation_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    idempotency_key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// The id alone, of a message that is otherwise not understood.
#[derive(Deserialize)]
struct IdAlone<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

/// Which events or notices.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Subscription {
    feed: Feed,
    after: Option<String>,
    limit: Option<u32>,
    event_name: Option<String>,
    run_id: Option<String>,
    types: Option<Vec<NoticeKind>>,
}

impl Body for Subscription {
    const BYTES_MAX: u64 = 4 << 10;
    const MAY_BE_EMPTY: bool = true;
    const EXAMPLE: &'static str = r#"{"after":"now","event_name":"xyn.task.accepted"}"#;
}

/// Reads a message. `fresh` makes the correlation id of a call that has none.
pub(super) fn read(text: &[u8], fresh: impl FnOnce() -> Correlation) -> Message {
    // The envelope is one level more than a body has.
    if let Err(problem) = body::check(text, JSON_DEPTH_MAX + 1) {
        return Message { id: None, correlation: None, asked: Err(problem) };
    }
    let envelope = match body::read::<Envelope<'_>>(text) {
        Ok(envelope) => envelope,
        Err(problem) => {
            let alone = body::read::<IdAlone<'_>>(text).ok().and_then(|alone| id(alone.id).ok());
            return Message { id: alone.flatten(), correlation: None, asked: Err(problem) };
        }
    };
    let correlation = envelope.correlation_id.as_deref().and_then(Correlation::parse);
    match id(envelope.id) {
        Ok(id) => {
            let its_own = || correlation.clone().unwrap_or_else(fresh);
            let asked = asked(&envelope, id.is_some(), its_own);
            Message { id, correlation, asked }
        }
        Err(problem) => Message { id: None, correlation, asked: Err(problem) },
    }
}

fn id(given: Option<&RawValue>) -> Result<Option<Box<str>>, Problem> {
    let Some(id) = given.map(RawValue::get).filter(|id| *id != "null") else { return Ok(None) };
    let is_number = id.bytes().all(|b| b.is_ascii_digit());
    if (is_number || id.starts_with('"')) && id.len() <= ID_CHARS_MAX {
        return Ok(Some(id.into()));
    }
    let message = format!("id must be a whole number or a text of at most {} characters", ID_CHARS_MAX - 2);
    Err(Problem::edge_saying(Code::Invalid, message))
}

fn asked(
    envelope: &Envelope<'_>,
    has_id: bool,
    correlation: impl FnOnce() -> Correlation,
) -> Result<Asked, Problem> {
    let is_keyed = envelope.idempotency_key.is_some();
    if is_keyed && envelope.kind != "post" {
        let message = "idempotency_key goes with post alone; leave it out";
        return Err(Problem::edge_saying(Code::BadIdempotencyKey, message));
    }
    match &*envelope.kind {
        "authenticate" => {
            let token = envelope.token.as_deref().ok_or_else(|| Problem::edge(Code::Unauthenticated))?;
            return Ok(Asked::Authenticate(token.to_owned()));
        }
        "subscribe" => return subscribe(data(envelope)?),
        "unsubscribe" => return Ok(Asked::Unsubscribe(data::<Subscription>(envelope)?.feed)),
        _ => {}
    }
    let task = || {
        let read = envelope.task_id.as_deref().and_then(StepId::read);
        read.ok_or_else(query::bad_id::<StepId>)
    };
    let request = match &*envelope.kind {
        "post" => Request::Post(data(envelope)?),
        "show" => Request::Show(task()?),
        "claim" => Request::Claim(task()?, data(envelope)?),
        "claim_next" => Request::ClaimNext(data(envelope)?),
        "renew" => Request::Renew(task()?, data(envelope)?),
        "release" => Request::Release(task()?, data(envelope)?),
        "submit" => Request::Submit(task()?, data(envelope)?),
        "acknowledge" => Request::MarkRead(data(envelope)?),
        other => {
            let kind: String = other.chars().take(80).collect();
            let message =
                format!("there is no message of type {kind:?}; see node/OPERATIONS.md for the types");
            return Err(Problem::edge_saying(Code::UnknownMessage, message));
        }
    };
    if !has_id {
        return Err(Problem::edge_saying(Code::Invalid, "a call needs an id, which its answer bears"));
    }
    let key = envelope.idempotency_key.as_deref().map(|key| body::checked_key(key.as_bytes())).transpose()?;
    let digest = || Digest::of(envelope.data.map(RawValue::get).unwrap_or_default().as_bytes());
    Ok(Asked::Call(Box::new(request), correlation(), key.map(|key| Idempotency { key, body: digest() })))
}

/// What a message says, by the bounds of the same thing over HTTP.
fn data<T: Body>(envelope: &Envelope<'_>) -> Result<T, Problem> {
    match envelope.data {
        Some(data) if data.get().len() as u64 > T::BYTES_MAX => Err(Problem::edge(Code::BodyTooLarge)),
        Some(data) => body::read(data.get().as_bytes()),
        None if T::MAY_BE_EMPTY => body::read(b"{}"),
        None => Err(Problem::edge_saying(Code::Invalid, "the message has no data")),
    }
}

fn subscribe(asked: Subscription) -> Result<Asked, Problem> {
    let of_other = match asked.feed {
        Feed::Events => asked.types.as_ref().map(|_| "types"),
        Feed::Notices => {
            asked.event_name.as_ref().map(|_| "event_name").or(asked.run_id.as_ref().map(|_| "run_id"))
        }
    };
    if let Some(field) = of_other {
        let message = format!("{field} belongs to the other feed; leave it out, or change feed");
        return Err(Problem::edge_saying(Code::Invalid, message));
    }
    let limit = asked.limit.unwrap_or(PAGE_ITEMS_DEFAULT);
    if !(1..=PAGE_ITEMS_MAX).contains(&limit) {
        return Err(Problem::edge_saying(Code::Invalid, format!("limit must be 1 to {PAGE_ITEMS_MAX}")));
    }
    if asked.feed == Feed::Notices {
        let kinds = asked.types.unwrap_or_default();
        return Ok(Asked::Notices(NoticeQuery { after: asked.after, kinds, limit }));
    }
    let run_id = asked.run_id.as_deref().map(|text| RunId::read(text).ok_or_else(query::bad_id::<RunId>));
    Ok(Asked::Events(EventQuery {
        after: asked.after,
        wait_ms: 0,
        limit,
        event_name: asked.event_name,
        run_id: run_id.transpose()?,
    }))
}

/// A refusal as a message: to the call of this id, or to whatever had none.
pub(super) fn refusal(id: Option<&str>, problem: &Problem, correlation: &Correlation) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    head(&mut text, id, problem.code.status().as_u16());
    if let Some(seconds) = problem.retry_after_s {
        text.extend_from_slice(format!(r#""retry_after_s":{seconds},"#).as_bytes());
    }
    text.extend_from_slice(br#""data":"#);
    let at = text.len();
    if answer::write_problem(&mut text, problem, correlation).is_err() {
        text.truncate(at);
        text.extend_from_slice(b"{}");
    }
    text.push(b'}');
    text
}

/// The beginning of an answer, up to where its data stands.
pub(super) fn head(text: &mut Vec<u8>, id: Option<&str>, status: u16) {
    match id {
        Some(id) => {
            text.extend_from_slice(br#"{"type":"answer","id":"#);
            text.extend_from_slice(id.as_bytes());
        }
        None => text.extend_from_slice(br#"{"type":"error","id":null"#),
    }
    text.extend_from_slice(format!(r#","status":{status},"#).as_bytes());
}
