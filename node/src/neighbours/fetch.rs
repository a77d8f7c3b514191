//! Fetching what this node lacks of others' journals: from whoever may have something new, and from one neighbour in turn now
//! and then.

use super::refusals::Reason;
use super::shared::Shared;
use super::sync;
use super::witness;
use artel_mesh::Lane;
use artel_protocol::key::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::MissedTickBehavior;

/// How often records are fetched from one neighbour in turn, whatever gossip brought, and what readers found damaged is missed.
const ROUND: Duration = Duration::from_secs(30);

/// How long nothing is fetched from a neighbour again after it was: what gossip shows meanwhile is fetched in one go.
const PAUSE: Duration = Duration::from_millis(500);

/// How often a fetch that broke off is tried at once; then in a later round.
const PULLS_MAX: usize = 4;

/// How long what is not waited for may be missing before it is fetched: what gossip does not bring, because it is of a shard that
/// is not followed. Longer, and evidence that stands behind it is read later; shorter, and each of these fetches, which asks for
/// the marks of all journals, brings less.
const LATER: Duration = Duration::from_secs(5);

/// Whom something is to be fetched from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Want {
    /// At once.
    Now(NodeId),
    /// Within [`LATER`].
    Later(NodeId),
}

/// How many neighbours may wait to be fetched from.
pub(super) const WANTS_MAX: usize = 64;

/// Fetches from whoever may have something new, and from one neighbour in turn now and then; one stream to each at a time.
pub(super) async fn run(shared: Arc<Shared>, mut wanted: mpsc::Receiver<Want>) {
    let (done, mut finished) = mpsc::channel(WANTS_MAX);
    let mut under_way: BTreeMap<NodeId, Arc<Notify>> = BTreeMap::new();
    let (mut again, mut later) = (BTreeSet::new(), BTreeSet::new());
    let mut later_is_due = tokio::time::interval(LATER);
    later_is_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut round = tokio::time::interval(ROUND);
    let mut last = None;
    loop {
        let start = tokio::select! {
            peer = wanted.recv() => match peer {
                Some(Want::Now(peer)) => BTreeSet::from([peer]),
                Some(Want::Later(peer)) => {
                    // They are neighbours, so there are few of them.
                    later.insert(peer);
                    continue;
                }
                None => return,
            },
            _ = later_is_due.tick() => std::mem::take(&mut later),
            peer = finished.recv() => {
                let peer: NodeId = peer.expect("we hold a sender");
                under_way.remove(&peer);
                if !again.remove(&peer) {
                    continue;
                }
                BTreeSet::from([peer])
            }
            _ = round.tick() => {
                shared.keeper.mend();
                let Some(peer) = shared.next_up(last) else { continue };
                last = Some(peer);
                BTreeSet::from([peer])
            }
        };
        for peer in start {
            let wanted_again = under_way.get(&peer);
            if wanted_again.is_some() || under_way.len() == WANTS_MAX {
                again.insert(peer);
                wanted_again.inspect(|fetch| fetch.notify_one());
                continue;
            }
            let wanted_again = Arc::new(Notify::new());
            under_way.insert(peer, wanted_again.clone());
            let (shared, done) = (shared.clone(), done.clone());
            tokio::spawn(async move {
                pull(&shared, &peer, &wanted_again).await;
                // What was fetched may say that somebody is no member any more.
                shared.dismiss_strangers().await;
                tokio::time::sleep(PAUSE).await;
                // The receiver ends with the node.
                let _ = done.send(peer).await;
            });
        }
    }
}

/// Fetches from a neighbour what this node lacks. A stream that breaks, as one on a connection that is just being replaced, is
/// opened again a few times; the next round would come much later.
async fn pull(shared: &Arc<Shared>, peer: &NodeId, again: &Notify) {
    for _ in 0..PULLS_MAX {
        match sync::pull(shared, peer, again).await {
            Ok(pulled) => {
                if pulled.kept > 0 {
                    tracing::info!(%peer, frames = pulled.kept, "records were fetched");
                }
                if pulled.left {
                    return shared.want_later(*peer);
                }
                return witness::fetched_from(shared, *peer);
            }
            Err(error) => {
                tracing::debug!(%peer, error = format!("{error:#}"), "records could not be fetched");
                let reason = Reason::of_stream(&error);
                if let Some(reason) = reason {
                    shared.refuse(Lane::Sync, peer, reason).await;
                }
                if reason.is_some_and(Reason::is_wrong) {
                    // It may come again, with less score. The mesh may have ended, and every connection with it.
                    let _ = shared.mesh.refuse(peer).await;
                    return;
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
        if !shared.up().contains(peer) {
            return;
        }
    }
}
