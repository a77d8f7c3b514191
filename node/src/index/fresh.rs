//! The driver's end of the index, and what has come through it but is not in the store yet.

use super::work::work_of;
use super::{QUEUE_BYTES_MAX, Shared, bytes_of};
use crate::news::News;
use artel_federation::ClosedRun;
use artel_federation::fact::{ArtifactStored, Fact};
use artel_federation::run::Run;
use artel_protocol::id::{ArtifactId, Digest, RunId, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::time::Wall;
use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};

/// An artifact's entry: its journal index, when it was made, what it says.
pub type ArtifactRow = (u64, Wall, ArtifactStored);

/// Takes what happened, never waits.
pub struct Feed {
    queue: SyncSender<Vec<News>>,
    shared: Arc<Shared>,
}

impl Feed {
    pub(super) fn new(queue: SyncSender<Vec<News>>, shared: Arc<Shared>) -> Self {
        Feed { queue, shared }
    }

    /// Takes a commit's frames. When too many commits wait it is dropped, and the index has no answers until it has read
    /// it from the journal.
    pub fn push(&self, news: Vec<News>) {
        // Held until the frames are on their way, so that what is written meanwhile is not kept for ever.
        let mut fresh = self.shared.fresh_mut();
        let bytes = bytes_of(&news);
        if self.shared.queued.fetch_add(bytes, Ordering::AcqRel) + bytes > QUEUE_BYTES_MAX {
            self.shared.queued.fetch_sub(bytes, Ordering::AcqRel);
            self.shared.dropped.store(true, Ordering::Release);
            return;
        }
        fresh.keep(&news);
        if let Err(TrySendError::Full(news) | TrySendError::Disconnected(news)) = self.queue.try_send(news) {
            self.shared.queued.fetch_sub(bytes, Ordering::AcqRel);
            self.shared.dropped.store(true, Ordering::Release);
            fresh.forget(&news);
        }
    }

    /// The journal was opened again, and may hold what was never told: the index reads it, and has no answers until then.
    pub fn begin_again(&self) {
        self.shared.dropped.store(true, Ordering::Release);
    }
}

/// What is on its way to the store.
#[derive(Default)]
pub(super) struct Fresh {
    artifacts: BTreeMap<ArtifactId, ArtifactRow>,
    /// Closed runs, with the journal index of the frame that ended them.
    runs: BTreeMap<RunId, (u64, Arc<ClosedRun>)>,
    /// How leases ended, by agent and journal index.
    work: BTreeMap<(AgentId, u64), StepId>,
    /// The journal index behind everything that was told.
    told: u64,
    /// The journal index behind everything that is written.
    written: u64,
}

impl Fresh {
    fn keep(&mut self, news: &[News]) {
        for frame in news {
            for (index, entry) in (frame.first_index..).zip(frame.entries.iter()) {
                if let Fact::ArtifactStored(stored) = &entry.fact {
                    self.artifacts.insert(stored.artifact, (index, entry.at, stored.clone()));
                }
                self.work.extend(work_of(&entry.fact).map(|(agent, step)| ((agent, index), step)));
                self.told = index + 1;
            }
            self.runs.extend(frame.closed.iter().map(|run| (run.id(), (frame.first_index, run.clone()))));
        }
    }

    /// Lets go of what was told from these on.
    pub(super) fn forget(&mut self, news: &[News]) {
        if let Some(first) = news.first() {
            self.artifacts.retain(|_, (index, ..)| *index < first.first_index);
            self.runs.retain(|_, (index, _)| *index < first.first_index);
            self.work.retain(|(_, index), _| *index < first.first_index);
            self.told = first.first_index;
        }
    }

    /// Everything before a journal index is written.
    pub(super) fn forget_before(&mut self, position: u64) {
        self.artifacts.retain(|_, (index, ..)| *index >= position);
        self.runs.retain(|_, (index, _)| *index >= position);
        self.work.retain(|(_, index), _| *index >= position);
        self.written = position;
    }

    /// Journal indices of entries that were told and are not written.
    pub(super) fn entries(&self) -> Range<u64> {
        self.written..self.told
    }

    /// How an agent's leases ended, before a journal index.
    pub(super) fn work(&self, agent: &AgentId, before: Option<u64>) -> BTreeMap<u64, StepId> {
        let range = (*agent, 0)..(*agent, before.unwrap_or(u64::MAX));
        self.work.range(range).map(|((_, index), step)| (*index, *step)).collect()
    }

    pub(super) fn run(&self, id: &RunId) -> Option<Arc<Run>> {
        self.runs.get(id).and_then(|(_, closed)| closed.run().cloned())
    }

    pub(super) fn runs_before(&self, before: Option<RunId>, limit: usize) -> BTreeMap<RunId, Arc<Run>> {
        let end = before.map_or(Bound::Unbounded, Bound::Excluded);
        let newest = self.runs.range((Bound::Unbounded, end)).rev().take(limit);
        newest.filter_map(|(id, (_, closed))| Some((*id, closed.run()?.clone()))).collect()
    }

    pub(super) fn artifact(&self, id: &ArtifactId) -> Option<ArtifactRow> {
        self.artifacts.get(id).cloned()
    }

    pub(super) fn artifact_of(&self, digest: &Digest) -> Option<ArtifactRow> {
        self.artifacts.values().rev().find(|(_, _, stored)| stored.digest == *digest).cloned()
    }

    pub(super) fn artifacts_before(
        &self,
        before: Option<ArtifactId>,
        limit: usize,
    ) -> BTreeMap<ArtifactId, ArtifactRow> {
        let end = before.map_or(Bound::Unbounded, Bound::Excluded);
        let newest = self.artifacts.range((Bound::Unbounded, end)).rev().take(limit);
        newest.map(|(id, row)| (*id, row.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::run;
    use super::*;
    use artel_audit::KeyRing;
    use artel_federation::fact::{Emitted, Poster};
    use artel_federation::{Entry, Json};
    use std::sync::mpsc::sync_channel;

    #[test]
    fn what_waits_is_bounded_in_bytes_and_the_runs_that_ended_count() {
        let (queue, _written) = sync_channel(9);
        let shared = Arc::new(Shared::new(Arc::new(KeyRing::generate(&mut rand::rng()))));
        let feed = Feed::new(queue, shared.clone());
        let mut large = run(1, 1, 0);
        Arc::make_mut(&mut large).name = "x".repeat(QUEUE_BYTES_MAX);
        feed.push(news(7, &large));
        assert!(shared.dropped.load(Ordering::Acquire) && shared.fresh().run(&large.id).is_none());
        assert_eq!(shared.queued.load(Ordering::Acquire), 0, "what was dropped takes no room");
    }

    fn news(first_index: u64, closed: &Arc<Run>) -> Vec<News> {
        let fact = Fact::Emitted(Emitted {
            name: "over".into(),
            by: Poster::Operator,
            data: Json::new(*b"{}"),
            run: None,
        });
        let entries = Arc::new(vec![Entry { at: Wall(0), correlation: None, fact }]);
        vec![News { first_index, entries, bytes: 64, closed: vec![Arc::new(ClosedRun::new(closed.clone()))] }]
    }

    #[test]
    fn a_closed_run_is_found_until_it_is_written_and_a_dropped_one_is_not_kept() {
        let (queue, written) = sync_channel(1);
        let shared = Arc::new(Shared::new(Arc::new(KeyRing::generate(&mut rand::rng()))));
        let feed = Feed::new(queue, shared.clone());
        let (first, second) = (run(1, 1, 0), run(2, 2, 0));
        feed.push(news(7, &first));
        assert_eq!(shared.fresh().run(&first.id), Some(first.clone()));
        assert!(!shared.dropped.load(Ordering::Acquire));

        feed.push(news(8, &second));
        assert!(shared.dropped.load(Ordering::Acquire), "the queue is full, and readers are told");
        assert_eq!(shared.fresh().run(&second.id), None);
        assert_eq!(shared.fresh().runs_before(None, 9).into_keys().collect::<Vec<_>>(), [first.id]);

        assert_eq!(written.try_iter().count(), 1);
        shared.fresh_mut().forget_before(7);
        assert!(shared.fresh().run(&first.id).is_some(), "what begins at the position is not written yet");
        shared.fresh_mut().forget_before(8);
        assert!(shared.fresh().run(&first.id).is_none());

        drop(written);
        feed.push(news(9, &second));
        assert_eq!(shared.fresh().run(&second.id), None, "nobody would ever write it");
    }
}
