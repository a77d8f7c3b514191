//! The evidence in a data directory, or a copy of one, without a node: its own journal and the records that it keeps of
//! others. Nothing is taken for granted: every frame's signature and proof are checked again, and what does not hold is left
//! out and said. Nothing is written.

use anyhow::{Context as _, bail};
use artel_audit::files::Files;
use artel_audit::records::frauds::{self, FoundFraud};
use artel_audit::records::{Scanned, scan};
use artel_audit::verify::{self, Outcome};
use artel_federation::evidence::{Book, Learnt};
use artel_federation::{Entry, Fact, Genesis};
use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use artel_protocol::log::{Class, Hash, Origin};
use artel_protocol::record::Records;
use artel_protocol::time::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many entries of the own journal are read at once.
const STRIDE: u64 = 1_024;

/// How many bytes of entries are read at once.
const READ_BYTES: usize = 1 << 20;

/// How many things that do not hold are told; more are only counted.
const TOLD_MAX: usize = 1_000;

/// What a directory's records say.
pub struct Found {
    /// Whose directory it is.
    pub me: Origin,
    /// The record of its federation.
    pub genesis: Genesis,
    /// All records' evidence.
    pub book: Book,
    /// The nodes that the directory holds a proof of a lie against, and what each has done.
    pub liars: BTreeMap<NodeId, &'static str>,
    /// What the records brought about, in the order in which they were read.
    pub learnt: Vec<Learnt>,
    /// How many records were read, of this node and of others.
    pub records: u64,
    /// Records that do not hold or are not there: of which journal, and what is wrong.
    pub refused: Vec<(Option<Origin>, String)>,
    /// How many more of these there are.
    pub refused_more: u64,
}

impl Found {
    /// The nodes that the directory holds a proof of a lie against.
    pub fn liars(&self) -> BTreeSet<NodeId> {
        self.liars.keys().copied().collect()
    }
}

/// A journal's public entries by number: index, and the body where it is of interest.
type Journal = BTreeMap<u64, (u64, Vec<u8>)>;

/// Reads a directory as of `now`.
///
/// # Errors
/// A directory without a journal, or whose own journal is damaged.
pub fn read(files: Arc<dyn Files>, now: Wall) -> anyhow::Result<Found> {
    read_with(files, now, &mut |_| {})
}

/// The same; `progress` hears how many of the own journal's entries were verified.
///
/// # Errors
/// As [`read`].
pub fn read_with(files: Arc<dyn Files>, now: Wall, progress: &mut dyn FnMut(u64)) -> anyhow::Result<Found> {
    let report = verify::directory_with(files.clone(), progress)?;
    if let Outcome::Damaged { file, what } = report.outcome {
        bail!("{file} is damaged: {what}; put it back from a copy");
    }
    let me = report.origin;
    let (genesis, own) = own_journal(&files)?;
    let mut refused = Refused::default();
    let liars = convicted(files.as_ref(), &me, &mut refused)?;
    let mut journals = kept(files, &me, &mut refused)?;
    journals.insert(me, own);
    let (mut book, mut learnt) = (Book::default(), Vec::new());
    let records = journals.values().map(|journal| journal.len() as u64).sum();
    for (home, agent) in journals[&me].values().filter_map(|(_, body)| Book::handed_in(body)) {
        book.keep_paid(home, agent);
    }
    hear_all(&mut book, journals, now, &mut learnt);
    for mark in book.marks().into_iter().filter(|mark| book.has_to_wait(&mark.origin)) {
        let what = format!("its record {} is dated ahead of this moment, so it is not read on", mark.next);
        refused.say(Some(mark.origin), what);
    }
    let Refused { told, more } = refused;
    Ok(Found { me, genesis, book, liars, learnt, records, refused: told, refused_more: more })
}

/// The nodes that a proof in the directory convicts, as far as it proves itself.
fn convicted(
    files: &dyn Files,
    me: &Origin,
    refused: &mut Refused,
) -> anyhow::Result<BTreeMap<NodeId, &'static str>> {
    let mut liars = BTreeMap::new();
    for FoundFraud { file, proof } in frauds::scan(files)? {
        match proof {
            Ok(fraud) if fraud.origin().federation() == me.federation() => {
                liars.insert(fraud.origin().node(), fraud.contradiction().name());
            }
            Ok(_) => refused.say(None, format!("{file}: a proof against a node of another federation")),
            Err(error) => refused.say(None, format!("{file}: {error}")),
        }
    }
    Ok(liars)
}

/// The federation's record and the public entries that the newest checkpoint covers.
fn own_journal(files: &Arc<dyn Files>) -> anyhow::Result<(Genesis, Journal)> {
    let reader = artel_audit::archive::open(files.clone())?;
    let size = reader.checkpoint().size();
    let (mut journal, mut genesis, mut index) = (Journal::new(), None, 0);
    while index < size {
        let stride: Vec<u64> = (index..size.min(index + STRIDE)).collect();
        let (entries, next) = reader.some(&stride, READ_BYTES)?;
        index = next.unwrap_or(index + stride.len() as u64);
        for entry in entries.into_iter().filter(|entry| entry.leaf.class() == Class::Public) {
            if entry.index == 0 {
                genesis = match Entry::decode(&entry.body)?.fact {
                    Fact::Genesis(genesis) => Some(genesis),
                    Fact::Joined(joined) => Some(joined.genesis),
                    _ => None,
                };
            }
            journal.insert(entry.leaf.public_seq(), (entry.index, of_interest(entry.body)));
        }
    }
    Ok((genesis.context("the journal does not begin with the record of its federation")?, journal))
}

/// What is kept of other journals, as far as it proves itself.
fn kept(
    files: Arc<dyn Files>,
    me: &Origin,
    refused: &mut Refused,
) -> anyhow::Result<BTreeMap<Origin, Journal>> {
    let federation = me.federation();
    let (mut journals, mut floors) = (BTreeMap::<Origin, Journal>::new(), BTreeMap::<Origin, u64>::new());
    let (mut roots, mut bodies) = (BTreeMap::<(Origin, u64), Hash>::new(), BTreeMap::new());
    let mut forked = BTreeSet::new();
    for scanned in scan(files, federation)? {
        let (origin, bytes) = match scanned? {
            Scanned::Frame { origin, bytes, .. } => (origin, bytes),
            Scanned::Floor { origin, below } => {
                let floor = floors.entry(origin).or_default();
                *floor = below.max(*floor);
                continue;
            }
            Scanned::Notice(notice) => {
                refused.say(None, notice.to_string());
                continue;
            }
        };
        let records = match Records::check(&bytes, &federation) {
            Ok(records) if records.origin() == origin => records,
            Ok(_) => {
                refused.say(Some(origin), "a frame is of another journal than it is kept under".into());
                continue;
            }
            Err(error) => {
                refused.say(Some(origin), format!("a frame of records does not hold: {error}"));
                continue;
            }
        };
        let checkpoint = records.checkpoint();
        let root = *roots.entry((origin, checkpoint.size())).or_insert(checkpoint.root());
        if root != checkpoint.root() {
            forked.insert((origin, format!("it has two roots for {} entries", checkpoint.size())));
        }
        let journal = journals.entry(origin).or_default();
        for record in records.records() {
            let said = (record.index, Digest::of(&record.body));
            if *bodies.entry((origin, record.public_seq)).or_insert(said) != said {
                forked.insert((origin, format!("it has two entries of number {}", record.public_seq)));
            }
            journal.insert(record.public_seq, (record.index, of_interest(record.body.clone())));
        }
    }
    for (origin, why) in forked {
        if journals.remove(&origin).is_some() {
            refused.say(Some(origin), format!("{why}, so nothing of it counts"));
        }
    }
    for (origin, journal) in &mut journals {
        let floor = floors.get(origin).copied().unwrap_or_default();
        *journal = journal.split_off(&floor);
        let mut next = 0;
        for seq in journal.keys() {
            if *seq > next {
                refused.say(Some(*origin), format!("records {next} to {} are not here", seq - 1));
            }
            next = seq + 1;
        }
    }
    Ok(journals)
}

/// Reads all journals, in turns: what waits for a record of another finds it before there is too much of it.
fn hear_all(book: &mut Book, journals: BTreeMap<Origin, Journal>, now: Wall, learnt: &mut Vec<Learnt>) {
    let mut rest: Vec<_> =
        journals.into_iter().map(|(origin, journal)| (origin, journal.into_iter())).collect();
    loop {
        let mut heard = false;
        for (origin, journal) in &mut rest {
            for _ in 0..STRIDE {
                if book.has_to_wait(origin) {
                    break;
                }
                let Some((seq, (index, body))) = journal.next() else { break };
                book.hear(*origin, (seq, index), &body, now, learnt);
                heard = true;
            }
        }
        if !heard {
            return;
        }
    }
}

fn of_interest(body: Vec<u8>) -> Vec<u8> {
    if Book::is_of_interest(&body) { body } else { Vec::new() }
}

#[derive(Default)]
struct Refused {
    told: Vec<(Option<Origin>, String)>,
    more: u64,
}

impl Refused {
    fn say(&mut self, origin: Option<Origin>, what: String) {
        if self.told.len() < TOLD_MAX {
            self.told.push((origin, what));
        } else {
            self.more += 1;
        }
    }
}
