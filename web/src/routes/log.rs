//! The transparency log for strangers: the checkpoint and the tiles of C2SP tlog-tiles. Public, and safe to cache.

use crate::app::App;
use crate::openapi::Operation;
use crate::openapi::describe::Answers;
use crate::problem::{Code, Problem};
use crate::query::Id;
use crate::service::Service;
use artel_protocol::log::tile::Tile;
use axum::extract::State;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::json;

const NOTE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// A tile of a given width never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// A checkpoint may be a second old anyway.
const BRIEFLY: HeaderValue = HeaderValue::from_static("public, max-age=1");

/// `GET /log/checkpoint`.
pub(super) async fn checkpoint<S: Service>(State(app): State<App<S>>) -> Result<Note, Problem> {
    let note = app.within(app.service.checkpoint()).await?;
    Ok(Note(note))
}

/// `GET /log/tile/…`.
pub(super) async fn tile<S: Service>(
    State(app): State<App<S>>,
    Id(path): Id<String>,
) -> Result<Octets, Problem> {
    let tile = Tile::parse(&format!("tile/{path}")).map_err(|_| Problem::edge(Code::BadTile))?;
    let bytes = app.within(app.service.tile(tile)).await?;
    Ok(Octets(bytes))
}

/// A signed note.
pub(super) struct Note(String);

impl IntoResponse for Note {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, NOTE), (header::CACHE_CONTROL, BRIEFLY)], self.0).into_response()
    }
}

impl Answers for Note {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer(200, "A C2SP signed note.", json!({"text/plain": {"schema": {"type": "string"}}}));
    }
}

/// A tile or an entry bundle.
pub(super) struct Octets(Bytes);

impl IntoResponse for Octets {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, OCTETS), (header::CACHE_CONTROL, FOR_EVER)], self.0).into_response()
    }
}

impl Answers for Octets {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer(
            200,
            "A tile or an entry bundle of C2SP tlog-tiles.",
            json!({"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}),
        );
    }
}
