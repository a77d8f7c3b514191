//! The record store's writer: one write and one sync for all frames of an append, and only then are they called kept.
//!
//! What the disk refuses is a value, and nothing of it is held. After a failing write or sync the segment ends where it was
//! known to end, and the next append goes into a new one.

use super::author::Author;
use super::error::{Error, Notice};
use super::feed;
use super::frame::{self, Writer};
use super::lacks::Lacks;
use super::place::Position;
use super::reader::Records;
use super::recover;
use super::segment::{self, HEAD_BYTES};
use super::shared::{Health, Shared};
use super::state::{LEN_UNKNOWN, Segment, State};
use super::{
    APPEND_BYTES_MAX, HOLES_MAX, HOLES_TOTAL_MAX, Kept, Limits, NewFrame, RECORD_BYTES_MAX, TAIL_ITEMS_MAX,
};
use crate::files::{self, File, Files};
use crate::index::KvStore;
use artel_protocol::id::FederationId;
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most bytes of a segment, whatever the limits say (64 MiB): a start without an index holds the last one in memory.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// A store that was opened.
pub struct Opened {
    /// The writer.
    pub store: RecordStore,
    /// What was found and put right.
    pub notices: Vec<Notice>,
}

/// The segment that is written.
pub(crate) struct Active {
    pub number: u32,
    pub file: Arc<dyn File>,
    /// Where the next frame goes.
    pub offset: u32,
}

/// The writer of others' records. There is one; readers are cloned from it. Its calls may block on the disk.
pub struct RecordStore {
    pub(super) shared: Arc<Shared>,
    limits: Limits,
    /// `None` after a failure: the next write makes a new segment.
    pub(super) active: Option<Active>,
    /// A segment's name may not be durable yet.
    name_unsynced: bool,
    buffer: Vec<u8>,
    pub(super) lacks: Lacks,
    was_rebuilt: bool,
}

/// What to do with the frames of an append: for each one that is written, which of its records are read from it.
struct Plan {
    kept: Vec<Kept>,
    written: Vec<(usize, Vec<u64>)>,
    bytes: usize,
}

impl RecordStore {
    /// Opens the records of a federation in a data directory, with an index of their own: the segments are the truth, and
    /// whatever the index lacks or has wrong is taken from them. Damage is a notice, never an error. Takes as long as what
    /// the index lacks is long.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Index`] when disk or index say no, [`Error::ForeignFile`] and [`Error::Format`] for
    /// segments that are not ours to read.
    pub fn open(
        files: Arc<dyn Files>,
        index: Arc<dyn KvStore>,
        federation: FederationId,
        limits: Limits,
    ) -> Result<Opened, Error> {
        let shared = Arc::new(Shared::new(files, index, federation));
        let active = recover::recover(&shared, None)?;
        let limits = Limits { segment_bytes: limits.segment_bytes.min(SEGMENT_BYTES_MAX), ..limits };
        let notices = shared.take_notices();
        let store = RecordStore {
            shared,
            limits,
            active,
            name_unsynced: false,
            buffer: Vec::new(),
            lacks: Lacks::default(),
            was_rebuilt: false,
        };
        Ok(Opened { store, notices })
    }

    /// A reader for other threads.
    pub fn reader(&self) -> Records {
        Records::new(self.shared.clone())
    }

    /// What was found since the last call, by the writer or by readers.
    pub fn take_notices(&self) -> Vec<Notice> {
        self.shared.take_notices()
    }

    /// Whether the index was built again since the last call: less may be held now than before, since something was damaged.
    pub fn take_rebuilt(&mut self) -> bool {
        std::mem::take(&mut self.was_rebuilt)
    }

    /// The bytes of all frames that are held, as the limits count them.
    pub fn bytes(&self) -> u64 {
        self.shared.state().live
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Keeps frames: one write and one sync for all. Answers what became of each, in order; what is [`Kept::New`] or
    /// [`Kept::Known`] survives a power loss.
    ///
    /// # Errors
    /// [`Error`]; then none of the frames is held that was not held before, and the call can be made again.
    pub fn append(&mut self, frames: Vec<NewFrame>) -> Result<Vec<Kept>, Error> {
        check(&frames, self.shared.federation)?;
        self.repair()?;
        if self.shared.state().tail_items() >= TAIL_ITEMS_MAX {
            feed::feed(&self.shared)?;
        }
        let plan = plan(&self.shared.state(), &self.limits, &frames);
        if plan.bytes > APPEND_BYTES_MAX {
            return Err(Error::AppendTooLarge { bytes: plan.bytes as u64 });
        }
        if plan.written.is_empty() {
            return Ok(plan.kept);
        }
        let mut offsets = Vec::with_capacity(plan.written.len());
        let segment = self.write(plan.bytes, |writer| {
            offsets.extend(plan.written.iter().map(|(at, _)| writer.record(&frames[*at])));
        })?;
        self.shared.change(|state| {
            for ((at, records), offset) in plan.written.iter().zip(offsets) {
                let frame = &frames[*at];
                state.hold(&frame.origin, records, segment, offset, frame::record_bytes(frame) as u32);
            }
        });
        if self.shared.state().tail_items() >= TAIL_ITEMS_MAX {
            // The frames are durable all the same; the next call meets the error again, if it is one that stays.
            let _ = feed::feed(&self.shared);
        }
        Ok(plan.kept)
    }

    /// Brings the index up to the segments, durably. Called when there is nothing else to do, it shortens the next start.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub fn feed(&mut self) -> Result<(), Error> {
        self.repair()?;
        feed::feed(&self.shared)
    }

    /// Builds the index again if somebody has found that it, or what it points to, was damaged.
    pub(super) fn repair(&mut self) -> Result<(), Error> {
        let Health::Broken(why) = self.shared.health() else {
            return Ok(());
        };
        self.shared.set_health(Health::Rebuilding);
        let fresh = Shared::new(self.shared.files.clone(), self.shared.index.clone(), self.shared.federation);
        self.active = None;
        let recovered = recover::recover(&fresh, Some(why.clone()));
        fresh.take_notices().into_iter().for_each(|notice| self.shared.notice(notice));
        match recovered {
            Ok(active) => {
                self.active = active;
                self.name_unsynced = false;
                self.was_rebuilt = true;
                self.shared.change(|state| *state = fresh.change(std::mem::take));
                self.shared.set_health(Health::Sound);
                Ok(())
            }
            Err(error) => {
                self.shared.set_health(Health::Broken(why));
                Err(error)
            }
        }
    }

    /// Writes frames of `bytes` bytes in one write, and syncs. Answers the segment they are in.
    pub(super) fn write(&mut self, bytes: usize, put: impl FnOnce(&mut Writer<'_>)) -> Result<u32, Error> {
        self.make_room(bytes)?;
        let active = self.active.as_mut().expect("there is room in a segment");
        let (number, at) = (active.number, active.offset);
        put(&mut Writer::new(&mut self.buffer, number, at));
        assert_eq!(self.buffer.len(), bytes, "frames are as long as they were counted");
        let path = segment::path(number);
        if let Err(cause) = active.file.write_at(&self.buffer, u64::from(at)) {
            // Nothing of it may be there when the next append is, not even whole frames behind it.
            let cut = || active.file.set_len(u64::from(at)).and_then(|()| active.file.sync_data());
            if !(files::is_full(&cause) && cut().is_ok()) {
                self.seal();
            }
            return Err(Error::io(path, "write")(cause));
        }
        if let Err(cause) = active.file.sync_data() {
            self.seal();
            return Err(Error::io(path, "sync")(cause));
        }
        active.offset += bytes as u32;
        let offset = active.offset;
        self.shared.change(|state| {
            if let Some(segment) = state.segments.get_mut(&number) {
                (segment.end, segment.len) = (offset, offset);
            }
            state.position = Position { segment: number, offset };
        });
        Ok(number)
    }

    /// Never writes to the segment again. It ends where it was known to end; what stands behind that is not read.
    fn seal(&mut self) {
        if let Some(active) = self.active.take() {
            self.shared.change(|state| {
                if let Some(segment) = state.segments.get_mut(&active.number) {
                    segment.len = LEN_UNKNOWN;
                }
            });
        }
    }

    /// Sees to it that the active segment can take so many bytes.
    fn make_room(&mut self, bytes: usize) -> Result<(), Error> {
        if self.name_unsynced {
            let synced = self.shared.files.sync_dir(segment::RECORDS_DIR);
            synced.map_err(Error::io(segment::RECORDS_DIR, "sync"))?;
            self.name_unsynced = false;
        }
        let has_room = self.active.as_ref().is_some_and(|active| {
            active.offset == HEAD_BYTES
                || u64::from(active.offset) + bytes as u64 <= self.limits.segment_bytes
        });
        if has_room {
            return Ok(());
        }
        let (number, before_end) = {
            let state = self.shared.state();
            let last = state.segments.last_key_value();
            (last.map_or(0, |(number, _)| *number), last.map_or(0, |(_, segment)| segment.end))
        };
        let number = number.checked_add(1).ok_or(Error::NoNumbers)?;
        let head = segment::Head { federation: self.shared.federation, number, before_end };
        match segment::create(self.shared.files.as_ref(), head, &[]) {
            Ok(file) => {
                self.begin(number, file);
                Ok(())
            }
            Err(failed) => {
                if let Some(file) = failed.named {
                    self.begin(number, file);
                    self.name_unsynced = true;
                }
                Err(failed.error)
            }
        }
    }

    fn begin(&mut self, number: u32, file: Arc<dyn File>) {
        self.active = Some(Active { number, file, offset: HEAD_BYTES });
        self.shared.change(|state| {
            // The position follows with the first frame: until then the segment's name may not be durable.
            state.segments.insert(number, Segment { end: HEAD_BYTES, len: HEAD_BYTES, live: 0 });
        });
    }
}

/// Refuses what nobody may give.
fn check(frames: &[NewFrame], federation: FederationId) -> Result<(), Error> {
    for frame in frames {
        if frame.origin.federation() != federation {
            return Err(Error::ForeignFrame(frame.origin.federation()));
        }
        if !frame::are_in_order(&frame.items) {
            return Err(Error::Items);
        }
        if frame.bytes.len() > RECORD_BYTES_MAX {
            return Err(Error::FrameTooLarge { bytes: frame.bytes.len() as u64 });
        }
    }
    Ok(())
}

/// Decides what becomes of each frame, counting those before it in.
fn plan(state: &State, limits: &Limits, frames: &[NewFrame]) -> Plan {
    let mut plan = Plan { kept: Vec::with_capacity(frames.len()), written: Vec::new(), bytes: 0 };
    let mut authors: BTreeMap<Origin, Author> = BTreeMap::new();
    let mut bytes_of: BTreeMap<NodeId, u64> = BTreeMap::new();
    let (mut author_count, mut holes) = (state.authors.len() as u64, state.holes);
    for (at, frame) in frames.iter().enumerate() {
        let known = authors.get(&frame.origin).or_else(|| state.authors.get(&frame.origin));
        let is_new = known.is_none();
        let mut author = known.cloned().unwrap_or_default();
        let floor = author.floor;
        let records: Vec<u64> = (frame.items.iter().map(|item| item.public_seq))
            .filter(|seq| *seq >= floor && !author.holds(*seq))
            .collect();
        let bytes = frame::record_bytes(frame);
        let holes_before = author.holes();
        let of_node = bytes_of.entry(frame.origin.node()).or_insert_with(|| state.bytes_of(&frame.origin));
        let over = is_new && author_count >= limits.authors_max
            || !frame.origin.is_within_limit()
            || *of_node + bytes as u64 > limits.author_bytes_max
            || state.live + (plan.bytes + bytes) as u64 > limits.store_bytes_max;
        let kept = if records.is_empty() {
            let pruned = frame.items.iter().any(|item| item.public_seq < floor);
            if pruned { Kept::Pruned } else { Kept::Known }
        } else if over {
            Kept::OverCap
        } else {
            records.iter().for_each(|seq| author.insert(*seq));
            let opens = author.holes().saturating_sub(holes_before);
            let sparse = opens > 0 && (author.holes() > HOLES_MAX || holes + opens > HOLES_TOTAL_MAX);
            if sparse { Kept::Sparse } else { Kept::New }
        };
        plan.kept.push(kept);
        if kept == Kept::New {
            author.bytes += bytes as u64;
            *of_node += bytes as u64;
            author_count += u64::from(is_new);
            holes = (holes + author.holes()).saturating_sub(holes_before);
            plan.bytes += bytes;
            authors.insert(frame.origin, author);
            plan.written.push((at, records));
        }
    }
    plan
}
