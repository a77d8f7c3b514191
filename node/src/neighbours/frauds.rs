//! Proofs that a node lied about its journal: checked once, on disk before anything follows, passed on, and acted on. This
//! node's journal names each that is on disk, at the latest after the next start.

use super::refusals::Reason;
use super::shared::Shared;
use super::witness::ASK_WAIT;
use artel_audit::Reader;
use artel_federation::watch::Quarantine;
use artel_federation::{Entry, Fact, FraudProven, Input};
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

/// Keeps a proof on disk, and when it is there, deals no more with its node; says whether it was new. Where the disk has room for
/// no more proofs, its node is dealt with no more until this one ends.
async fn hold(shared: &Arc<Shared>, fraud: &Fraud) -> bool {
    let (on_disk, kept) = (shared.clone(), fraud.clone());
    let kept = tokio::task::spawn_blocking(move || {
        // Under one lock, or of two at once neither would be the first.
        let mut frauds = on_disk.remembered.frauds();
        let is_kept = frauds.keep(&kept)?;
        Ok::<_, artel_audit::records::Error>(on_disk.watch().accuse(&kept).then_some(is_kept))
    });
    let is_kept = match kept.await {
        Ok(Ok(Some(is_kept))) => is_kept,
        Ok(Ok(None)) | Err(_) => return false,
        Ok(Err(error)) => {
            tracing::error!(%error, "a proof of fraud cannot be kept, so it is not acted on; it will be heard again");
            return false;
        }
    };
    let (node, kind) = (fraud.origin().node(), fraud.contradiction().name());
    tracing::error!(%node, kind, "there is proof that a node signed two histories; nothing more is taken from it");
    if is_kept {
        let (shared, fraud) = (shared.clone(), fraud.clone());
        tokio::spawn(async move { tell_rules(&shared, &fraud).await });
    } else {
        tracing::error!(%node, "there is no room for the proof, so this holds until this node ends, and no entry says it");
    }
    shared.board.forget(&node);
    // What its records bore out counts no more.
    shared.evidence.news.notify_one();
    if node != shared.me.node() {
        // The mesh may have ended, and every connection with it.
        let _ = shared.mesh.refuse(&node).await;
    }
    true
}

/// Tells the rules of a proof on disk, and notes beside it that their entry is synced. Where it does not come to that, the next
/// start tells them again.
async fn tell_rules(shared: &Arc<Shared>, fraud: &Fraud) {
    let before = shared.reader.get().public_seq();
    let (node, lie) = (fraud.origin().node(), fraud.contradiction().into());
    let input = Input::FraudProven(FraudProven { node, lie, proof: Digest::of(&fraud.to_frame()) });
    let handle = shared.handle.clone();
    // It waits for a place in the driver's queue.
    let told = tokio::task::spawn_blocking(move || handle.tell_surely(input)).await;
    if told.is_err() || shared.handle.checkpoint().await.is_err() {
        return tracing::warn!(%node, "the journal does not name a proof of fraud yet; the next start sees to it");
    }
    note_if_named(shared, node, before).await;
}

/// Tells the rules of the proofs on disk that no entry of the journal names: this node ended before there was one.
pub(super) async fn tell_what_is_untold(shared: Arc<Shared>) {
    let held: Vec<Fraud> = shared.watch().frauds().map(|(_, fraud)| fraud.clone()).collect();
    for fraud in held {
        if !note_if_named(&shared, fraud.origin().node(), 0).await {
            tell_rules(&shared, &fraud).await;
        }
    }
}

/// Whether it is noted that the journal names the proof against a node; the note is made where an entry does, from this public
/// one on. What the disk does not say counts as noted, for the next start asks it again.
async fn note_if_named(shared: &Arc<Shared>, node: NodeId, from: u64) -> bool {
    let shared = shared.clone();
    let noted = tokio::task::spawn_blocking(move || {
        if shared.remembered.frauds().is_told(&node)? {
            return Ok(true);
        }
        let names = names(&shared.reader.get(), &node, from)?;
        if names {
            shared.remembered.frauds().note_told(&node)?;
        }
        anyhow::Ok(names)
    });
    match noted.await {
        Ok(Ok(noted)) => noted,
        Ok(Err(error)) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "it cannot be said whether the journal names a proof of fraud"
            );
            true
        }
        // This node ends.
        Err(_) => true,
    }
}

/// Whether a public entry of this node's journal, from a number on, says that there is proof against a node.
fn names(reader: &Reader, node: &NodeId, mut from: u64) -> Result<bool, artel_audit::Error> {
    while let Some(records) = reader.records_from(from)? {
        for record in records.records() {
            let fact = Entry::decode(&record.body).map(|entry| entry.fact);
            if matches!(fact, Ok(Fact::FraudProven(proven)) if proven.node == *node) {
                return Ok(true);
            }
        }
        from = records.records().last().expect("a frame has records").public_seq + 1;
    }
    Ok(false)
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
