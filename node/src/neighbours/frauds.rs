//! Proofs that a node lied about its journal: checked once, on disk before anything follows, passed on, and acted on.

use super::refusals::Reason;
use super::shared::Shared;
use super::witness::ASK_WAIT;
use artel_federation::watch::Quarantine;
use artel_federation::{FraudProven, Input};
use artel_mesh::Verdict;
use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use artel_protocol::topic::Topic;
use artel_protocol::witness::Fraud;
use bytes::Bytes;
use std::sync::Arc;

/// Judges a proof of fraud that gossip brought: it is checked once, and passed on by whoever did.
pub(super) async fn hear(shared: &Arc<Shared>, from: NodeId, data: &[u8]) -> Verdict {
    let fraud = match Fraud::check(data, &shared.me.federation()) {
        Ok(fraud) => fraud,
        Err(error) => {
            tracing::debug!(%error, %from, "a proof of fraud that does not hold");
            return shared.refuse_gossip(Reason::from(&error));
        }
    };
    let node = fraud.origin().node();
    let is_member = shared.exchange().is_member(&node);
    if !is_member {
        shared.want_from(from);
    }
    if !is_member {
        return shared.refuse_gossip(Reason::Unwanted);
    }
    let is_known = shared.watch().quarantine(&node) == Some(Quarantine::Proven);
    if !is_known && hold(shared, &fraud).await {
        Verdict::Accept
    } else {
        shared.refuse_gossip(Reason::Known)
    }
}

/// Takes a proof of fraud from a neighbour that was there when it was gossiped.
pub(super) async fn told(shared: &Arc<Shared>, data: &[u8]) -> Option<Bytes> {
    let fraud = Fraud::check(data, &shared.me.federation()).ok()?;
    if shared.exchange().is_member(&fraud.origin().node()) {
        act_on(shared, fraud).await;
    }
    Some(Bytes::new())
}

/// Holds a proof that is new here against its node, and tells everybody.
pub(super) async fn act_on(shared: &Arc<Shared>, fraud: Fraud) {
    if hold(shared, &fraud).await
        && let Err(error) = shared.mesh.publish(Topic::Heads, fraud.to_frame().into()).await
    {
        tracing::debug!(%error, "a proof of fraud was not gossiped; neighbours that come up are told");
    }
}

/// Keeps a proof on disk, and when it is there, deals no more with its node; says whether it was new.
async fn hold(shared: &Arc<Shared>, fraud: &Fraud) -> bool {
    let (on_disk, kept) = (shared.clone(), fraud.clone());
    let kept = tokio::task::spawn_blocking(move || {
        let new = on_disk.remembered.frauds().keep(&kept)?;
        Ok::<_, artel_audit::records::Error>(new && on_disk.watch().accuse(&kept))
    });
    match kept.await {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) | Err(_) => return false,
        Ok(Err(error)) => {
            tracing::error!(%error, "a proof of fraud cannot be kept, so it is not acted on; it will be heard again");
            return false;
        }
    }
    let (node, kind) = (fraud.origin().node(), fraud.contradiction().name());
    tracing::error!(%node, kind, "there is proof that a node signed two histories; nothing more is taken from it");
    let proof = Digest::of(&fraud.to_frame());
    let (handle, lie) = (shared.handle.clone(), fraud.contradiction().into());
    let told = move || handle.tell_surely(Input::FraudProven(FraudProven { node, lie, proof }));
    // It waits for a place in the driver's queue.
    drop(tokio::task::spawn_blocking(told));
    shared.board.forget(&node);
    if node != shared.me.node() {
        // The mesh may have ended, and every connection with it.
        let _ = shared.mesh.refuse(&node).await;
    }
    true
}

/// Tells a neighbour that came up of the proofs that it may have missed.
pub(super) async fn tell(shared: Arc<Shared>, peer: NodeId) {
    let frames: Vec<Vec<u8>> = shared.watch().frauds().map(|(_, fraud)| fraud.to_frame()).collect();
    for frame in frames {
        if shared.mesh.request(&peer, frame.into(), ASK_WAIT).await.is_err() {
            return;
        }
    }
}
