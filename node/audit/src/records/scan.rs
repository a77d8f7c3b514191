//! Reading all frames of a directory without opening the store: for tools that judge records offline.
//!
//! Nothing is locked, repaired or written, so a node may be running meanwhile: what it has not finished writing is passed
//! over, and segments that it makes or frees are noticed.

use super::Item;
use super::error::{Error, Notice};
use super::frame::{self, Payload};
use super::segment::{self, HEAD_BYTES, Head, HeadError, RECORDS_DIR};
use super::walk::{Piece, Walk};
use crate::files::{Access, Files};
use artel_protocol::id::FederationId;
use artel_protocol::log::Origin;
use std::io;
use std::sync::Arc;

/// What a scan comes upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanned {
    /// A whole frame. One that was copied, or that somebody sent once more, may stand there twice, and pruned ones may still
    /// be there: a reader goes by origin and `public_seq`, and by [`Scanned::Floor`].
    Frame {
        /// Whose records it has.
        origin: Origin,
        /// What it is about, in the numbers of whoever appended it.
        topic: u8,
        /// Its records.
        items: Vec<Item>,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// The author's records below this number were pruned.
    Floor {
        /// The author.
        origin: Origin,
        /// The first number that was not pruned.
        below: u64,
    },
    /// Something is not what was written.
    Notice(Notice),
}

/// All frames in the segments of `files`, in the order in which they were written. The data directory is read, not changed.
///
/// # Errors
/// [`Error::Io`] when the directory cannot be listed; a directory that is not there has no frames.
pub fn scan(files: Arc<dyn Files>, federation: FederationId) -> Result<Scan, Error> {
    let mut scan = Scan { files, federation, numbers: Vec::new(), last: 0, walk: None };
    scan.list()?;
    Ok(scan)
}

/// An iterator over frames; see [`scan`].
pub struct Scan {
    files: Arc<dyn Files>,
    federation: FederationId,
    /// The segments still to be read, the next one last.
    numbers: Vec<u32>,
    /// The segment that is read, or was last.
    last: u32,
    walk: Option<Walk>,
}

impl Iterator for Scan {
    type Item = Result<Scanned, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.walk.is_none() {
                match self.open_next() {
                    Ok(Some(Step::Opened)) => (),
                    Ok(Some(Step::Said(notice))) => return Some(Ok(Scanned::Notice(notice))),
                    Ok(None) => return None,
                    Err(error) => {
                        (self.last, self.numbers) = (u32::MAX, Vec::new());
                        return Some(Err(error));
                    }
                }
            }
            let federation = self.federation;
            let is_last = self.numbers.is_empty();
            let Some(walk) = &mut self.walk else {
                continue;
            };
            let at = walk.at();
            let damaged = |offset: u32, len: u32| Notice::Damaged {
                file: segment::path(self.last),
                offset: u64::from(offset),
                bytes: u64::from(len),
            };
            let (scanned, ends) = match walk.next() {
                Ok(None) => (None, true),
                Ok(Some(Piece::Bad { offset, len })) => {
                    let ends = is_last && walk.is_at_end();
                    // The end of the newest segment may be on its way to the disk.
                    ((!ends).then(|| Scanned::Notice(damaged(offset, len))), ends)
                }
                Ok(Some(Piece::Whole { offset, len, payload })) => match frame::parse(payload, federation) {
                    Some(Payload::Record { origin, topic, items, bytes }) => {
                        (Some(Scanned::Frame { origin, topic, items, bytes: bytes.to_vec() }), false)
                    }
                    Some(Payload::Floor { origin, below }) => (Some(Scanned::Floor { origin, below }), false),
                    None => (Some(Scanned::Notice(damaged(offset, len))), false),
                },
                Err(e) => {
                    let (file, offset) = (segment::path(self.last), u64::from(at));
                    let notice = Notice::Unreadable { file, offset, what: e.to_string() };
                    (Some(Scanned::Notice(notice)), true)
                }
            };
            if ends {
                self.walk = None;
            }
            if let Some(scanned) = scanned {
                return Some(Ok(scanned));
            }
        }
    }
}

enum Step {
    Opened,
    Said(Notice),
}

impl Scan {
    /// Finds segments behind the last one that was read.
    fn list(&mut self) -> Result<(), Error> {
        let names = match self.files.list(RECORDS_DIR) {
            Ok(names) => names,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io(RECORDS_DIR, "list")(e)),
        };
        let numbers = names.iter().filter_map(|name| segment::number_of(name));
        self.numbers = numbers.filter(|number| *number > self.last).collect();
        self.numbers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(())
    }

    /// Opens the next segment; `None` when there is none.
    fn open_next(&mut self) -> Result<Option<Step>, Error> {
        if self.numbers.is_empty() {
            self.list()?;
        }
        let Some(number) = self.numbers.pop() else {
            return Ok(None);
        };
        self.last = number;
        let path = segment::path(number);
        let unreadable =
            |e: io::Error| Notice::Unreadable { file: path.clone(), offset: 0, what: e.to_string() };
        let file = match self.files.open(&path, Access::Read) {
            Ok(file) => file,
            // Freed meanwhile: what was wanted of it stands in a later one.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return self.open_next(),
            Err(e) => return Ok(Some(Step::Said(unreadable(e)))),
        };
        let len = match file.len() {
            Ok(len) => u32::try_from(len).unwrap_or(u32::MAX),
            Err(e) => return Ok(Some(Step::Said(unreadable(e)))),
        };
        let head = Head::read(file.as_ref(), number);
        let said = match &head {
            Ok(Ok(head)) if head.federation != self.federation => {
                return Err(Error::ForeignFile { file: path, federation: head.federation });
            }
            Ok(Err(HeadError::Format(format))) => return Err(Error::Format { file: path, format: *format }),
            Ok(Err(HeadError::Damaged)) => {
                Some(Notice::Damaged { file: path, offset: 0, bytes: u64::from(HEAD_BYTES) })
            }
            Ok(Ok(_)) | Err(_) => None,
        };
        let end = self.end_of(number, len);
        self.walk = Some(Walk::new(file, number, HEAD_BYTES, end));
        Ok(Some(said.map_or(Step::Opened, Step::Said)))
    }

    /// Where a segment ends, as the one after it says.
    fn end_of(&self, number: u32, len: u32) -> u32 {
        let after = self.numbers.last().copied().filter(|after| number.checked_add(1) == Some(*after));
        let head = after.and_then(|after| {
            let file = self.files.open(&segment::path(after), Access::Read).ok()?;
            Head::read(file.as_ref(), after).ok()?.ok()
        });
        head.map_or(len, |head| head.before_end.min(len))
    }
}
