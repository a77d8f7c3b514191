//! Direct requests of neighbours, by the kind of their frame. What is not answered here the asker hears was refused.

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

/// How many requests are dealt with at once, of all neighbours together: claims that wait among them. A further one is refused;
/// the mesh bounds how many, and how many bytes, one neighbour has under way.
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
            Some(said) => answer.send(said),
            None => tracing::debug!(%from, "a request was refused"),
        }
        drop(place);
    });
}

/// What is answered; nothing refuses the request.
async fn respond(shared: &Arc<Shared>, from: NodeId, data: &[u8]) -> Option<Bytes> {
    match Frame::parse(data).ok()?.kind {
        said::HEAD_KIND => witness::asked_to_cosign(shared, from, data).await,
        said::COSIGNED_KIND => heads::cosigned(shared, from, data),
        said::FRAUD_KIND => frauds::told(shared, data).await,
        continuity::ASK_KIND => heads::show(shared, data).await,
        REDO_KIND => redo::answer(shared, from, data).await.map(Bytes::from),
        VISIT_KIND => home::answer(shared, from, data).await.map(Bytes::from),
        _ => None,
    }
}
