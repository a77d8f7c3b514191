//! Bodies of JSON on their way in: content type, size, UTF-8, depth, twin keys, fields; in that order, each with its own
//! code. The routes' body limits stand here.

use crate::app::App;
use crate::problem::{Code, Problem};
use crate::service::{Call, Idempotency, Service};
use crate::suggest::unknown_field;
use crate::types::agent::AgentPatch;
use crate::types::artifact::ArtifactPost;
use crate::types::auth::SignedStatement;
use crate::types::enroll::{EnrollRequest, RespondRequest};
use crate::types::event::EventPost;
use crate::types::member::{Expulsion, InvitationPost};
use crate::types::notice::MarkRead;
use crate::types::object::Object;
use crate::types::run::RunPost;
use crate::types::task::{ClaimRequest, LeaseRequest, SubmitRequest, TaskPost};
use crate::upload::{Pace, Upload};
use artel_protocol::id::Digest;
use artel_protocol::json;
use artel_protocol::limits::JSON_DEPTH_MAX;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// The most characters of an `Idempotency-Key`. Each key is kept for a day.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 128;

/// Bodies of a few fixed fields, in bytes (16 KiB): claims, leases, statements, answers to challenges.
const BYTES_SMALL: u64 = 16 << 10;
/// An agent's own words, in bytes (64 KiB): 8 KiB of metadata, 32 skills, room for how JSON may be spaced.
const BYTES_AGENT: u64 = 64 << 10;
/// A task or a result, in bytes (512 KiB): 256 KiB of input or output, description and schema, room for escapes.
const BYTES_TASK: u64 = 512 << 10;
/// A run, in bytes (8 MiB): 200 steps of 40 KiB; larger inputs are artifacts.
const BYTES_RUN: u64 = 8 << 20;
/// An artifact inside JSON, in bytes (8 MiB, about 6 MB of content): it is held in memory; larger ones are put.
const BYTES_ARTIFACT: u64 = 8 << 20;

/// Longer bodies (64 KiB) are read on a thread for what takes long: 8 MiB take some 50 ms, in which a connection's thread would
/// serve no other.
const APART_BYTES: usize = 64 << 10;

/// A type that comes as a body, and how much of it there may be.
pub(crate) trait Body: DeserializeOwned + Send + 'static {
    /// The most bytes; a longer body gets `body_too_large` and is not read to its end.
    const BYTES_MAX: u64;
    /// Whether no body at all stands for `{}`.
    const MAY_BE_EMPTY: bool = false;
    /// A true one, as JSON, for the API's document.
    const EXAMPLE: &'static str;
}

/// The body of a post that says nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

macro_rules! bodies {
    ($($type:ty: $max:expr, $may_be_empty:literal, $example:literal;)*) => {
        $(impl Body for $type {
            const BYTES_MAX: u64 = $max;
            const MAY_BE_EMPTY: bool = $may_be_empty;
            const EXAMPLE: &'static str = $example;
        })*

        #[cfg(test)]
        #[allow(clippy::type_complexity)]
        const EXAMPLES: &[(&str, fn(&[u8]) -> Result<(), Problem>)] =
            &[$(($example, |bytes| parse::<$type>(bytes).map(drop)),)*];
    };
}

bodies! {
    Nothing: BYTES_SMALL, true, "{}";
    EnrollRequest: BYTES_AGENT, false, r#"{"agent_name":"Ada","public_key":"did:key:z6MkvDqGT54cXesYGvABpF1UapVNwjCqRcafi4Px6Thv5T3Z","metadata":{"capabilities":["coding"],"capacity":4},"delegate":true}"#;
    RespondRequest: BYTES_SMALL, false, r#"{"signature":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
    SignedStatement: BYTES_SMALL, false, r#"{"statement":"c3RhdGVtZW50","signature":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
    AgentPatch: BYTES_AGENT, false, r#"{"capacity":8}"#;
    TaskPost: BYTES_TASK, false, r#"{"title":"Build REST API","requirements":{"capabilities":["coding"]},"reward":50,"input":{"language":"Rust"},"output_schema":{"type":"object"}}"#;
    ClaimRequest: BYTES_SMALL, true, r#"{"wait_ms":1000}"#;
    LeaseRequest: BYTES_SMALL, false, r#"{"epoch":1}"#;
    SubmitRequest: BYTES_TASK, false, r#"{"epoch":1,"output":{"answer":42},"claim_next":true}"#;
    RunPost: BYTES_RUN, false, r#"{"name":"a run","inputs":{"n":1},"steps":[{"name":"first","task":{"title":"Write it"}},{"name":"second","needs":["first"],"task":{"title":"Read it","reward":2.5}}]}"#;
    ArtifactPost: BYTES_ARTIFACT, false, r#"{"name":"report.txt","content_type":"text/plain","content":"SGVsbG8="}"#;
    EventPost: BYTES_AGENT, false, r#"{"event_name":"xyn.report.ready","data":{"pages":3}}"#;
    InvitationPost: BYTES_SMALL, true, r#"{"uses":2,"for_ms":3600000}"#;
    Expulsion: BYTES_SMALL, false, r#"{"reason":"it signed two histories"}"#;
    MarkRead: BYTES_SMALL, false, r#"{"up_to":"57.0f1e2d3c"}"#;
}

/// A checked body, and the key under which its post may be repeated.
pub(crate) struct Input<T> {
    pub value: T,
    idempotency: Option<Idempotency>,
}

impl<T> Input<T> {
    /// Gives the body to its call: the key and the value.
    pub fn keyed(self, call: &mut Call) -> T {
        call.idempotency = self.idempotency;
        self.value
    }
}

impl<S: Service, T: Body> FromRequest<App<S>> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App<S>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let key = idempotency_key(&parts.headers)?;
        let pace = Pace { bytes_max: T::BYTES_MAX, ..app.pace(Code::BodyTooLarge) };
        let upload = Upload::streamed(body, content_length(&parts.headers), pace)?;
        let bytes = collect(upload).await?;
        if !bytes.is_empty() {
            check_content_type(&parts.headers)?;
        }
        if bytes.len() <= APART_BYTES {
            return Input::read(&bytes, key);
        }
        app.within(async {
            let read = app.apart.run(move || Input::read(&bytes, key)).await;
            read.unwrap_or_else(|| Err(Problem::of(Code::Internal)))
        })
        .await
    }
}

impl<T: Body> Input<T> {
    fn read(bytes: &[u8], key: Option<String>) -> Result<Self, Problem> {
        let value = if bytes.is_empty() && T::MAY_BE_EMPTY { parse(b"{}") } else { parse(bytes) }?;
        let idempotency = key.map(|key| Idempotency { key, body: Digest::of(bytes) });
        Ok(Input { value, idempotency })
    }
}

/// A body whose post may be repeated under an `Idempotency-Key`.
pub(crate) struct Keyed<T>(Input<T>);

impl<T> Keyed<T> {
    /// Gives the body to its call: the key and the value.
    pub fn keyed(self, call: &mut Call) -> T {
        self.0.keyed(call)
    }
}

impl<S: Service, T: Body> FromRequest<App<S>> for Keyed<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App<S>) -> Result<Self, Problem> {
        Input::from_request(request, app).await.map(Keyed)
    }
}

/// The announced length of a body.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    headers.get("idempotency-key").map(|key| checked_key(key.as_bytes())).transpose()
}

/// A key for repeats, if it may be one.
pub(crate) fn checked_key(key: &[u8]) -> Result<String, Problem> {
    let fits = (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(key) {
        Ok(text) if fits => Ok(text.to_owned()),
        _ => Err(Problem::edge(Code::BadIdempotencyKey)),
    }
}

/// No content type says nothing wrong; a wrong one does. A browser's form cannot send JSON's.
fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::edge(Code::UnsupportedMediaType))
}

/// All of a body.
pub(crate) async fn collect(mut upload: Upload) -> Result<Bytes, Problem> {
    let Some(first) = upload.chunk().await? else { return Ok(Bytes::new()) };
    // Most bodies come in one piece, which then is not copied.
    let Some(second) = upload.chunk().await? else { return Ok(first) };
    let mut whole = BytesMut::with_capacity((first.len() + second.len()) * 2);
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while let Some(piece) = upload.chunk().await? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    check(bytes, JSON_DEPTH_MAX)?;
    read(bytes)
}

/// Reads one object from a text that was checked.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    let read = serde_json::from_slice::<Object<T>>(bytes);
    read.map(|object| object.0).map_err(|error| refused(&error))
}

/// Checks that bytes are one JSON text that everybody reads the same way.
pub(crate) fn check(bytes: &[u8], depth_max: usize) -> Result<(), Problem> {
    match json::check(bytes, depth_max) {
        Ok(()) => Ok(()),
        Err(json::Error::NotUtf8) => Err(Problem::edge(Code::NotUtf8)),
        Err(json::Error::TooDeep(_)) => Err(Problem::edge(Code::JsonTooDeep)),
        Err(json::Error::Twin(key)) => {
            let message = format!("an object in the body has the key {key:?} twice; name each key once");
            Err(Problem::edge_saying(Code::DuplicateKey, message))
        }
        // The parser says better what is wrong, but for halves of surrogate pairs, which it does not look for.
        Err(syntax @ json::Error::Syntax(_)) => Err(match serde_json::from_slice::<IgnoredAny>(bytes) {
            Err(error) => refused(&error),
            Ok(_) => Problem::edge_saying(Code::NotJson, format!("the body is not JSON: {syntax}")),
        }),
    }
}

/// What serde says, with the right code and the name that was meant.
fn refused(error: &serde_json::Error) -> Problem {
    use serde_json::error::Category;
    if matches!(error.classify(), Category::Syntax | Category::Eof | Category::Io) {
        let message = format!("the body is not JSON: {error}");
        return Problem::edge_saying(Code::NotJson, message);
    }
    let said = error.to_string();
    match unknown_field(&said) {
        Some((field, nearest)) => Problem::edge_saying(Code::UnknownField, unknown(field, nearest)),
        None => Problem::edge_saying(Code::Invalid, short(&said)),
    }
}

/// The sentence about a field that is not known here.
pub(crate) fn unknown(field: &str, nearest: Option<&str>) -> String {
    let field: String = field.chars().take(80).collect();
    match nearest {
        Some(name) => format!("there is no field {field:?} here; did you mean {name:?}?"),
        None => format!("there is no field {field:?} here; remove it"),
    }
}

/// A message that may quote the caller, cut to a length that a person reads.
fn short(message: &str) -> String {
    let mut cut: String = message.chars().take(300).collect();
    if cut.len() < message.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_examples_are_read_as_what_they_stand_for() {
        for (example, read) in EXAMPLES {
            read(example.as_bytes()).expect(example);
        }
    }
}
