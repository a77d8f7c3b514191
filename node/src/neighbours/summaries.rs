//! What this node says of others' scores, and what others say: compared where both have read the same, flagged where it is
//! wrong, never believed.

use super::refusals::Reason;
use super::shared::Shared;
use crate::clock::wall;
use artel_federation::evidence::{Checks, Comparing, Hearsay, Saying, Taken};
use artel_mesh::Verdict;
use artel_protocol::key::NodeId;
use artel_protocol::summary::Summary;
use artel_protocol::topic::Topic;
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a node says what it makes of the records, where they have changed. More often, and every node sends up to 64 KB
/// to all each time; less often, and a wrong one is noticed later.
const EACH: Duration = Duration::from_secs(10);

/// How many summaries are compared under one lock of the book, up to 512 scores each. Larger, and the thread that keeps records
/// waits for it; smaller, and the digest of the marks is made more often.
const AT_ONCE: usize = 8;

/// What was heard of others.
#[derive(Default)]
pub(super) struct Summaries(Mutex<Hearsay>);

/// Reads on whenever there is something to be read, compares, and says what this node makes of it, until the node ends.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut due = tokio::time::interval(EACH);
    let mut saying = Saying::default();
    loop {
        let is_due = tokio::select! {
            () = shared.evidence.news.notified() => false,
            _ = due.tick() => true,
        };
        let reading = shared.clone();
        let read = tokio::task::spawn_blocking(move || {
            reading.evidence.catch_up(&reading);
            reading.summaries.compare(&reading);
        });
        if read.await.is_err() {
            return;
        }
        if is_due && let Some(summary) = say(&shared, &mut saying) {
            let bytes = Bytes::copy_from_slice(summary.bytes());
            if let Err(error) = shared.mesh.publish(Topic::Trust, bytes).await {
                tracing::debug!(%error, "a summary was not gossiped");
            }
        }
    }
}

/// What is to be said next, if anything.
fn say(shared: &Shared, saying: &mut Saying) -> Option<Summary> {
    let founders = shared.exchange().genesis().founders.clone();
    let liars = shared.liars();
    let said = saying.next(&shared.evidence.state().book, shared.me, (&founders, &liars), wall())?;
    let signed = Summary::sign(said, &shared.key);
    signed.map_err(|error| tracing::error!(%error, "a summary cannot be signed")).ok()
}

impl Summaries {
    /// How a node's summaries were found.
    pub fn checks(&self, viewer: &NodeId) -> Checks {
        self.heard().checks_of(viewer)
    }

    /// Takes up what gossip brought.
    pub fn hear(&self, shared: &Shared, bytes: &[u8]) -> Verdict {
        let summary = match Summary::check(bytes, &shared.me.federation()) {
            Ok(summary) => summary,
            Err(error) => {
                tracing::debug!(%error, "a summary that does not hold");
                return shared.refuse_gossip(Reason::from(&error));
            }
        };
        let viewer = summary.said().viewer.node();
        if viewer == shared.me.node() || !shared.exchange().is_member(&viewer) {
            return shared.refuse_gossip(Reason::Unwanted);
        }
        let taken = self.heard().take(summary, wall());
        match taken {
            Taken::Open => shared.evidence.news.notify_one(),
            Taken::Full => {}
            Taken::Clock => return shared.refuse_gossip(Reason::Clock),
            Taken::Pace => return shared.refuse_gossip(Reason::Pace),
        }
        Verdict::Accept
    }

    /// Compares what can be compared now. Takes as long as there is something to compare, so it has a thread of its own.
    pub fn compare(&self, shared: &Shared) {
        let founders = shared.exchange().genesis().founders.clone();
        let liars = shared.liars();
        let mut last = None;
        loop {
            let book = &shared.evidence.state().book;
            let (compared, behind) = self.compare_some(&book.comparing(&founders, &liars), last);
            if compared < AT_ONCE {
                return;
            }
            last = behind;
        }
    }

    /// Compares what some viewers said, those behind the last one by key: how many, and which was the last.
    fn compare_some(&self, with: &Comparing<'_>, last: Option<NodeId>) -> (usize, Option<NodeId>) {
        let mut heard = self.heard();
        let can_be = heard.open_after(last).filter(|(_, open)| open.said().heads == *with.heads());
        let compared: Vec<(NodeId, Option<bool>)> =
            can_be.take(AT_ONCE).map(|(viewer, open)| (*viewer, with.agrees(open.said()))).collect();
        for (viewer, agrees) in &compared {
            let Some(agrees) = *agrees else { continue };
            let Checks { wrong, .. } = heard.found(viewer, agrees);
            if !agrees {
                tracing::warn!(%viewer, wrong, "a summary is not what the records say");
            }
        }
        (compared.len(), compared.last().map(|(viewer, _)| *viewer).or(last))
    }

    fn heard(&self) -> MutexGuard<'_, Hearsay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_federation::evidence::Book;
    use artel_protocol::id::{Digest, FederationId};
    use artel_protocol::key::{AgentId, PublicKey, SecretKey};
    use artel_protocol::log::Origin;
    use artel_protocol::summary::{Said, Scored};
    use artel_protocol::time::Wall;
    use std::collections::BTreeSet;

    fn key(n: usize) -> SecretKey {
        SecretKey::from_seed(&[n as u8; 32])
    }

    fn node(n: usize) -> NodeId {
        NodeId(key(n).public())
    }

    const NOW: Wall = Wall(1_000_000_000);

    fn origin(n: usize) -> Origin {
        Origin::new(FederationId([5; 32]), node(n), 0)
    }

    /// What a node says of an agent of whom nobody knows anything.
    fn wrong(viewer: usize, heads: Digest) -> Summary {
        let agent = AgentId(PublicKey::from_bytes([9; 32]));
        let scores = vec![Scored { agent, score: 2, lower: 1, receipts_micro: 1 }];
        let said = Said { viewer: origin(viewer), at: NOW, heads, marks: Vec::new(), scores };
        Summary::sign(said, &key(viewer)).expect("within bounds")
    }

    #[test]
    fn all_that_can_be_compared_are_compared_once_a_few_at_a_time() {
        let mut book = Book::default();
        book.hear(origin(0), (0, 0), &[], Wall(1_000), &mut Vec::new());
        let founders = [node(0)];
        let liars = BTreeSet::new();
        let with = book.comparing(&founders, &liars);
        let (summaries, viewers) = (Summaries::default(), 2 * AT_ONCE + 3);
        for viewer in 1..=viewers + 1 {
            let heads = if viewer > viewers { Digest::default() } else { *with.heads() };
            assert_eq!(summaries.heard().take(wrong(viewer, heads), NOW), Taken::Open);
        }
        let (mut rounds, mut last) = (Vec::new(), None);
        loop {
            let (compared, behind) = summaries.compare_some(&with, last);
            rounds.push(compared);
            last = behind;
            if compared < AT_ONCE {
                break;
            }
        }
        assert_eq!(rounds, [AT_ONCE, AT_ONCE, 3]);
        let left: Vec<NodeId> = summaries.heard().open_after(None).map(|(viewer, _)| *viewer).collect();
        assert_eq!(left, [node(viewers + 1)], "one is still to be compared");
        for viewer in 1..=viewers + 1 {
            let count = u64::from(viewer <= viewers);
            assert_eq!(summaries.checks(&node(viewer)), Checks { checked: count, wrong: count });
        }
    }
}
