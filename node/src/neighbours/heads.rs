//! This node's own heads: said once a second while the journal grows, or at once where somebody waits for one and none was said within
//! the last second, with the proof that each continues the one before;
//! shown to whoever asks from another size; and the cosignatures that come back.
//!
//! A head goes out by gossip, for every member may compare it. A cosignature comes back as a direct request, for it serves
//! this node alone: gossiped, each head of each node would cost every member as many messages as it has witnesses.

use super::cosignatures::Said;
use super::requests::Response;
use super::shared::Shared;
use super::witness;
use crate::clock::wall;
use artel_audit::Reader;
use artel_protocol::continuity::{Ask, Continued, Shown};
use artel_protocol::key::NodeId;
use artel_protocol::log::SignedCheckpoint;
use artel_protocol::topic::Topic;
use artel_protocol::witness::{Cosigned, Head};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// How often it is looked whether there is a head to say (decision 3: at most once a second, and a second after the last
/// change).
const EVERY: Duration = Duration::from_secs(1);

/// How long a witness may take to answer: it syncs first. Longer, and a neighbour that hangs holds a place.
const WITNESS_WAIT: Duration = Duration::from_secs(5);

/// How long after a head was said whoever has not cosigned it is asked directly: gossip may have lost it, or it came up later.
const REMIND_AFTER: Duration = Duration::from_millis(900);

/// Says heads, reminds witnesses and asks what is to be asked, until the node ends.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said_at: Option<Instant> = None;
    loop {
        let may_hurry = said_at.is_none_or(|at| at.elapsed() >= EVERY);
        tokio::select! {
            _ = every.tick() => {}
            () = shared.head_wanted.notified(), if may_hurry => every.reset(),
        }
        match say(&shared).await {
            Ok(is_said) => said_at = if is_said { Some(Instant::now()) } else { said_at },
            // Nothing is lost: the next round says a later one.
            Err(error) => tracing::debug!(error = format!("{error:#}"), "no head was said"),
        }
        let up: Vec<NodeId> = shared.up().iter().copied().collect();
        remind(&shared, (REMIND_AFTER, None), &up);
        witness::ask_what_is_due(&shared);
    }
}

/// Says the newest head, where somebody may hear it and it was not said yet; whether it was.
async fn say(shared: &Arc<Shared>) -> anyhow::Result<bool> {
    let before = shared.cosignatures().newest();
    if shared.up().is_empty() || before.as_ref().is_some_and(|said| said.size() == shared.reader.get().size())
    {
        return Ok(false);
    }
    shared.handle.checkpoint().await?;
    let reader = shared.reader.get();
    let old = before.map_or(0, |said| said.size());
    let head = tokio::task::spawn_blocking(move || head(&reader, old)).await??;
    let (checkpoint, frame) = (head.checkpoint().clone(), Bytes::from(head.to_frame()));
    if checkpoint.size() == old {
        return Ok(false);
    }
    shared.cosignatures().say(Said::new(checkpoint, frame.clone()));
    if let Err(error) = shared.mesh.publish(Topic::Heads, frame).await {
        tracing::debug!(%error, "a head was not gossiped; witnesses are asked one by one");
    }
    Ok(true)
}

/// The newest head that may be shown, and that it continues the journal's first `old` entries.
fn head(reader: &Reader, old: u64) -> Result<Head, artel_audit::Error> {
    let checkpoint = reader.checkpoint();
    let proof = reader.consistency(old.min(checkpoint.size()), checkpoint.size())?;
    Ok(Head::new(checkpoint, old, proof))
}

/// Asks those of `peers` that have not cosigned the newest head, where it was said so long ago: each once, or again after a pause.
pub(super) fn remind(shared: &Arc<Shared>, (after, again): (Duration, Option<Duration>), peers: &[NodeId]) {
    let Some((frame, peers)) = shared.cosignatures().remind(after, again, peers) else { return };
    for peer in peers {
        let (shared, frame) = (shared.clone(), frame.clone());
        tokio::spawn(async move {
            match shared.mesh.request(&peer, frame, WITNESS_WAIT).await {
                // It has to look first, and sends its cosignature later, if at all.
                Ok(nothing) if nothing.is_empty() => {}
                Ok(data) => drop(cosigned(&shared, peer, &data)),
                Err(error) => tracing::debug!(%peer, %error, "a witness did not answer"),
            }
        });
    }
}

/// Takes a witness's cosignature of one of this node's heads; who sends another one's, or one of another head, is refused.
pub(super) fn cosigned(shared: &Shared, from: NodeId, data: &[u8]) -> Option<Bytes> {
    let cosigned = Cosigned::check(data, &shared.me.federation()).ok()?;
    let counts = cosigned.witness() == from
        && cosigned.cosignature().checkpoint().origin() == shared.me
        && shared.exchange().is_member(&from)
        && shared.watch().quarantine(&from).is_none();
    let kept = counts && shared.cosignatures().keep(from, cosigned.cosignature().clone());
    if kept {
        shared.clocks.cosignature(from, cosigned.cosignature().at_s(), wall());
        shared.cosigned.send_modify(|count| *count += 1);
    }
    kept.then(Bytes::new)
}

/// Shows that this node's journal continues its own first entries. What its journal does not hold is refused: that is what a
/// copy of it says that did not sign the rest. A disk that cannot be read says nothing of the kind.
pub(super) async fn show(shared: &Arc<Shared>, data: &[u8]) -> Response {
    let Ok(ask) = Ask::check(data, &shared.me.federation()) else { return Response::Refused };
    if ask.origin() != shared.me {
        return Response::Refused;
    }
    let reader = shared.reader.get();
    match tokio::task::spawn_blocking(move || continued(&reader, &ask)).await {
        Ok(Ok(Some(shown))) => Response::Said(shown.to_frame().into()),
        Ok(Ok(None)) => {
            tracing::warn!("a witness asks for what this node's journal does not hold");
            Response::Refused
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "this node cannot show its journal to a witness; it is asked again");
            Response::Busy
        }
        // This node ends.
        Err(_) => Response::Busy,
    }
}

/// The answer to a question; nothing where it is about more than the journal has.
fn continued(reader: &Reader, ask: &Ask) -> Result<Option<Shown>, artel_audit::Error> {
    let head: SignedCheckpoint = reader.checkpoint();
    if ask.sizes().iter().any(|size| *size > head.size()) {
        return Ok(None);
    }
    let from = |size: &u64| {
        let proof = reader.consistency(*size, head.size())?;
        Ok(Continued { root: reader.root(*size)?, proof })
    };
    let from = ask.sizes().iter().map(from).collect::<Result<_, artel_audit::Error>>()?;
    Ok(Some(Shown::new(head, from)))
}
