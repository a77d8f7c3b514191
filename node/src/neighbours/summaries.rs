//! What this node says of others' scores, and what others say: compared where both have read the same, flagged where it is
//! wrong, never believed.

use super::refusals::Reason;
use super::shared::Shared;
use crate::clock::wall;
use artel_federation::evidence::{Comparing, Viewer};
use artel_mesh::Verdict;
use artel_protocol::id::Digest;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::summary::{SUMMARY_MARKS_MAX, SUMMARY_SCORES_MAX, Said, Scored, Summary};
use artel_protocol::time::Wall;
use artel_protocol::topic::Topic;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a node says what it makes of the records, where they have changed. More often, and every node sends up to 64 KB
/// to all each time; less often, and a wrong one is noticed later.
const EACH: Duration = Duration::from_secs(10);

/// A viewer's summaries closer together than this are not passed on, in milliseconds by the viewer's clock.
const PACE_MS: u64 = 5_000;

/// Summaries that are older, or further ahead of the clock, are not passed on, in milliseconds.
const SKEW_MS: u64 = 5 * 60 * 1_000;

/// How many viewers' newest summaries are kept until they can be compared, at most 64 KB each. Those of others are passed on
/// and not compared.
const VIEWERS_MAX: usize = 256;

/// How many summaries are compared under one lock of the book, up to 512 scores each. Larger, and the thread that keeps records
/// waits for it; smaller, and the digest of the marks is made more often.
const AT_ONCE: usize = 8;

/// How a viewer's summaries were found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checks {
    /// How many were compared.
    pub checked: u64,
    /// How many of these are not what the records say.
    pub wrong: u64,
}

#[derive(Default)]
struct Heard {
    at: Wall,
    checks: Checks,
    /// The newest one, until it is compared.
    open: Option<Summary>,
}

/// What was heard of others.
#[derive(Default)]
pub(super) struct Summaries(Mutex<BTreeMap<NodeId, Heard>>);

/// Reads on whenever there is something to be read, compares, and says what this node makes of it, until the node ends.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut due = tokio::time::interval(EACH);
    let (mut said, mut last) = (Digest::default(), None);
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
        if is_due && let Some(summary) = say(&shared, &said, &mut last) {
            said = summary.said().heads;
            let bytes = Bytes::copy_from_slice(summary.bytes());
            if let Err(error) = shared.mesh.publish(Topic::Trust, bytes).await {
                tracing::debug!(%error, "a summary was not gossiped");
            }
        }
    }
}

/// What is to be said: the scores of some agents, those behind the last one that was named; nothing where nothing has changed
/// since these heads were named, or where what this node has read does not tell.
fn say(shared: &Shared, said: &Digest, last: &mut Option<AgentId>) -> Option<Summary> {
    let founders = shared.exchange().genesis().founders.clone();
    let liars = shared.liars();
    let at = wall();
    let said = {
        let book = &shared.evidence.state().book;
        let marks = book.marks();
        let heads = book.heads(&liars);
        let viewer = Viewer { node: shared.me.node(), founders: &founders, liars: &liars };
        if heads == *said || !book.can_tell(viewer) {
            return None;
        }
        let scored = |agent: &AgentId| book.scored(viewer, agent, at);
        let behind = book.agents_after(last.map_or(Bound::Unbounded, Bound::Excluded)).filter_map(scored);
        let mut scores: Vec<Scored> = behind.take(SUMMARY_SCORES_MAX).collect();
        if scores.is_empty() {
            scores =
                book.agents_after(Bound::Unbounded).filter_map(scored).take(SUMMARY_SCORES_MAX).collect();
        }
        *last = scores.last().map(|one| one.agent).filter(|_| scores.len() == SUMMARY_SCORES_MAX);
        let spelt_out = marks.len() <= SUMMARY_MARKS_MAX && book.is_whole() && liars.is_empty();
        let marks = if spelt_out { marks } else { Vec::new() };
        Said { viewer: shared.me, at, heads, marks, scores }
    };
    // Without a score there is nothing to say.
    Summary::sign(said, &shared.key).ok()
}

impl Summaries {
    /// How a node's summaries were found.
    pub fn checks(&self, viewer: &NodeId) -> Checks {
        self.heard().get(viewer).map(|heard| heard.checks).unwrap_or_default()
    }

    /// Takes up what gossip brought: the newest of each viewer, at its pace.
    pub fn hear(&self, shared: &Shared, bytes: &[u8]) -> Verdict {
        let summary = match Summary::check(bytes, &shared.me.federation()) {
            Ok(summary) => summary,
            Err(error) => {
                tracing::debug!(%error, "a summary that does not hold");
                return shared.refuse_gossip(Reason::from(&error));
            }
        };
        let (viewer, at, now) = (summary.said().viewer.node(), summary.said().at, wall());
        let is_member = viewer != shared.me.node() && shared.exchange().is_member(&viewer);
        if !is_member {
            return shared.refuse_gossip(Reason::Unwanted);
        }
        if at.0.abs_diff(now.0) > SKEW_MS {
            return shared.refuse_gossip(Reason::Clock);
        }
        {
            let mut heard = self.heard();
            if heard.len() >= VIEWERS_MAX && !heard.contains_key(&viewer) {
                return Verdict::Accept;
            }
            let heard = heard.entry(viewer).or_default();
            if at < heard.at.plus_ms(PACE_MS) {
                return shared.refuse_gossip(Reason::Pace);
            }
            heard.at = at;
            heard.open = Some(summary);
        }
        shared.evidence.news.notify_one();
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
        let (mut compared, mut behind) = (0, last);
        let mut heard = self.heard();
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        for (viewer, heard) in heard.range_mut((from, Bound::Unbounded)) {
            let Some(open) = heard.open.as_ref().filter(|open| open.said().heads == *with.heads()) else {
                continue;
            };
            (compared, behind) = (compared + 1, Some(*viewer));
            if let Some(agrees) = with.agrees(open.said()) {
                heard.open = None;
                heard.checks.checked += 1;
                if !agrees {
                    heard.checks.wrong += 1;
                    tracing::warn!(%viewer, wrong = heard.checks.wrong, "a summary is not what the records say");
                }
            }
            if compared == AT_ONCE {
                break;
            }
        }
        (compared, behind)
    }

    fn heard(&self) -> MutexGuard<'_, BTreeMap<NodeId, Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_federation::evidence::Book;
    use artel_protocol::id::FederationId;
    use artel_protocol::key::{PublicKey, SecretKey};
    use artel_protocol::log::Origin;
    use std::collections::BTreeSet;

    fn key(n: usize) -> SecretKey {
        SecretKey::from_seed(&[n as u8; 32])
    }

    fn node(n: usize) -> NodeId {
        NodeId(key(n).public())
    }

    fn origin(n: usize) -> Origin {
        Origin::new(FederationId([5; 32]), node(n), 0)
    }

    /// What a node says of an agent of whom nobody knows anything.
    fn wrong(viewer: usize, heads: Digest) -> Summary {
        let agent = AgentId(PublicKey::from_bytes([9; 32]));
        let scores = vec![Scored { agent, score: 2, lower: 1, receipts_micro: 1 }];
        let said = Said { viewer: origin(viewer), at: Wall(1_000), heads, marks: Vec::new(), scores };
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
            let open = Some(wrong(viewer, heads));
            summaries.heard().insert(node(viewer), Heard { open, ..Heard::default() });
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
        for viewer in 1..=viewers + 1 {
            let count = u64::from(viewer <= viewers);
            assert_eq!(summaries.checks(&node(viewer)), Checks { checked: count, wrong: count });
            assert_eq!(
                summaries.heard()[&node(viewer)].open.is_some(),
                count == 0,
                "one is still to be compared"
            );
        }
    }
}
