//! Artifacts: entries, and bytes that stream in and out. The service stores, names and verifies them.

use crate::answer::Answer;
use crate::app::App;
use crate::body::{Keyed, content_length};
use crate::caller::Known;
use crate::openapi::Operation;
use crate::openapi::describe::{Answers, Argument, correlated};
use crate::problem::{Code, Problem};
use crate::query::{Id, Query, checked, page};
use crate::range::{self, Range};
use crate::service::{Blob, Call, Service};
use crate::types::List;
use crate::types::artifact::{Artifact, ArtifactName, ArtifactPost, ArtifactQuery, Content};
use crate::types::form;
use crate::upload::{Pace, Upload};
use artel_protocol::id::{ArtifactId, Digest, RunId, StepId};
use axum::body::{self, Body};
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    #[schemars(with = "Option<form::Uuid>")]
    run_id: Option<String>,
    #[schemars(with = "Option<form::Uuid>")]
    step_id: Option<String>,
    kind: Option<String>,
    #[schemars(with = "Option<form::Limit>")]
    limit: Option<u32>,
    #[schemars(with = "Option<form::Cursor>")]
    cursor: Option<String>,
}

/// What a bare upload may say of itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutParams {
    name: Option<String>,
    kind: Option<String>,
    #[schemars(with = "Option<form::Uuid>")]
    run_id: Option<String>,
    #[schemars(with = "Option<form::Uuid>")]
    step_id: Option<String>,
}

/// `GET /v1/artifacts`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Query(params): Query<ListParams>,
) -> Result<Answer<List<Artifact>>, Problem> {
    let query = ArtifactQuery {
        run_id: checked("run_id", params.run_id, RunId::parse)?,
        step_id: checked("step_id", params.step_id, StepId::parse)?,
        kind: params.kind,
        page: page(params.limit, params.cursor)?,
    };
    let artifacts = app.within(app.service.artifacts(&call, query)).await?;
    Ok(Answer::of(&call.correlation, &artifacts))
}

/// `POST /v1/artifacts`.
pub(super) async fn post<S: Service>(
    State(app): State<App<S>>,
    Known(mut call): Known,
    input: Keyed<ArtifactPost>,
) -> Result<Answer<Artifact, 201>, Problem> {
    let mut post = input.keyed(&mut call);
    let Some(content) = post.content.take() else {
        if post.byte_length.is_some_and(|n| n > app.options.artifact_bytes_max) {
            return Err(Problem::edge(Code::ArtifactTooLarge));
        }
        let announced = app.within(app.service.announce_artifact(&call, post)).await?;
        return Ok(Answer::of(&call.correlation, &announced));
    };
    if post.byte_length.is_some_and(|n| n != content.len() as u64) {
        let message = format!("byte_length is not the content's: that has {} bytes", content.len());
        return Err(Problem::edge_saying(Code::Invalid, message));
    }
    let bytes = Upload::whole(content.into());
    let stored = app.within(app.service.store_artifact(&call, post, bytes)).await?;
    Ok(Answer::of(&call.correlation, &stored))
}

/// `PUT /v1/artifacts/sha256:HEX` and `/v1/artifacts/{uuid}`. The body's own pace is its time limit.
pub(super) async fn put<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(name): Id<String>,
    Query(params): Query<PutParams>,
    Bytes(request): Bytes,
) -> Result<Answer<Artifact, 201>, Problem> {
    let name = artifact_name(&name)?;
    let (parts, body) = request.into_parts();
    let pace = Pace { bytes_max: app.options.artifact_bytes_max, ..app.pace(Code::ArtifactTooLarge) };
    let upload = Upload::streamed(body, content_length(&parts.headers), pace)?;
    let stored = match name {
        ArtifactName::Id(artifact) => app.service.fill_artifact(&call, artifact, upload).await?,
        ArtifactName::Digest(digest) => {
            let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
            let name = params.name.unwrap_or_else(|| digest.hex());
            let mut post = ArtifactPost::unnamed(name, content_type.map(str::to_owned));
            post.kind = params.kind.unwrap_or(post.kind);
            post.sha256 = Some(digest);
            post.byte_length = upload.announced();
            post.run_id = checked("run_id", params.run_id, RunId::parse)?;
            post.step_id = checked("step_id", params.step_id, StepId::parse)?;
            app.service.store_artifact(&call, post, upload).await?
        }
    };
    Ok(Answer::of(&call.correlation, &stored))
}

/// `GET /v1/artifacts/{uuid}`: the entry. `GET /v1/artifacts/sha256:HEX`: the bytes.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(name): Id<String>,
    conditions: Conditions,
) -> Result<EntryOrBytes, Problem> {
    match artifact_name(&name)? {
        ArtifactName::Id(artifact) => {
            let artifact = app.within(app.service.artifact(&call, artifact)).await?;
            Ok(EntryOrBytes(Answer::<_, 200>::of(&call.correlation, &artifact).into_response()))
        }
        digest => send(&app, &call, digest, &conditions).await.map(|sent| EntryOrBytes(sent.0)),
    }
}

/// `GET /v1/artifacts/{uuid}/download`.
pub(super) async fn download<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Id(name): Id<String>,
    conditions: Conditions,
) -> Result<Sent, Problem> {
    send(&app, &call, artifact_name(&name)?, &conditions).await
}

/// A body of bytes, as it comes.
pub(super) struct Bytes(Request);

impl<S: Service> FromRequest<App<S>> for Bytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &App<S>) -> Result<Self, Problem> {
        Ok(Bytes(request))
    }
}

impl Argument for Bytes {
    fn describe(operation: &mut Operation<'_>) {
        operation
            .body(json!({"required": true, "content": {"application/octet-stream": {"schema": binary()}}}));
        operation.codes(&[
            Code::ArtifactTooLarge,
            Code::BodyIncomplete,
            Code::RequestTimeout,
            Code::OutcomeUnknown,
        ]);
    }
}

/// The schema of bytes, in the words that generators of clients know.
fn binary() -> Value {
    json!({"type": "string", "format": "binary"})
}

/// An artifact has the media type that it was entered with, whatever that is.
fn bytes_of_any_type() -> Value {
    json!({"application/octet-stream": {"schema": binary()}, "*/*": {}})
}

/// Whether and which part of the bytes is wanted.
pub(crate) struct Conditions {
    method: Method,
    headers: HeaderMap,
}

impl<S: Service> FromRequestParts<App<S>> for Conditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App<S>) -> Result<Self, Problem> {
        Ok(Conditions { method: parts.method.clone(), headers: parts.headers.clone() })
    }
}

impl Argument for Conditions {
    fn describe(operation: &mut Operation<'_>) {
        for (name, says) in [
            ("Range", "One range of bytes, as bytes=0-99."),
            ("If-Range", "Only a range of the bytes with this ETag; the whole of others."),
            ("If-None-Match", "ETags of bytes that are there already."),
        ] {
            operation.parameter("header", name, false, json!({"type": "string", "description": says}));
        }
        operation.answer(206, "The part that was asked for.", bytes_of_any_type());
        operation.answer(304, "The bytes are those that are there already.", Value::Null);
        operation.codes(&[Code::RangeNotSatisfiable, Code::ArtifactMissing]);
    }
}

/// An artifact's bytes.
pub(crate) struct Sent(Response);

impl IntoResponse for Sent {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Answers for Sent {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer(
            200,
            "The bytes, in the media type that they were entered with.",
            bytes_of_any_type(),
        );
    }
}

/// An artifact's entry, or bytes.
pub(super) struct EntryOrBytes(Response);

impl IntoResponse for EntryOrBytes {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Answers for EntryOrBytes {
    fn describe(operation: &mut Operation<'_>) {
        let mut content = correlated::<Artifact>(operation);
        content["*/*"] = json!({});
        content["application/octet-stream"] = json!({"schema": binary()});
        operation.answer(200, "The entry where a UUID was asked for, the bytes where a digest was.", content);
    }
}

fn artifact_name(text: &str) -> Result<ArtifactName, Problem> {
    let name = match text.strip_prefix("sha256:") {
        Some(hex) => Digest::parse(hex).ok().map(ArtifactName::Digest),
        None => ArtifactId::parse(text).ok().map(ArtifactName::Id),
    };
    name.ok_or_else(|| {
        Problem::edge_saying(
            Code::BadId,
            "the path wants an artifact's UUID or sha256: and 64 hex digits here",
        )
    })
}

/// An artifact's bytes, to be saved.
pub(crate) async fn send<S: Service>(
    app: &App<S>,
    call: &Call,
    name: ArtifactName,
    Conditions { method, headers }: &Conditions,
) -> Result<Sent, Problem> {
    let content = app.within(app.service.content(call, name)).await?;
    let etag = format!("\"{}\"", content.digest);
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|tags| tags == "*" || tags.contains(&etag)) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        set(response.headers_mut(), header::ETAG, &etag);
        return Ok(Sent(response));
    }
    // A range of other bytes than the caller holds would not fit them.
    let fits = text(header::IF_RANGE).is_none_or(|tag| tag == etag);
    let asked = if fits { text(header::RANGE) } else { None };
    let (status, start, length) = match range::parse(asked, content.byte_length) {
        Range::Whole => (StatusCode::OK, 0, content.byte_length),
        Range::Part { start, length } => (StatusCode::PARTIAL_CONTENT, start, length),
        Range::Unsatisfiable => {
            let message = format!("the range begins behind the last of {} bytes", content.byte_length);
            let mut response = Problem::edge_saying(Code::RangeNotSatisfiable, message).into_response();
            set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{}", content.byte_length));
            return Ok(Sent(response));
        }
    };
    let body = if *method == Method::HEAD || length == 0 {
        Body::empty()
    } else {
        stream(app.within(app.service.read_content(call, content.digest, start, length)).await?, length)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    describe(response.headers_mut(), &content, &etag, length);
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {start}-{}/{}", start + length - 1, content.byte_length);
        set(response.headers_mut(), header::CONTENT_RANGE, &range);
    }
    Ok(Sent(response))
}

/// A blob as a body of exactly `length` bytes; fewer or more cut the connection.
fn stream<B: Blob>(blob: B, length: u64) -> Body {
    let pieces = futures_util::stream::try_unfold((blob, length), |(mut blob, left)| async move {
        match blob.read().await {
            Ok(Some(piece)) => match left.checked_sub(piece.len() as u64) {
                Some(left) => Ok(Some((piece, (blob, left)))),
                None => Err(std::io::Error::other("an artifact gave more bytes than it has")),
            },
            Ok(None) if left == 0 => Ok::<Option<(body::Bytes, (B, u64))>, _>(None),
            Ok(None) => Err(std::io::Error::other("an artifact ended early")),
            Err(problem) => Err(std::io::Error::other(problem)),
        }
    });
    Body::from_stream(pieces)
}

fn describe(headers: &mut HeaderMap, content: &Content, etag: &str, length: u64) {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    // What an agent made is saved, never shown: it must not run in this node's name.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    set(headers, header::ETAG, etag);
    set(headers, header::CONTENT_TYPE, &content.content_type);
    set(headers, header::CONTENT_DISPOSITION, &disposition(content.name.as_deref()));
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// `attachment`, with a file name in the plain form when it is plain, else in that of RFC 8187.
fn disposition(name: Option<&str>) -> String {
    let Some(name) = name else { return "attachment".into() };
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._- ".contains(&b)) {
        return format!("attachment; filename=\"{name}\"");
    }
    let mut encoded = String::from("attachment; filename*=UTF-8''");
    for b in name.bytes() {
        if b.is_ascii_alphanumeric() || b"._-".contains(&b) {
            encoded.push(char::from(b));
        } else {
            encoded.push_str(&format!("%{b:02X}"));
        }
    }
    encoded
}
