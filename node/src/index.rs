//! The index: what is read by key and is not in the rules' memory any more (closed runs, agents' work, artifacts, terms
//! of the audit log). It trails behind the journal on a thread of its own, is never on the way of an acknowledgement,
//! and is rebuilt from the journal wherever it is behind, broken or missing.

use crate::events::{about, agent_of};
use crate::source::{SharedReader, Source, fold};
use artel_audit::index::{
    Batch, Found, IndexError, KvStore, MemoryStore, Order, SledStore, Tree, VALUE_BYTES_MAX,
};
use artel_federation::fact::{ArtifactStored, Fact};
use artel_federation::run::Run;
use artel_federation::{Entry, Kind};
use artel_protocol::codec;
use artel_protocol::id::{ArtifactId, Digest, RunId, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::text::Correlation;
use artel_protocol::time::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

/// How many frames may wait for the index. Beyond it they are dropped, and the index reads them from the journal.
const QUEUE_MAX: usize = 16_384;

/// How many rows one batch holds. Larger batches make a slow disk's pauses longer, smaller ones cost more.
const BATCH_ROWS_MAX: usize = 4_096;

/// How many rows of terms a search reads at once.
const BLOCKS_AT_ONCE: usize = 64;

/// After how many entries the index is made durable while it is busy; while it is idle, after a second. A crash makes it
/// read that much again.
const SYNC_ENTRIES: u64 = 65_536;

/// For how long rows are gathered into one batch. Each batch wakes sled's threads, which cost more than its rows; longer,
/// and the queue fills. What is not in the index yet is still in the rules' memory.
const GATHER: Duration = Duration::from_millis(100);

/// How long the index is idle before it is made durable.
const IDLE: Duration = Duration::from_secs(1);

/// How many journal entries one row of terms covers. More would make a search read more entries that do not match.
const BLOCK_ENTRIES: u64 = 256;

/// Closed runs by id.
const RUNS: Tree = Tree(1);
/// What does not fit into one value, by key and number of the piece.
const MORE: Tree = Tree(2);
/// Steps by agent and journal index.
const WORK: Tree = Tree(3);
/// Artifacts by id.
const ARTIFACTS: Tree = Tree(4);
/// The newest artifact of each digest.
const DIGESTS: Tree = Tree(5);
/// Terms by block of entries.
const TERMS: Tree = Tree(6);

/// The bytes of one piece of a long value.
const PIECE_BYTES: usize = VALUE_BYTES_MAX - 64;

/// The most bytes of one value in pieces; a scan brings no more pieces than that.
const LONG_BYTES_MAX: usize = 1_000 * PIECE_BYTES;

/// Rows to be written: a tree, a key, a value.
type Rows = Vec<(Tree, Vec<u8>, Vec<u8>)>;

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
pub fn start(dir: PathBuf, source: Source, reader: SharedReader) -> std::io::Result<(Feed, Index)> {
    let (queue, news) = sync_channel(QUEUE_MAX);
    let shared = Arc::new(Shared::default());
    let index = Index { shared: shared.clone() };
    let thread_shared = shared.clone();
    std::thread::Builder::new().name("index".into()).spawn(move || {
        let store = open_store(&dir);
        let terms = BTreeSet::new();
        let indexer = Indexer { source, reader, shared: thread_shared, position: 0, synced: 0, terms };
        indexer.run(store, news);
    })?;
    Ok((Feed { queue, shared }, index))
}

/// Opens what is on disk and checks it; an index that cannot be used is moved aside and built anew, and where the disk
/// has no room for one it is kept in memory until the next start.
fn open_store(dir: &Path) -> Box<dyn KvStore> {
    match open_sound(dir) {
        Ok(store) => Box::new(store),
        Err(error) => {
            tracing::error!(%error, "the index cannot be kept on disk");
            Box::new(MemoryStore::new())
        }
    }
}

fn open_sound(dir: &Path) -> Result<SledStore, IndexError> {
    let (store, found) = SledStore::open(dir)?;
    let why = match found {
        Found::Nothing => return Ok(store),
        Found::Damaged { why, .. } => {
            tracing::warn!(why, "the index was damaged and is built anew");
            return Ok(store);
        }
        Found::Kept => match store.check() {
            Ok(()) => return Ok(store),
            Err(why) => why,
        },
    };
    tracing::warn!(%why, "the index was damaged and is built anew");
    drop(store);
    SledStore::move_aside(dir)?;
    SledStore::open(dir).map(|(store, _)| store)
}

impl Feed {
    /// Takes a synced frame. When too many wait it is dropped: the index then reads it from the journal.
    pub fn push(&self, first_index: u64, entries: Arc<Vec<Entry>>, closed: Vec<Run>) {
        for (i, entry) in entries.iter().enumerate() {
            if let Fact::ArtifactStored(stored) = &entry.fact {
                let row = (first_index + i as u64, entry.at, stored.clone());
                self.shared
                    .fresh
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(stored.artifact, row);
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
    reader: SharedReader,
    shared: Arc<Shared>,
    /// The next entry that the index has not seen.
    position: u64,
    /// The position that is durable.
    synced: u64,
    /// Terms of the block that is not full yet.
    terms: BTreeSet<[u8; 4]>,
}

impl Indexer {
    fn run(mut self, store: Box<dyn KvStore>, queue: Receiver<News>) {
        let shared = self.shared.clone();
        let store = shared.store.get_or_init(|| store).as_ref();
        if let Err(error) = self.follow(store, &queue) {
            tracing::error!(
                error = format!("{error:#}"),
                "the index stops; queries over it wait for a restart"
            );
        }
        shared.ready.store(false, Ordering::Release);
    }

    fn follow(&mut self, store: &dyn KvStore, queue: &Receiver<News>) -> anyhow::Result<()> {
        self.position = store.position()?;
        self.synced = self.position;
        let begun = store.get(TERMS, &(self.position / BLOCK_ENTRIES).to_be_bytes())?;
        self.terms =
            begun.iter().flat_map(|row| row.chunks_exact(4)).filter_map(|t| t.try_into().ok()).collect();
        self.catch_up(store)?;
        loop {
            match queue.recv_timeout(IDLE) {
                Ok(first) => {
                    let rows = self.gather(first, queue);
                    self.write(store, rows)?;
                }
                Err(RecvTimeoutError::Timeout) => self.sync(store)?,
                Err(RecvTimeoutError::Disconnected) => return self.sync(store),
            }
            if self.shared.dropped.swap(false, Ordering::AcqRel) {
                self.catch_up(store)?;
            }
        }
    }

    /// Rows for what comes within [`GATHER`]: what is there, and after a rest what has come since.
    fn gather(&mut self, first: News, queue: &Receiver<News>) -> Rows {
        let mut rows = Rows::new();
        self.take(&mut rows, first);
        std::thread::sleep(GATHER);
        while rows.len() < BATCH_ROWS_MAX
            && let Ok(news) = queue.try_recv()
        {
            self.take(&mut rows, news);
        }
        rows
    }

    /// Takes one frame in. One that does not follow the last shows that others were dropped.
    fn take(&mut self, rows: &mut Rows, news: News) {
        if news.first_index > self.position {
            self.shared.dropped.store(true, Ordering::Release);
        } else if news.first_index == self.position {
            self.rows(rows, news.first_index, &news.entries, &news.closed);
        }
    }

    /// Reads from the journal what the index has not seen, by a fold of its own.
    fn catch_up(&mut self, store: &dyn KvStore) -> anyhow::Result<()> {
        let reader = self.reader.get();
        if self.position < reader.size() {
            self.shared.ready.store(false, Ordering::Release);
            tracing::info!(from = self.position, to = reader.size(), "the index catches up");
            let mut federation = self.source.state_before(self.position);
            let (mut rows, mut written) = (Rows::new(), Ok(()));
            fold(&reader, &mut federation, |first_index, entries, closed| {
                if first_index < self.position || written.is_err() {
                    return;
                }
                self.rows(&mut rows, first_index, &entries, &closed);
                if rows.len() >= BATCH_ROWS_MAX {
                    written = self.write(store, std::mem::take(&mut rows));
                }
            })?;
            written?;
            self.write(store, rows)?;
        }
        self.shared.ready.store(true, Ordering::Release);
        Ok(())
    }

    fn write(&mut self, store: &dyn KvStore, mut rows: Rows) -> anyhow::Result<()> {
        if !self.terms.is_empty() {
            self.put_terms(&mut rows, self.position / BLOCK_ENTRIES);
        }
        let mut batch = Batch::new(self.position);
        for (tree, key, value) in rows {
            batch.put(tree, &key, &value)?;
        }
        store.apply(batch)?;
        let mut fresh = self.shared.fresh.write().unwrap_or_else(PoisonError::into_inner);
        fresh.retain(|_, (index, ..)| *index >= self.position);
        drop(fresh);
        if self.position - self.synced >= SYNC_ENTRIES { self.sync(store) } else { Ok(()) }
    }

    fn sync(&mut self, store: &dyn KvStore) -> anyhow::Result<()> {
        if self.synced < self.position {
            store.sync()?;
            self.synced = self.position;
        }
        Ok(())
    }

    /// The rows of one frame.
    fn rows(&mut self, rows: &mut Rows, first_index: u64, entries: &[Entry], closed: &[Run]) {
        // All entries of a frame were caused by one request.
        let correlation = entries.first().and_then(|entry| entry.correlation.as_ref());
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
                    put_long(
                        rows,
                        ARTIFACTS,
                        stored.artifact.bytes(),
                        codec::encode(&(index, entry.at, stored)),
                    );
                    rows.push((DIGESTS, stored.digest.0.to_vec(), stored.artifact.bytes().to_vec()));
                }
                Fact::Verdict(_) | Fact::Lapsed(_) | Fact::Released(_) => {
                    let (agent, step) = (agent_of(&entry.fact), about(&entry.fact).1);
                    let (agent, step) = (agent.expect("an agent's work"), step.expect("on a step"));
                    rows.push((WORK, work_key(&agent, index), step.bytes().to_vec()));
                }
                _ => {}
            }
        }
        for run in closed {
            let (mut run, mut bytes) = (run.clone(), Vec::new());
            run.trim();
            codec::encode_large_into(&run, &mut bytes);
            put_long(rows, RUNS, run.id.bytes(), bytes);
        }
        self.position = first_index + entries.len() as u64;
    }

    fn put_terms(&self, rows: &mut Rows, block: u64) {
        rows.push((TERMS, block.to_be_bytes().to_vec(), self.terms.iter().flatten().copied().collect()));
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
        let row = get_long(self.store()?, RUNS, id.bytes())?;
        Ok(row.and_then(|row| codec::decode_large(&row).ok()))
    }

    /// Closed runs before one, newest first.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn runs_before(&self, before: Option<RunId>, limit: usize) -> Result<Vec<Run>, NotReady> {
        let store = self.store()?;
        let after = before.map(|id| *id.bytes());
        let rows = store.scan(RUNS, &[], after.as_ref().map(|key| key.as_slice()), Order::Descending, limit);
        let run = |(key, _): &(Vec<u8>, Vec<u8>)| {
            let row = get_long(store, RUNS, key);
            row.map(|row| row.and_then(|row| codec::decode_large(&row).ok())).transpose()
        };
        rows.map_err(unreadable)?.iter().filter_map(run).collect()
    }

    /// The journal entries by which an agent's leases ended, and on which steps, newest first.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn work(
        &self,
        agent: &AgentId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, StepId)>, NotReady> {
        let after = before.map(|index| work_key(agent, index));
        let rows = self.store()?.scan(WORK, agent.key().bytes(), after.as_deref(), Order::Descending, limit);
        let row = |(key, value): (Vec<u8>, Vec<u8>)| {
            let index = u64::from_be_bytes(key.get(32..40)?.try_into().ok()?);
            Some((index, codec::decode_own::<StepId>(&value).ok()?))
        };
        Ok(rows.map_err(unreadable)?.into_iter().filter_map(row).collect())
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
        let row = get_long(self.store()?, ARTIFACTS, id.bytes())?;
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
        let id = self.store()?.get(DIGESTS, &digest.0).map_err(unreadable)?;
        let id = id.and_then(|id| codec::decode_own::<ArtifactId>(&id).ok());
        id.map_or(Ok(None), |id| self.artifact(&id))
    }

    /// Artifacts before one, newest first.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn artifacts_before(
        &self,
        before: Option<ArtifactId>,
        limit: usize,
    ) -> Result<Vec<ArtifactRow>, NotReady> {
        let store = self.store()?;
        let after = before.map(|id| *id.bytes());
        let rows =
            store.scan(ARTIFACTS, &[], after.as_ref().map(|key| key.as_slice()), Order::Descending, limit);
        let mut all = BTreeMap::new();
        for (key, _) in rows.map_err(unreadable)? {
            let row =
                get_long(store, ARTIFACTS, &key)?.and_then(|row| codec::decode_own::<ArtifactRow>(&row).ok());
            all.extend(row.map(|row| (row.2.artifact, row)));
        }
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
            let after = block.checked_sub(1).map(u64::to_be_bytes);
            let after = after.as_ref().map(|key| key.as_slice());
            let rows = store.scan(TERMS, &[], after, Order::Ascending, BLOCKS_AT_ONCE).map_err(unreadable)?;
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

fn unreadable(error: IndexError) -> NotReady {
    tracing::error!(%error, "the index cannot be read");
    NotReady
}

/// Puts a value in pieces: the first under its key behind the number of pieces, the others beside it. A value that is too
/// long even so is left out; what it says is read from the journal.
fn put_long(rows: &mut Rows, tree: Tree, key: &[u8], value: Vec<u8>) {
    if value.len() > LONG_BYTES_MAX {
        return;
    }
    let pieces: Vec<&[u8]> = value.chunks(PIECE_BYTES).collect();
    let count = pieces.len() as u16;
    for (i, piece) in pieces.into_iter().enumerate() {
        if i == 0 {
            rows.push((tree, key.to_vec(), [&count.to_be_bytes(), piece].concat()));
        } else {
            rows.push((MORE, more_key(tree, key, i as u16), piece.to_vec()));
        }
    }
}

fn get_long(store: &dyn KvStore, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, NotReady> {
    let Some(first) = store.get(tree, key).map_err(unreadable)? else { return Ok(None) };
    let Some((count, piece)) = first.split_first_chunk::<2>() else { return Ok(None) };
    let mut value = piece.to_vec();
    for i in 1..u16::from_be_bytes(*count) {
        let Some(piece) = store.get(MORE, &more_key(tree, key, i)).map_err(unreadable)? else {
            return Ok(None);
        };
        value.extend_from_slice(&piece);
    }
    Ok(Some(value))
}

fn more_key(tree: Tree, key: &[u8], piece: u16) -> Vec<u8> {
    [&[tree.0], key, &piece.to_be_bytes()].concat()
}

/// The terms of an entry but its correlation.
fn terms_of(entry: &Entry) -> impl Iterator<Item = [u8; 4]> {
    let (run, step) = about(&entry.fact);
    let kind = hash_of(&Term::Kind(entry.fact.kind()));
    let agent = agent_of(&entry.fact).map(|agent| hash_of(&Term::Agent(&agent)));
    let step = step.map(|step| hash_of(&Term::Step(&step)));
    let run = run.map(|run| hash_of(&Term::Run(&run)));
    std::iter::once(kind).chain(agent).chain(step).chain(run)
}

/// Four bytes that stand for a term: random ones of an id, or of a text's digest. A block's entries are looked at anyway,
/// so a clash costs a look.
fn hash_of(term: &Term<'_>) -> [u8; 4] {
    let four = |bytes: &[u8]| [bytes[0], bytes[1], bytes[2], bytes[3]];
    match term {
        Term::Kind(kind) => [0xff, 0xff, kind.number().to_be_bytes()[0], kind.number().to_be_bytes()[1]],
        Term::Correlation(correlation) => four(&Digest::of(correlation.as_str().as_bytes()).0),
        Term::Agent(agent) => four(agent.key().bytes()),
        // The last bytes of an id are random but for the very last, which tells a run from its steps.
        Term::Step(step) => four(&step.bytes()[12..]),
        Term::Run(run) => four(&run.bytes()[12..]),
    }
}
