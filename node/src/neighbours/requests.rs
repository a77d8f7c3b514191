//! Direct requests of neighbours, by the kind of their frame. What there is no room for is not refused: its asker hears that
//! this node is busy, for who refuses a question about its journal is suspected.

use super::shared::Shared;
use super::{frauds, heads, home, redo, witness};
use artel_federation::redo::message::REDO_KIND;
use artel_federation::visit::message::VISIT_KIND;
use artel_mesh::Answer;
use artel_protocol::codec::Frame;
use artel_protocol::key::NodeId;
use artel_protocol::{continuity, witness as said};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many requests are dealt with at once, of all neighbours together: claims that wait among them. Who asks a further one
/// hears that this node is busy; the mesh bounds how many, and how many bytes, one neighbour has under way.
pub(super) const REQUESTS_MAX: usize = 4_096;

/// Deals with a request beside whatever else happens.
pub(super) fn take(
    shared: &Arc<Shared>,
    places: &Arc<Semaphore>,
    (from, data, answer): (NodeId, Bytes, Answer),
) {
    let Ok(place) = places.clone().try_acquire_owned() else { return };
    let shared = shared.clone();
    tokio::spawn(async move {
        match respond(&shared, from, &data).await {
            Response::Said(said) => answer.send(said),
            Response::Refused => {
                tracing::debug!(%from, "a request was refused");
                answer.refuse();
            }
            // It is dropped.
            Response::Busy => {}
        }
        drop(place);
    });
}

/// What becomes of a request.
pub(super) enum Response {
    /// This is the answer.
    Said(Bytes),
    /// It is not done.
    Refused,
    /// This node cannot say now; it may be asked again.
    Busy,
}

async fn respond(shared: &Arc<Shared>, from: NodeId, data: &[u8]) -> Response {
    let said = match Frame::parse(data).map(|frame| frame.kind) {
        Ok(continuity::ASK_KIND) => return heads::show(shared, data).await,
        Ok(kind) => answer_to(shared, from, (kind, data)).await,
        Err(_) => None,
    };
    said.map_or(Response::Refused, Response::Said)
}

/// What is answered; nothing refuses the request.
async fn answer_to(shared: &Arc<Shared>, from: NodeId, (kind, data): (u16, &[u8])) -> Option<Bytes> {
    match kind {
        said::HEAD_KIND => witness::asked_to_cosign(shared, from, data).await,
        said::COSIGNED_KIND => heads::cosigned(shared, from, data),
        said::FRAUD_KIND => frauds::told(shared, data).await,
        REDO_KIND => redo::answer(shared, from, data).await.map(Bytes::from),
        VISIT_KIND => home::answer(shared, from, data).await.map(Bytes::from),
        _ => None,
    }
}
