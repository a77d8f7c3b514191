//! The index: what is read by key and is not in the rules' memory any more (closed runs, agents' work, artifacts, terms
//! of the audit log). It trails behind the journal on a thread of its own, is never on the way of an acknowledgement,
//! and is rebuilt from the journal wherever it is behind, broken or missing. What it has not written yet is found in
//! memory, so that whoever has an answer finds what it is about.

mod closed;
#[cfg(test)]
mod fixture;
mod form;
mod fresh;
mod indexer;
mod lately;
mod long;
mod stored;
mod terms;
mod work;

pub use fresh::{ArtifactRow, Feed};
pub use lately::Lately;
pub use terms::Term;

use crate::news::News;
use crate::source::{SharedReader, Source};
use artel_audit::KeyRing;
use artel_audit::index::{Found, IndexError, KvStore, MemoryStore, Order, SledStore, Tree};
use artel_federation::run::Run;
use artel_protocol::codec;
use artel_protocol::id::{ArtifactId, Digest, RunId, StepId};
use artel_protocol::key::AgentId;
use fresh::Fresh;
use indexer::Indexer;
use long::get_long;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use stored::Stored;
use terms::hash_of;

/// How many commits may wait for the index. Beyond it they are dropped, and the index reads them from the journal.
const QUEUE_MAX: usize = 2_048;

/// How many bytes those commits may have in memory (64 MiB), as bodies, [`ENTRY_BYTES`] and closed runs add up. Beyond it likewise.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// What an entry takes up in memory beside its body.
const ENTRY_BYTES: usize = 512;

/// How many rows of terms a search reads at once.
const BLOCKS_AT_ONCE: usize = 64;

/// How many journal entries one row of terms covers. More would make a search read more entries that do not match.
const BLOCK_ENTRIES: u64 = 256;

// Tree 1 held closed runs, a row each.

/// What does not fit into one value, by key and number of the piece.
const MORE: Tree = Tree(2);
/// Ended leases by agent and the journal index of the first of them.
const WORK: Tree = Tree(3);
/// Artifacts by id.
const ARTIFACTS: Tree = Tree(4);
/// The newest artifact of each digest.
const DIGESTS: Tree = Tree(5);
/// Terms by block of entries.
const TERMS: Tree = Tree(6);

/// One row: the form of all others.
const FORMS: Tree = Tree(7);
/// Heap blocks of closed runs, by the last id in them and their place.
const CLOSED: Tree = Tree(8);
/// One row: where the heap ends.
const HEAP: Tree = Tree(9);

/// Rows to be written: a tree, a key, a value.
type Rows = Vec<(Tree, Vec<u8>, Vec<u8>)>;

/// The index cannot answer yet: it is opening, or catching up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the index is still opening; try again in a moment")]
pub struct NotReady;

struct Shared {
    store: RwLock<Option<Stored>>,
    /// Opens what is private in the store.
    ring: Arc<KeyRing>,
    /// Everything of the journal is in the store or on its way there.
    ready: AtomicBool,
    /// Commits were dropped since the index last read the journal.
    dropped: AtomicBool,
    /// Something that is written could not be read: all of it is to be looked through.
    suspect: AtomicBool,
    /// The next entry that is not written to the store.
    position: AtomicU64,
    /// The bytes of the commits that wait.
    queued: AtomicUsize,
    fresh: RwLock<Fresh>,
}

impl Shared {
    fn new(ring: Arc<KeyRing>) -> Self {
        Shared {
            store: RwLock::default(),
            ring,
            ready: AtomicBool::new(false),
            dropped: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            position: AtomicU64::new(0),
            queued: AtomicUsize::new(0),
            fresh: RwLock::default(),
        }
    }

    fn set_store(&self, store: Option<Stored>) {
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = store;
    }

    fn fresh(&self) -> RwLockReadGuard<'_, Fresh> {
        self.fresh.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh_mut(&self) -> RwLockWriteGuard<'_, Fresh> {
        self.fresh.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The readers' end.
#[derive(Clone)]
pub struct Index {
    shared: Arc<Shared>,
}

/// Starts the index of a data directory on its own thread. `lately` is what the start has folded already, so that the index
/// need not read and fold it once more.
///
/// # Errors
/// What the operating system says when no thread can be had.
pub fn start(
    dir: PathBuf,
    (source, reader): (Source, SharedReader),
    lately: Lately,
) -> std::io::Result<(Feed, Index)> {
    let (queue, news) = sync_channel(QUEUE_MAX);
    let shared = Arc::new(Shared::new(source.ring.clone()));
    let index = Index { shared: shared.clone() };
    let thread_shared = shared.clone();
    std::thread::Builder::new().name("index".into()).spawn(move || {
        Indexer::new((source, reader), thread_shared, lately).run(&dir, news);
    })?;
    Ok((Feed::new(queue, shared), index))
}

/// Opens what is on disk and checks it; an index that cannot be used is moved aside and built anew, and where the disk
/// has no room for one it is kept in memory until the next start.
pub(crate) fn open_store(dir: &Path) -> Arc<dyn KvStore> {
    match open_sound(dir) {
        Ok(store) => Arc::new(store),
        Err(error) => {
            tracing::error!(%error, "the index cannot be kept on disk");
            Arc::new(MemoryStore::new())
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

impl Index {
    fn store(&self) -> Result<Stored, NotReady> {
        let shared = &self.shared;
        let whole = shared.ready.load(Ordering::Acquire) && !shared.dropped.load(Ordering::Acquire);
        let store = shared.store.read().unwrap_or_else(PoisonError::into_inner);
        store.clone().filter(|_| whole).ok_or(NotReady)
    }

    /// Reads what is written.
    fn read<T>(&self, read: impl FnOnce(&Stored) -> Result<T, NotReady>) -> Result<T, NotReady> {
        let store = self.store()?;
        read(&store).inspect_err(|_| self.shared.suspect.store(true, Ordering::Release))
    }

    /// The next entry of the journal that the index has not written.
    pub fn position(&self) -> u64 {
        self.shared.position.load(Ordering::Relaxed)
    }

    /// Whether the index answers.
    pub fn is_ready(&self) -> bool {
        self.store().is_ok()
    }

    /// Takes nothing in any more until what this returns is dropped.
    #[cfg(test)]
    pub(crate) fn stands_still(&self) -> std::sync::mpsc::Sender<()> {
        let (let_go, waits) = std::sync::mpsc::channel::<()>();
        let (stands, begun) = std::sync::mpsc::channel();
        let shared = self.shared.clone();
        std::thread::spawn(move || {
            let _held = shared.fresh();
            stands.send(()).expect("it is waited for");
            waits.recv()
        });
        begun.recv().expect("it is said");
        let_go
    }

    /// A closed run.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn run(&self, id: &RunId) -> Result<Option<Arc<Run>>, NotReady> {
        if let Some(run) = self.shared.fresh().run(id) {
            return Ok(Some(run));
        }
        self.read(|store| closed::stored_run(store, &self.shared.ring, id))
    }

    /// Closed runs before one, newest first.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn runs_before(&self, before: Option<RunId>, limit: usize) -> Result<Vec<Arc<Run>>, NotReady> {
        let (written, mut all) = self.read(|store| {
            // First what is fresh: what is written meanwhile is found in both places, and never in neither.
            let fresh = self.shared.fresh().runs_before(before, limit);
            Ok((closed::stored_before(store, &self.shared.ring, before, limit)?, fresh))
        })?;
        all.extend(written);
        Ok(all.into_values().rev().take(limit).collect())
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
        let all = self.read(|store| {
            let mut all = self.shared.fresh().work(agent, before);
            all.extend(work::stored(store.rows.as_ref(), agent, before, limit)?);
            Ok(all)
        })?;
        Ok(all.into_iter().rev().take(limit).collect())
    }

    /// An artifact by its id.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn artifact(&self, id: &ArtifactId) -> Result<Option<ArtifactRow>, NotReady> {
        if let Some(row) = self.shared.fresh().artifact(id) {
            return Ok(Some(row));
        }
        let row =
            self.read(|store| get_long(store.rows.as_ref(), &self.shared.ring, ARTIFACTS, id.bytes()))?;
        Ok(row.and_then(|row| codec::decode_own(&row).ok()))
    }

    /// The newest artifact with a digest.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn artifact_of(&self, digest: &Digest) -> Result<Option<ArtifactRow>, NotReady> {
        if let Some(row) = self.shared.fresh().artifact_of(digest) {
            return Ok(Some(row));
        }
        let id = self.read(|store| store.rows.get(DIGESTS, &digest.0).map_err(unreadable))?;
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
        self.read(|store| {
            let mut all: BTreeMap<ArtifactId, ArtifactRow> =
                self.shared.fresh().artifacts_before(before, limit);
            let after = before.map(|id| *id.bytes());
            let after = after.as_ref().map(|key| key.as_slice());
            for (key, _) in
                store.rows.scan(ARTIFACTS, &[], after, Order::Descending, limit).map_err(unreadable)?
            {
                let row = get_long(store.rows.as_ref(), &self.shared.ring, ARTIFACTS, &key)?;
                let row = row.and_then(|row| codec::decode_own::<ArtifactRow>(&row).ok());
                all.extend(row.map(|row| (row.2.artifact, row)));
            }
            Ok(all.into_values().rev().take(limit).collect())
        })
    }

    /// Journal indices from `from` on, ascending, of entries that may match all the terms: all that do are among them,
    /// and some that do not. At least `limit` of them, if there are so many.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn search(&self, terms: &[Term<'_>], from: u64, limit: usize) -> Result<Vec<u64>, NotReady> {
        self.read(|store| {
            // First what is not written yet, which may all match: what is written meanwhile is found in both places, and never in neither.
            let fresh: Vec<u64> = self.shared.fresh().entries().filter(|index| *index >= from).collect();
            let wanted: Vec<[u8; 4]> = terms.iter().map(hash_of).collect();
            let (mut found, mut block) = (Vec::new(), from / BLOCK_ENTRIES);
            while found.len() < limit {
                let after = block.checked_sub(1).map(u64::to_be_bytes);
                let after = after.as_ref().map(|key| key.as_slice());
                let rows = store
                    .rows
                    .scan(TERMS, &[], after, Order::Ascending, BLOCKS_AT_ONCE)
                    .map_err(unreadable)?;
                let Some((last, _)) = rows.last() else {
                    found.extend(fresh);
                    found.sort_unstable();
                    found.dedup();
                    break;
                };
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
        })
    }
}

/// The bytes that a commit's news take up in memory.
fn bytes_of(news: &[News]) -> usize {
    let closed = |frame: &News| frame.closed.iter().map(|run| run.bytes() as usize).sum::<usize>();
    news.iter().map(|frame| frame.bytes + ENTRY_BYTES * frame.entries.len() + closed(frame)).sum()
}

fn block_of(key: &[u8]) -> u64 {
    key.try_into().map_or(u64::MAX - 1, u64::from_be_bytes)
}

fn unreadable(error: IndexError) -> NotReady {
    tracing::error!(%error, "the index cannot be read");
    NotReady
}
