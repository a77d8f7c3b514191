//! A journal's directory opened for reading only, such as a copy of one: what its newest checkpoint covers, nothing else.
//!
//! Nothing is written, also not what could be repaired, and no key is needed but to open private bodies.

use crate::derived::Derived;
use crate::error::Error;
use crate::files::Files;
use crate::keys::KeyRing;
use crate::open::origin_of;
use crate::reader::Reader;
use crate::scan::{Position, Step, Walk};
use crate::segment::{self, JOURNAL_DIR, SEGMENT_HEAD_BYTES};
use crate::shared::{Head, Segment, Shared};
use crate::slot::{self, SLOT_FILES};
use artel_protocol::log::{CompactRange, SignedCheckpoint};
use std::io;
use std::sync::Arc;

/// Opens a directory for reading.
///
/// # Errors
/// [`Error::Damaged`] when there is no journal, no usable checkpoint, or its root is not the one of the entries.
pub fn open(files: Arc<dyn Files>) -> Result<Reader, Error> {
    let Some(origin) = origin_of(files.as_ref())? else {
        return Err(Error::damaged(JOURNAL_DIR, "there is no journal here"));
    };
    let slot::Found::Usable(slot, _, _) = slot::load(files.as_ref(), Some(&origin))? else {
        return Err(Error::damaged(SLOT_FILES[0], format!("it and {} are missing", SLOT_FILES[1])));
    };
    let ring = match KeyRing::load(files.as_ref()) {
        Err(Error::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => KeyRing::empty(),
        other => other?,
    };
    let mut firsts: Vec<u64> = (files.list(JOURNAL_DIR).map_err(Error::io(JOURNAL_DIR, "list"))?.iter())
        .filter_map(|name| segment::index_of(name))
        .collect();
    firsts.sort_unstable();
    if firsts.first() != Some(&0) {
        return Err(Error::damaged(segment::path(0), "the first segment is missing"));
    }
    let segments = firsts.iter().map(|first_index| Segment {
        first_index: *first_index,
        used: SEGMENT_HEAD_BYTES,
        file: None,
    });
    let derived = Arc::new(Derived::new(files.clone(), false));
    let range = match range_from_tiles(&derived, &slot.checkpoint) {
        Some(range) => range,
        None => range_from_segments(files.clone(), firsts.clone().into(), &slot.checkpoint)?,
    };
    let head = Head { range, public_seq: slot.public_seq, released: slot.checkpoint };
    Ok(Reader::new(Arc::new(Shared::new(files, derived, Arc::new(ring), segments.collect(), head))))
}

/// The tree's edge from derived files, if it has the signed root.
fn range_from_tiles(derived: &Derived, checkpoint: &SignedCheckpoint) -> Option<CompactRange> {
    let range = CompactRange::from_subtrees(checkpoint.size(), |at| derived.hash(at)).ok()?;
    (range.root() == checkpoint.root()).then_some(range)
}

fn range_from_segments(
    files: Arc<dyn Files>,
    firsts: Arc<[u64]>,
    checkpoint: &SignedCheckpoint,
) -> Result<CompactRange, Error> {
    let mut range = CompactRange::new();
    let mut walk = Walk::new(files, Some(checkpoint.origin()), firsts, Position::start());
    while range.size() < checkpoint.size() {
        match walk.next()? {
            Step::Frame { frame, .. } => frame.entries.iter().for_each(|e| range.append(e.leaf().hash())),
            Step::Stop { at, why } => {
                let what = format!("{why} at byte {} (entry {})", at.offset, at.index);
                return Err(Error::damaged(segment::path(at.segment), what));
            }
        }
    }
    if range.size() == checkpoint.size() && range.root() == checkpoint.root() {
        return Ok(range);
    }
    Err(Error::damaged(JOURNAL_DIR, "its entries do not lead to the root that the checkpoint signs"))
}
