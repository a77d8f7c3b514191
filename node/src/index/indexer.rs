//! The thread that writes the index: rows for what the driver tells, in large batches, and for what the journal holds
//! wherever it is behind.

use super::closed::Packer;
use super::lately::Lately;
use super::long::put_long;
use super::terms::{hash_of, terms_of};
use super::work::{Gathered, work_of};
use super::{ARTIFACTS, BLOCK_ENTRIES, DIGESTS, Rows, Shared, Stored, TERMS, Term, bytes_of};
use crate::news::News;
use crate::source::{SharedReader, Source, fold};
use artel_federation::{ClosedRun, Entry, Fact};
use artel_protocol::codec;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How many rows and closed runs one batch holds. Larger batches make a slow disk's pauses longer, smaller ones cost more.
const BATCH_ROWS_MAX: usize = 4_096;

/// After how many entries the index is made durable while it is busy; while it is idle, after a second. A crash makes it
/// read that much again.
const SYNC_ENTRIES: u64 = 65_536;

/// For how long rows are gathered into one batch. Each batch wakes sled's threads, which cost more than its rows; longer,
/// and the queue fills. What is not written yet is found in memory.
const GATHER: Duration = Duration::from_millis(100);

/// How long the index waits before it opens a store again that could not be written.
const RETRY: Duration = Duration::from_secs(1);

/// How long the index is idle before it is made durable.
const IDLE: Duration = Duration::from_secs(1);

/// The thread's own.
pub(super) struct Indexer {
    source: Source,
    reader: SharedReader,
    shared: Arc<Shared>,
    /// The next entry that the index has not seen.
    position: u64,
    /// The position that is durable.
    synced: u64,
    /// Terms of the block that is not full yet.
    terms: Vec<[u8; 4]>,
    /// Ended leases of the batch that is gathered.
    work: Gathered,
    /// Closed runs of the batch that is gathered.
    closed: Packer,
    /// What the start has folded, until it is taken in.
    lately: Option<Lately>,
}

impl Indexer {
    pub(super) fn new((source, reader): (Source, SharedReader), shared: Arc<Shared>, lately: Lately) -> Self {
        let (terms, work, closed) = (Vec::new(), Gathered::default(), Packer::default());
        Indexer { source, reader, shared, position: 0, synced: 0, terms, work, closed, lately: Some(lately) }
    }

    /// Follows the journal until the driver is gone. A store that fails is opened again, as often as it takes: a full disk
    /// heals.
    pub(super) fn run(mut self, dir: &Path, queue: Receiver<Vec<News>>) {
        let mut store = Stored::open(dir).unwrap_or_else(|error| {
            tracing::error!(%error, "the index cannot be kept on disk");
            Stored::in_memory()
        });
        loop {
            self.shared.set_store(Some(store.clone()));
            let followed = self.follow(&store, &queue);
            self.shared.ready.store(false, Ordering::Release);
            self.shared.set_store(None);
            let Err(error) = followed else { return };
            tracing::error!(error = format!("{error:#}"), "the index cannot be used; it is opened again");
            drop(store);
            store = loop {
                if self.rest(&queue).is_err() {
                    return;
                }
                match Stored::open(dir) {
                    Ok(sound) => break sound,
                    Err(error) => tracing::debug!(%error, "the index still cannot be opened"),
                }
            };
        }
    }

    /// Waits for a while and lets go of what is told meanwhile: it is read from the journal later.
    fn rest(&self, queue: &Receiver<Vec<News>>) -> Result<(), RecvTimeoutError> {
        let end = Instant::now() + RETRY;
        loop {
            match queue.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(news) => {
                    self.shared.queued.fetch_sub(bytes_of(&news), Ordering::AcqRel);
                    self.shared.fresh_mut().forget(&news);
                }
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(gone) => return Err(gone),
            }
        }
    }

    fn follow(&mut self, store: &Stored, queue: &Receiver<Vec<News>>) -> anyhow::Result<()> {
        // For the first try alone: before a second one, what was told is let go of.
        let lately = self.lately.take();
        self.position = store.rows.position()?;
        self.synced = self.position;
        self.shared.position.store(self.position, Ordering::Relaxed);
        let begun = store.rows.get(TERMS, &(self.position / BLOCK_ENTRIES).to_be_bytes())?;
        self.terms = begun.iter().flat_map(|row| row.as_chunks().0).copied().collect();
        self.work = Gathered::default();
        self.closed.forget();
        match lately.and_then(|lately| lately.from(self.position)) {
            Some(frames) => self.take_in(store, frames)?,
            None => self.catch_up(store)?,
        }
        loop {
            match queue.recv_timeout(IDLE) {
                Ok(first) => {
                    let rows = self.gather(first, queue);
                    self.write(store, rows)?;
                }
                Err(RecvTimeoutError::Timeout) => self.sync(store)?,
                Err(RecvTimeoutError::Disconnected) => return self.sync(store),
            }
            // Whoever opens it looks through all of it.
            anyhow::ensure!(
                !self.shared.suspect.swap(false, Ordering::AcqRel),
                "something in it cannot be read"
            );
            if self.shared.dropped.load(Ordering::Acquire) {
                self.catch_up(store)?;
            }
        }
    }

    /// Rows for what comes within [`GATHER`]: what is there, and after a rest what has come since.
    fn gather(&mut self, first: Vec<News>, queue: &Receiver<Vec<News>>) -> Rows {
        let mut rows = Rows::new();
        self.take(&mut rows, first);
        std::thread::sleep(GATHER);
        while !self.is_full(&rows)
            && let Ok(news) = queue.try_recv()
        {
            self.take(&mut rows, news);
        }
        rows
    }

    /// Whether what is gathered is a batch.
    fn is_full(&self, rows: &Rows) -> bool {
        rows.len() + self.work.rows() + self.closed.len() >= BATCH_ROWS_MAX || self.closed.is_full()
    }

    /// Takes a commit's frames in. One that does not follow the last shows that others were dropped.
    fn take(&mut self, rows: &mut Rows, commit: Vec<News>) {
        self.shared.queued.fetch_sub(bytes_of(&commit), Ordering::AcqRel);
        for news in commit {
            if news.first_index > self.position {
                self.shared.dropped.store(true, Ordering::Release);
            } else if news.first_index == self.position {
                self.rows(rows, news.first_index, &news.entries, &news.closed);
            }
        }
    }

    /// Takes in what the start has folded. The driver tells all that follows.
    fn take_in(&mut self, store: &Stored, frames: impl Iterator<Item = News>) -> anyhow::Result<()> {
        let mut rows = Rows::new();
        for news in frames {
            self.rows(&mut rows, news.first_index, &news.entries, &news.closed);
            if self.is_full(&rows) {
                self.write(store, std::mem::take(&mut rows))?;
            }
        }
        self.write(store, rows)?;
        self.shared.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Reads from the journal what the index has not seen, by a fold of its own.
    fn catch_up(&mut self, store: &Stored) -> anyhow::Result<()> {
        self.shared.ready.store(false, Ordering::Release);
        self.shared.dropped.store(false, Ordering::Release);
        let reader = self.reader.get();
        if self.position < reader.size() {
            tracing::info!(from = self.position, to = reader.size(), "the index catches up");
            let mut federation = self.source.state_before(self.position);
            let (mut rows, mut written) = (Rows::new(), Ok(()));
            fold(&reader, &mut federation, |news| {
                if news.first_index < self.position || written.is_err() {
                    return;
                }
                self.rows(&mut rows, news.first_index, &news.entries, &news.closed);
                if self.is_full(&rows) {
                    written = self.write(store, std::mem::take(&mut rows));
                }
            })?;
            written?;
            self.write(store, rows)?;
        }
        self.shared.ready.store(true, Ordering::Release);
        Ok(())
    }

    fn write(&mut self, store: &Stored, mut rows: Rows) -> anyhow::Result<()> {
        if !self.terms.is_empty() {
            self.put_terms(&mut rows, self.position / BLOCK_ENTRIES);
        }
        self.work.put(&mut rows);
        let blocks = self.closed.pack(store.end()?, &self.source.ring, &mut rows)?;
        store.apply(self.position, rows, blocks)?;
        self.shared.fresh_mut().forget_before(self.position);
        self.shared.position.store(self.position, Ordering::Relaxed);
        if self.position - self.synced >= SYNC_ENTRIES { self.sync(store) } else { Ok(()) }
    }

    fn sync(&mut self, store: &Stored) -> anyhow::Result<()> {
        if self.synced < self.position {
            store.rows.sync()?;
            self.synced = self.position;
        }
        Ok(())
    }

    /// The rows of one frame.
    fn rows(&mut self, rows: &mut Rows, first_index: u64, entries: &[Entry], closed: &[Arc<ClosedRun>]) {
        // All entries of a frame were caused by one request.
        let correlation = entries.iter().find_map(|entry| entry.correlation.as_ref());
        let correlation = correlation.map(|correlation| hash_of(&Term::Correlation(correlation)));
        for (i, entry) in entries.iter().enumerate() {
            let index = first_index + i as u64;
            self.terms.extend(terms_of(entry).chain(correlation));
            if (index + 1).is_multiple_of(BLOCK_ENTRIES) {
                self.put_terms(rows, index / BLOCK_ENTRIES);
                self.terms.clear();
            }
            match &entry.fact {
                Fact::ArtifactStored(stored) => {
                    let row = codec::encode(&(index, entry.at, stored));
                    put_long(rows, &self.source.ring, ARTIFACTS, stored.artifact.bytes(), &row);
                    rows.push((DIGESTS, stored.digest.0.to_vec(), stored.artifact.bytes().to_vec()));
                }
                fact => {
                    if let Some((agent, step)) = work_of(fact) {
                        self.work.take(rows, agent, index, &step);
                    }
                }
            }
        }
        self.closed.take(closed);
        self.position = first_index + entries.len() as u64;
    }

    fn put_terms(&mut self, rows: &mut Rows, block: u64) {
        self.terms.sort_unstable();
        self.terms.dedup();
        rows.push((TERMS, block.to_be_bytes().to_vec(), self.terms.as_flattened().to_vec()));
    }
}
