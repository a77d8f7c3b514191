//! Three authors' frames, a store of them on a disk in memory with an index that forgets as sled does, and a plain model of
//! what it must hold.
#![allow(dead_code, reason = "each test file uses its own part")]

use artel_audit::files::Files;
use artel_audit::index::{Batch, IndexError, KvStore, MemoryStore, Order, Pairs, Tree};
use artel_audit::memory::MemoryDisk;
use artel_audit::records::{Error, Item, Kept, Limits, Mark, NewFrame, Opened, RecordStore, Records};
use artel_protocol::holes::clipped;
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, PublicKey};
use artel_protocol::log::Origin;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

pub const FEDERATION: FederationId = FederationId([2; 32]);

pub const AUTHORS: usize = 3;

/// Frames of each author.
pub const FRAMES: usize = 60;

/// One more than the highest record of an author.
pub const RECORDS: u64 = 150;

/// Two of the authors are lives of one node.
pub fn author(at: usize) -> Origin {
    let node = NodeId(PublicKey::from_bytes([1 + (at as u8) / 2; 32]));
    Origin::new(FEDERATION, node, at as u32 % 2)
}

/// The record of a commit that has a frame of its own: of each other commit another one, so that frames begin and end with
/// single records and with several in a row.
fn alone_in(commit: u64) -> u64 {
    [3, 1][(commit % 2) as usize]
}

/// An author's frame. Each commit has five records and two frames.
pub fn frame(author_at: usize, at: usize) -> NewFrame {
    let (commit, is_alone) = (at as u64 / 2, at % 2 == 1);
    let numbers = (0..5).filter(|n| (*n == alone_in(commit)) == is_alone);
    let items = numbers.map(|n| {
        let public_seq = commit * 5 + n;
        Item { public_seq, index: public_seq * 3 + 1 }
    });
    let len = [5, 90, 300, 700][(author_at + at * 7) % 4];
    let mut bytes = format!("{author_at}/{at} ").into_bytes();
    bytes.resize(len, b'.');
    NewFrame { origin: author(author_at), topic: u8::from(is_alone), bytes, items: items.collect() }
}

/// Which of an author's frames a record is in.
pub fn frame_at(seq: u64) -> usize {
    (seq / 5 * 2 + u64::from(seq % 5 == alone_in(seq / 5))) as usize
}

/// The frame that a record is in.
pub fn frame_of(author_at: usize, seq: u64) -> NewFrame {
    frame(author_at, frame_at(seq))
}

pub fn limits() -> Limits {
    Limits { segment_bytes: 3 << 10, ..Limits::default() }
}

/// An index that forgets what was not synced, and fails when it is told to.
#[derive(Default)]
pub struct TestIndex {
    inner: MemoryStore,
    log: Mutex<Log>,
}

/// What became of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Its check sum does not hold.
    Damaged,
    /// It is gone, and nothing tells so.
    Lost,
}

#[derive(Default, Clone)]
struct Log {
    harmed: Option<(u8, Vec<u8>, Harm)>,
    changes: Vec<Option<Batch>>,
    synced: usize,
    calls: u64,
    fails_at: Option<u64>,
}

impl TestIndex {
    /// The index as it is found after a power loss: some of what was not synced is there, in order.
    pub fn after_crash(&self, seed: u64) -> Arc<TestIndex> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let more = seed as usize % (log.changes.len() - log.synced + 1);
        let found = TestIndex::default();
        for change in &log.changes[..log.synced + more] {
            match change {
                Some(batch) => found.apply(batch.clone()).expect("it was applied before"),
                None => found.clear().expect("it was cleared before"),
            }
        }
        found.sync().expect("it is in memory");
        Arc::new(found)
    }

    /// Fails the call of this number that changes something, once.
    pub fn fail_at(&self, call: u64) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).fails_at = Some(call);
    }

    pub fn calls(&self) -> u64 {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).calls
    }

    /// All its pairs, with the tree that each is in.
    pub fn pairs(&self) -> Vec<(u8, Vec<u8>, Vec<u8>)> {
        let mut pairs = Vec::new();
        for tree in 1..=5 {
            let found = self.inner.scan(Tree(tree), b"", None, Order::Ascending, 1024).expect("in memory");
            assert!(found.len() < 1024);
            pairs.extend(found.into_iter().map(|(key, value)| (tree, key, value)));
        }
        pairs
    }

    /// Harms one pair, until the index is cleared.
    pub fn harm(&self, tree: u8, key: &[u8], harm: Harm) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).harmed = Some((tree, key.to_vec(), harm));
    }

    fn harm_of(&self, tree: Tree, key: &[u8]) -> Option<Harm> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let (harmed, its_key, harm) = log.harmed.as_ref()?;
        (*harmed == tree.0 && its_key == key).then_some(*harm)
    }

    fn call(&self) -> Result<(), IndexError> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let now = log.calls;
        log.calls += 1;
        if log.fails_at == Some(now) { Err(IndexError::Store("told to fail".into())) } else { Ok(()) }
    }
}

impl KvStore for TestIndex {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        match self.harm_of(tree, key) {
            Some(Harm::Damaged) => Err(IndexError::Damaged("a harmed pair".into())),
            Some(Harm::Lost) => Ok(None),
            None => self.inner.get(tree, key),
        }
    }

    fn scan(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Pairs, IndexError> {
        let mut pairs = self.inner.scan(tree, prefix, after, order, limit)?;
        if pairs.iter().any(|(key, _)| self.harm_of(tree, key) == Some(Harm::Damaged)) {
            return Err(IndexError::Damaged("a harmed pair".into()));
        }
        pairs.retain(|(key, _)| self.harm_of(tree, key).is_none());
        Ok(pairs)
    }

    fn apply(&self, batch: Batch) -> Result<(), IndexError> {
        self.call()?;
        self.log.lock().unwrap_or_else(PoisonError::into_inner).changes.push(Some(batch.clone()));
        self.inner.apply(batch)
    }

    fn position(&self) -> Result<u64, IndexError> {
        self.inner.position()
    }

    fn sync(&self) -> Result<(), IndexError> {
        self.call()?;
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.synced = log.changes.len();
        Ok(())
    }

    fn clear(&self) -> Result<(), IndexError> {
        self.call()?;
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.changes.push(None);
        log.harmed = None;
        self.inner.clear()
    }
}

pub fn open(disk: &MemoryDisk, index: &Arc<TestIndex>) -> Result<Opened, Error> {
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    RecordStore::open(files, index.clone(), FEDERATION, limits())
}

/// What the store must hold, by what it answered.
#[derive(Default, Clone, Debug)]
pub struct Model {
    /// Records that were called kept.
    pub kept: BTreeSet<(usize, u64)>,
    /// Records of appends that failed: after a crash they may be there.
    pub perhaps: BTreeSet<(usize, u64)>,
    /// Below this, records are gone.
    pub floors: BTreeMap<usize, u64>,
    /// The numbers of prunes that failed: below one of them, records may be gone.
    pub perhaps_floors: BTreeSet<(usize, u64)>,
}

impl Model {
    pub fn floor(&self, at: usize) -> u64 {
        self.floors.get(&at).copied().unwrap_or(0)
    }

    /// Appends frames, given by author and number.
    pub fn append(&mut self, store: &mut RecordStore, which: &[(usize, usize)]) -> Result<(), Error> {
        let frames: Vec<NewFrame> = which.iter().map(|(a, at)| frame(*a, *at)).collect();
        let records: Vec<Vec<(usize, u64)>> = (which.iter().zip(&frames))
            .map(|((a, _), frame)| frame.items.iter().map(|item| (*a, item.public_seq)).collect())
            .collect();
        let reader = store.reader();
        let held = |record: &(usize, u64)| reader.has(&author(record.0), record.1);
        let mut known: BTreeSet<(usize, u64)> = records.iter().flatten().copied().filter(held).collect();
        match store.append(frames) {
            Ok(kept) => {
                assert_eq!(kept.len(), which.len());
                for (kept, records) in kept.iter().zip(&records) {
                    // A prune that failed may have come through.
                    let floor = |at: usize| reader.mark(&author(at)).floor;
                    let wanted: Vec<(usize, u64)> =
                        records.iter().copied().filter(|(at, seq)| *seq >= floor(*at)).collect();
                    let expected = match wanted.iter().all(|record| known.contains(record)) {
                        true if wanted.len() < records.len() => Kept::Pruned,
                        true => Kept::Known,
                        false => Kept::New,
                    };
                    assert_eq!(*kept, expected);
                    known.extend(&wanted);
                    self.kept.extend(wanted);
                }
                Ok(())
            }
            Err(error) => {
                self.perhaps.extend(records.iter().flatten());
                for record in records.iter().flatten() {
                    assert!(!held(record) || known.contains(record), "{record:?} is held after {error}");
                }
                Err(error)
            }
        }
    }

    pub fn prune(&mut self, store: &mut RecordStore, at: usize, below: u64) -> Result<(), Error> {
        let done = store.prune(&author(at), below);
        if done.is_ok() {
            let floor = self.floors.entry(at).or_default();
            *floor = below.max(*floor);
        } else {
            self.perhaps_floors.insert((at, below));
        }
        done
    }

    /// What is held must be what was called kept, and perhaps more of what was given. Answers what is held.
    pub fn check(&self, reader: &Records) -> BTreeSet<(usize, u64)> {
        reader.take_notices();
        let mut held = BTreeSet::new();
        let marks: BTreeMap<Origin, Mark> = reader.marks().into_iter().collect();
        for at in 0..AUTHORS {
            let origin = author(at);
            let mark = marks.get(&origin).copied().unwrap_or_default();
            let is_known = mark.floor == self.floor(at) || self.perhaps_floors.contains(&(at, mark.floor));
            assert!(is_known && mark.floor >= self.floor(at), "author {at}: {mark:?}, {self:?}");
            for seq in 0..RECORDS + 3 {
                let has = reader.has(&origin, seq);
                let found = reader.frame(&origin, seq);
                assert_eq!(has, found.is_some(), "author {at}, record {seq}: held, and its frame");
                if has {
                    held.insert((at, seq));
                    assert_eq!(found, Some(frame_of(at, seq).bytes), "author {at}, record {seq}");
                    assert!(seq >= mark.floor, "author {at}, record {seq} was pruned");
                    let given = self.kept.contains(&(at, seq)) || self.perhaps.contains(&(at, seq));
                    assert!(given, "author {at}, record {seq} was never given");
                } else {
                    let must = self.kept.contains(&(at, seq)) && seq >= mark.floor;
                    assert!(!must, "author {at}, record {seq} was called kept");
                }
            }
            check_mark(reader, at, mark, &held);
            check_pages(reader, at, &held);
        }
        assert_eq!(reader.take_notices(), [], "nothing is left for a reader to find");
        held
    }

    /// Takes what is held for kept: what was open is settled.
    pub fn adopt(&mut self, reader: &Records) {
        self.kept = self.check(reader);
        self.floors = (0..AUTHORS).map(|at| (at, reader.mark(&author(at)).floor)).collect();
        self.perhaps.clear();
        self.perhaps_floors.clear();
    }
}

fn check_mark(reader: &Records, at: usize, mark: Mark, held: &BTreeSet<(usize, u64)>) {
    let seqs: Vec<u64> = held.range((at, 0)..(at + 1, 0)).map(|(_, seq)| *seq).collect();
    assert_eq!(mark, reader.mark(&author(at)));
    assert_eq!((mark.records, mark.last), (seqs.len() as u64, seqs.last().copied()), "author {at}");
    let next = (mark.floor..).find(|seq| !seqs.contains(seq)).expect("endless");
    assert_eq!(mark.next, next, "author {at}: {mark:?}");
    let holes: Vec<u64> = reader.holes(&author(at), 99).into_iter().flatten().collect();
    let last = mark.last.unwrap_or(0);
    assert_eq!(holes, (mark.next..last).filter(|seq| !seqs.contains(seq)).collect::<Vec<_>>());
    let frames: BTreeSet<Vec<u8>> = seqs.iter().map(|seq| frame_of(at, *seq).bytes).collect();
    let least: u64 = frames.iter().map(|bytes| bytes.len() as u64 + 68).sum();
    assert!(mark.bytes >= least && mark.bytes <= least + 48 * frames.len() as u64, "author {at}: {mark:?}");
}

/// All frames of an author, page by page: each once, in the order of their first records.
fn check_pages(reader: &Records, at: usize, held: &BTreeSet<(usize, u64)>) {
    let mut wanted: Vec<Vec<u8>> = Vec::new();
    for (_, seq) in held.range((at, 0)..(at + 1, 0)) {
        let bytes = frame_of(at, *seq).bytes;
        if !wanted.contains(&bytes) {
            wanted.push(bytes);
        }
    }
    for bytes_max in [1600, 5000, usize::MAX / 2] {
        let (mut found, mut from) = (Vec::new(), 0);
        loop {
            let (frames, next) = reader.frames(&author(at), from, bytes_max);
            if frames.is_empty() {
                break;
            }
            assert!(next > from);
            found.extend(frames);
            from = next;
        }
        assert!(found == wanted, "author {at}: {} frames, not {}", found.len(), wanted.len());
    }
    for ranges in
        [vec![0..1], vec![3..5, 9..10, 14..30], (0..40).map(|n| 3 * n + 1..3 * n + 2).collect::<Vec<_>>()]
    {
        let is_in = |seq: &u64| ranges.iter().any(|range| range.contains(seq));
        let seqs = held.range((at, 0)..(at + 1, 0)).map(|(_, seq)| *seq).filter(is_in);
        let wanted: BTreeSet<Vec<u8>> = seqs.map(|seq| frame_of(at, seq).bytes).collect();
        for bytes_max in [1600, usize::MAX / 2] {
            let (mut found, mut left) = (Vec::new(), ranges.clone());
            loop {
                let (frames, next) = reader.frames_in(&author(at), &left, bytes_max);
                if frames.is_empty() {
                    break;
                }
                assert!(next > left[0].start);
                found.extend(frames);
                left = clipped(&left, next..u64::MAX);
            }
            let each: BTreeSet<Vec<u8>> = found.iter().cloned().collect();
            assert_eq!(each, wanted, "author {at}, {ranges:?}");
            // Between answers one may stand twice.
            assert!(found.len() == each.len() || bytes_max == 1600, "author {at}, {ranges:?}");
        }
    }
}

/// A fixed life: appends in and out of order, some of them twice, prunes, feeding. Goes on after errors; says how many
/// there were.
pub fn live(store: &mut RecordStore, model: &mut Model, seed: u64, steps: u64) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    let mut failed = 0;
    for step in 0..steps {
        let near = (step * 2) as usize;
        let which: Vec<(usize, usize)> = (0..random.random_range(1..5))
            .map(|_| (random.random_range(0..AUTHORS), (near + random.random_range(0..8)) % FRAMES))
            .collect();
        failed += u64::from(model.append(store, &which).is_err());
        if step % 4 == 2 {
            failed += u64::from(store.feed().is_err());
        }
        if step % 5 == 4 {
            let (at, below) = (random.random_range(0..AUTHORS), random.random_range(0..near as u64 * 3));
            failed += u64::from(model.prune(store, at, below).is_err());
        }
    }
    failed
}
