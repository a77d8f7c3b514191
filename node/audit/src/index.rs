//! The index: what is read by key, fed behind the journal, with the journal's position in the same batch. It is never the truth
//! and can always be deleted and built again.
//!
//! sled stands behind [`SledStore`] and is named nowhere else. Known of sled 0.34: `flush` does not reach the disk by itself,
//! `flush_async` hangs at seven callers, and errors may come as panics; hence one committer, a real sync, and the catching.

use artel_protocol::id::Digest;
use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most bytes of a value. sled writes up to 16 values of a leaf together and puts very large ones into files that it
/// never syncs; what is larger stays in the journal and the index points to it.
pub const VALUE_BYTES_MAX: usize = 4 << 10;

/// The most pairs that one scan answers: a page of the API is 200 at most.
pub const SCAN_PAIRS_MAX: usize = 1024;

/// The memory that sled may use for its cache, in bytes. Its own default is 1 GiB.
const CACHE_BYTES: u64 = 16 << 20;

/// How often, and after which pause, an index that is locked is tried again; a second in all. A child of this process that has
/// not become its own program yet holds the lock of an index that was open when it was made.
const LOCK_PAUSES_MAX: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The key of the [`Summary`]. Trees begin with 1, so nothing else has it.
const SUMMARY_KEY: &[u8] = &[0];

/// Why the index cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The disk said no, or the store did.
    #[error("the index cannot be used: {0}")]
    Store(String),
    /// A value is not what was written: delete the index and build it again.
    #[error("the index is damaged: {0}")]
    Damaged(String),
    /// A value or a block is larger than it may be.
    #[error("{bytes} bytes, at most {bytes_max} are allowed")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

/// A named part of the index with its own keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree(
    /// Its number, from 1 on; numbers are never reused for something else.
    pub u8,
);

/// Changes that happen together, and the journal position up to which they bring the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    position: u64,
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Changes by the entries before `position`.
    pub fn new(position: u64) -> Self {
        Batch { position, changes: Vec::new() }
    }

    /// Sets a value.
    ///
    /// # Errors
    /// [`IndexError::TooLarge`].
    pub fn put(&mut self, tree: Tree, key: &[u8], value: &[u8]) -> Result<(), IndexError> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(IndexError::TooLarge { bytes: value.len(), bytes_max: VALUE_BYTES_MAX });
        }
        let key = full_key(tree, key);
        let value = with_check_sum(&key, value);
        self.changes.push((key, Some(value)));
        Ok(())
    }

    /// Removes a value.
    pub fn remove(&mut self, tree: Tree, key: &[u8]) {
        self.changes.push((full_key(tree, key), None));
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is nothing but the position.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The position.
    pub fn position(&self) -> u64 {
        self.position
    }
}

/// In which order a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the smallest key on.
    Ascending,
    /// From the largest key down.
    Descending,
}

/// Keys and their values, in order.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A store of ordered keys. One thread applies batches; any thread reads.
pub trait KvStore: Send + Sync {
    /// A value.
    ///
    /// # Errors
    /// [`IndexError`].
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;

    /// At most `limit` pairs (and never more than [`SCAN_PAIRS_MAX`]) whose key begins with `prefix`, beyond the key `after` in
    /// this order if one is given.
    ///
    /// # Errors
    /// [`IndexError`].
    fn scan(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Pairs, IndexError>;

    /// Makes a batch's changes and its position visible together.
    ///
    /// # Errors
    /// [`IndexError`].
    fn apply(&self, batch: Batch) -> Result<(), IndexError>;

    /// The position of the last batch; 0 for a new index.
    ///
    /// # Errors
    /// [`IndexError`].
    fn position(&self) -> Result<u64, IndexError>;

    /// Makes everything durable that was applied.
    ///
    /// # Errors
    /// [`IndexError`].
    fn sync(&self) -> Result<(), IndexError>;

    /// Takes everything out, damaged values too; the position is 0 from then on. A clearing that was cut short is begun
    /// again by whoever finds position 0.
    ///
    /// # Errors
    /// [`IndexError`].
    fn clear(&self) -> Result<(), IndexError>;
}

fn full_key(tree: Tree, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(1 + key.len());
    full.push(tree.0);
    full.extend_from_slice(key);
    full
}

/// The bounds of the keys that begin with `prefix` and lie beyond `after`.
fn bounds(tree: Tree, prefix: &[u8], after: Option<&[u8]>, order: Order) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut low = full_key(tree, prefix);
    let mut high = successor(&low);
    match (after, order) {
        (Some(after), Order::Ascending) => {
            let mut beyond = full_key(tree, after);
            beyond.push(0);
            low = low.max(beyond);
        }
        (Some(after), Order::Descending) => {
            let beyond = full_key(tree, after);
            high = Some(high.map_or(beyond.clone(), |high| high.min(beyond)));
        }
        (None, _) => (),
    }
    (low, high)
}

/// The smallest key above all that begin with `prefix`.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|b| *b != u8::MAX)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

/// A value with a check sum over key and value in front: sled's own do not cover everything that it reads.
fn with_check_sum(key: &[u8], value: &[u8]) -> Vec<u8> {
    let crc = crc32c::crc32c_append(crc32c::crc32c(key), value);
    let mut checked = crc.to_le_bytes().to_vec();
    checked.extend_from_slice(value);
    checked
}

fn checked(key: &[u8], stored: &[u8]) -> Result<Vec<u8>, IndexError> {
    let whole = stored
        .split_first_chunk::<4>()
        .filter(|(crc, value)| **crc == crc32c::crc32c_append(crc32c::crc32c(key), value).to_le_bytes());
    match whole {
        Some((_, value)) => Ok(value.to_vec()),
        None => Err(IndexError::Damaged(format!("the value of key {} was changed", hex::encode(key)))),
    }
}

/// What stands beside the pairs: how far they go, how many they are, and the exclusive or of their digests. With it a lost
/// or stale pair is found, which a check sum of its own cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Summary {
    position: u64,
    pairs: u64,
    digest: u128,
}

impl Summary {
    fn parse(stored: Option<&[u8]>) -> Result<Self, IndexError> {
        let Some(stored) = stored else {
            return Ok(Summary::default());
        };
        let value = checked(SUMMARY_KEY, stored)?;
        let damaged = || IndexError::Damaged("its summary".into());
        let (position, rest) = value.split_first_chunk().ok_or_else(damaged)?;
        let (pairs, digest) = rest.split_first_chunk().ok_or_else(damaged)?;
        Ok(Summary {
            position: u64::from_be_bytes(*position),
            pairs: u64::from_be_bytes(*pairs),
            digest: u128::from_be_bytes(digest.try_into().map_err(|_| damaged())?),
        })
    }

    fn to_stored(self) -> Vec<u8> {
        let mut value = self.position.to_be_bytes().to_vec();
        value.extend_from_slice(&self.pairs.to_be_bytes());
        value.extend_from_slice(&self.digest.to_be_bytes());
        with_check_sum(SUMMARY_KEY, &value)
    }

    fn add(&mut self, key: &[u8], stored: &[u8]) {
        self.pairs += 1;
        self.digest ^= pair_digest(key, stored);
    }

    fn remove(&mut self, key: &[u8], stored: &[u8]) {
        self.pairs -= 1;
        self.digest ^= pair_digest(key, stored);
    }
}

fn pair_digest(key: &[u8], stored: &[u8]) -> u128 {
    let mut bytes = (key.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(stored);
    let digest = Digest::of(&bytes).0;
    u128::from_be_bytes(*digest.first_chunk().expect("a digest has 32 bytes"))
}

/// By key: the value that is set, or that there is none any more.
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The changes of a batch, the last one of each key, and the summary after them.
fn settle(
    batch: Batch,
    mut summary: Summary,
    old: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, IndexError>,
) -> Result<(Changes, Summary), IndexError> {
    let changes: Changes = batch.changes.into_iter().collect();
    for (key, value) in &changes {
        if let Some(old) = old(key)? {
            summary.remove(key, &old);
        }
        if let Some(value) = value {
            summary.add(key, value);
        }
    }
    summary.position = batch.position;
    Ok((changes, summary))
}

/// An index in memory, for the simulator and for tests.
#[derive(Default)]
pub struct MemoryStore(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl MemoryStore {
    /// An empty index.
    pub fn new() -> Self {
        Self::default()
    }

    fn pairs(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KvStore for MemoryStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let key = full_key(tree, key);
        self.pairs().get(&key).map(|stored| checked(&key, stored)).transpose()
    }

    fn scan(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Pairs, IndexError> {
        let (low, high) = bounds(tree, prefix, after, order);
        if high.as_ref().is_some_and(|high| *high <= low) {
            return Ok(Vec::new());
        }
        let pairs = self.pairs();
        let found: Box<dyn Iterator<Item = (&Vec<u8>, &Vec<u8>)>> = match (high, order) {
            (Some(high), Order::Ascending) => Box::new(pairs.range(low..high)),
            (Some(high), Order::Descending) => Box::new(pairs.range(low..high).rev()),
            (None, Order::Ascending) => Box::new(pairs.range(low..)),
            (None, Order::Descending) => Box::new(pairs.range(low..).rev()),
        };
        found
            .take(limit.min(SCAN_PAIRS_MAX))
            .map(|(key, stored)| Ok((key[1..].to_vec(), checked(key, stored)?)))
            .collect()
    }

    fn apply(&self, batch: Batch) -> Result<(), IndexError> {
        let mut pairs = self.pairs();
        let summary = Summary::parse(pairs.get(SUMMARY_KEY).map(Vec::as_slice))?;
        let (changes, summary) = settle(batch, summary, |key| Ok(pairs.get(key).cloned()))?;
        for (key, value) in changes {
            match value {
                Some(value) => pairs.insert(key, value),
                None => pairs.remove(&key),
            };
        }
        pairs.insert(SUMMARY_KEY.to_vec(), summary.to_stored());
        Ok(())
    }

    fn position(&self) -> Result<u64, IndexError> {
        Summary::parse(self.pairs().get(SUMMARY_KEY).map(Vec::as_slice)).map(|s| s.position)
    }

    fn sync(&self) -> Result<(), IndexError> {
        Ok(())
    }

    fn clear(&self) -> Result<(), IndexError> {
        self.pairs().clear();
        Ok(())
    }
}

/// What was found when the index was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An index that can be used, up to some position.
    Kept,
    /// None: it is to be built from the first entry on.
    Nothing,
    /// One that could not be used. It was moved aside, and the new one is to be built from the first entry on.
    Damaged {
        /// Where the old one lies now.
        aside: PathBuf,
        /// What was wrong with it.
        why: String,
    },
}

/// An index in sled. Opened, applied to and synced on a thread that may block.
pub struct SledStore {
    db: sled::Db,
    /// sled's own data file: its `flush` leaves the bytes in the kernel's cache.
    data: fs::File,
}

impl SledStore {
    /// Opens the index in `dir`. One that cannot be opened is moved aside and a new one begun.
    ///
    /// # Errors
    /// [`IndexError::Store`] when not even a new one can be made.
    pub fn open(dir: &Path) -> Result<(Self, Found), IndexError> {
        let was_there = dir.exists();
        // A damaged summary shows at once, and not only when the first batch is applied.
        let opened = Self::try_open(dir).and_then(|store| store.summary().map(|summary| (store, summary)));
        match opened {
            Ok((store, summary)) if was_there && summary.position > 0 => Ok((store, Found::Kept)),
            Ok((store, _)) => Ok((store, Found::Nothing)),
            Err(why) if was_there => {
                let aside = Self::move_aside(dir)?;
                let store = Self::try_open(dir)?;
                Ok((store, Found::Damaged { aside, why: why.to_string() }))
            }
            Err(why) => Err(why),
        }
    }

    fn try_open(dir: &Path) -> Result<Self, IndexError> {
        Self::open_unlocked(dir, || std::thread::sleep(LOCK_PAUSE))
    }

    /// Opens what is on disk, and where it is locked tries again after each pause.
    fn open_unlocked(dir: &Path, mut pause: impl FnMut()) -> Result<Self, IndexError> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .mode(sled::Mode::HighThroughput)
            .flush_every_ms(None);
        let mut pauses = 0;
        guarded(|| {
            let db = loop {
                match config.open() {
                    Err(error) if is_locked(&error) && pauses < LOCK_PAUSES_MAX => pause(),
                    opened => break opened?,
                }
                pauses += 1;
            };
            let data = fs::File::open(dir.join("db"))?;
            Ok(SledStore { db, data })
        })
    }

    /// Reads everything and compares it with the summary: whether a pair was lost, is stale or was changed. Until it has
    /// said yes, answers of an index that was [`Found::Kept`] may be wrong. Takes about a second for a million pairs.
    ///
    /// # Errors
    /// [`IndexError::Damaged`]: delete the index, or open it after moving it aside, and build it again.
    pub fn check(&self) -> Result<(), IndexError> {
        let found = guarded(|| {
            let mut found = Summary::default();
            for pair in self.db.iter() {
                let (key, stored) = pair?;
                if key != SUMMARY_KEY {
                    found.add(&key, &stored);
                }
            }
            Ok(found)
        })?;
        let summary = self.summary()?;
        if (found.pairs, found.digest) == (summary.pairs, summary.digest) {
            return Ok(());
        }
        let what =
            format!("it holds {} pairs where {} were written, or stale ones", found.pairs, summary.pairs);
        Err(IndexError::Damaged(what))
    }

    fn summary(&self) -> Result<Summary, IndexError> {
        let stored = guarded(|| self.db.get(SUMMARY_KEY))?;
        Summary::parse(stored.as_deref())
    }

    /// Moves an index aside that was found damaged after it was opened. It must not be open any more.
    ///
    /// # Errors
    /// [`IndexError::Store`].
    pub fn move_aside(dir: &Path) -> Result<PathBuf, IndexError> {
        let aside = free_name(dir);
        fs::rename(dir, &aside).map_err(|e| IndexError::Store(e.to_string()))?;
        Ok(aside)
    }
}

/// A name beside `dir` that is not taken.
fn free_name(dir: &Path) -> PathBuf {
    (1..)
        .map(|n| {
            let mut name = dir.as_os_str().to_owned();
            name.push(format!(".damaged-{n}"));
            PathBuf::from(name)
        })
        .find(|path| !path.exists())
        .expect("numbers do not end")
}

/// sled says so in words only.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().starts_with("could not acquire lock"))
}

/// Runs something of sled's: its errors and its panics become values.
fn guarded<T>(act: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(sled::Error::Corruption { .. })) => Err(IndexError::Damaged("sled found corruption".into())),
        Ok(Err(other)) => Err(IndexError::Store(other.to_string())),
        Err(panic) => Err(IndexError::Damaged(format!("sled gave up: {}", panic_text(panic.as_ref())))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "without a reason".to_owned())
}

impl KvStore for SledStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let key = full_key(tree, key);
        let stored = guarded(|| self.db.get(&key))?;
        stored.map(|stored| checked(&key, &stored)).transpose()
    }

    fn scan(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Pairs, IndexError> {
        let (low, high) = bounds(tree, prefix, after, order);
        if high.as_ref().is_some_and(|high| *high <= low) {
            return Ok(Vec::new());
        }
        let limit = limit.min(SCAN_PAIRS_MAX);
        let pairs = guarded(|| {
            let found = match high {
                Some(high) => self.db.range(low..high),
                None => self.db.range(low..),
            };
            match order {
                Order::Ascending => found.take(limit).collect::<Result<Vec<_>, _>>(),
                Order::Descending => found.rev().take(limit).collect(),
            }
        })?;
        pairs.into_iter().map(|(key, stored)| Ok((key[1..].to_vec(), checked(&key, &stored)?))).collect()
    }

    fn apply(&self, batch: Batch) -> Result<(), IndexError> {
        let old = |key: &[u8]| Ok(guarded(|| self.db.get(key))?.map(|stored| stored.to_vec()));
        let (changes, summary) = settle(batch, self.summary()?, old)?;
        let mut applied = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => applied.insert(key, value),
                None => applied.remove(key),
            }
        }
        applied.insert(SUMMARY_KEY, summary.to_stored());
        guarded(|| self.db.apply_batch(applied))
    }

    fn position(&self) -> Result<u64, IndexError> {
        self.summary().map(|s| s.position)
    }

    fn sync(&self) -> Result<(), IndexError> {
        guarded(|| self.db.flush())?;
        self.data.sync_data().map_err(|e: io::Error| IndexError::Store(e.to_string()))
    }

    fn clear(&self) -> Result<(), IndexError> {
        guarded(|| {
            // First of all, so that a half-cleared index says that it is at the start.
            self.db.remove(SUMMARY_KEY)?;
            self.db.clear()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(store: &dyn KvStore) {
        let mut batch = Batch::new(7);
        for (tree, key) in [(1, "a"), (1, "b1"), (1, "b2"), (1, "b3"), (1, "c"), (2, "b2")] {
            batch.put(Tree(tree), key.as_bytes(), key.as_bytes()).expect("small");
        }
        store.apply(batch).expect("applied");
    }

    #[test]
    fn an_index_whose_lock_is_held_for_a_moment_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("index");
        let (store, _) = SledStore::open(&path).expect("opens");
        filled(&store);
        store.sync().expect("durable");
        drop(store);
        let held = fs::File::open(path.join("db")).expect("sled's file");
        held.lock().expect("nobody holds it");
        let mut held = Some(held);
        let store = SledStore::open_unlocked(&path, || drop(held.take())).expect("opens when it is free");
        assert_eq!(store.position().expect("read"), 7);
        drop(store);
        let held = fs::File::open(path.join("db")).expect("sled's file");
        held.lock().expect("nobody holds it");
        let mut pauses = 0;
        assert!(SledStore::open_unlocked(&path, || pauses += 1).is_err(), "not for ever");
        assert_eq!(pauses, LOCK_PAUSES_MAX);
    }

    fn check(store: &dyn KvStore) {
        filled(store);
        let keys = |prefix: &str, after: Option<&str>, order, limit| {
            let found = store.scan(Tree(1), prefix.as_bytes(), after.map(str::as_bytes), order, limit);
            let keys = found.expect("read").into_iter().map(|(key, _)| String::from_utf8(key).expect("text"));
            keys.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(keys("b", None, Order::Ascending, 9), "b1 b2 b3");
        assert_eq!(keys("b", None, Order::Descending, 2), "b3 b2");
        assert_eq!(keys("b", Some("b1"), Order::Ascending, 9), "b2 b3");
        assert_eq!(keys("b", Some("b3"), Order::Descending, 9), "b2 b1");
        assert_eq!(keys("", None, Order::Ascending, 9), "a b1 b2 b3 c");
        assert_eq!(keys("b", Some("c"), Order::Ascending, 9), "");
        assert_eq!(store.get(Tree(2), b"b2").expect("read"), Some(b"b2".to_vec()));
        let mut batch = Batch::new(8);
        batch.remove(Tree(1), b"b2");
        store.apply(batch).expect("applied");
        assert_eq!(store.get(Tree(1), b"b2").expect("read"), None);
        assert_eq!(store.position().expect("read"), 8);
        store.sync().expect("synced");
        store.clear().expect("cleared");
        assert_eq!(store.position().expect("read"), 0);
        assert_eq!(store.scan(Tree(1), b"", None, Order::Ascending, 9).expect("read"), []);
        filled(store);
        assert_eq!(keys("b", None, Order::Ascending, 9), "b1 b2 b3");
    }

    #[test]
    fn both_stores_answer_alike() {
        check(&MemoryStore::new());
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (store, found) = SledStore::open(&dir.path().join("index")).expect("opened");
        assert_eq!(found, Found::Nothing);
        check(&store);
    }

    #[test]
    fn the_summary_is_true_in_whatever_order_keys_come_and_go() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("index");
        let (mut store, _) = SledStore::open(&path).expect("opened");
        let memory = MemoryStore::new();
        let mut state = 7u64;
        let mut draw = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for position in 1..=60 {
            let mut batch = Batch::new(position);
            for _ in 0..8 {
                let (tree, key) = (Tree(1 + draw(3) as u8), format!("{:03}", draw(200)));
                match draw(4) {
                    0 => batch.remove(tree, key.as_bytes()),
                    value => batch.put(tree, key.as_bytes(), &[value as u8]).expect("small"),
                }
            }
            store.apply(batch.clone()).expect("applied");
            memory.apply(batch).expect("applied");
            let expected = Summary::parse(memory.pairs().get(SUMMARY_KEY).map(Vec::as_slice));
            assert_eq!(store.summary().expect("read"), expected.expect("read"), "after batch {position}");
            store.check().expect("what stands there is what the summary says");
            if position % 20 == 0 {
                store.sync().expect("synced");
                drop(store);
                store = SledStore::open(&path).expect("opened").0;
            }
        }
    }

    #[test]
    fn an_index_is_kept_and_a_damaged_one_is_moved_aside() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("index");
        let (store, _) = SledStore::open(&path).expect("opened");
        filled(&store);
        store.sync().expect("synced");
        drop(store);
        let (store, found) = SledStore::open(&path).expect("opened");
        assert_eq!((found, store.position().expect("read")), (Found::Kept, 7));
        drop(store);
        fs::remove_dir_all(&path).expect("removed");
        fs::write(&path, b"not a directory").expect("written");
        let (store, found) = SledStore::open(&path).expect("opened");
        let Found::Damaged { aside, .. } = found else {
            panic!("{found:?}");
        };
        assert!(aside.exists());
        assert_eq!(store.position().expect("read"), 0);
    }

    #[test]
    fn a_flipped_bit_in_sleds_file_is_never_silent() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("index");
        let (store, _) = SledStore::open(&path).expect("opened");
        let pairs = |n: u64| (format!("key {n}").into_bytes(), format!("{n:0200}").into_bytes());
        for position in 1..=20 {
            let mut batch = Batch::new(position);
            for n in 0..40 {
                let (key, value) = pairs(position * 100 + n);
                batch.put(Tree(1), &key, &value).expect("small");
            }
            store.apply(batch).expect("applied");
        }
        store.sync().expect("synced");
        drop(store);
        let whole = fs::read(path.join("db")).expect("read");
        let used = whole.iter().rposition(|b| *b != 0).expect("not empty") + 1;
        let (mut found_at, places) = (0, 60);
        for place in 0..places {
            let copy = dir.path().join(format!("copy-{place}"));
            fs::create_dir(&copy).expect("made");
            fs::copy(path.join("conf"), copy.join("conf")).expect("copied");
            let mut bytes = whole.clone();
            bytes[place * used / places] ^= 1 << (place % 8);
            fs::write(copy.join("db"), bytes).expect("written");
            let (store, found) = SledStore::open(&copy).expect("opened");
            if found != Found::Kept || store.check().is_err() {
                found_at += 1;
                continue;
            }
            // What passes must be what was written, up to the position that it says.
            for position in 1..=store.position().expect("read") {
                let (key, value) = pairs(position * 100 + 7);
                assert_eq!(store.get(Tree(1), &key).expect("read"), Some(value), "place {place}");
            }
        }
        assert!(found_at > 0, "no flip was found, so none was looked for");
    }

    #[test]
    fn a_changed_value_is_never_believed() {
        let key = full_key(Tree(1), b"key");
        let stored = with_check_sum(&key, b"value");
        assert_eq!(checked(&key, &stored).expect("whole"), b"value");
        for bit in 0..stored.len() * 8 {
            let mut changed = stored.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(checked(&key, &changed).is_err(), "bit {bit}");
        }
        assert!(checked(b"other", &stored).is_err());
    }

    #[test]
    fn a_large_value_is_refused() {
        let refused = Batch::new(0).put(Tree(1), b"k", &vec![0; VALUE_BYTES_MAX + 1]);
        assert!(matches!(refused, Err(IndexError::TooLarge { .. })));
    }
}
