//! Reads all public records for the evidence in them, this node's own and the kept ones, each journal in its order and
//! without a gap. What comes in order is read as it comes; the rest is read again from the journal and the record store.
//! Rebuildable: a file holds the book as it was lately, and without it everything is read once.

use super::shared::Shared;
use crate::clock::wall;
use crate::data;
use artel_audit::Reader;
use artel_audit::records::Records as Kept;
use artel_federation::evidence::{Book, FifthForm, Learnt, SixthForm};
use artel_protocol::codec::{self, Decode};
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

/// The form of the file. Of one before whose book has the same evidence, that is read, and what homes paid is kept from then on; with
/// any other the book is made anew: it would say otherwise, with the same marks.
const FORM: u32 = 7;

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
    /// As the file has it; an empty book where there is none, or where it is not of this journal. Where others' records were lost
    /// since, it has read more of them than are held: what they said stays, and when they come again they are read no more.
    pub fn restore(dir: &Path, me: &Origin, size: u64) -> Self {
        let read = std::fs::read(dir.join(FILE)).ok();
        let read = read.as_deref().and_then(decode);
        let read = read.filter(|(origin, own_index, _)| origin == me && *own_index <= size);
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
    let (form, rest) = bytes.split_first_chunk()?;
    match u32::from_le_bytes(*form) {
        FORM => codec::decode_large(rest).ok(),
        6 => before::<SixthForm>(rest),
        5 => before::<FifthForm>(rest),
        _ => None,
    }
}

fn before<T: Decode<()> + Into<Book>>(bytes: &[u8]) -> Option<(Origin, u64, Book)> {
    let (origin, own_index, book) = codec::decode_large::<(Origin, u64, T)>(bytes).ok()?;
    Some((origin, own_index, book.into()))
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
            if let Some((home, agent)) = Book::handed_in(&body) {
                self.book.keep_paid(home, agent);
            }
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
    use artel_protocol::amount::Credits;
    use artel_protocol::id::{Digest, Epoch, FederationId, RunId, StepId};
    use artel_protocol::key::{AgentId, PublicKey};
    use tempfile::TempDir;

    fn node(n: u8) -> NodeId {
        NodeId(PublicKey::from_bytes([n; 32]))
    }

    fn agent() -> AgentId {
        AgentId(PublicKey::from_bytes([7; 32]))
    }

    fn origin(n: u8) -> Origin {
        Origin::new(FederationId([3; 32]), node(n), 0)
    }

    fn step() -> StepId {
        RunId::new(Wall(1), [2; 9]).step(0)
    }

    fn body(fact: Fact) -> Vec<u8> {
        artel_federation::Entry { at: Wall(1), correlation: None, fact }.encode()
    }

    /// What a node says when it takes in a result and accepts it.
    fn accepts() -> [Fact; 2] {
        let (step, epoch, agent) = (step(), Epoch(1), agent());
        let (result, authority) = (Digest([1; 32]), Authority::Session);
        let submitted = Submitted { step, epoch, agent, result, authority, late: false, handed_at: None };
        let judgement = Judgement::Accepted { quality: 90, checked: true };
        [Fact::Submitted(submitted), Fact::Verdict(Verdict { step, epoch, agent, submitted: 0, judgement })]
    }

    /// A book that has read what these nodes said.
    fn book(nodes: &[u8]) -> Book {
        let (mut book, mut learnt) = (Book::default(), Vec::new());
        for n in nodes {
            for (at, fact) in (0..).zip(accepts()) {
                book.hear(origin(*n), (at, at), &body(fact), Wall(1), &mut learnt);
            }
        }
        book
    }

    fn encoded(form: u32, book: &Book) -> Vec<u8> {
        let mut bytes = Vec::new();
        codec::encode_large_into(&(form, origin(1), 2_u64, book), &mut bytes);
        bytes
    }

    #[test]
    fn a_book_of_a_form_before_is_read_where_its_evidence_is_the_same_and_else_made_anew() {
        let book = book(&[1]);
        let bytes = encoded(FORM, &book);
        assert_eq!(decode(&bytes), Some((origin(1), 2, book.clone())));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        // Two empty maps at its end.
        let evidence = encoded(5, &book);
        let evidence = &evidence[..evidence.len() - 16];
        assert_eq!(decode(evidence), Some((origin(1), 2, book.clone())));
        let mut sixth = encoded(6, &book);
        sixth.truncate(sixth.len() - 16);
        let paid = BTreeMap::from([(node(2), BTreeMap::from([(agent(), Credits(5))]))]);
        codec::encode_large_into(&(paid, 1_u64), &mut sixth);
        assert_eq!(
            decode(&sixth),
            Some((origin(1), 2, book.clone())),
            "whose payments those are is not known"
        );
        for form in [0, 1, 2, 3, 4, FORM + 1] {
            assert_eq!(decode(&encoded(form, &book)), None, "{form}");
        }
    }

    #[test]
    fn a_start_keeps_the_book_where_records_that_it_read_were_lost() {
        let dir = TempDir::new().expect("a directory");
        let read = book(&[1, 2]);
        std::fs::write(dir.path().join(FILE), encoded(FORM, &read)).expect("a good disk");
        let restored = |me: u8, size: u64| {
            let evidence = Evidence::restore(dir.path(), &origin(me), size);
            let state = evidence.state();
            (state.own_index, state.book.clone())
        };
        assert_eq!(restored(1, 2), (2, read));
        assert_eq!(restored(1, 1), (0, Book::default()), "its own journal is another one");
        assert_eq!(restored(2, 2), (0, Book::default()));
    }
}
