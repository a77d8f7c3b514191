//! Verification of a journal's directory, read only and without trust in anything but the node's signature.
//!
//! It reads every frame once, front to back, in bounded memory: check sums, order, leaves, the roots of both slots and of every
//! snapshot, derived files, and the bodies as far as `data.key` opens them. Without keys the leaves of private entries rest on
//! the commitments in their frames, which the signed root covers all the same.

use crate::derived::{Derived, Run};
use crate::error::{Error, Notice};
use crate::files::Files;
use crate::frame::{Frame, OpenError, SealContext};
use crate::keys::KeyRing;
use crate::open::origin_of;
use crate::scan::{Ending, Position, Step, Walk, judge};
use crate::segment::{self, JOURNAL_DIR};
use crate::slot::{self, SLOT_FILES, Slot};
use crate::snapshot::{self, SNAPSHOTS_DIR, Snapshot};
use artel_protocol::log::{CompactRange, Hash, Origin, SignedCheckpoint};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// How many entries are compared with derived files at once.
const RUN_ENTRIES: u64 = 1024;

/// The most findings that are listed in [`Report::repairable`]; further ones say nothing new.
const FINDINGS_MAX: usize = 64;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every entry is what was signed.
    Sound,
    /// The first damage.
    Damaged {
        /// The file.
        file: String,
        /// What is wrong, and at which byte and entry.
        what: String,
    },
}

/// What was checked, and what was found.
#[derive(Debug, Clone)]
pub struct Report {
    /// Whose journal it is.
    pub origin: Origin,
    /// The newest signed checkpoint.
    pub checkpoint: SignedCheckpoint,
    /// Entries that were read and hashed.
    pub entries: u64,
    /// How many of them are public.
    pub public: u64,
    /// How many stand past the checkpoint, so that only their check sums speak for them.
    pub past_checkpoint: u64,
    /// Private bodies that were opened and agree with their leaves.
    pub bodies_opened: u64,
    /// Private bodies whose data key is not there.
    pub bodies_sealed: u64,
    /// Segments that were read.
    pub segments: u64,
    /// Snapshots that hold the right roots.
    pub snapshots: u64,
    /// Files that a start would put right by itself, and what is wrong with them.
    pub repairable: Vec<(String, String)>,
    /// Whether an incomplete commit, never acknowledged, stands at the very end.
    pub incomplete_end: bool,
    /// What came of it.
    pub outcome: Outcome,
}

/// Verifies a directory.
///
/// # Errors
/// [`Error`] when there is no journal, or neither slot names one; all other damage is in the report.
pub fn directory(files: Arc<dyn Files>) -> Result<Report, Error> {
    directory_with(files, &mut |_| ())
}

/// Verifies a directory and tells now and then how many entries were read.
///
/// # Errors
/// As [`directory`].
pub fn directory_with(files: Arc<dyn Files>, progress: &mut dyn FnMut(u64)) -> Result<Report, Error> {
    let Some(origin) = origin_of(files.as_ref())? else {
        return Err(Error::damaged(JOURNAL_DIR, "there is no journal here"));
    };
    let slot::Found::Usable(slot, newest, notice) = slot::load(files.as_ref(), Some(&origin))? else {
        return Err(Error::damaged(SLOT_FILES[0], format!("it and {} are missing", SLOT_FILES[1])));
    };
    let mut report = Report {
        origin,
        checkpoint: slot.checkpoint.clone(),
        entries: 0,
        public: 0,
        past_checkpoint: 0,
        bodies_opened: 0,
        bodies_sealed: 0,
        segments: 0,
        snapshots: 0,
        repairable: Vec::new(),
        incomplete_end: false,
        outcome: Outcome::Sound,
    };
    if let Some(Notice::SlotDamaged { file, what }) = notice {
        report.repairable.push((file, what));
    }
    let ring = match KeyRing::load(files.as_ref()) {
        Ok(ring) => ring,
        Err(Error::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => KeyRing::empty(),
        Err(error) => {
            report.outcome = outcome_of(error)?;
            KeyRing::empty()
        }
    };
    let expected = expected_roots(files.as_ref(), &slot, newest, &ring, &mut report)?;
    let mut verifying = Verifying {
        context: SealContext::new(&origin),
        derived: Derived::new(files.clone(), false),
        files,
        ring,
        expected,
        range: CompactRange::new(),
        run: Run::default(),
        report,
    };
    if let Err(error) = verifying.read_all(progress) {
        // The data keys' own damage is the last to name: the journal's comes first.
        verifying.report.outcome = outcome_of(error)?;
    }
    verifying.report.past_checkpoint = verifying.report.entries.saturating_sub(slot.checkpoint.size());
    Ok(verifying.report)
}

/// Damage becomes an outcome; that the disk cannot be read stays an error.
fn outcome_of(error: Error) -> Result<Outcome, Error> {
    match error {
        Error::Damaged { file, what, .. } => Ok(Outcome::Damaged { file, what }),
        other => Err(other),
    }
}

/// A root that the entries must lead to, and what happens if they do not.
struct Expected {
    file: String,
    root: Hash,
    /// Whether a start needs it: the newest slot, as against older ones and snapshots.
    binding: bool,
}

/// By size: what slots and snapshots say.
fn expected_roots(
    files: &dyn Files,
    slot: &Slot,
    newest: usize,
    ring: &KeyRing,
    report: &mut Report,
) -> Result<BTreeMap<u64, Vec<Expected>>, Error> {
    let mut expected: BTreeMap<u64, Vec<Expected>> = BTreeMap::new();
    let mut expect = |size, file: &str, root, binding| {
        let file = file.to_owned();
        expected.entry(size).or_default().push(Expected { file, root, binding });
    };
    expect(slot.checkpoint.size(), SLOT_FILES[newest], slot.checkpoint.root(), true);
    let older = crate::files::read_whole(files, SLOT_FILES[1 - newest], slot::SLOT_BYTES as u64);
    if let Some(older) = older.ok().and_then(|bytes| Slot::parse(&bytes).ok()) {
        expect(older.checkpoint.size(), SLOT_FILES[1 - newest], older.checkpoint.root(), false);
    }
    let names = match files.list(SNAPSHOTS_DIR) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other.map_err(Error::io(SNAPSHOTS_DIR, "list"))?,
    };
    for size in names.iter().filter_map(|name| snapshot::size_of(name)) {
        let file = snapshot::path(size);
        let read = Snapshot::read(files, &file).and_then(|snapshot| {
            if snapshot.head.range.size() != size || snapshot.head.origin != report.origin {
                return Err("it is the snapshot of another size or journal".to_owned());
            }
            let root = snapshot.head.range.root();
            if ring.holds(snapshot.key_id()) {
                snapshot.open(ring)?;
            }
            Ok(root)
        });
        match read {
            Ok(root) => {
                report.snapshots += 1;
                expect(size, &file, root, false);
            }
            Err(what) => report.repairable.push((file, what)),
        }
    }
    Ok(expected)
}

struct Verifying {
    files: Arc<dyn Files>,
    context: SealContext,
    derived: Derived,
    ring: KeyRing,
    expected: BTreeMap<u64, Vec<Expected>>,
    range: CompactRange,
    run: Run,
    report: Report,
}

impl Verifying {
    fn read_all(&mut self, progress: &mut dyn FnMut(u64)) -> Result<(), Error> {
        let mut firsts = Vec::new();
        for name in self.files.list(JOURNAL_DIR).map_err(Error::io(JOURNAL_DIR, "list"))? {
            firsts.extend(segment::index_of(&name));
        }
        firsts.sort_unstable();
        if firsts.first() != Some(&0) {
            return Err(Error::damaged(segment::path(0), "the first segment is missing"));
        }
        self.report.segments = firsts.len() as u64;
        let mut walk =
            Walk::new(self.files.clone(), Some(self.report.origin), firsts.into(), Position::start());
        self.check_roots(0)?;
        let (at, why) = loop {
            match walk.next()? {
                Step::Stop { at, why } => break (at, why),
                Step::Frame { at, frame } => self.frame(at, &frame)?,
            }
            if self.run.entries() >= RUN_ENTRIES {
                self.compare_derived()?;
                progress(self.range.size());
            }
        };
        self.compare_derived()?;
        let (file, _) = segment::open(
            self.files.as_ref(),
            at.segment,
            Some(&self.report.origin),
            crate::files::Access::Read,
        )?;
        let path = segment::path(at.segment);
        let ending = judge(file.as_ref(), at).map_err(Error::io(&path, "read"))?;
        let signed = self.report.checkpoint.size();
        if at.index < signed {
            return Err(Error::damaged(
                path,
                match ending {
                    Ending::Clean => {
                        format!("the journal ends with entry {}, the checkpoint says {signed}", at.index)
                    }
                    _ => format!("{why} at byte {} (entry {})", at.offset, at.index),
                },
            ));
        }
        match ending {
            Ending::Damaged(what) => return Err(Error::damaged(path, what)),
            Ending::Incomplete => self.report.incomplete_end = true,
            Ending::Clean => (),
        }
        for (size, expected) in std::mem::take(&mut self.expected) {
            for expected in expected {
                self.find(expected.file, format!("it is of {size} entries, the journal has {}", at.index));
            }
        }
        Ok(())
    }

    fn frame(&mut self, at: Position, frame: &Frame<'_>) -> Result<(), Error> {
        for stored in &frame.entries {
            match stored.open(&self.context, &self.ring) {
                Ok(_) => self.report.bodies_opened += u64::from(stored.seal.is_some()),
                Err(OpenError::NoKey(_)) => self.report.bodies_sealed += 1,
                Err(OpenError::Damaged) => {
                    let what = format!(
                        "the body of entry {} does not open, in the frame at byte {}",
                        stored.index, at.offset
                    );
                    return Err(Error::damaged(segment::path(at.segment), what));
                }
            }
            self.run.push(&mut self.range, stored.leaf().hash(), at.offset as u32);
            self.report.entries += 1;
            self.report.public = stored.public_seq_after();
        }
        self.check_roots(at.segment)
    }

    /// Compares with what slots and snapshots say of exactly this size; a size within a frame is left for the end.
    fn check_roots(&mut self, segment: u64) -> Result<(), Error> {
        let size = self.range.size();
        for expected in self.expected.remove(&size).unwrap_or_default() {
            if expected.root == self.range.root() {
                continue;
            }
            if expected.binding {
                let what =
                    format!("its entries up to {size} do not lead to the root that {} signs", expected.file);
                return Err(Error::damaged(segment::path(segment), what));
            }
            self.find(expected.file, format!("its root of {size} entries is another than the journal's"));
        }
        Ok(())
    }

    fn compare_derived(&mut self) -> Result<(), Error> {
        if self.run.entries() == 0 {
            return Ok(());
        }
        for file in self.derived.differences(&self.run)? {
            let what = format!("disagrees with the segments before entry {}", self.range.size());
            self.find(file, what);
        }
        self.run.clear();
        Ok(())
    }

    fn find(&mut self, file: String, what: String) {
        let known = self.report.repairable.iter().any(|(other, _)| *other == file);
        if !known && self.report.repairable.len() < FINDINGS_MAX {
            self.report.repairable.push((file, what));
        }
    }
}
