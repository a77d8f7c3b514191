//! Reads all public records for the evidence in them, this node's own and the kept ones, each journal in its order and
//! without a gap. What comes in order is read as it comes; the rest is read again from the journal and the record store.
//! Rebuildable: a file holds the book as it was lately, and without it everything is read once.

use super::shared::Shared;
use crate::clock::wall;
use crate::data;
use artel_audit::Reader;
use artel_audit::records::Records as Kept;
use artel_federation::evidence::{Book, Learnt};
use artel_protocol::codec;
use artel_protocol::key::NodeId;
use artel_protocol::log::{Class, Origin};
use artel_protocol::record::{Record, Records};
use artel_protocol::time::Wall;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The file in the data directory.
const FILE: &str = "evidence";

/// The form of the file; another one is not read, and the book is made anew. One that is taken over without what a newer one knows
/// would say otherwise than one that is made anew, with the same marks.
const FORM: u32 = 6;

/// After how many records the file is written anew. As many are read again at most at a start after a crash.
const RECORDS_EACH: u64 = 65_536;

/// How many records that came too early wait for those before them (some 300 bytes each), of all journals together. What
/// finds no place is read again from the store.
const EARLY_MAX: usize = 16_384;

/// How many entries of the own journal are read at once.
const STRIDE: u64 = 1_024;

/// How many bytes of entries or frames are read at once.
const READ_BYTES: usize = 1 << 20;

/// A public entry: its number, its index, and its body where the book wants to hear it.
pub(super) type Public = (u64, u64, Vec<u8>);

/// The book, and how far it was read.
pub(super) struct Evidence {
    state: Mutex<State>,
    /// Something may be there to be read again.
    pub news: Notify,
}

/// What is behind the lock.
pub(super) struct State {
    pub book: Book,
    /// The first entry of the own journal that was not read.
    own_index: u64,
    early: BTreeMap<(Origin, u64), (u64, Vec<u8>)>,
    since: u64,
    learnt: Vec<Learnt>,
}

impl Evidence {
    /// As the file has it; an empty book where there is none, or where it is not of these journals.
    pub fn restore(dir: &Path, me: &Origin, (size, kept): (u64, &Kept)) -> Self {
        let read = std::fs::read(dir.join(FILE)).ok();
        let read = read.as_deref().and_then(decode);
        let read = read.filter(|(origin, own_index, book)| {
            let holds = |origin: &Origin| origin == me || book.next(origin) <= kept.mark(origin).next;
            origin == me && *own_index <= size && book.marks().iter().all(|mark| holds(&mark.origin))
        });
        let (own_index, book) = read.map(|(_, own_index, book)| (own_index, book)).unwrap_or_default();
        let state = State { book, own_index, early: BTreeMap::new(), since: 0, learnt: Vec::new() };
        let evidence = Evidence { state: Mutex::new(state), news: Notify::new() };
        evidence.news.notify_one();
        evidence
    }

    /// The book. Never held over a wait.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears of the public entries among the own journal's from `from` on up to `end`.
    pub fn hear_own(&self, me: Origin, (from, end): (u64, u64), public: Vec<Public>) {
        if !self.state().read_own(me, (from, end), public) {
            self.news.notify_one();
        }
    }

    /// Hears of records that are kept now; below `floor` nothing is kept of their journal.
    pub fn hear(&self, records: &Records, floor: u64) {
        let mut state = self.state();
        state.take_early(records);
        if !state.read_early(&records.origin(), floor) {
            self.news.notify_one();
        }
    }

    /// Reads what there is to be read, and writes the file where enough was. Blocks on the disk.
    pub fn catch_up(&self, shared: &Shared) {
        self.state().book.tick(wall());
        let reader = shared.reader.get();
        if let Err(error) = self.catch_up_own(shared.me, &reader) {
            tracing::error!(%error, "own entries cannot be read for their evidence");
        }
        // Journals take turns: what waits for a record of another is then soon found.
        while shared.records.marks().into_iter().fold(false, |more, (origin, mark)| {
            self.read_on(&shared.records, &origin, (mark.floor, mark.next)) || more
        }) {}
        if self.state().since >= RECORDS_EACH {
            self.save(&shared.dir, &shared.me);
        }
    }

    fn catch_up_own(&self, me: Origin, reader: &Reader) -> Result<(), artel_audit::Error> {
        let size = reader.checkpoint().size();
        loop {
            let from = self.state().own_index;
            if from >= size || self.state().book.has_to_wait(&me) {
                return Ok(());
            }
            let stride: Vec<u64> = (from..size.min(from + STRIDE)).collect();
            let (entries, next) = reader.some(&stride, READ_BYTES)?;
            let end = next.unwrap_or(from + stride.len() as u64);
            let public = entries.into_iter().filter(|entry| entry.leaf.class() == Class::Public);
            let public = public.map(|entry| of_interest(entry.leaf.public_seq(), entry.index, entry.body));
            // Where the publisher came in between, this was read for nothing.
            self.state().read_own(me, (from, end), public.collect());
        }
    }

    /// Reads a page of a journal's kept records; whether it has read any.
    fn read_on(&self, kept: &Kept, origin: &Origin, (floor, held): (u64, u64)) -> bool {
        let next = {
            let mut state = self.state();
            state.read_early(origin, floor);
            let next = state.book.next(origin).max(floor);
            if next >= held || state.book.has_to_wait(origin) {
                return false;
            }
            next
        };
        let mut page = BTreeMap::new();
        for frame in kept.frames(origin, next, READ_BYTES).0 {
            // They were checked before they were kept; checking them again costs a signature for each frame.
            let Ok(records) = Records::check(&frame, &origin.federation()) else { continue };
            for record in records.records() {
                page.insert(record.public_seq, (record.index, body_of(record)));
            }
        }
        let (mut state, now) = (self.state(), wall());
        for (seq, (index, body)) in page.range(next..) {
            let next = state.book.next(origin).max(floor);
            if *seq > next || state.book.has_to_wait(origin) {
                break;
            }
            state.read(*origin, (*seq, *index), body, now);
        }
        state.read_early(origin, floor);
        state.book.next(origin) > next
    }

    /// Reads what is kept of a node's journals as far as it can be read by now, and writes the file: some of it is about to go.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// What the disk says: then what was read stands in the records alone, and none of them may go.
    pub fn read_up(&self, shared: &Shared, node: &NodeId) -> Result<(), data::Error> {
        for (origin, mark) in shared.records.marks_of(node) {
            while self.read_on(&shared.records, &origin, (mark.floor, mark.next)) {}
        }
        self.write(&shared.dir, &shared.me)
    }

    /// Writes the file, if that can be done: without it a start reads more records.
    pub fn save(&self, dir: &Path, me: &Origin) {
        if let Err(error) = self.write(dir, me) {
            tracing::warn!(%error, "the file of evidence cannot be written; a start reads all records instead");
        }
    }

    fn write(&self, dir: &Path, me: &Origin) -> Result<(), data::Error> {
        let mut bytes = Vec::new();
        {
            let mut state = self.state();
            state.since = 0;
            codec::encode_large_into(&(FORM, me, state.own_index, &state.book), &mut bytes);
        }
        data::replace(dir, FILE, &bytes)
    }
}

/// What a file says.
fn decode(bytes: &[u8]) -> Option<(Origin, u64, Book)> {
    codec::decode_large(bytes.strip_prefix(FORM.to_le_bytes().as_slice())?).ok()
}

/// What the book wants to know of a public entry.
pub(super) fn of_interest(public_seq: u64, index: u64, body: Vec<u8>) -> Public {
    (public_seq, index, if Book::is_of_interest(&body) { body } else { Vec::new() })
}

fn body_of(record: &Record) -> Vec<u8> {
    if Book::is_of_interest(&record.body) { record.body.clone() } else { Vec::new() }
}

impl State {
    /// Reads entries of the own journal, where they follow what was read of it; whether all of them were read.
    fn read_own(&mut self, me: Origin, (from, end): (u64, u64), public: Vec<Public>) -> bool {
        if from != self.own_index {
            return false;
        }
        let now = wall();
        for (public_seq, index, body) in public {
            self.read(me, (public_seq, index), &body, now);
            if self.book.has_to_wait(&me) {
                // It was not read: it comes again when its time has come.
                self.own_index = index;
                return false;
            }
        }
        self.own_index = end;
        true
    }

    fn take_early(&mut self, records: &Records) {
        let origin = records.origin();
        if self.book.has_to_wait(&origin) {
            return;
        }
        let next = self.book.next(&origin);
        for record in records.records().iter().filter(|record| record.public_seq >= next) {
            if self.early.len() < EARLY_MAX {
                self.early.insert((origin, record.public_seq), (record.index, body_of(record)));
            }
        }
    }

    /// Reads what is next of a journal as long as it is there; whether nothing of it is left that came too early.
    fn read_early(&mut self, origin: &Origin, floor: u64) -> bool {
        let now = wall();
        loop {
            let next = self.book.next(origin).max(floor);
            let Some(((_, seq), _)) = self.early.range((*origin, 0)..=(*origin, u64::MAX)).next() else {
                return true;
            };
            let key = (*origin, *seq);
            if key.1 > next || self.book.has_to_wait(origin) {
                return false;
            }
            let (index, body) = self.early.remove(&key).expect("just seen");
            self.read(*origin, (key.1, index), &body, now);
        }
    }

    fn read(&mut self, origin: Origin, place: (u64, u64), body: &[u8], now: Wall) {
        self.book.hear(origin, place, body, now, &mut self.learnt);
        self.learnt.clear();
        self.since += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_federation::fact::{Authority, Fact, Judgement, Submitted, Verdict};
    use artel_protocol::id::{Digest, Epoch, FederationId, RunId};
    use artel_protocol::key::{AgentId, PublicKey};

    #[test]
    fn a_book_of_a_form_before_is_made_anew() {
        let key = PublicKey::from_bytes([7; 32]);
        let (me, agent) = (Origin::new(FederationId([3; 32]), NodeId(key), 0), AgentId(key));
        let (mut book, mut learnt) = (Book::default(), Vec::new());
        let (step, epoch) = (RunId::new(Wall(1), [2; 9]).step(0), Epoch(1));
        let (result, authority) = (Digest([1; 32]), Authority::Session);
        let submitted = Submitted { step, epoch, agent, result, authority, late: false, handed_at: None };
        let judgement = Judgement::Accepted { quality: 90, checked: true };
        let verdict = Verdict { step, epoch, agent, submitted: 0, judgement };
        for (index, fact) in [Fact::Submitted(submitted), Fact::Verdict(verdict)].into_iter().enumerate() {
            let entry = artel_federation::Entry { at: Wall(1), correlation: None, fact };
            book.hear(me, (index as u64, index as u64), &entry.encode(), Wall(1), &mut learnt);
        }
        let mut bytes = Vec::new();
        codec::encode_large_into(&(FORM, me, 2u64, &book), &mut bytes);
        assert_eq!(decode(&bytes), Some((me, 2, book)));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        for before in 0..FORM {
            bytes[..4].copy_from_slice(&before.to_le_bytes());
            assert_eq!(decode(&bytes), None);
        }
    }
}
