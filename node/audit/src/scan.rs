//! Reading segments from front to back, and the judgement over where the last one ends.
//!
//! At most one commit is ever unsynced, sectors that were not written are still zero, and a commit stands in one segment.
//! So an incomplete commit can be told from damage: it misses sectors, and nothing of a later commit stands behind it.

use crate::error::Error;
use crate::files::{self, Access, File, Files};
use crate::frame::{self, FRAME_BYTES_MAX, FRAME_HEAD_BYTES, Frame, FrameError};
use crate::memory::SECTOR;
use crate::segment::{self, SEGMENT_HEAD_BYTES};
use artel_protocol::log::Origin;
use std::sync::Arc;

/// How much is read at once, in bytes. Larger only costs memory.
const READ_BYTES: usize = 256 << 10;

/// The most bytes of one commit (8 MiB), which stands in one write. Larger, and the stretch that opening looks through behind
/// the last frame would cost milliseconds; smaller, and a full group of large outputs would not fit.
pub const COMMIT_BYTES_MAX: usize = 8 << 20;

/// A place between two frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// The segment's first index, which names it.
    pub segment: u64,
    /// Bytes from the segment's start.
    pub offset: u64,
    /// The index of the next entry.
    pub index: u64,
    /// How many public entries stand before it; `None` when that is not known there.
    pub public_seq: Option<u64>,
}

impl Position {
    pub fn start() -> Self {
        Position { public_seq: Some(0), ..Position::start_of(0) }
    }

    pub fn start_of(segment: u64) -> Self {
        Position { segment, offset: SEGMENT_HEAD_BYTES, index: segment, public_seq: None }
    }
}

/// Reads frames in order through all segments.
pub(crate) struct Walk {
    files: Arc<dyn Files>,
    origin: Option<Origin>,
    /// The first indices of all segments, in order.
    segments: Arc<[u64]>,
    at: Position,
    open: Option<Open>,
}

struct Open {
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    /// Where the buffer begins in the file, and how much of it was read.
    buffer_at: u64,
    filled: usize,
}

/// One step of a walk.
pub(crate) enum Step<'a> {
    /// A whole frame, in its place.
    Frame {
        /// Where it begins.
        at: Position,
        frame: Frame<'a>,
    },
    /// The last segment ends here, with zeros, nothing, or what is no frame.
    Stop { at: Position, why: FrameError },
}

impl Walk {
    pub fn new(files: Arc<dyn Files>, origin: Option<Origin>, segments: Arc<[u64]>, at: Position) -> Self {
        Walk { files, origin, segments, at, open: None }
    }

    pub fn position(&self) -> Position {
        self.at
    }

    /// The next frame, or where the walk ends. Damage in a segment that is not the last one is an error.
    pub fn next(&mut self) -> Result<Step<'_>, Error> {
        let after = self.segments.partition_point(|first| *first <= self.at.segment);
        let following = self.segments.get(after).copied();
        if following == Some(self.at.index) {
            self.at = Position { public_seq: self.at.public_seq, ..Position::start_of(self.at.index) };
            self.open = None;
            return self.next();
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let (file, _) =
                    segment::open(self.files.as_ref(), self.at.segment, self.origin.as_ref(), Access::Read)?;
                none.insert(Open { file, buffer: Vec::new(), buffer_at: self.at.offset, filled: 0 })
            }
        };
        let at = self.at;
        let path = segment::path(at.segment);
        let bytes = open.bytes_at(at.offset).map_err(Error::io(&path, "read"))?;
        let read = Frame::parse(bytes).and_then(|(frame, len)| {
            let in_order =
                frame.first_index == at.index && at.public_seq.is_none_or(|seq| seq == frame.public_seq);
            let ends_before = following.is_none_or(|next| frame.next_index() <= next);
            if in_order && ends_before { Ok((frame, len)) } else { Err(FrameError::Malformed) }
        });
        match read {
            Ok((frame, len)) => {
                let public_seq = frame.entries.last().map(|e| e.public_seq_after());
                self.at =
                    Position { offset: at.offset + len as u64, index: frame.next_index(), public_seq, ..at };
                Ok(Step::Frame { at, frame })
            }
            Err(why) => match following {
                None => Ok(Step::Stop { at, why }),
                Some(next) if bytes.iter().take(FRAME_HEAD_BYTES).all(|b| *b == 0) => {
                    let what =
                        format!("entries {} to {} are missing: this segment is gone", at.index, next - 1);
                    Err(Error::damaged(segment::path(at.index), what))
                }
                Some(_) => {
                    let what = format!("{why} at byte {} (entry {})", at.offset, at.index);
                    Err(Error::damaged(path, what))
                }
            },
        }
    }
}

impl Open {
    /// The bytes from `offset` on: a whole frame, if there is one.
    fn bytes_at(&mut self, offset: u64) -> std::io::Result<&[u8]> {
        if !self.has(offset, FRAME_HEAD_BYTES) {
            self.fill(offset, READ_BYTES)?;
        }
        if let Some(len) = frame::payload_len(self.rest(offset))
            && !self.has(offset, FRAME_HEAD_BYTES + len)
        {
            self.fill(offset, READ_BYTES.max(FRAME_HEAD_BYTES + len))?;
        }
        Ok(self.rest(offset))
    }

    fn has(&self, offset: u64, bytes: usize) -> bool {
        offset + bytes as u64 <= self.buffer_at + self.filled as u64
    }

    fn rest(&self, offset: u64) -> &[u8] {
        &self.buffer[(offset - self.buffer_at) as usize..self.filled]
    }

    fn fill(&mut self, offset: u64, bytes: usize) -> std::io::Result<()> {
        if self.buffer.len() < bytes {
            self.buffer = vec![0; bytes];
        }
        self.buffer_at = offset;
        self.filled = files::read_up_to(self.file.as_ref(), &mut self.buffer, offset)?;
        Ok(())
    }
}

/// What stands behind the last whole frame of the last segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Only zeros, or the end of the file.
    Clean,
    /// A commit that was not written whole, which nobody was told of.
    Incomplete,
    /// Something was whole once: a sentence on what is wrong now.
    Damaged(String),
}

/// Judges what stands at `at`, where no whole frame begins.
pub(crate) fn judge(file: &dyn File, at: Position) -> std::io::Result<Ending> {
    let whole = (COMMIT_BYTES_MAX + SECTOR) as u64;
    let there = file.len()?.saturating_sub(at.offset).min(whole);
    let mut window = vec![0; there as usize];
    let read = files::read_up_to(file, &mut window, at.offset)?;
    let file_ends = there < whole;
    let used = window[..read].iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    if used == 0 {
        return Ok(Ending::Clean);
    }
    let window = &window[..read];
    if let Some((index, offset)) = later_commit(&window[..used], at) {
        return Ok(Ending::Damaged(format!(
            "entry {} at byte {} is damaged, though entry {index} of a later commit stands at byte {offset}",
            at.index, at.offset
        )));
    }
    if is_incomplete(window, used, at.offset, file_ends) {
        return Ok(Ending::Incomplete);
    }
    Ok(Ending::Damaged(format!("entry {} at byte {} was written whole and is damaged", at.index, at.offset)))
}

/// Looks for a frame of a commit that was begun only after the one at `at` was synced.
fn later_commit(window: &[u8], at: Position) -> Option<(u64, u64)> {
    for offset in 1..window.len() {
        let bytes = &window[offset..];
        let Some(fields) = bytes.get(FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + 24) else {
            break;
        };
        let u64_at = |at: usize| u64::from_le_bytes(fields[at..at + 8].try_into().expect("8 of 24 bytes"));
        let (index, commit_start) = (u64_at(0), u64_at(16));
        // No entry is shorter than a byte, so an index cannot run away from its place.
        let plausible = index > at.index && index - at.index <= offset as u64;
        if plausible && commit_start > at.index && Frame::parse(bytes).is_ok() {
            return Some((index, at.offset + offset as u64));
        }
    }
    None
}

/// Whether a frame whose length reads 0 is whole but for one flipped bit of it. Otherwise its place was being cleaned after a
/// full disk, and the power failed between the bytes: nothing acknowledged stood there.
fn has_flipped_length(window: &[u8]) -> bool {
    (0..FRAME_BYTES_MAX.ilog2()).any(|bit| {
        let whole = FRAME_HEAD_BYTES + (1 << bit);
        let Some(bytes) = window.get(..whole) else { return false };
        let mut restored = bytes.to_vec();
        restored[..4].copy_from_slice(&(1_u32 << bit).to_le_bytes());
        Frame::parse(&restored).is_ok()
    })
}

/// Whether the frame that should begin here misses a sector, its end, or the file's end.
fn is_incomplete(window: &[u8], used: usize, offset: u64, file_ends: bool) -> bool {
    let end = match frame::payload_len(window) {
        Some(len) => FRAME_HEAD_BYTES + len,
        // The length itself is missing or damaged: the head tells, or else everything that stands there.
        None if window.iter().take(FRAME_HEAD_BYTES).all(|b| *b == 0) => return true,
        None if window.starts_with(&[0; 4]) => return !has_flipped_length(window),
        // A whole frame has bytes that are not 0 behind its head: its count.
        None if used <= FRAME_HEAD_BYTES => return true,
        None => used.min(FRAME_HEAD_BYTES + FRAME_BYTES_MAX),
    };
    if end > window.len() {
        return file_ends;
    }
    if window[end - 1] == 0 {
        return true;
    }
    let mut at = 0;
    while at < end {
        let to_boundary = SECTOR - (offset as usize + at) % SECTOR;
        let piece = &window[at..end.min(at + to_boundary)];
        if piece.iter().all(|b| *b == 0) {
            return true;
        }
        at += piece.len();
    }
    false
}
