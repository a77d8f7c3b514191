//! What neighbours cosign of this node's journal, for the lots of its submissions: who may draw, what each said first, and that it is
//! said soon.

use super::{Neighbours, heads};
use artel_federation::fact::Cosigned;
use artel_protocol::key::NodeId;
use std::time::Duration;
use tokio::sync::watch;

/// How long after a head was said a witness that draws and has not cosigned it is asked directly. Shorter, and gossip, which reaches
/// most within that, is not passed on by who knows the head already; longer, and a verdict waits for what gossip has lost.
const HURRY_AFTER: Duration = Duration::from_millis(200);

/// How long until it is asked again: it cosigns two heads a second of one node at the most, so a head that came too soon behind another
/// one is believed and not cosigned. Shorter, and it is asked in vain; longer, and a verdict waits.
const HURRY_AGAIN: Duration = Duration::from_millis(600);

impl Neighbours {
    /// The neighbours that may draw a lot: members, neither the worker's node nor its kin, none in quarantine.
    pub fn may_draw(&self, worker: Option<NodeId>) -> Vec<NodeId> {
        let mut all = self.others_than(worker);
        let watch = self.shared.watch();
        all.retain(|node| watch.quarantine(node).is_none());
        all
    }

    /// The first that a neighbour cosigned of this node's journal behind an entry, of what is kept.
    pub fn first_cosigned(&self, entry: u64, by: &NodeId) -> Option<Cosigned> {
        let cosignatures = self.shared.cosignatures();
        let cosignature = cosignatures.first_behind(entry, by)?;
        let checkpoint = cosignature.checkpoint();
        Some(Cosigned {
            size: checkpoint.size(),
            root: checkpoint.root(),
            at_s: cosignature.at_s(),
            signature: cosignature.signature(),
        })
    }

    /// Changes whenever a cosignature has come.
    pub fn cosignatures_change(&self) -> watch::Receiver<u64> {
        self.shared.cosigned.subscribe()
    }

    /// Has a head said that covers an entry, as soon as the next one may be, and asks those directly that have not cosigned it.
    pub fn hurry(&self, entry: u64, late: &[NodeId]) {
        if self.head_said().is_some_and(|size| size > entry) {
            heads::remind(&self.shared, (HURRY_AFTER, Some(HURRY_AGAIN)), late);
        } else {
            self.shared.head_wanted.notify_one();
        }
    }
}
