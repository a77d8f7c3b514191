//! Direct requests of neighbours, by their frame's kind. A kind that is not known is refused.

use super::home;
use super::shared::Shared;
use artel_federation::visit::message::VISIT_KIND;
use artel_protocol::codec::Frame;
use artel_protocol::key::NodeId;
use bytes::Bytes;
use std::sync::Arc;

/// The answer to a request; nothing where it is refused.
pub(super) async fn answer(shared: Arc<Shared>, from: NodeId, data: Bytes) -> Option<Vec<u8>> {
    match Frame::parse(&data).ok()?.kind {
        VISIT_KIND => home::answer(shared, from, &data).await,
        _ => None,
    }
}
