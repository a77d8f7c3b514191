//! Closed runs: many in a block of the heap, sealed, and a row for each block. A row for each run was the dearest part of a
//! life-cycle's way into the index.
//!
//! A block holds runs that ended while a batch was gathered, ascending by id: `id ‖ len u32 ‖ encoding` each. Its row's key is
//! its last id and its place, its row's value its first id. All its runs were posted within one span, so whoever looks
//! for a run looks at the rows of one span, from the run's own id on.

use super::{CLOSED, NotReady, Rows, Stored, unreadable};
use artel_audit::KeyRing;
use artel_audit::heap::{BLOCK_BYTES_MAX, Blocks};
use artel_audit::index::{IndexError, Order};
use artel_federation::ClosedRun;
use artel_federation::run::Run;
use artel_protocol::codec;
use artel_protocol::id::RunId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// With how many bytes a block is full (16 KiB): whoever looks for one run opens all of it.
const BLOCK_BYTES: usize = 16 << 10;

/// How many low bits of an id's milliseconds one span covers, 64 ms.
const SPAN_BITS: u32 = 6;

/// How many rows are read at once. Who looks for one run finds it in the first or second, unless many of its span ended apart.
const ROWS_AT_ONCE: usize = 8;

/// With how many bytes of runs a batch is full (16 MiB).
const BYTES_MAX: usize = 16 << 20;

/// The most bytes of a run in a block (8 MiB), more than the rules let a closed one have. A longer one would not be found by its id.
const ENCODED_BYTES_MAX: usize = 8 << 20;

const _: () = assert!(BLOCK_BYTES + ENCODED_BYTES_MAX < BLOCK_BYTES_MAX);

const ID_BYTES: usize = 16;
const LEN_BYTES: usize = 4;

/// Gathers closed runs and makes blocks of them, in room that it keeps: what was given back would have to be taken anew for
/// each batch.
#[derive(Default)]
pub(super) struct Packer {
    runs: Vec<Arc<ClosedRun>>,
    /// How many bytes they count.
    bytes: usize,
    blocks: Blocks,
    /// The block that is not full yet, and its first and last run.
    filling: Vec<u8>,
    ends: Option<(RunId, RunId)>,
}

impl Packer {
    /// Takes in runs that ended.
    pub fn take(&mut self, closed: &[Arc<ClosedRun>]) {
        self.runs.extend_from_slice(closed);
        self.bytes += closed.iter().map(|run| run.bytes() as usize).sum::<usize>();
    }

    /// How many runs it holds.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether it holds so much that a batch is to be written.
    pub fn is_full(&self) -> bool {
        self.bytes >= BYTES_MAX
    }

    /// Lets go of what it holds.
    pub fn forget(&mut self) {
        self.runs.clear();
        self.bytes = 0;
    }

    /// Packs what it holds into blocks behind the heap's end, and puts a row for each block.
    ///
    /// # Errors
    /// None is known: a block is never too long.
    pub fn pack(&mut self, end: u64, ring: &KeyRing, rows: &mut Rows) -> Result<&Blocks, IndexError> {
        self.blocks.begin(end);
        self.filling.clear();
        let mut runs = std::mem::take(&mut self.runs);
        self.bytes = 0;
        runs.sort_unstable_by_key(|run| run.id());
        for of_a_span in runs.chunk_by(|a, b| span(&a.id()) == span(&b.id())) {
            for run in of_a_span {
                self.add(run);
                if self.filling.len() >= BLOCK_BYTES {
                    self.put(ring, rows)?;
                }
            }
            self.put(ring, rows)?;
        }
        runs.clear();
        self.runs = runs;
        Ok(&self.blocks)
    }

    fn add(&mut self, run: &ClosedRun) {
        let (id, encoded) = (run.id(), run.encoded());
        if encoded.len() > ENCODED_BYTES_MAX {
            return;
        }
        self.filling.extend_from_slice(id.bytes());
        self.filling.extend_from_slice(&(encoded.len() as u32).to_le_bytes());
        self.filling.extend_from_slice(encoded);
        self.ends = Some((self.ends.map_or(id, |(first, _)| first), id));
    }

    fn put(&mut self, ring: &KeyRing, rows: &mut Rows) -> Result<(), IndexError> {
        let Some((first, last)) = self.ends.take() else { return Ok(()) };
        let key = [last.bytes().as_slice(), &self.blocks.end().to_be_bytes()].concat();
        self.blocks.push(&ring.seal_value(&mut rand::rng(), &context(&key), &self.filling))?;
        rows.push((CLOSED, key, first.bytes().to_vec()));
        self.filling.clear();
        self.filling.shrink_to(2 * BLOCK_BYTES);
        Ok(())
    }
}

/// A row, and with it which runs may stand in its block.
struct Row {
    key: Vec<u8>,
    first: [u8; ID_BYTES],
    last: [u8; ID_BYTES],
    place: u64,
}

impl Row {
    fn read((key, first): (Vec<u8>, Vec<u8>)) -> Option<Self> {
        let (last, place) = key.split_first_chunk()?;
        let place = u64::from_be_bytes(place.try_into().ok()?);
        Some(Row { first: first.try_into().ok()?, last: *last, place, key })
    }

    /// The block's runs whose id is wanted; none where their data key was erased.
    fn open(
        &self,
        stored: &Stored,
        ring: &KeyRing,
        is_wanted: impl Fn(&[u8; ID_BYTES]) -> bool,
    ) -> Result<Vec<Run>, NotReady> {
        let block = stored.heap.read(self.place).map_err(unreadable)?;
        let opened = ring.open_value(&context(&self.key), &block).unwrap_or_default();
        let (mut left, mut runs) = (opened.as_slice(), Vec::new());
        while let Some((id, rest)) = left.split_first_chunk()
            && let Some((len, rest)) = rest.split_first_chunk::<LEN_BYTES>()
            && let Some((run, rest)) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)
        {
            if is_wanted(id) {
                runs.extend(codec::decode_large::<Run>(run).ok());
            }
            left = rest;
        }
        Ok(runs)
    }
}

/// The rows behind a key, or before it.
fn rows(stored: &Stored, after: Option<&[u8]>, order: Order) -> Result<Vec<Row>, NotReady> {
    let rows = stored.rows.scan(CLOSED, &[], after, order, ROWS_AT_ONCE).map_err(unreadable)?;
    Ok(rows.into_iter().filter_map(Row::read).collect())
}

/// The rows of a run's span whose last id is the run's or a later one, ascending.
fn rows_from(
    stored: &Stored,
    id: &RunId,
    mut each: impl FnMut(&Row) -> Result<bool, NotReady>,
) -> Result<(), NotReady> {
    let mut after = id.bytes().to_vec();
    loop {
        let found = rows(stored, Some(&after), Order::Ascending)?;
        for row in &found {
            if span_of(&row.last) != span(id) || each(row)? {
                return Ok(());
            }
        }
        match found.into_iter().last() {
            Some(row) => after = row.key,
            None => return Ok(()),
        }
    }
}

/// A closed run.
pub(super) fn stored_run(stored: &Stored, ring: &KeyRing, id: &RunId) -> Result<Option<Arc<Run>>, NotReady> {
    let mut found = None;
    rows_from(stored, id, |row| {
        if row.first <= *id.bytes() {
            found = row.open(stored, ring, |each| each == id.bytes())?.pop();
        }
        Ok(found.is_some())
    })?;
    Ok(found.map(Arc::new))
}

/// The newest closed runs before one, at most `limit`.
pub(super) fn stored_before(
    stored: &Stored,
    ring: &KeyRing,
    before: Option<RunId>,
    limit: usize,
) -> Result<BTreeMap<RunId, Arc<Run>>, NotReady> {
    let mut newest = Newest { runs: BTreeMap::new(), before, limit };
    if let Some(before) = &before {
        // Blocks in which runs before it stand beside later ones.
        rows_from(stored, before, |row| newest.take(row, stored, ring).map(|()| false))?;
    }
    let mut after = before.map(|id| id.bytes().to_vec());
    loop {
        let found = rows(stored, after.as_deref(), Order::Descending)?;
        for row in &found {
            if newest.is_full_without(&row.last) {
                return Ok(newest.runs);
            }
            newest.take(row, stored, ring)?;
        }
        match found.into_iter().last() {
            Some(row) => after = Some(row.key),
            None => return Ok(newest.runs),
        }
    }
}

/// The newest runs of those that were looked at.
struct Newest {
    runs: BTreeMap<RunId, Arc<Run>>,
    before: Option<RunId>,
    limit: usize,
}

impl Newest {
    /// Whether there are enough that are newer than this one.
    fn is_full_without(&self, id: &[u8; ID_BYTES]) -> bool {
        let oldest = self.runs.keys().next().filter(|_| self.runs.len() >= self.limit);
        self.limit == 0 || oldest.is_some_and(|oldest| oldest.bytes() > id)
    }

    fn take(&mut self, row: &Row, stored: &Stored, ring: &KeyRing) -> Result<(), NotReady> {
        let is_before = |id: &[u8; ID_BYTES]| self.before.as_ref().is_none_or(|before| id < before.bytes());
        if !is_before(&row.first) {
            return Ok(());
        }
        let opened = row.open(stored, ring, |id| is_before(id) && !self.is_full_without(id))?;
        self.runs.extend(opened.into_iter().map(|run| (run.id, Arc::new(run))));
        while self.runs.len() > self.limit {
            self.runs.pop_first();
        }
        Ok(())
    }
}

fn context(key: &[u8]) -> Vec<u8> {
    [b"artel/1/index\0".as_slice(), &[CLOSED.0], key].concat()
}

fn span(id: &RunId) -> u64 {
    span_of(id.bytes())
}

/// Of an id's milliseconds, which are its first six bytes.
fn span_of(id: &[u8; ID_BYTES]) -> u64 {
    id[..6].iter().fold(0, |ms, byte| ms << 8 | u64::from(*byte)) >> SPAN_BITS
}

#[cfg(test)]
mod tests {
    use super::super::fixture::run;
    use super::*;
    use artel_protocol::time::Wall;

    struct Home {
        stored: Stored,
        ring: KeyRing,
        packer: Packer,
        all: BTreeMap<RunId, Arc<Run>>,
        rows: usize,
        position: u64,
    }

    impl Home {
        fn new() -> Self {
            let ring = KeyRing::generate(&mut rand::rng());
            let packer = Packer::default();
            Home { stored: Stored::in_memory(), ring, packer, all: BTreeMap::new(), rows: 0, position: 0 }
        }

        fn close(&mut self, runs: Vec<Arc<Run>>) {
            self.all.extend(runs.iter().map(|run| (run.id, run.clone())));
            let mut rows = Rows::new();
            let closed: Vec<_> = runs.iter().map(|run| Arc::new(ClosedRun::new(run.clone()))).collect();
            self.packer.take(&closed);
            assert_eq!(self.packer.len(), runs.len());
            let end = self.stored.end().expect("read");
            let blocks = self.packer.pack(end, &self.ring, &mut rows).expect("none is too long");
            self.rows += rows.len();
            self.position += 1;
            self.stored.apply(self.position, rows, blocks).expect("written");
        }

        fn check(&self) {
            for (id, run) in &self.all {
                let found = stored_run(&self.stored, &self.ring, id).expect("read");
                assert_eq!(found.as_ref(), Some(run));
            }
            let ids: Vec<RunId> = self.all.keys().copied().collect();
            let between = |id: &RunId| RunId::new(Wall(ms_of(id)), [0xff; 9]);
            for before in [None].into_iter().chain(ids.iter().flat_map(|id| [Some(*id), Some(between(id))])) {
                for limit in [0, 1, 3, 40, 1_000] {
                    let found = stored_before(&self.stored, &self.ring, before, limit).expect("read");
                    let older = ids.iter().rev().filter(|id| before.is_none_or(|before| **id < before));
                    let expected: Vec<RunId> = older.take(limit).copied().collect();
                    assert_eq!(found.into_keys().rev().collect::<Vec<_>>(), expected, "{before:?}, {limit}");
                }
            }
        }
    }

    fn ms_of(id: &RunId) -> u64 {
        id.bytes()[..6].iter().fold(0, |ms, byte| ms << 8 | u64::from(*byte))
    }

    #[test]
    fn runs_that_end_in_any_order_are_found_by_id_and_listed_newest_first() {
        let mut state = 7u64;
        let mut draw = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut home = Home::new();
        // Most end soon after they were posted; some are as old as the node.
        for batch in 0..40u64 {
            let now = 1_700_000_000_000 + batch * 50;
            let runs = (0..draw(30)).map(|_| {
                let age = if draw(5) == 0 { draw(batch * 50 + 1) } else { draw(40) };
                run(now - age, draw(1 << 60), draw(3_000) as usize)
            });
            home.close(runs.collect());
        }
        home.check();
        let unknown = run(1_700_000_000_500, 1, 0).id;
        assert_eq!(stored_run(&home.stored, &home.ring, &unknown).expect("read"), None);
    }

    #[test]
    fn runs_that_end_together_share_rows() {
        let mut home = Home::new();
        home.close((0..1_000).map(|n| run(1_700_000_000_000 + n / 10, n, 500)).collect());
        assert!((35..60).contains(&home.rows), "{}", home.rows);
        home.check();
    }

    #[test]
    fn a_run_of_any_length_has_a_place_or_is_left_out() {
        let mut home = Home::new();
        let runs = [10, ENCODED_BYTES_MAX - 1_000, 20, ENCODED_BYTES_MAX + 1, 30];
        let runs = runs.iter().zip(0..).map(|(bytes, n)| run(1_700_000_000_000, n, *bytes));
        home.close(runs.collect());
        let is_lost = |id: &RunId| stored_run(&home.stored, &home.ring, id).expect("read").is_none();
        let lost: Vec<RunId> = home.all.keys().copied().filter(is_lost).collect();
        assert_eq!(lost.len(), 1);
        home.all.retain(|id, _| !lost.contains(id));
        home.check();
    }

    #[test]
    fn what_stands_on_disk_tells_nothing_of_a_run_without_the_key() {
        let mut home = Home::new();
        home.close(vec![run(1_700_000_000_000, 1, 100)]);
        let id = *home.all.keys().next().expect("one");
        let other = KeyRing::generate(&mut rand::rng());
        assert_eq!(stored_run(&home.stored, &other, &id).expect("read"), None);
        let block = home.stored.heap.read(0).expect("a block");
        assert!(!block.windows(8).any(|part| part == b"xxxxxxxx"));
    }
}
