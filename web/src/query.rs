//! Ids in paths and parameters in query strings, checked before a handler sees them.

use crate::app::App;
use crate::body::unknown;
use crate::problem::{Code, Problem};
use crate::service::Service;
use crate::suggest::unknown_field;
use crate::types::event::EventId;
use crate::types::form;
use crate::types::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX, Page};
use artel_protocol::id::{ArtifactId, Digest, EnrollmentId, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId};
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The longest cursor that is looked at.
const CURSOR_CHARS_MAX: usize = 200;

/// Something that a path may name.
pub(crate) trait InPath: Sized {
    /// What a right one looks like, for the sentence.
    const FORM: &'static str;
    /// Reads it.
    fn read(text: &str) -> Option<Self>;
    /// Its JSON Schema.
    fn schema() -> Value;
}

macro_rules! in_path {
    ($($type:ty: $form:literal, $schema:ty, $read:expr;)*) => {
        $(impl InPath for $type {
            const FORM: &'static str = $form;
            fn read(text: &str) -> Option<Self> { $read(text) }
            fn schema() -> Value { form::schema::<$schema>() }
        })*
    };
}

in_path! {
    RunId: "a run's UUID", form::Uuid, |t| RunId::parse(t).ok();
    StepId: "a task's or step's UUID", form::Uuid, |t| StepId::parse(t).ok();
    ArtifactId: "an artifact's UUID", form::Uuid, |t| ArtifactId::parse(t).ok();
    EnrollmentId: "an enrollment's UUID", form::Uuid, |t| EnrollmentId::parse(t).ok();
    EventId: "an event's UUID", form::Uuid, EventId::parse;
    AgentId: "an agent's did:key", form::Did, |t| AgentId::from_did(t).ok();
    NodeId: "a node's did:key", form::Did, |t| NodeId::from_did(t).ok();
    Digest: "a digest: sha256: and 64 hex digits", form::Digest, |t| Digest::parse(t).ok();
    u64: "a whole number", form::Index, |t: &str| t.parse().ok();
    String: "text", form::PathText, |t: &str| Some(t.to_owned());
}

/// The path's one id.
pub(crate) struct Id<T>(pub T);

impl<S: Service, T: InPath> FromRequestParts<App<S>> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, Problem> {
        let params = path_params(parts, app).await?;
        let value = params.iter().next().and_then(|(_, value)| T::read(value));
        value.map(Id).ok_or_else(bad_id::<T>)
    }
}

/// The path's two ids.
pub(crate) struct Ids<T, U>(pub T, pub U);

impl<S: Service, T: InPath, U: InPath> FromRequestParts<App<S>> for Ids<T, U> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, Problem> {
        let params = path_params(parts, app).await?;
        let mut values = params.iter().map(|(_, value)| value);
        let first = values.next().and_then(T::read).ok_or_else(bad_id::<T>)?;
        let second = values.next().and_then(U::read).ok_or_else(bad_id::<U>)?;
        Ok(Ids(first, second))
    }
}

async fn path_params<S: Service>(parts: &mut Parts, app: &App<S>) -> Result<RawPathParams, Problem> {
    RawPathParams::from_request_parts(parts, app).await.map_err(|_| Problem::edge(Code::BadId))
}

/// What an id of a wrong form gets.
pub(crate) fn bad_id<T: InPath>() -> Problem {
    Problem::edge_saying(Code::BadId, format!("the path wants {} here", T::FORM))
}

/// The query string's parameters.
pub(crate) struct Query<T>(pub T);

impl<S: Service, T: DeserializeOwned> FromRequestParts<App<S>> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App<S>) -> Result<Self, Problem> {
        let parsed = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        parsed.map(|q| Query(q.0)).map_err(|e| {
            let said = e.body_text();
            let message = match unknown_field(&said) {
                Some((field, nearest)) => unknown(field, nearest).replace("field", "query parameter"),
                None => format!(
                    "the query string is not understood: {}",
                    said.chars().take(200).collect::<String>()
                ),
            };
            Problem::edge_saying(Code::BadQuery, message)
        })
    }
}

/// `?limit=&cursor=`, checked.
pub(crate) fn page(limit: Option<u32>, cursor: Option<String>) -> Result<Page, Problem> {
    let limit = limit.unwrap_or(PAGE_ITEMS_DEFAULT);
    if !(1..=PAGE_ITEMS_MAX).contains(&limit) {
        let message = format!("limit must be 1 to {PAGE_ITEMS_MAX}; ask for the rest by next_cursor");
        return Err(Problem::edge_saying(Code::BadQuery, message));
    }
    if cursor.as_ref().is_some_and(|c| c.is_empty() || c.len() > CURSOR_CHARS_MAX) {
        return Err(Problem::edge_saying(
            Code::BadQuery,
            "cursor is not one that an answer gave; leave it out to begin anew",
        ));
    }
    Ok(Page { limit, cursor })
}

/// What a field of a filter says: a browser sends an empty one, too, which says nothing.
pub(crate) fn given(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A parameter's text as a checked value.
pub(crate) fn checked<T, E: std::fmt::Display>(
    name: &str,
    text: Option<String>,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let bad = |e: E| {
        Problem::edge_saying(Code::BadQuery, format!("{name}: {e}").chars().take(300).collect::<String>())
    };
    read(&text).map(Some).map_err(bad)
}
