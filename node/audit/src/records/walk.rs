//! Reading a segment from front to back, over what is damaged.
//!
//! Where no whole frame begins, the next one is found from the segment's end, backwards from length to length: never by
//! looking through bytes that an author wrote.

use super::frame::{self, FRAME_BYTES_MIN, FRONT_BYTES};
use crate::files::{self, File};
use std::io;
use std::sync::Arc;

/// How much is read at once, in bytes. Larger only costs memory.
const READ_BYTES: usize = 256 << 10;

/// A stretch of a segment.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// A whole frame: where it begins, its bytes on disk, its payload.
    Whole { offset: u32, len: u32, payload: &'a [u8] },
    /// No whole frame.
    Bad { offset: u32, len: u32 },
}

/// Reads a segment's frames in order.
pub(crate) struct Walk {
    file: Arc<dyn File>,
    segment: u32,
    at: u32,
    end: u32,
    buffer: Vec<u8>,
    /// Where the buffer begins in the file, and how much of it was read.
    buffer_at: u32,
    filled: usize,
}

impl Walk {
    /// Reads from one place between frames to another.
    pub fn new(file: Arc<dyn File>, segment: u32, at: u32, end: u32) -> Self {
        Walk { file, segment, at, end, buffer: Vec::new(), buffer_at: at, filled: 0 }
    }

    /// Where the next piece begins.
    pub fn at(&self) -> u32 {
        self.at
    }

    /// Whether there is no next piece.
    pub fn is_at_end(&self) -> bool {
        self.at >= self.end
    }

    pub fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let offset = self.at;
        self.fetch(FRONT_BYTES)?;
        let len = self.rest().first_chunk().and_then(|len| frame::whole_bytes(*len));
        if let Some(len) = len {
            self.fetch(len)?;
            if frame::open(self.rest(), self.segment, offset).is_some() {
                self.at += len as u32;
                let from = (offset - self.buffer_at) as usize;
                let payload = frame::open(&self.buffer[from..self.filled], self.segment, offset);
                let payload = payload.expect("it was whole a moment ago");
                return Ok(Some(Piece::Whole { offset, len: len as u32, payload }));
            }
        }
        self.at = self.first_whole_behind(offset)?;
        Ok(Some(Piece::Bad { offset, len: self.at - offset }))
    }

    /// What was read of the file from the next piece on, up to the end.
    fn rest(&self) -> &[u8] {
        let till = ((self.end - self.buffer_at) as usize).min(self.filled);
        &self.buffer[(self.at - self.buffer_at) as usize..till]
    }

    fn fetch(&mut self, bytes: usize) -> io::Result<()> {
        let has = u64::from(self.at) + bytes as u64 <= u64::from(self.buffer_at) + self.filled as u64;
        if has {
            return Ok(());
        }
        let bytes = bytes.max(READ_BYTES).min((self.end - self.at) as usize);
        if self.buffer.len() < bytes {
            self.buffer = vec![0; bytes];
        }
        self.buffer_at = self.at;
        self.filled = files::read_up_to(self.file.as_ref(), &mut self.buffer[..bytes], u64::from(self.at))?;
        Ok(())
    }

    /// The frame nearest behind `offset` from which whole frames stand side by side up to the end; the end if there is none.
    fn first_whole_behind(&self, offset: u32) -> io::Result<u32> {
        let (mut first, mut bytes) = (self.end, Vec::new());
        while first - offset > FRAME_BYTES_MIN as u32 {
            let mut len = [0; 4];
            files::read_up_to(self.file.as_ref(), &mut len, u64::from(first - 4))?;
            let Some(len) = frame::whole_bytes(len).filter(|len| *len < (first - offset) as usize) else {
                break;
            };
            bytes.resize(len, 0);
            let start = first - len as u32;
            let read = files::read_up_to(self.file.as_ref(), &mut bytes, u64::from(start))?;
            if frame::open(&bytes[..read], self.segment, start).is_none() {
                break;
            }
            first = start;
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Access, Files};
    use crate::memory::MemoryDisk;
    use crate::records::frame::Writer;

    const AT: u32 = 512;

    /// Six frames of different lengths, each with its number; and where each begins.
    fn segment() -> (Vec<u8>, Vec<u32>) {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, 3, AT);
        let starts = (0..6_u8).map(|n| writer.payload(&vec![n; 45 + 100 * usize::from(n % 3)])).collect();
        (out, starts)
    }

    /// The first byte of each whole frame, and the bad stretches.
    fn walked(frames: &[u8]) -> (Vec<u8>, Vec<(u32, u32)>) {
        let disk = MemoryDisk::new();
        disk.put("f", &[&[0; AT as usize], frames].concat());
        let file = disk.open("f", Access::Read).expect("there");
        let mut walk = Walk::new(file, 3, AT, AT + frames.len() as u32);
        let (mut whole, mut bad) = (Vec::new(), Vec::new());
        while let Some(piece) = walk.next().expect("readable") {
            match piece {
                Piece::Whole { payload, .. } => whole.push(payload[0]),
                Piece::Bad { offset, len } => bad.push((offset, len)),
            }
        }
        (whole, bad)
    }

    #[test]
    fn a_flipped_bit_costs_one_frame_and_is_said() {
        let (frames, starts) = segment();
        assert_eq!(walked(&frames), (vec![0, 1, 2, 3, 4, 5], vec![]));
        for bit in 0..frames.len() * 8 {
            let mut changed = frames.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let hit = starts.partition_point(|start| *start <= AT + bit as u32 / 8) - 1;
            let end = starts.get(hit + 1).copied().unwrap_or(AT + frames.len() as u32);
            let left: Vec<u8> = (0..6).filter(|n| usize::from(*n) != hit).collect();
            assert_eq!(walked(&changed), (left, vec![(starts[hit], end - starts[hit])]), "bit {bit}");
        }
    }

    #[test]
    fn a_cut_costs_what_is_cut_and_the_rest_is_said() {
        let (frames, starts) = segment();
        for cut in 0..frames.len() {
            let (whole, bad) = walked(&frames[..cut]);
            let left = starts.iter().skip(1).filter(|start| **start <= AT + cut as u32).count();
            assert_eq!(whole, (0..left as u8).collect::<Vec<_>>(), "cut at {cut}");
            let rest = AT + cut as u32 - starts[left];
            assert_eq!(bad, if rest > 0 { vec![(starts[left], rest)] } else { vec![] });
        }
    }

    #[test]
    fn a_frame_inside_a_record_is_never_taken_for_one() {
        // An author who knows the format writes frames into a record; then the record is damaged.
        let mut inner = Vec::new();
        Writer::new(&mut inner, 3, AT + 8).payload(&[9; 45]);
        let mut frames = Vec::new();
        let mut writer = Writer::new(&mut frames, 3, AT);
        writer.payload(&inner);
        writer.payload(&[1; 45]);
        let outer = 12 + inner.len() as u32;
        assert_eq!(frame::open(&frames[8..], 3, AT + 8), Some(&[9; 45][..]), "it would be one, in its place");
        for bit in 0..64 {
            let mut changed = frames.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(walked(&changed), (vec![1], vec![(AT, outer)]), "bit {bit}");
        }
    }
}
