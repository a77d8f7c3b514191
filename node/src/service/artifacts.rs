//! Artifacts: bytes come in piece by piece, are on disk and synced before the rules enter them, and go out only after
//! their digest was checked.
//!
//! An entry is seen by the operator, by whoever stored it, by who posted the run that it belongs to, and by who holds or did
//! its step; an offer shows none. Whoever is enrolled and names a digest gets the bytes: digests are told only to those whom
//! they concern.

use super::inner::{NodeService, now};
use super::refusal::{bug, of_index, of_store};
use super::shown::{self, Viewer};
use super::{away, convert};
use super::{page, upload};
use crate::index::ArtifactRow;
use artel_federation::effect::poster_text;
use artel_federation::fact::{ArtifactStored, Poster};
use artel_federation::input::ArtifactPut;
use artel_federation::run::Run;
use artel_federation::{Reply, Request};
use artel_protocol::id::{ArtifactId, Digest};
use artel_protocol::limits::{METADATA_BYTES_MAX, NAME_BYTES_MAX};
use artel_protocol::text::is_plain;
use artel_protocol::time::Wall;
use artel_web::types::List;
use artel_web::types::artifact::{Artifact, ArtifactName, ArtifactPost, ArtifactQuery, Content};
use artel_web::{Call, Code, Principal, Problem, Upload};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// How many announced artifacts are remembered. At the limit the oldest is forgotten, and its bytes must be announced
/// again or put by digest.
const ANNOUNCED_MAX: usize = 4_096;

/// The most bytes of a kind, and of a media type: they stand in memory, in lists and in a header.
const KIND_BYTES_MAX: usize = 64;
const MEDIA_TYPE_BYTES_MAX: usize = 128;

/// How many entries one page of a list looks at.
const LOOKED_AT_MAX: usize = 2_048;
const ROWS_AT_ONCE: usize = 256;

/// Announced artifacts: what was said of them, until their bytes have come and are entered under the same id. An
/// announcement does not outlive the process; an entry does.
#[derive(Default)]
pub(super) struct Announced(BTreeMap<ArtifactId, Announcement>);

#[derive(Clone)]
struct Announcement {
    by: Principal,
    post: ArtifactPost,
    /// Held by the one whose bytes are on their way: an id gets one entry.
    line: Arc<tokio::sync::Mutex<()>>,
}

/// The announced id that bytes are entered under, and the place at the head of its line.
struct Place {
    id: ArtifactId,
    _first: tokio::sync::OwnedMutexGuard<()>,
}

impl Announced {
    fn add(&mut self, id: ArtifactId, announcement: Announcement) {
        if self.0.len() >= ANNOUNCED_MAX {
            // An id begins with its moment.
            self.0.pop_first();
        }
        self.0.insert(id, announcement);
    }
}

impl NodeService {
    fn announcement(&self, id: &ArtifactId) -> Option<Announcement> {
        self.0.announced.lock().unwrap_or_else(PoisonError::into_inner).0.get(id).cloned()
    }

    /// The announcement under this id, where the caller made it.
    fn own_announcement(&self, call: &Call, id: &ArtifactId) -> Option<Announcement> {
        self.announcement(id).filter(|known| poster(&known.by) == poster(&call.principal))
    }

    fn forget_announcement(&self, id: &ArtifactId) {
        self.0.announced.lock().unwrap_or_else(PoisonError::into_inner).0.remove(id);
    }
}

/// `POST /v1/artifacts` without content.
pub(super) async fn announce(
    service: &NodeService,
    call: &Call,
    post: ArtifactPost,
) -> Result<Artifact, Problem> {
    check_post(&post).map_err(|problem| service.refuse(call, problem))?;
    upload::may_store(service, call, &post, post.byte_length.unwrap_or(0)).await?;
    let mut entropy = [0; 9];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut entropy);
    let (id, at) = (ArtifactId::new(now(), entropy), now());
    let shown = announced(id, at, &call.principal, &post);
    let announcement = Announcement { by: call.principal, post, line: Arc::default() };
    service.0.announced.lock().unwrap_or_else(PoisonError::into_inner).add(id, announcement);
    Ok(shown)
}

fn announced(id: ArtifactId, at: Wall, by: &Principal, post: &ArtifactPost) -> Artifact {
    Artifact {
        artifact_id: id,
        name: post.name.clone(),
        kind: post.kind.clone(),
        content_type: post.content_type.clone(),
        byte_length: post.byte_length,
        created_at: at,
        created_by: poster(by).map_or_else(String::new, |by| poster_text(&by)),
        run_id: post.run_id,
        step_id: post.step_id,
        sha256: post.sha256,
        metadata: post.metadata.clone(),
        upload_url: Some(format!("/v1/artifacts/{id}")),
    }
}

/// `PUT /v1/artifacts/{uuid}`: the bytes of an announced artifact, from whoever announced it. They are entered under the
/// announced id, once; whoever puts them again is answered with the entry.
pub(super) async fn fill(
    service: &NodeService,
    call: &Call,
    id: ArtifactId,
    bytes: Upload,
) -> Result<Artifact, Problem> {
    let not_announced = || {
        let message = "no artifact was announced under this id, or the node restarted since; post it again";
        Problem::new(Code::NotFound, message)
    };
    let Some(known) = service.own_announcement(call, &id) else {
        return own_entry(service, call, id).await?.ok_or_else(not_announced);
    };
    let first = known.line.lock_owned().await;
    // The bytes may be here by now: from another in the line, or from an earlier request whose answer was lost.
    let entry = own_entry(service, call, id).await;
    if service.announcement(&id).is_none() || matches!(entry, Ok(Some(_))) {
        return entry?.ok_or_else(not_announced);
    }
    store_at(service, call, known.post, bytes, Some(Place { id, _first: first })).await
}

/// The caller's own entry under an id.
async fn own_entry(service: &NodeService, call: &Call, id: ArtifactId) -> Result<Option<Artifact>, Problem> {
    let viewer = service.viewer(call).await?;
    let row = service.indexed(move |index| index.artifact(&id)).await?;
    Ok(row.filter(|(_, _, stored)| viewer.is(stored.by)).map(|(_, at, stored)| artifact(at, &stored)))
}

/// `POST /v1/artifacts` with content and `PUT /v1/artifacts/sha256:HEX`. The same bytes under the same words by the
/// same hand are entered once.
pub(super) async fn store(
    service: &NodeService,
    call: &Call,
    post: ArtifactPost,
    bytes: Upload,
) -> Result<Artifact, Problem> {
    store_at(service, call, post, bytes, None).await
}

async fn store_at(
    service: &NodeService,
    call: &Call,
    post: ArtifactPost,
    bytes: Upload,
    place: Option<Place>,
) -> Result<Artifact, Problem> {
    check_post(&post).map_err(|problem| service.refuse(call, problem))?;
    // On a task of its own: when the sender goes away, what has come is thrown away or entered, never left lying.
    let (service, call) = (service.clone(), call.clone());
    let entered = tokio::spawn(async move {
        let written = upload::take_in(&service, &call, &post, bytes).await?;
        let entered = enter(&service, &call, post, written, place.as_ref().map(|place| place.id)).await?;
        if let Some(place) = place {
            service.forget_announcement(&place.id);
        }
        Ok(entered)
    });
    entered.await.unwrap_or_else(|_| Err(bug("an artifact's upload ended early")))
}

async fn enter(
    service: &NodeService,
    call: &Call,
    post: ArtifactPost,
    written: upload::Written,
    id: Option<ArtifactId>,
) -> Result<Artifact, Problem> {
    let digest = written.digest();
    let _alone = service.parts().blobs.alone(&[digest]).await;
    let stored = written.finish(post.sha256).await?;
    // Bytes that have an entry are counted already, whoever put them. Bytes without one are left of a broken upload.
    let before = service.indexed(move |index| index.artifact_of(&digest)).await.ok();
    let is_counted = before.as_ref().map_or(!stored.is_new, Option::is_some);
    let by = poster(&call.principal).ok_or_else(|| Problem::of(Code::Unauthenticated))?;
    let same = before.flatten().filter(|(_, _, old)| id.is_none() && is_same(old, &post, by));
    if let Some((_, at, old)) = same {
        return Ok(artifact(at, &old));
    }
    let put = ArtifactPut {
        id,
        digest,
        bytes: stored.bytes,
        bytes_new: if is_counted { 0 } else { stored.bytes },
        name: post.name.clone(),
        kind: post.kind.clone(),
        content_type: post.content_type.clone(),
        step: post.step_id,
        run: post.run_id.or(post.step_id.map(|step| step.run())),
        metadata: convert::rules_json(&post.metadata),
    };
    let run = put.run;
    let reply = service.ask(call, Request::Store(put)).await;
    if let Err(problem) = &reply
        && stored.is_new
        && (problem.code.status().is_client_error() || problem.code == Code::ArtifactQuota)
    {
        // The rules refused it, so no entry names these bytes: they would lie here uncounted.
        if let Err(error) = service.parts().blobs.remove(&digest).await {
            tracing::warn!(%error, %digest, "bytes that were refused cannot be removed");
        }
    }
    match reply? {
        Reply::Stored { artifact: id, at } => Ok(Artifact {
            byte_length: Some(stored.bytes),
            sha256: Some(digest),
            run_id: run,
            upload_url: None,
            ..announced(id, at, &call.principal, &post)
        }),
        _ => Err(bug("a stored artifact got another reply")),
    }
}

fn is_same(old: &ArtifactStored, post: &ArtifactPost, by: Poster) -> bool {
    let run = post.run_id.or(post.step_id.map(|step| step.run()));
    let words = (&old.name, &old.kind, &old.content_type) == (&post.name, &post.kind, &post.content_type);
    let place = (old.by, old.step, old.run) == (by, post.step_id, run);
    words && place && old.metadata.bytes() == post.metadata.bytes()
}

/// What the rules do not look at: an artifact's words are kept and shown, never used.
fn check_post(post: &ArtifactPost) -> Result<(), Problem> {
    let invalid = |message: String| Err(Problem::new(Code::Invalid, message));
    if !is_plain(&post.name, NAME_BYTES_MAX, false) {
        return invalid(format!("name must be 1 to {NAME_BYTES_MAX} bytes of text on one line"));
    }
    if !is_plain(&post.kind, KIND_BYTES_MAX, false) {
        return invalid(format!("kind must be 1 to {KIND_BYTES_MAX} bytes of text on one line"));
    }
    let media_type = post.content_type.as_str();
    let visible = media_type.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if !visible || !media_type.contains('/') || media_type.len() > MEDIA_TYPE_BYTES_MAX {
        return invalid("content_type must be a media type such as text/plain".into());
    }
    if post.metadata.bytes().len() > METADATA_BYTES_MAX {
        return Err(Problem::new(Code::TooMany, format!("metadata has at most {METADATA_BYTES_MAX} bytes")));
    }
    if post.run_id.zip(post.step_id).is_some_and(|(run, step)| step.run() != run) {
        return invalid("step_id is not a step of run_id".into());
    }
    Ok(())
}

/// `GET /v1/artifacts/{uuid}`.
pub(super) async fn get(service: &NodeService, call: &Call, id: ArtifactId) -> Result<Artifact, Problem> {
    if let Some(known) = service.own_announcement(call, &id) {
        service.viewer(call).await?;
        return Ok(announced(id, moment(&id), &known.by, &known.post));
    }
    let (at, stored) = seen(service, call, id).await?;
    Ok(artifact(at, &stored))
}

/// The moment that an id was made at (RFC 9562, version 7).
fn moment(id: &ArtifactId) -> Wall {
    Wall(id.bytes()[..6].iter().fold(0, |ms, byte| ms << 8 | u64::from(*byte)))
}

/// An artifact's entry, for those who see it.
async fn seen(service: &NodeService, call: &Call, id: ArtifactId) -> Result<(Wall, ArtifactStored), Problem> {
    let viewer = service.viewer(call).await?;
    let row = service.indexed(move |index| index.artifact(&id)).await?;
    let Some((_, at, stored)) = row else { return Err(Problem::of(Code::NotFound)) };
    if !viewer.is(stored.by) {
        let Some(run) = stored.run else { return Err(Problem::of(Code::NotFound)) };
        let step = stored.step;
        let sees = move |run: &Run, viewer: &Viewer| shown::insight(viewer, run).reaches(step).then_some(());
        service.in_run(call, run, sees).await?;
    }
    Ok((at, stored))
}

/// `GET /v1/artifacts`, newest first: the caller's own, or all for the operator, or of one run those that the caller sees.
pub(super) async fn list(
    service: &NodeService,
    call: &Call,
    query: ArtifactQuery,
) -> Result<List<Artifact>, Problem> {
    let mut before = page::key(&query.page, ArtifactId::parse)?;
    let viewer = service.viewer(call).await?;
    let run = query.run_id.or(query.step_id.map(|step| step.run()));
    let insight = match run {
        Some(run) => {
            let find = |run: &Run, viewer: &Viewer| {
                shown::is_there(viewer, run).then(|| shown::insight(viewer, run))
            };
            Some(service.in_run(call, run, find).await?)
        }
        None => None,
    };
    let limit = query.page.limit as usize;
    let wanted = move |stored: &ArtifactStored| {
        let seen =
            viewer.is(stored.by) || insight.as_ref().is_some_and(|insight| insight.reaches(stored.step));
        let of_run = run.is_none_or(|run| stored.run == Some(run));
        let of_step = query.step_id.is_none_or(|step| stored.step == Some(step));
        seen && of_run && of_step && query.kind.as_ref().is_none_or(|kind| *kind == stored.kind)
    };
    let walk = move |service: &NodeService| {
        let (mut items, mut looked_at) = (Vec::new(), 0);
        while looked_at < LOOKED_AT_MAX {
            let rows: Vec<ArtifactRow> =
                service.parts().index.artifacts_before(before, ROWS_AT_ONCE).map_err(of_index)?;
            looked_at += ROWS_AT_ONCE;
            for (_, at, stored) in &rows {
                before = Some(stored.artifact);
                if wanted(stored) {
                    items.push(artifact(*at, stored));
                }
                if items.len() == limit {
                    return Ok(List { items, next_cursor: before.map(|id| id.to_string()) });
                }
            }
            if rows.len() < ROWS_AT_ONCE {
                return Ok(List { items, next_cursor: None });
            }
        }
        Ok(List { items, next_cursor: before.map(|id| id.to_string()) })
    };
    service.blocking(walk).await
}

fn artifact(at: Wall, stored: &ArtifactStored) -> Artifact {
    Artifact {
        artifact_id: stored.artifact,
        name: stored.name.clone(),
        kind: stored.kind.clone(),
        content_type: stored.content_type.clone(),
        byte_length: Some(stored.bytes),
        created_at: at,
        created_by: poster_text(&stored.by),
        run_id: stored.run,
        step_id: stored.step,
        sha256: Some(stored.digest),
        metadata: convert::json(&stored.metadata),
        upload_url: None,
    }
}

/// What a reader of the bytes has to know first.
pub(super) async fn content(
    service: &NodeService,
    call: &Call,
    name: ArtifactName,
) -> Result<Content, Problem> {
    let (digest, words) = match name {
        ArtifactName::Id(id) => {
            let (_, stored) = seen(service, call, id).await?;
            (stored.digest, Some((stored.content_type, stored.name)))
        }
        ArtifactName::Digest(digest) => {
            service.viewer(call).await?;
            (digest, words_of(service, digest).await)
        }
    };
    let missing =
        || Problem::new(Code::ArtifactMissing, format!("no artifact with digest {digest} is stored here"));
    let byte_length = match service.parts().blobs.len(&digest).await.map_err(of_store)? {
        Some(bytes) => bytes,
        None => away::fetch_artifact(service, call, digest).await?.ok_or_else(missing)?,
    };
    let (content_type, name) = words.unzip();
    let content_type = content_type.unwrap_or_else(|| "application/octet-stream".into());
    Ok(Content { digest, byte_length, content_type, name })
}

/// What the newest entry of these bytes calls them. They are served without one as well: the index may lag behind.
async fn words_of(service: &NodeService, digest: Digest) -> Option<(String, String)> {
    let row = service.indexed(move |index| index.artifact_of(&digest)).await.ok().flatten();
    row.map(|(_, _, stored)| (stored.content_type, stored.name))
}

/// The caller as one who stores.
pub(super) fn poster(principal: &Principal) -> Option<Poster> {
    super::inner::rules_principal(principal).poster()
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::RunId;
    use artel_web::types::Json;

    fn post() -> ArtifactPost {
        ArtifactPost::unnamed("report.json".into(), Some("application/json; charset=utf-8".into()))
    }

    #[test]
    fn an_artifacts_words_are_bounded() {
        assert!(check_post(&post()).is_ok());
        let run = |n| RunId::new(Wall(1), [n; 9]);
        for (bad, code) in [
            (ArtifactPost { name: String::new(), ..post() }, Code::Invalid),
            (ArtifactPost { name: "a\nb".into(), ..post() }, Code::Invalid),
            (ArtifactPost { kind: "k".repeat(65), ..post() }, Code::Invalid),
            (ArtifactPost { content_type: "text".into(), ..post() }, Code::Invalid),
            (ArtifactPost { content_type: "text/plain\r\nx: y".into(), ..post() }, Code::Invalid),
            (
                ArtifactPost { metadata: Json::new(vec![b' '; METADATA_BYTES_MAX + 1]), ..post() },
                Code::TooMany,
            ),
            (ArtifactPost { run_id: Some(run(1)), step_id: Some(run(2).step(0)), ..post() }, Code::Invalid),
        ] {
            assert_eq!(check_post(&bad).expect_err("refused").code, code);
        }
    }

    #[test]
    fn the_oldest_announcement_goes_first() {
        let mut announced = Announced::default();
        let id = |ms: usize| ArtifactId::new(Wall(1_000 + ms as u64), [0; 9]);
        for ms in 0..=ANNOUNCED_MAX {
            announced
                .add(id(ms), Announcement { by: Principal::Operator, post: post(), line: Arc::default() });
        }
        assert_eq!(announced.0.len(), ANNOUNCED_MAX);
        assert!(!announced.0.contains_key(&id(0)) && announced.0.contains_key(&id(ANNOUNCED_MAX)));
        assert_eq!(moment(&id(7)), Wall(1_007));
    }
}
