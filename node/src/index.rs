//! The index: what is read by key and is not in the rules' memory any more (closed runs, agents' work, artifacts, terms
//! of the audit log). It trails behind the journal on a thread of its own, is never on the way of an acknowledgement,
//! and is rebuilt from the journal wherever it is behind, broken or missing.

use crate::events::{about, agent_of};
use crate::source::{Source, fold};
use artel_audit::index::{Batch, KvStore, Opening};
use artel_audit::{Reader, index};
use artel_federation::fact::{ArtifactStored, Fact};
use artel_federation::run::{Run, Step};
use artel_federation::{Entry, Federation, Kind};
use artel_protocol::codec;
use artel_protocol::id::{ArtifactId, Digest, RunId, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::text::Correlation;
use artel_protocol::time::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// How many frames may wait for the index. Beyond it they are dropped, and the index reads them from the journal.
const QUEUE_MAX: usize = 4_096;

/// How many rows one batch holds. Larger batches make a slow disk's pauses longer, smaller ones cost more.
const BATCH_ROWS_MAX: usize = 2_048;

/// A run whose steps take up more bytes than this has a row for each step, so that rows stay small (sled writes a leaf
/// of up to sixteen rows whole).
const ROW_BYTES: usize = 2_048;

/// How many journal entries one row of terms covers. More would make a search read more entries that do not match.
const BLOCK_ENTRIES: u64 = 256;

const RUNS: &str = "runs";
const STEPS: &str = "steps";
const WORK: &str = "work";
const ARTIFACTS: &str = "artifacts";
const DIGESTS: &str = "digests";
const TERMS: &str = "terms";

/// The index cannot answer yet: it is opening, or catching up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the index is still opening; try again in a moment")]
pub struct NotReady;

/// Something that entries can be searched by.
#[derive(Debug, Clone, Copy)]
pub enum Term<'a> {
    /// Entries of a kind.
    Kind(Kind),
    /// Entries that a request caused.
    Correlation(&'a Correlation),
    /// Entries about an agent.
    Agent(&'a AgentId),
    /// Entries about a step.
    Step(&'a StepId),
    /// Entries about a run.
    Run(&'a RunId),
}

/// One synced frame with the runs that ended by it.
struct News {
    first_index: u64,
    entries: Arc<Vec<Entry>>,
    closed: Vec<Run>,
}

/// An artifact's entry: its journal index, when it was made, what it says.
pub type ArtifactRow = (u64, Wall, ArtifactStored);

#[derive(Default)]
struct Shared {
    store: OnceLock<Box<dyn KvStore>>,
    ready: AtomicBool,
    dropped: AtomicBool,
    /// Artifacts that were entered and may not be in the store yet.
    fresh: RwLock<BTreeMap<ArtifactId, ArtifactRow>>,
}

/// The driver's end: takes what happened, never waits.
pub struct Feed {
    queue: SyncSender<News>,
    shared: Arc<Shared>,
}

/// The readers' end.
#[derive(Clone)]
pub struct Index {
    shared: Arc<Shared>,
}

/// Starts the index of a data directory on its own thread.
///
/// # Errors
/// What the operating system says when no thread can be had.
pub fn start(dir: PathBuf, source: Source, reader: Reader) -> std::io::Result<(Feed, Index)> {
    let (queue, news) = sync_channel(QUEUE_MAX);
    let shared = Arc::new(Shared::default());
    let index = Index { shared: shared.clone() };
    let thread_shared = shared.clone();
    std::thread::Builder::new().name("index".into()).spawn(move || {
        let store = open_store(&dir);
        let indexer = Indexer { source, reader, shared: thread_shared, position: 0, terms: BTreeSet::new() };
        indexer.run(store, news);
    })?;
    Ok((Feed { queue, shared }, index))
}

fn open_store(dir: &std::path::Path) -> Box<dyn KvStore> {
    match index::open(dir) {
        Ok(Opening { store, notice }) => {
            if let Some(notice) = notice {
                tracing::warn!(notice, "the index was not usable and is rebuilt");
            }
            store
        }
        Err(error) => {
            tracing::error!(%error, "the index cannot be kept on disk; it is kept in memory until the next start");
            Box::new(index::Memory::default())
        }
    }
}

impl Feed {
    /// Takes a synced frame. When too many wait it is dropped: the index then reads it from the journal.
    pub fn push(&self, first_index: u64, entries: Arc<Vec<Entry>>, closed: Vec<Run>) {
        for (i, entry) in entries.iter().enumerate() {
            if let Fact::ArtifactStored(stored) = &entry.fact {
                let row = (first_index + i as u64, entry.at, stored.clone());
                self.shared.fresh.write().unwrap_or_else(PoisonError::into_inner).insert(stored.artifact, row);
            }
        }
        if let Err(TrySendError::Full(_)) = self.queue.try_send(News { first_index, entries, closed }) {
            self.shared.dropped.store(true, Ordering::Release);
        }
    }
}

/// The thread's own.
struct Indexer {
    source: Source,
    reader: Reader,
    shared: Arc<Shared>,
    /// The next entry that the index has not seen.
    position: u64,
    /// Terms of the block that is not full yet.
    terms: BTreeSet<[u8; 4]>,
}

impl Indexer {
    fn run(mut self, store: Box<dyn KvStore>, queue: Receiver<News>) {
        let shared = self.shared.clone();
        let store = shared.store.get_or_init(|| store).as_ref();
        self.position = store.position().unwrap_or(0);
        let begun = get(store, TERMS, &(self.position / BLOCK_ENTRIES).to_be_bytes()).ok().flatten();
        self.terms = begun.iter().flat_map(|row| row.chunks_exact(4)).filter_map(|term| term.try_into().ok()).collect();
        let mut next = self.catch_up(store).then(|| queue.recv().ok()).flatten();
        while let Some(first) = next {
            let batch = self.gather(first, &queue);
            let written = self.write(store, batch);
            let whole = !shared.dropped.swap(false, Ordering::AcqRel) || self.catch_up(store);
            next = (written && whole).then(|| queue.recv().ok()).flatten();
        }
        shared.ready.store(false, Ordering::Release);
    }

    /// Rows for what waits, up to a batch. A frame that does not follow the last one shows that others were dropped.
    fn gather(&mut self, first: News, queue: &Receiver<News>) -> Batch {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(news) = next {
            if news.first_index > self.position {
                self.shared.dropped.store(true, Ordering::Release);
            } else if news.first_index == self.position {
                self.rows(&mut batch, news.first_index, &news.entries, &news.closed);
            }
            next = if batch.len() < BATCH_ROWS_MAX { queue.try_recv().ok() } else { None };
        }
        batch
    }

    /// Reads from the journal what the index has not seen, by a fold of its own.
    fn catch_up(&mut self, store: &dyn KvStore) -> bool {
        if self.position >= self.reader.size() {
            self.shared.ready.store(true, Ordering::Release);
            return true;
        }
        self.shared.ready.store(false, Ordering::Release);
        tracing::info!(from = self.position, to = self.reader.size(), "the index catches up");
        let mut federation = Federation::new(self.source.identity, self.source.options.clone());
        let (reader, mut batch, mut written) = (self.reader.clone(), Batch::default(), true);
        let folded = fold(&reader, &mut federation, |first_index, entries, closed| {
            let end = first_index + entries.len() as u64;
            if end <= self.position || !written {
                return;
            }
            self.rows(&mut batch, first_index, &entries, &closed);
            if batch.len() >= BATCH_ROWS_MAX {
                written = self.write(store, std::mem::take(&mut batch));
            }
        });
        if let Err(error) = folded {
            tracing::error!(%error, "the index cannot read the journal");
            return false;
        }
        let done = written && self.write(store, batch);
        self.shared.ready.store(done, Ordering::Release);
        done
    }

    fn write(&self, store: &dyn KvStore, batch: Batch) -> bool {
        if let Err(error) = store.commit(batch, self.position) {
            tracing::error!(%error, "the index cannot be written; queries over it wait for a restart");
            return false;
        }
        let mut fresh = self.shared.fresh.write().unwrap_or_else(PoisonError::into_inner);
        fresh.retain(|_, (index, ..)| *index >= self.position);
        true
    }

    /// The rows of one frame. Entries before the position were seen already; their terms are needed for their block.
    fn rows(&mut self, batch: &mut Batch, first_index: u64, entries: &[Entry], closed: &[Run]) {
        for (i, entry) in entries.iter().enumerate() {
            let index = first_index + i as u64;
            if index < self.position {
                continue;
            }
            self.terms.extend(terms_of(entry));
            if (index + 1).is_multiple_of(BLOCK_ENTRIES) {
                self.write_terms(batch, index / BLOCK_ENTRIES);
                self.terms.clear();
            }
            match &entry.fact {
                Fact::ArtifactStored(stored) => {
                    let row = codec::encode(&(index, entry.at, stored));
                    batch.put(ARTIFACTS, stored.artifact.bytes(), row);
                    batch.put(DIGESTS, &stored.digest.0, stored.artifact.bytes().to_vec());
                }
                Fact::Verdict(_) | Fact::Lapsed(_) | Fact::Released(_) => {
                    let (agent, step) = (agent_of(&entry.fact), about(&entry.fact).1);
                    let (agent, step) = (agent.expect("an agent's work"), step.expect("on a step"));
                    batch.put(WORK, &work_key(&agent, index), step.bytes().to_vec());
                }
                _ => {}
            }
        }
        closed.iter().for_each(|run| put_run(batch, run));
        self.position = self.position.max(first_index + entries.len() as u64);
        if !self.terms.is_empty() {
            self.write_terms(batch, self.position / BLOCK_ENTRIES);
        }
    }

    fn write_terms(&self, batch: &mut Batch, block: u64) {
        batch.put(TERMS, &block.to_be_bytes(), self.terms.iter().flatten().copied().collect());
    }
}

impl Index {
    fn store(&self) -> Result<&dyn KvStore, NotReady> {
        let store = self.shared.store.get().filter(|_| self.shared.ready.load(Ordering::Acquire));
        store.map(AsRef::as_ref).ok_or(NotReady)
    }

    /// Whether the index answers.
    pub fn is_ready(&self) -> bool {
        self.store().is_ok()
    }

    /// A closed run.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn run(&self, id: &RunId) -> Result<Option<Run>, NotReady> {
        let store = self.store()?;
        let Some(bytes) = get(store, RUNS, id.bytes())? else { return Ok(None) };
        whole_run(store, &bytes)
    }

    /// Closed runs before one, newest first.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn runs_before(&self, before: Option<RunId>, limit: usize) -> Result<Vec<Run>, NotReady> {
        let store = self.store()?;
        let end = before.map_or(vec![0xff; 17], |id| id.bytes().to_vec());
        let rows = store.before(RUNS, &[], &end, limit).map_err(unreadable)?;
        rows.iter().filter_map(|(_, row)| whole_run(store, row).transpose()).collect()
    }

    /// The journal entries by which an agent's leases ended, and on which steps, newest first.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn work(&self, agent: &AgentId, before: Option<u64>, limit: usize) -> Result<Vec<(u64, StepId)>, NotReady> {
        let (start, end) = (work_key(agent, 0), work_key(agent, before.unwrap_or(u64::MAX)));
        let rows = self.store()?.before(WORK, &start, &end, limit).map_err(unreadable)?;
        let row = |(key, value): (Vec<u8>, Vec<u8>)| {
            let index = u64::from_be_bytes(key.get(32..40)?.try_into().ok()?);
            Some((index, codec::decode_own::<StepId>(&value).ok()?))
        };
        Ok(rows.into_iter().filter_map(row).collect())
    }

    /// An artifact by its id.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn artifact(&self, id: &ArtifactId) -> Result<Option<ArtifactRow>, NotReady> {
        let fresh = self.shared.fresh.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if fresh.is_some() {
            return Ok(fresh);
        }
        let row = get(self.store()?, ARTIFACTS, id.bytes())?;
        Ok(row.and_then(|row| codec::decode_own(&row).ok()))
    }

    /// The newest artifact with a digest.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn artifact_of(&self, digest: &Digest) -> Result<Option<ArtifactRow>, NotReady> {
        let fresh = self.shared.fresh.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = fresh.values().rev().find(|(_, _, stored)| stored.digest == *digest) {
            return Ok(Some(row.clone()));
        }
        drop(fresh);
        let id = get(self.store()?, DIGESTS, &digest.0)?.and_then(|id| codec::decode_own::<ArtifactId>(&id).ok());
        id.map_or(Ok(None), |id| self.artifact(&id))
    }

    /// Artifacts before one, newest first.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn artifacts_before(&self, before: Option<ArtifactId>, limit: usize) -> Result<Vec<ArtifactRow>, NotReady> {
        let end = before.map_or(vec![0xff; 17], |id| id.bytes().to_vec());
        let rows = self.store()?.before(ARTIFACTS, &[], &end, limit).map_err(unreadable)?;
        let mut all: BTreeMap<ArtifactId, ArtifactRow> = rows
            .iter()
            .filter_map(|(_, row)| codec::decode_own::<ArtifactRow>(row).ok())
            .map(|row| (row.2.artifact, row))
            .collect();
        let fresh = self.shared.fresh.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = fresh.iter().filter(|(id, _)| before.is_none_or(|before| **id < before));
        all.extend(wanted.map(|(id, row)| (*id, row.clone())));
        Ok(all.into_values().rev().take(limit).collect())
    }

    /// Journal indices from `from` on, ascending, of entries that may match all the terms: all that do are among them,
    /// and some that do not. At least `limit` of them, if there are so many.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn search(&self, terms: &[Term<'_>], from: u64, limit: usize) -> Result<Vec<u64>, NotReady> {
        let store = self.store()?;
        let wanted: Vec<[u8; 4]> = terms.iter().map(hash_of).collect();
        let (mut found, mut block) = (Vec::new(), from / BLOCK_ENTRIES);
        while found.len() < limit {
            let rows = store.after(TERMS, &block.to_be_bytes(), &[0xff; 9], 64).map_err(unreadable)?;
            let Some((last, _)) = rows.last() else { break };
            for (key, row) in &rows {
                let held: BTreeSet<&[u8]> = row.chunks_exact(4).collect();
                if wanted.iter().all(|term| held.contains(term.as_slice())) {
                    let first = block_of(key) * BLOCK_ENTRIES;
                    found.extend((first..first + BLOCK_ENTRIES).filter(|index| *index >= from));
                }
            }
            block = block_of(last) + 1;
        }
        Ok(found)
    }
}

fn block_of(key: &[u8]) -> u64 {
    key.try_into().map_or(u64::MAX - 1, u64::from_be_bytes)
}

fn work_key(agent: &AgentId, index: u64) -> Vec<u8> {
    [agent.key().bytes().as_slice(), &index.to_be_bytes()].concat()
}

fn get(store: &dyn KvStore, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>, NotReady> {
    store.get(tree, key).map_err(unreadable)
}

fn unreadable(error: index::Error) -> NotReady {
    tracing::error!(%error, "the index cannot be read");
    NotReady
}

fn put_run(batch: &mut Batch, run: &Run) {
    let mut run = run.clone();
    run.trim();
    let mut bytes = Vec::new();
    codec::encode_large_into(&run, &mut bytes);
    if bytes.len() > ROW_BYTES {
        for (i, step) in std::mem::take(&mut run.steps).iter().enumerate() {
            let mut row = Vec::new();
            codec::encode_large_into(step, &mut row);
            batch.put(STEPS, run.step_id(i).bytes(), row);
        }
        bytes.clear();
        codec::encode_large_into(&run, &mut bytes);
    }
    batch.put(RUNS, run.id.bytes(), bytes);
}

/// A run with its steps, from its own row or from theirs.
fn whole_run(store: &dyn KvStore, row: &[u8]) -> Result<Option<Run>, NotReady> {
    let Ok(mut run) = codec::decode_large::<Run>(row) else { return Ok(None) };
    if run.steps.is_empty() {
        let (start, end) = (run.step_id(0), run.step_id(artel_protocol::id::RUN_STEPS_MAX - 1));
        let mut past = end.bytes().to_vec();
        past.push(0);
        let rows = store.after(STEPS, start.bytes(), &past, artel_protocol::id::RUN_STEPS_MAX).map_err(unreadable)?;
        run.steps = rows.iter().filter_map(|(_, row)| codec::decode_large::<Step>(row).ok()).collect();
    }
    Ok(Some(run))
}

fn terms_of(entry: &Entry) -> Vec<[u8; 4]> {
    let (run, step) = about(&entry.fact);
    let agent = agent_of(&entry.fact);
    let mut terms = vec![hash_of(&Term::Kind(entry.fact.kind()))];
    terms.extend(entry.correlation.as_ref().map(|c| hash_of(&Term::Correlation(c))));
    terms.extend(agent.as_ref().map(|a| hash_of(&Term::Agent(a))));
    terms.extend(step.as_ref().map(|s| hash_of(&Term::Step(s))));
    terms.extend(run.as_ref().map(|r| hash_of(&Term::Run(r))));
    terms
}

/// Four bytes of a term's digest: a block's entries are looked at anyway, so a rare clash costs a look.
fn hash_of(term: &Term<'_>) -> [u8; 4] {
    let digest = match term {
        Term::Kind(kind) => Digest::of(&[b"k".as_slice(), &kind.number().to_be_bytes()].concat()),
        Term::Correlation(correlation) => Digest::of(&[b"c", correlation.as_str().as_bytes()].concat()),
        Term::Agent(agent) => Digest::of(&[b"a".as_slice(), agent.key().bytes()].concat()),
        Term::Step(step) => Digest::of(&[b"s".as_slice(), step.bytes()].concat()),
        Term::Run(run) => Digest::of(&[b"r".as_slice(), run.bytes()].concat()),
    };
    [digest.0[0], digest.0[1], digest.0[2], digest.0[3]]
}
