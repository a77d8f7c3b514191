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
    if is_zero_from(file, at.offset, there)? {
        return Ok(Ending::Clean);
    }
    let mut window = vec![0; there as usize];
    let read = files::read_up_to(file, &mut window, at.offset)?;
    let file_ends = there < whole;
    let used = window[..read].iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
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

/// Whether `bytes` bytes from `offset` on are all zeros, as nearly always; read in pieces, for a window of all of them costs the
/// start more than reading it.
fn is_zero_from(file: &dyn File, offset: u64, bytes: u64) -> std::io::Result<bool> {
    let mut piece = vec![0; READ_BYTES.min(bytes as usize)];
    let mut done = 0;
    while done < bytes {
        let wanted = (bytes - done).min(piece.len() as u64) as usize;
        let read = files::read_up_to(file, &mut piece[..wanted], offset + done)?;
        if piece[..read].iter().fold(0, |any, byte| any | byte) != 0 {
            return Ok(false);
        }
        if read < wanted {
            break;
        }
        done += read as u64;
    }
    Ok(true)
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

/// Whether the frame that should begin here misses a sector, its end, or the file's end.
fn is_incomplete(window: &[u8], used: usize, offset: u64, file_ends: bool) -> bool {
    let end = match frame::payload_len(window) {
        Some(len) => FRAME_HEAD_BYTES + len,
        // A whole frame has bytes that are not 0 behind its head.
        None if used <= FRAME_HEAD_BYTES => return true,
        // The length itself is damaged, or its sector is missing: everything that stands there tells.
        None => used.min(FRAME_HEAD_BYTES + FRAME_BYTES_MAX),
    };
    if end > window.len() {
        return file_ends;
    }
    window[end - 1] == 0 || misses_a_sector(&window[..end], offset)
}

/// Whether a sector, or the part of one that belongs to these bytes at `offset` of the file, is all zeros.
fn misses_a_sector(bytes: &[u8], offset: u64) -> bool {
    let to_boundary = SECTOR - offset as usize % SECTOR;
    let (first, rest) = bytes.split_at(to_boundary.min(bytes.len()));
    let is_zero = |piece: &[u8]| piece.iter().all(|b| *b == 0);
    is_zero(first) || rest.chunks(SECTOR).any(is_zero)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Access;
    use crate::frame::{NewEntry, Place, SealContext};
    use crate::keys::KeyRing;
    use crate::memory::MemoryDisk;
    use artel_protocol::id::FederationId;
    use artel_protocol::key::{NodeId, SecretKey};
    use artel_protocol::log::Class;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    /// The bytes of a commit of public frames with bodies of these lengths.
    fn commit(start: u64, bodies: &[usize]) -> Vec<u8> {
        let origin = Origin::new(FederationId([2; 32]), NodeId(SecretKey::from_seed(&[1; 32]).public()), 0);
        let (context, mut entropy) = (SealContext::new(&origin), StdRng::seed_from_u64(start));
        let ring = KeyRing::generate(&mut entropy);
        let (mut out, mut leaves) = (Vec::new(), Vec::new());
        for (index, len) in (start..).zip(bodies) {
            let place = Place { index, public_seq: index, commit_start: start };
            let entry = NewEntry { class: Class::Public, body: vec![b'b'; *len] };
            frame::write(place, &[entry], &context, &ring, &mut entropy, &mut out, &mut leaves);
        }
        out
    }

    /// The judgement over what stands behind the last whole frame.
    fn judged(bytes: &[u8], from: usize) -> Ending {
        let disk = MemoryDisk::new();
        disk.put("f", bytes);
        let (mut offset, mut index) = (from, 5);
        while let Ok((frame, len)) = Frame::parse(&bytes[offset.min(bytes.len())..]) {
            if frame.first_index != index {
                break;
            }
            offset += len;
            index += 1;
        }
        let file = disk.open("f", Access::Read).expect("there");
        let at = Position { segment: 0, offset: offset as u64, index, public_seq: None };
        judge(file.as_ref(), at).expect("readable")
    }

    const BODIES: [&[usize]; 5] = [&[10], &[1, 300, 2], &[700, 5, 600], &[200, 200, 200, 200], &[1400]];

    #[test]
    fn a_commit_that_lost_sectors_or_its_end_is_never_damage() {
        for bodies in BODIES {
            for from in (0..SECTOR).step_by(37).chain(SECTOR - 10..SECTOR) {
                let commit = commit(5, bodies);
                let mut whole = vec![0; from];
                whole.extend_from_slice(&commit);
                whole.resize(whole.len() + 2 * SECTOR, 0);
                let sectors = (from + commit.len()).div_ceil(SECTOR);
                for kept in 0..1_u32 << sectors {
                    let mut torn = whole.clone();
                    for (at, sector) in torn.chunks_mut(SECTOR).take(sectors).enumerate() {
                        if kept >> at & 1 == 0 {
                            sector.fill(0);
                        }
                    }
                    assert!(
                        !matches!(judged(&torn, from), Ending::Damaged(_)),
                        "{bodies:?} at {from}, {kept:b}"
                    );
                }
                for front in 0..commit.len() {
                    let mut torn = whole.clone();
                    torn[from + front..].fill(0);
                    assert!(
                        !matches!(judged(&torn, from), Ending::Damaged(_)),
                        "{bodies:?} at {from}, {front}"
                    );
                    let cut = judged(&whole[..from + front], from);
                    assert!(!matches!(cut, Ending::Damaged(_)), "{bodies:?} at {from}, cut after {front}");
                }
            }
        }
    }

    #[test]
    fn a_flipped_bit_of_a_whole_commit_is_nearly_always_damage_and_never_clean() {
        let (mut places, mut cut) = (0, 0);
        for bodies in BODIES {
            for from in [0, 100, 509] {
                let mut whole = vec![0; from];
                whole.extend_from_slice(&commit(5, bodies));
                let end = whole.len();
                whole.resize(end + 2 * SECTOR, 0);
                for bit in from * 8..end * 8 {
                    let mut changed = whole.clone();
                    changed[bit / 8] ^= 1 << (bit % 8);
                    let ending = judged(&changed, from);
                    assert_ne!(ending, Ending::Clean, "bit {bit} of {bodies:?}");
                    places += 1;
                    cut += u32::from(ending == Ending::Incomplete);
                }
            }
        }
        // A length that now reaches into the zeros looks like a commit whose end is missing.
        assert!(cut * 100 < places, "{cut} of {places} flips would be cut");
    }

    #[test]
    fn damage_before_a_later_commit_is_always_damage() {
        for bodies in BODIES {
            let first = commit(5, bodies);
            let mut whole = first.clone();
            whole.extend_from_slice(&commit(5 + bodies.len() as u64, &[40]));
            whole.resize(whole.len() + SECTOR, 0);
            for bit in 0..first.len() * 8 {
                let mut changed = whole.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(matches!(judged(&changed, 0), Ending::Damaged(_)), "bit {bit} of {bodies:?}");
            }
            for zeroed in (0..first.len()).step_by(SECTOR) {
                let mut changed = whole.clone();
                let end = first.len().min(zeroed + SECTOR);
                changed[zeroed..end].fill(0);
                assert!(matches!(judged(&changed, 0), Ending::Damaged(_)), "zeros at {zeroed} of {bodies:?}");
            }
        }
    }
}
