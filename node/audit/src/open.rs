//! Opening a journal: prove what is below the checkpoint, keep what is whole above it, cut what is incomplete, refuse what is
//! damaged, and sign before anything else happens.
//!
//! Nothing is changed before everything was checked. Frames past the slot may be in the kernel's cache only, after a sync that
//! failed or never came, so they are written once more, into a new segment, and synced there.

use crate::derived::{Derived, Run, TILES_DIR};
use crate::error::{Error, Notice, RESTORE};
use crate::files::{self, Access, Files};
use crate::journal::{Active, Journal, Options, SegmentSizes, Signer};
use crate::keys::KeyRing;
use crate::scan::{Ending, Position, Step, Walk, judge};
use crate::segment::{self, JOURNAL_DIR, NEW_FILE, SEGMENT_HEAD_BYTES};
use crate::shared::{Head, Segment, Shared};
use crate::slot::{self, SLOT_FILES, Slot, Slots};
use crate::snapshot::{self, SNAPSHOTS_DIR, Snapshot};
use crate::spare::{self, Spare};
use artel_protocol::log::{Checkpoint, CompactRange, Hash, Origin, SignedCheckpoint};
use rand::Rng;
use std::io;
use std::sync::Arc;

/// How many entries are compared or written at once.
const RUN_ENTRIES: u64 = 1024;

/// The largest segment, in bytes: a frame's place is kept in 32 bits.
const SEGMENT_BYTES_MAX: u64 = 1 << 31;

/// A state from a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedState {
    /// It is the fold over the entries before this one.
    pub size: u64,
    /// The caller's own bytes.
    pub bytes: Vec<u8>,
}

/// An open journal and where to go on from.
pub struct Opened {
    /// The writer.
    pub journal: Journal,
    /// The newest usable state; without one the fold begins with the first entry. What follows comes from
    /// [`crate::Reader::replay`].
    pub state: Option<SavedState>,
    /// What was found and put right.
    pub notices: Vec<Notice>,
}

/// A place in the journal and the tree's edge there.
#[derive(Clone)]
struct Stash {
    at: Position,
    range: CompactRange,
}

/// What the first pass over the tail found.
struct Proven {
    range: CompactRange,
    end: Position,
    ending: Ending,
    /// Where the entries begin that were perhaps never synced.
    unsure: Stash,
    /// The first run of entries that derived files disagree with, and which file.
    underived: Option<(Stash, String)>,
}

impl Journal {
    /// Opens the journal in a directory, or begins one in a directory that holds none.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the file that is not what was written; nothing was changed then. [`Error::Io`] when the disk
    /// says no; opening again may then succeed.
    pub fn open(
        files: Arc<dyn Files>,
        options: Options,
        signer: Arc<dyn Signer>,
        ring: Arc<KeyRing>,
        entropy: Box<dyn Rng + Send>,
    ) -> Result<Opened, Error> {
        let sizes = SegmentSizes {
            usual: options.sizes.usual.min(SEGMENT_BYTES_MAX),
            hasty: options.sizes.hasty.min(SEGMENT_BYTES_MAX),
        };
        Opening {
            files,
            options: Options { sizes, ..options },
            signer,
            ring,
            entropy,
            notices: Vec::new(),
            aside: Vec::new(),
        }
        .run()
    }
}

struct Opening {
    files: Arc<dyn Files>,
    options: Options,
    signer: Arc<dyn Signer>,
    ring: Arc<KeyRing>,
    entropy: Box<dyn Rng + Send>,
    notices: Vec<Notice>,
    /// Snapshots that cannot be used, to be renamed once all is proven.
    aside: Vec<String>,
}

impl Opening {
    fn run(mut self) -> Result<Opened, Error> {
        self.make_directories()?;
        let mut segments = self.segments()?;
        let found = slot::load(self.files.as_ref(), Some(&self.options.origin))?;
        let (slot, newest, slot_notice) = match found {
            slot::Found::Usable(slot, newest, notice) => (*slot, newest, notice),
            slot::Found::Nothing => {
                self.begin(&mut segments)?;
                match slot::load(self.files.as_ref(), Some(&self.options.origin))? {
                    slot::Found::Usable(slot, newest, notice) => (*slot, newest, notice),
                    slot::Found::Nothing => return Err(Error::damaged(SLOT_FILES[0], "it vanished")),
                }
            }
        };
        if segments.is_empty() {
            let what = format!(
                "all segments are missing, but {} says {} entries",
                SLOT_FILES[newest],
                slot.checkpoint.size()
            );
            return Err(Error::damaged(JOURNAL_DIR, what));
        }
        let (snapshot, state) = self.snapshot(&slot, &segments)?;
        let start = match &snapshot {
            Some(head) => Stash { at: head.position(), range: head.range.clone() },
            None if segments[0].first_index != 0 => {
                let what = "the first segment is missing, and no snapshot stands in for it";
                return Err(Error::damaged(segment::path(0), what));
            }
            None => Stash { at: Position::start(), range: CompactRange::new() },
        };
        let derived = Arc::new(Derived::new(self.files.clone(), true));
        let proven = self.prove(&start, &slot, newest, &segments, &derived)?;
        // From here on things are changed.
        self.tidy()?;
        let spare = Spare::find(self.files.as_ref(), self.options.sizes.hasty..=SEGMENT_BYTES_MAX)?;
        let active = self.settle_tail(&proven, &mut segments, &spare)?;
        self.derive(&start, &proven, &segments, &derived)?;
        let slots = self.sign(slot, newest, slot_notice, &proven)?;
        let public_seq = proven.end.public_seq.unwrap_or(0);
        let head = Head { range: proven.range.clone(), public_seq, released: slots.checkpoint().clone() };
        let shared = Arc::new(Shared::new(self.files, derived, self.ring, segments, head));
        let journal = Journal {
            shared,
            options: self.options,
            signer: self.signer,
            entropy: self.entropy,
            slots,
            active,
            range: proven.range,
            public_seq,
            slot_at: None,
            spare,
            poisoned: None,
            buffer: Vec::new(),
        };
        Ok(Opened { journal, state, notices: self.notices })
    }

    fn make_directories(&self) -> Result<(), Error> {
        for dir in [JOURNAL_DIR, TILES_DIR, SNAPSHOTS_DIR] {
            self.files.create_dir(dir).map_err(Error::io(dir, "create"))?;
            // A name that an earlier process gave and did not live to sync may be found now and be gone after a power loss.
            self.files.sync_dir(dir).map_err(Error::io(dir, "sync"))?;
        }
        self.files.sync_dir("").map_err(Error::io("the data directory", "sync"))
    }

    /// All segments by their names, their heads checked.
    fn segments(&mut self) -> Result<Vec<Segment>, Error> {
        let mut segments = Vec::new();
        for name in self.files.list(JOURNAL_DIR).map_err(Error::io(JOURNAL_DIR, "list"))? {
            let path = format!("{JOURNAL_DIR}/{name}");
            let Some(first_index) = segment::index_of(&name) else {
                if path != NEW_FILE && spare::parts(&name).is_none() {
                    self.notices.push(Notice::UnknownFile { file: path });
                }
                continue;
            };
            let (file, _) =
                segment::open(self.files.as_ref(), first_index, Some(&self.options.origin), Access::Read)?;
            let used = file.len().map_err(Error::io(path, "look at"))?;
            segments.push(Segment { first_index, used, file: Some(file) });
        }
        segments.sort_unstable_by_key(|s| s.first_index);
        Ok(segments)
    }

    /// Begins a journal, or goes on with a beginning that was cut short: a first segment without entries and no slots.
    fn begin(&mut self, segments: &mut Vec<Segment>) -> Result<(), Error> {
        if segments.is_empty() {
            let names = self.files.list(SNAPSHOTS_DIR).map_err(Error::io(SNAPSHOTS_DIR, "list"))?;
            if let Some(name) = names.iter().find(|name| snapshot::size_of(name).is_some()) {
                let what = format!(
                    "all segments and both checkpoint slots are missing, but {SNAPSHOTS_DIR}/{name} is there"
                );
                return Err(Error::damaged(JOURNAL_DIR, what));
            }
            let head = segment::Head { origin: self.options.origin, first_index: 0 };
            let bytes = self.options.sizes.hasty;
            let file = segment::create(self.files.as_ref(), head, bytes, &[], None)
                .map_err(|failed| failed.error)?;
            segments.push(Segment {
                first_index: 0,
                used: file.len().map_err(Error::io(segment::path(0), "look at"))?,
                file: Some(file),
            });
        } else if !self.is_untouched(segments)? {
            let what = format!("it and {} are missing, though the journal has entries", SLOT_FILES[1]);
            return Err(Error::damaged(SLOT_FILES[0], what));
        }
        let empty = Checkpoint::new(self.options.origin, 0, Hash::EMPTY_ROOT)?;
        Slots::create(self.files.clone(), self.signer.sign(empty)?)?;
        Ok(())
    }

    fn is_untouched(&self, segments: &[Segment]) -> Result<bool, Error> {
        let [first] = segments else {
            return Ok(false);
        };
        let mut walk = self.walk(segments, Position::start_of(first.first_index));
        let (Step::Stop { at, .. }, Some(file)) = (walk.next()?, &first.file) else {
            return Ok(false);
        };
        let ending = judge(file.as_ref(), at).map_err(Error::io(segment::path(0), "read"))?;
        Ok(first.first_index == 0 && ending == Ending::Clean)
    }

    fn walk(&self, segments: &[Segment], from: Position) -> Walk {
        let firsts = segments.iter().map(|s| s.first_index).collect();
        Walk::new(self.files.clone(), Some(self.options.origin), firsts, from)
    }

    /// The newest snapshot that can be used, and its state.
    fn snapshot(
        &mut self,
        slot: &Slot,
        segments: &[Segment],
    ) -> Result<(Option<snapshot::Head>, Option<SavedState>), Error> {
        let names = self.files.list(SNAPSHOTS_DIR).map_err(Error::io(SNAPSHOTS_DIR, "list"))?;
        let mut sizes: Vec<u64> = names.iter().filter_map(|name| snapshot::size_of(name)).collect();
        sizes.sort_unstable();
        let any = !sizes.is_empty();
        for size in sizes.into_iter().rev() {
            let file = snapshot::path(size);
            if size > slot.checkpoint.size() {
                // Frames behind the checkpoint may move to another segment, and its places with them.
                self.notices.push(Notice::SnapshotAhead { file: file.clone() });
                self.aside.push(file);
                continue;
            }
            let read = Snapshot::read(self.files.as_ref(), &file).and_then(|snapshot| {
                if snapshot.head.range.size() != size || snapshot.head.origin != self.options.origin {
                    return Err("it is the snapshot of another size or journal".to_owned());
                }
                snapshot.open(&self.ring)
            });
            match read {
                Err(what) => {
                    self.notices.push(Notice::SnapshotDamaged { file: file.clone(), what });
                    self.aside.push(file);
                }
                Ok((head, bytes)) => {
                    check_segments(&head, segments, &file)?;
                    return Ok((Some(head), Some(SavedState { size, bytes })));
                }
            }
        }
        if any {
            self.notices.push(Notice::FromGenesis);
        }
        Ok((None, None))
    }

    /// Reads everything from `start` on: the entries below the slot must lead to its root, those above must be whole.
    fn prove(
        &self,
        start: &Stash,
        slot: &Slot,
        newest: usize,
        segments: &[Segment],
        derived: &Derived,
    ) -> Result<Proven, Error> {
        let signed = slot.checkpoint.size();
        let last = segments.last().map_or(0, |s| s.first_index);
        let unsure_from = signed.max(last);
        let mut walk = self.walk(segments, start.at);
        let (mut range, mut run, mut run_start) = (start.range.clone(), Run::default(), start.clone());
        let (mut unsure, mut underived, mut root) = (None, None, None);
        let stop = loop {
            let before = range.size();
            if before == signed {
                root = Some(range.root());
            }
            match walk.next()? {
                Step::Stop { at, why } => break (at, why),
                Step::Frame { at, frame } => {
                    if at.index == unsure_from {
                        unsure = Some(Stash { at, range: range.clone() });
                    }
                    for entry in &frame.entries {
                        run.push(&mut range, entry.leaf().hash(), at.offset as u32);
                    }
                }
            }
            if run.entries() >= RUN_ENTRIES {
                note_difference(derived, &run, &run_start, &mut underived)?;
                run.clear();
                run_start = Stash { at: walk.position(), range: range.clone() };
            }
        };
        if run.entries() > 0 {
            note_difference(derived, &run, &run_start, &mut underived)?;
        }
        let (end, why) = stop;
        let file = segments.iter().rev().find(|s| s.first_index == end.segment).and_then(|s| s.file.clone());
        let path = segment::path(end.segment);
        let ending = match &file {
            Some(file) => judge(file.as_ref(), end).map_err(Error::io(&path, "read"))?,
            None => Ending::Clean,
        };
        if end.index < signed {
            let says = format!("{} says {signed} entries", SLOT_FILES[newest]);
            return Err(Error::damaged(
                path,
                match ending {
                    Ending::Clean => {
                        format!("the journal ends with entry {} but {says}: its end is cut off", end.index)
                    }
                    _ => format!("{why} at byte {} (entry {}), and {says}", end.offset, end.index),
                },
            ));
        }
        if root != Some(slot.checkpoint.root()) {
            return Err(self.altered(start, slot, segments, derived, underived));
        }
        if let Ending::Damaged(what) = ending {
            return Err(Error::damaged(path, what));
        }
        let unsure = unsure.unwrap_or_else(|| Stash { at: end, range: range.clone() });
        Ok(Proven { range, end, ending, unsure, underived })
    }

    /// Every frame is well-formed, but the root is another than the signed one: names the first entry that is not what its
    /// stored hash says, if there is one.
    fn altered(
        &self,
        start: &Stash,
        slot: &Slot,
        segments: &[Segment],
        derived: &Derived,
        underived: Option<(Stash, String)>,
    ) -> Error {
        let signed = slot.checkpoint.size();
        let from = underived.map_or(start.at, |(stash, _)| stash.at);
        let mut walk = self.walk(segments, from);
        while let Ok(Step::Frame { at, frame }) = walk.next() {
            for entry in frame.entries.iter().filter(|e| e.index < signed) {
                let mut stored = [Hash([0; 32])];
                let differs = derived
                    .hashes(0, entry.index, &mut stored)
                    .is_ok_and(|found| found && stored[0] != entry.leaf().hash());
                if differs {
                    let what =
                        format!("entry {} was altered: the signed checkpoint has another root", entry.index);
                    return Error::damaged(segment::path(at.segment), what);
                }
            }
            if at.index >= signed {
                break;
            }
        }
        let what = format!(
            "entries {} to {signed} do not lead to the root of the signed checkpoint",
            start.at.index
        );
        Error::damaged(segment::path(from.segment), what)
    }

    /// Removes what unfinished work left and puts damaged snapshots aside.
    fn tidy(&mut self) -> Result<(), Error> {
        for dir in ["", JOURNAL_DIR, SNAPSHOTS_DIR] {
            for name in self.files.list(dir).map_err(Error::io(dir, "list"))? {
                let file = if dir.is_empty() { name.clone() } else { format!("{dir}/{name}") };
                let of_slot = SLOT_FILES.iter().any(|slot| file == format!("{slot}.tmp"));
                let unfinished = name.ends_with(".snap.tmp") && dir == SNAPSHOTS_DIR;
                if of_slot || unfinished || file == NEW_FILE {
                    self.files.remove(&file).map_err(Error::io(&file, "remove"))?;
                    self.notices.push(Notice::LeftoverRemoved { file });
                }
            }
        }
        for file in std::mem::take(&mut self.aside) {
            let to = format!("{file}.damaged");
            self.files.rename(&file, &to).map_err(Error::io(file, "put aside"))?;
        }
        self.files.sync_dir(SNAPSHOTS_DIR).map_err(Error::io(SNAPSHOTS_DIR, "sync"))?;
        self.try_to_write()
    }

    /// A directory in which no segment can be made is refused now, and not when this one ends. A full disk heals.
    fn try_to_write(&self) -> Result<(), Error> {
        match self.files.open(NEW_FILE, Access::Fresh) {
            Err(cause) if files::is_full(&cause) => Ok(()),
            made => {
                made.map_err(Error::io(NEW_FILE, "create"))?;
                self.files.remove(NEW_FILE).map_err(Error::io(NEW_FILE, "remove"))
            }
        }
    }

    /// Writes the frames that were perhaps never synced into a new segment, without what is incomplete behind them, and answers
    /// the segment to go on in.
    fn settle_tail(
        &mut self,
        proven: &Proven,
        segments: &mut Vec<Segment>,
        spare: &Spare,
    ) -> Result<Active, Error> {
        let (unsure, end) = (&proven.unsure.at, &proven.end);
        let path = segment::path(end.segment);
        if unsure.index == end.index && proven.ending == Ending::Clean {
            let (file, _) =
                segment::open(self.files.as_ref(), end.segment, Some(&self.options.origin), Access::Write)?;
            let len = file.len().map_err(Error::io(path, "look at"))?;
            if let Some(last) = segments.last_mut() {
                last.used = end.offset;
                last.file = Some(file.clone());
            }
            return Ok(Active { first_index: end.segment, file, offset: end.offset, len });
        }
        let mut frames = vec![0; (end.offset - unsure.offset) as usize];
        if let Some(old) = segments.last().and_then(|s| s.file.clone()) {
            files::read_exact_at(old.as_ref(), &mut frames, unsure.offset)
                .map_err(Error::io(&path, "read"))?;
        }
        let head = segment::Head { origin: self.options.origin, first_index: unsure.index };
        let spare = spare.take(SEGMENT_HEAD_BYTES + frames.len() as u64);
        let file = segment::create(self.files.as_ref(), head, self.options.sizes.hasty, &frames, spare)
            .map_err(|failed| failed.error)?;
        let offset = SEGMENT_HEAD_BYTES + frames.len() as u64;
        let len = file.len().map_err(Error::io(segment::path(head.first_index), "look at"))?;
        if unsure.index == end.segment {
            segments.pop();
        } else {
            // What stands there from now on is read from the new segment; that it stays would do no harm.
            if let Ok(old) = self.files.open(&path, Access::Write) {
                let _ = old.set_len(unsure.offset);
            }
            if let Some(last) = segments.last_mut() {
                last.used = unsure.offset;
            }
        }
        segments.push(Segment { first_index: head.first_index, used: offset, file: Some(file.clone()) });
        if end.index > unsure.index {
            self.notices.push(Notice::TailKept {
                file: path.clone(),
                index: unsure.index,
                entries: end.index - unsure.index,
            });
        }
        if proven.ending == Ending::Incomplete {
            self.notices.push(Notice::TailCut { file: path, offset: end.offset, index: end.index });
        }
        Ok(Active { first_index: head.first_index, file, offset, len })
    }

    /// Writes derived files again from where they disagree, and from where frames have moved.
    fn derive(
        &mut self,
        start: &Stash,
        proven: &Proven,
        segments: &[Segment],
        derived: &Derived,
    ) -> Result<(), Error> {
        let moved = segments.last().is_some_and(|s| s.first_index == proven.unsure.at.index);
        let mut from = moved.then(|| Stash {
            at: Position {
                public_seq: proven.unsure.at.public_seq,
                ..Position::start_of(proven.unsure.at.index)
            },
            range: proven.unsure.range.clone(),
        });
        if let Some((stash, file)) = &proven.underived {
            self.notices.push(Notice::DerivedRebuilt { file: file.clone(), index: stash.at.index });
            if from.as_ref().is_none_or(|moved| moved.at.index > stash.at.index) {
                from = Some(stash.clone());
            }
        }
        if let Some(file) = derived.too_short_for(start.range.size())? {
            self.notices.push(Notice::DerivedRebuilt { file, index: 0 });
            derived.recreate()?;
            from = Some(Stash { at: Position::start(), range: CompactRange::new() });
        }
        let Some(Stash { at, mut range }) = from else {
            return Ok(());
        };
        let mut walk = self.walk(segments, at);
        write_derived(&mut walk, &mut range, derived, proven.range.size())?;
        if range == proven.range {
            return Ok(());
        }
        let what = format!("its entries and those before {} do not lead to the proven root", start.at.index);
        Err(Error::damaged(segment::path(at.segment), what))
    }

    /// Signs what is there now, before anything else happens.
    fn sign(
        &mut self,
        slot: Slot,
        newest: usize,
        notice: Option<Notice>,
        proven: &Proven,
    ) -> Result<Slots, Error> {
        let behind = slot.checkpoint.size() < proven.range.size();
        let mut slots = Slots::resume(self.files.clone(), slot, newest);
        if behind || notice.is_some() {
            let checkpoint = Checkpoint::new(self.options.origin, proven.range.size(), proven.range.root())?;
            let signed: SignedCheckpoint = self.signer.sign(checkpoint)?;
            slots.write(signed, proven.end.public_seq.unwrap_or(0))?;
        }
        self.notices.extend(notice);
        Ok(slots)
    }
}

/// Writes derived files for what is left of a walk up to `size` entries.
pub(crate) fn write_derived(
    walk: &mut Walk,
    range: &mut CompactRange,
    derived: &Derived,
    size: u64,
) -> Result<(), Error> {
    let mut run = Run::default();
    while range.size() < size {
        let Step::Frame { at, frame } = walk.next()? else {
            break;
        };
        for entry in &frame.entries {
            run.push(range, entry.leaf().hash(), at.offset as u32);
        }
        if run.entries() >= RUN_ENTRIES {
            derived.write(&run)?;
            run.clear();
        }
    }
    if run.entries() > 0 {
        derived.write(&run)?;
    }
    Ok(())
}

fn note_difference(
    derived: &Derived,
    run: &Run,
    start: &Stash,
    underived: &mut Option<(Stash, String)>,
) -> Result<(), Error> {
    if underived.is_none()
        && let Some(file) = derived.differences(run)?.into_iter().next()
    {
        *underived = Some((start.clone(), file));
    }
    Ok(())
}

/// All segments that a snapshot names must be there with the bytes they had, and no others among them.
fn check_segments(head: &snapshot::Head, segments: &[Segment], snapshot: &str) -> Result<(), Error> {
    for (first, used) in &head.segments {
        let path = segment::path(*first);
        let Some(found) = segments.iter().find(|s| s.first_index == *first) else {
            return Err(Error::damaged(path, format!("this segment is missing; {snapshot} names it")));
        };
        if found.used < *used {
            let what = format!(
                "the file is cut: it has {} bytes, and had {used} when {snapshot} was written",
                found.used
            );
            return Err(Error::damaged(path, what));
        }
    }
    let stranger = (segments.iter()).find(|s| {
        s.first_index < head.segment && head.segments.iter().all(|(first, _)| *first != s.first_index)
    });
    match stranger {
        None => Ok(()),
        Some(stranger) => Err(Error::Damaged {
            file: segment::path(stranger.first_index),
            what: format!("this segment does not belong here: {snapshot} does not name it"),
            help: RESTORE,
        }),
    }
}

/// Whose journal a directory holds, from the head of its first segment or from a checkpoint slot; `None` for neither.
///
/// # Errors
/// [`Error`] when what is there cannot be read.
pub fn origin_of(files: &dyn Files) -> Result<Option<Origin>, Error> {
    if let slot::Found::Usable(slot, _, _) = slot::load(files, None)? {
        return Ok(Some(slot.checkpoint.origin()));
    }
    let names = match files.list(JOURNAL_DIR) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(Error::io(JOURNAL_DIR, "list"))?,
    };
    match names.iter().find_map(|name| segment::index_of(name)) {
        None => Ok(None),
        Some(first) => segment::open(files, first, None, Access::Read).map(|(_, head)| Some(head.origin)),
    }
}
