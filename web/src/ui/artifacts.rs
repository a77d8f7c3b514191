//! Artifacts: which there are, and a look into one. Whatever it says it is, here it is data: text is escaped, a picture is
//! loaded as a picture in a sandbox of its own, anything else is only saved.

use super::agents::{Names, by};
use super::page::html;
use super::pager::Pager;
use super::pretty;
use super::show;
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::problem::{Code, Problem};
use crate::query::{Id, Query, checked, given, page};
use crate::routes::artifacts::{self, Conditions, Sent};
use crate::service::{Blob as _, Service};
use crate::types::Json;
use crate::types::artifact::{Artifact, ArtifactName, ArtifactQuery};
use artel_protocol::id::{ArtifactId, RunId, StepId};
use artel_protocol::json;
use artel_protocol::limits::JSON_DEPTH_MAX;
use askama::Template;
use axum::extract::State;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

/// How much of a text is shown (64 KiB); all of it can be saved.
const TEXT_BYTES_MAX: u64 = 64 << 10;
/// The largest picture that is shown (8 MiB).
const IMAGE_BYTES_MAX: u64 = 8 << 20;
/// Pictures that browsers draw and that hold no script. SVG does, so it is shown as the text that it is.
const IMAGES: [&str; 5] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];

#[derive(Deserialize)]
pub(super) struct ListParams {
    #[serde(default)]
    run_id: String,
    #[serde(default)]
    step_id: String,
    #[serde(default)]
    kind: String,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "ui/artifacts.html")]
struct ListPageOf<'a> {
    shell: &'a Shell,
    params: &'a ListParams,
    artifacts: &'a [Artifact],
    names: &'a Names,
    pager: Pager,
}

/// `GET /ui/artifacts`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Query(params): Query<ListParams>,
) -> Result<Response, Problem> {
    let query = ArtifactQuery {
        run_id: checked("run_id", given(&params.run_id), RunId::parse)?,
        step_id: checked("step_id", given(&params.step_id), StepId::parse)?,
        kind: given(&params.kind),
        page: page(None, params.cursor.clone())?,
    };
    let artifacts = app.within(app.service.artifacts(&visitor.call, query)).await?;
    let filter = [
        ("run_id", params.run_id.as_str()),
        ("step_id", params.step_id.as_str()),
        ("kind", params.kind.as_str()),
    ];
    let named = artifacts.items.iter().filter_map(|artifact| by(&artifact.created_by));
    html(&ListPageOf {
        shell: &visitor.shell,
        params: &params,
        artifacts: &artifacts.items,
        names: &Names::of(&app, &visitor.call, named).await?,
        pager: Pager::new("/ui/artifacts", &filter, &params.cursor, &artifacts.next_cursor),
    })
}

/// What is shown of an artifact's bytes.
enum Look {
    /// Its text, and whether that is all of it.
    Text(String, bool),
    /// A picture.
    Image,
    /// Nothing, and why.
    Nothing(&'static str),
}

#[derive(Template)]
#[template(path = "ui/artifact.html")]
struct ShowPage<'a> {
    shell: &'a Shell,
    artifact: &'a Artifact,
    names: &'a Names,
    look: Look,
    metadata: String,
}

/// `GET /ui/artifacts/{id}`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Id(id): Id<ArtifactId>,
) -> Result<Response, Problem> {
    let artifact = app.within(app.service.artifact(&visitor.call, id)).await?;
    let look = look(&app, &visitor, &artifact).await?;
    let metadata = pretty::json(&artifact.metadata);
    let names = Names::of(&app, &visitor.call, by(&artifact.created_by)).await?;
    html(&ShowPage { shell: &visitor.shell, artifact: &artifact, names: &names, look, metadata })
}

async fn look<S: Service>(app: &App<S>, visitor: &Visitor, artifact: &Artifact) -> Result<Look, Problem> {
    let (Some(_), Some(length)) = (artifact.sha256, artifact.byte_length) else {
        return Ok(Look::Nothing("Its bytes have not come yet. Whoever announced it has to put them."));
    };
    let kind = essence(&artifact.content_type);
    if IMAGES.contains(&kind.as_str()) {
        return Ok(if length <= IMAGE_BYTES_MAX {
            Look::Image
        } else {
            Look::Nothing("This picture is too large to be shown. Save it.")
        });
    }
    let is_text = kind.starts_with("text/")
        || kind.ends_with("json")
        || kind.ends_with("xml")
        || kind.ends_with("yaml");
    if !is_text {
        return Ok(Look::Nothing("This is no text and no picture that can be shown here. Save it."));
    }
    let bytes = read(app, visitor, artifact, length.min(TEXT_BYTES_MAX)).await?;
    let whole = length <= TEXT_BYTES_MAX;
    if whole && kind.ends_with("json") && json::check(&bytes, JSON_DEPTH_MAX).is_ok() {
        return Ok(Look::Text(pretty::json(&Json::new(bytes)), true));
    }
    Ok(Look::Text(String::from_utf8_lossy(&bytes).into_owned(), whole))
}

/// The first bytes of an artifact.
async fn read<S: Service>(
    app: &App<S>,
    visitor: &Visitor,
    artifact: &Artifact,
    length: u64,
) -> Result<Vec<u8>, Problem> {
    let content =
        app.within(app.service.content(&visitor.call, ArtifactName::Id(artifact.artifact_id))).await?;
    let length = length.min(content.byte_length);
    if length == 0 {
        return Ok(Vec::new());
    }
    let all = async {
        let mut blob = app.service.read_content(&visitor.call, content.digest, 0, length).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = blob.read().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    };
    app.within(all).await
}

fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// `GET /ui/artifacts/{id}/download`: saved, never shown.
pub(super) async fn download<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Id(id): Id<ArtifactId>,
    conditions: Conditions,
) -> Result<Sent, Problem> {
    artifacts::send(&app, &visitor.call, ArtifactName::Id(id), &conditions).await
}

/// `GET /ui/artifacts/{id}/image`: a picture's bytes under one of the few types that are drawn, in the sandbox in which all
/// artifacts are sent. They stream: what its reader has not taken yet is not in memory.
pub(super) async fn image<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Id(id): Id<ArtifactId>,
    conditions: Conditions,
) -> Result<Response, Problem> {
    let artifact = app.within(app.service.artifact(&visitor.call, id)).await?;
    let kind = essence(&artifact.content_type);
    let known = IMAGES.into_iter().find(|image| *image == kind);
    let Some(known) = known.filter(|_| artifact.byte_length.is_some_and(|length| length <= IMAGE_BYTES_MAX))
    else {
        return Err(Problem::edge_saying(
            Code::NotFound,
            "there is no picture to be shown here; save the artifact",
        ));
    };
    let sent = artifacts::send(&app, &visitor.call, ArtifactName::Id(id), &conditions).await?;
    let mut response = sent.into_response();
    if response.status().is_success() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(known));
        response.headers_mut().remove(header::CONTENT_DISPOSITION);
    }
    Ok(response)
}
